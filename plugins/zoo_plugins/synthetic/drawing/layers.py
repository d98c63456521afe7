"""Premultiplied layers: stacking, blur by motion and defocus, and conversion to straight colours.

A *layer* is a float32 array (H, W, 4) of premultiplied RGB and alpha. Only premultiplied colours may be averaged,
blurred or stacked: then every pixel's colour is that of the material that really covers it. The *straight* colour,
premultiplied / alpha, is what a matting dataset stores. Where alpha is 0 it is undefined; there it is extrapolated from
the nearest pixels that have one, which avoids dark fringes when an image is resized later.
"""

import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.floating]
Image8 = NDArray[np.uint8]

SMALLEST_ALPHA = 0.5 / 255  # below this a pixel's alpha is rounded to 0 and its colour is not used


def over(front: Layer, back: Layer) -> Layer:
    """Composite the front layer over the back layer (Porter and Duff)."""
    return front + back * (1 - front[..., 3:])


def to_straight(layer: Layer) -> Image8:
    """Convert a premultiplied layer to straight colours and alpha: (H, W, 4) uint8, rounded."""
    alpha = layer[..., 3:]
    known = alpha >= SMALLEST_ALPHA
    colour = np.where(known, layer[..., :3] / np.maximum(alpha, SMALLEST_ALPHA), np.float32(0))
    straight = np.concatenate([extrapolate(colour, known.astype(np.float32)), alpha], axis=-1)
    return np.rint(straight.clip(0, 1) * 255).astype(np.uint8)


def extrapolate(colour: NDArray[np.floating], known: NDArray[np.floating]) -> NDArray[np.floating]:
    """Extrapolate colours (H, W, 3) to unknown pixels, by a pyramid of averages ("push-pull").

    `known` (H, W, 1) is 1 where the colour is known, and kept, and 0 elsewhere.
    """
    height, width = known.shape[:2]
    if known.all() or max(height, width) == 1:
        return colour
    spare = ((0, height % 2), (0, width % 2), (0, 0))
    weights = np.pad(known, spare)
    total = _sum_of_four(np.pad(colour * known, spare))
    count = _sum_of_four(weights)
    coarse = extrapolate(total / np.maximum(count, 1), (count > 0).astype(np.float32))
    return np.where(known > 0, colour, _enlarge(coarse)[:height, :width])


def _sum_of_four(array: NDArray[np.floating]) -> NDArray[np.floating]:
    return array[0::2, 0::2] + array[1::2, 0::2] + array[0::2, 1::2] + array[1::2, 1::2]


def _enlarge(array: NDArray[np.floating]) -> NDArray[np.floating]:
    for axis in (0, 1):
        before = np.concatenate([array.take([0], axis), array.take(range(array.shape[axis] - 1), axis)], axis)
        after = np.concatenate([array.take(range(1, array.shape[axis]), axis), array.take([-1], axis)], axis)
        pairs = np.stack([0.75 * array + 0.25 * before, 0.75 * array + 0.25 * after], axis + 1)
        shape = list(array.shape)
        shape[axis] *= 2
        array = pairs.reshape(shape)
    return array


def motion_blur(layer: Layer, right: float, down: float) -> Layer:
    """Blur along a straight movement of (right, down) pixels, centred on the layer's position.

    Both blurs repeat the edge pixels beyond the frame, so that a subject that the frame cuts does not fade there.
    """
    taps = int(np.ceil(max(abs(right), abs(down)))) + 1
    if taps < 2:
        return layer
    reach = taps // 2 + 1
    padded = np.pad(layer, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = layer.shape[:2]
    total = np.zeros_like(layer)
    for step in np.linspace(-0.5, 0.5, taps):
        row, column = reach + round(step * down), reach + round(step * right)
        total += padded[row : row + height, column : column + width]
    return total / taps


def defocus(layer: Layer, radius: float) -> Layer:
    """Blur by a disc, as a lens that is out of focus does; `radius` in pixels."""
    reach = int(radius)
    if reach < 1:
        return layer
    height, width = layer.shape[:2]
    padded = np.pad(layer, ((reach, reach), (reach + 1, reach), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=1, dtype=np.float64)
    total = np.zeros(layer.shape)
    count = 0
    for offset in range(-reach, reach + 1):
        half = int((radius**2 - offset**2) ** 0.5)
        rows = sums[reach + offset : reach + offset + height]
        total += rows[:, reach + 1 + half : reach + 1 + half + width] - rows[:, reach - half : reach - half + width]
        count += 2 * half + 1
    return (total / count).astype(np.float32)
