"""Plain references of the matting metrics, computed as evaluation programs do, over whole images.

They use OpenCV, or SciPy where OpenCV is not installed, which takes several times as long. All are for one image of
levels, uint8 (H, W), and a mask, bool (H, W), of the evaluated pixels.
"""

import importlib
import importlib.util
import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from zoo.matting.metrics.base import Levels, Mask
from zoo.matting.metrics.presets import Preset

cv2: Any = importlib.import_module("cv2") if importlib.util.find_spec("cv2") else None


def sum_of_differences(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Return SAD before the division by 1000."""
    return float(np.abs(alpha / 255 - target / 255)[mask].sum())


def mean_of_differences(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Return MAD."""
    return float(np.abs(alpha / 255 - target / 255)[mask].mean())


def mean_of_squares(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Return MSE."""
    return float(((alpha / 255 - target / 255)[mask] ** 2).mean())


def foreground_mean_of_squares(foreground: Levels, target: Levels, alpha: Levels) -> float:
    """Return MSE of the foreground (3, H, W) where the true alpha is above 0."""
    return float(((foreground / 255 - target / 255)[:, alpha > 0] ** 2).mean())


def gradient_by_dense_filters(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Return Grad, by the 9×9 derivative of a Gaussian."""
    difference = gradient_magnitude(alpha) - gradient_magnitude(target)
    return float((difference**2)[mask].sum())


def gradient_magnitude(levels: Levels) -> NDArray[np.float64]:
    """Return the gradient magnitude of one alpha, stretched to [0, 1]."""
    sigma = 1.4
    reach = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01)))
    offsets = np.arange(-reach, reach + 1)
    bell = np.exp(-(offsets**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel = np.outer(bell, -offsets * bell / sigma**2)
    kernel /= np.sqrt((kernel**2).sum())
    low, high = float(levels.min()), float(levels.max())
    image = (levels - low) / max(high - low, 1)
    along_x, along_y = (filtered(image, each) for each in (kernel, kernel.T))
    return np.sqrt(along_x**2 + along_y**2)


def filtered(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """Return the convolution, with the border repeated outwards."""
    if cv2 is None:
        return ndimage.convolve(image, kernel, mode="nearest")
    return cv2.filter2D(image, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REPLICATE)


def connectivity_by_labels(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Return Conn with thresholds in single precision, labelling all components for each threshold."""
    predicted, true = alpha.astype(np.float32) / np.float32(255), target.astype(np.float32) / np.float32(255)
    thresholds = (np.arange(11) * 0.1).astype(np.float32)
    connected = np.full(alpha.shape, -1, np.float32)
    for last, threshold in itertools.pairwise(thresholds):
        omega = largest_component((predicted >= threshold) & (true >= threshold))
        connected[(connected == -1) & ~omega] = last
    connected[connected == -1] = 1
    excess, true_excess = predicted - connected, true - connected
    phi, true_phi = 1 - excess * (excess >= 0.15), 1 - true_excess * (true_excess >= 0.15)
    return float(np.abs(phi - true_phi)[mask].sum(dtype=np.float64))


def largest_component(mask: Mask) -> Mask:
    """Return the largest 4-connected component, the first of several; empty where there is none."""
    if cv2 is None:
        labels, count = ndimage.label(mask)
        sizes = np.bincount(labels.ravel(), minlength=2)
    else:
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
        sizes = statistics[:, cv2.CC_STAT_AREA].copy()
        count -= 1  # OpenCV counts the background
    sizes[0] = 0
    return labels == sizes.argmax() if count else mask


def temporal_difference_of_two(alpha: Levels, target: Levels) -> float:
    """Return dtSSD of two frames (2, H, W) before the multiplication by 100."""
    predicted, true = alpha / 255, target / 255
    return float(np.sqrt((((predicted[1] - predicted[0]) - (true[1] - true[0])) ** 2).mean()))


def preset_metric_by_metric(
    preset: Preset, alpha: Levels, target: Levels, mask: Mask, foreground: Levels, target_foreground: Levels
) -> tuple[float, ...]:
    """Return all metrics of a preset, in its units and the order of `LOWER_IS_BETTER`."""
    return (
        preset.sad * sum_of_differences(alpha, target, mask),
        preset.mad * mean_of_differences(alpha, target, mask),
        preset.mse * mean_of_squares(alpha, target, mask),
        preset.grad * gradient_by_dense_filters(alpha, target, mask),
        preset.conn * connectivity_by_labels(alpha, target, mask),
        preset.foreground_mse * foreground_mean_of_squares(foreground, target_foreground, target),
    )
