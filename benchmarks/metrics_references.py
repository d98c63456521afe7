"""What the matting metrics must equal, written down the way evaluation programs do, over whole images in OpenCV, or in
SciPy where OpenCV is not installed, which takes several times as long.

All are for one image of levels, uint8 (H, W), and a mask, bool (H, W), of the pixels that are measured.
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
    """SAD before it is divided by 1000."""
    return float(np.abs(alpha / 255 - target / 255)[mask].sum())


def mean_of_differences(alpha: Levels, target: Levels, mask: Mask) -> float:
    """MAD."""
    return float(np.abs(alpha / 255 - target / 255)[mask].mean())


def mean_of_squares(alpha: Levels, target: Levels, mask: Mask) -> float:
    """MSE."""
    return float(((alpha / 255 - target / 255)[mask] ** 2).mean())


def foreground_mean_of_squares(foreground: Levels, target: Levels, alpha: Levels) -> float:
    """MSE of the foreground (3, H, W) where the true alpha is above 0."""
    return float(((foreground / 255 - target / 255)[:, alpha > 0] ** 2).mean())


def gradient_by_dense_filters(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Grad, by the 9×9 derivative of a Gaussian."""
    difference = gradient_magnitude(alpha) - gradient_magnitude(target)
    return float((difference**2)[mask].sum())


def gradient_magnitude(levels: Levels) -> NDArray[np.float64]:
    """Of one alpha, stretched to [0, 1]."""
    sigma = 1.4
    reach = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01)))
    places = np.arange(-reach, reach + 1)
    bell = np.exp(-(places**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel = np.outer(bell, -places * bell / sigma**2)
    kernel /= np.sqrt((kernel**2).sum())
    low, high = float(levels.min()), float(levels.max())
    image = (levels - low) / max(high - low, 1)
    along_x, along_y = (filtered(image, each) for each in (kernel, kernel.T))
    return np.sqrt(along_x**2 + along_y**2)


def filtered(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """The convolution, the border repeated outwards."""
    if cv2 is None:
        return ndimage.convolve(image, kernel, mode="nearest")
    return cv2.filter2D(image, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REPLICATE)


def connectivity_by_labels(alpha: Levels, target: Levels, mask: Mask) -> float:
    """Conn with thresholds in single precision: all components labelled anew for each of them."""
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
    """The largest 4-connected component; of several the first; empty where there is none."""
    if cv2 is None:
        labels, count = ndimage.label(mask)
        sizes = np.bincount(labels.ravel(), minlength=2)
    else:
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
        sizes = statistics[:, cv2.CC_STAT_AREA].copy()
        count -= 1  # the background counts there
    sizes[0] = 0
    return labels == sizes.argmax() if count else mask


def temporal_difference_of_two(alpha: Levels, target: Levels) -> float:
    """dtSSD of two frames (2, H, W), before it is multiplied by 100."""
    predicted, true = alpha / 255, target / 255
    return float(np.sqrt((((predicted[1] - predicted[0]) - (true[1] - true[0])) ** 2).mean()))


def preset_metric_by_metric(
    preset: Preset, alpha: Levels, target: Levels, mask: Mask, foreground: Levels, target_foreground: Levels
) -> tuple[float, ...]:
    """All that a preset measures, in its units and the order of `LOWER_IS_BETTER`."""
    return (
        preset.sad * sum_of_differences(alpha, target, mask),
        preset.mad * mean_of_differences(alpha, target, mask),
        preset.mse * mean_of_squares(alpha, target, mask),
        preset.grad * gradient_by_dense_filters(alpha, target, mask),
        preset.conn * connectivity_by_labels(alpha, target, mask),
        preset.foreground_mse * foreground_mean_of_squares(foreground, target_foreground, target),
    )
