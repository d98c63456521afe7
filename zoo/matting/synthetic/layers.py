"""Layers: premultiplied pictures, how they are stacked, and how straight colours are got back.

A *layer* is a float32 array (H, W, 4) of premultiplied RGB and alpha. Only premultiplied colours may be averaged,
blurred or stacked: then every pixel's colour is that of the material that really covers it. The *straight* colour,
premultiplied / alpha, is what a matting dataset stores; where alpha is 0 it is undefined, so there it is continued
from the nearest pixels that have one, which leaves no dark fringes when a picture is resized after all.
"""

import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.floating]
Picture = NDArray[np.uint8]

SMALLEST_ALPHA = 0.5 / 255
"""Below this a pixel's alpha is rounded to 0 and its colour is not used."""


def over(front: Layer, back: Layer) -> Layer:
    """The front layer on the back layer (Porter and Duff's "over")."""
    return front + back * (1 - front[..., 3:])


def to_straight(layer: Layer) -> Picture:
    """(H, W, 4) premultiplied → (H, W, 4) uint8: straight colours, continued where alpha is 0, and alpha, rounded."""
    alpha = layer[..., 3:]
    known = alpha >= SMALLEST_ALPHA
    colour = np.where(known, layer[..., :3] / np.maximum(alpha, SMALLEST_ALPHA), np.float32(0))
    straight = np.concatenate([extend(colour, known.astype(np.float32)), alpha], axis=-1)
    return np.rint(straight.clip(0, 1) * 255).astype(np.uint8)


def extend(colour: NDArray[np.floating], known: NDArray[np.floating]) -> NDArray[np.floating]:
    """Continue colours into the pixels where they are not known, by a pyramid of averages ("push-pull").

    Args:
        colour: (H, W, 3).
        known: (H, W, 1), 1 where the colour is known (and kept), otherwise 0.
    """
    height, width = known.shape[:2]
    if known.all() or max(height, width) == 1:
        return colour
    spare = ((0, height % 2), (0, width % 2), (0, 0))
    weights = np.pad(known, spare)
    total = _sum_of_four(np.pad(colour * known, spare))
    count = _sum_of_four(weights)
    coarse = extend(total / np.maximum(count, 1), (count > 0).astype(np.float32))
    return np.where(known > 0, colour, _double(coarse)[:height, :width])


def _sum_of_four(array: NDArray[np.floating]) -> NDArray[np.floating]:
    return array[0::2, 0::2] + array[1::2, 0::2] + array[0::2, 1::2] + array[1::2, 1::2]


def _double(array: NDArray[np.floating]) -> NDArray[np.floating]:
    """Twice the size, bilinear."""
    for axis in (0, 1):
        before = np.concatenate([array.take([0], axis), array.take(range(array.shape[axis] - 1), axis)], axis)
        after = np.concatenate([array.take(range(1, array.shape[axis]), axis), array.take([-1], axis)], axis)
        pairs = np.stack([0.75 * array + 0.25 * before, 0.75 * array + 0.25 * after], axis + 1)
        shape = list(array.shape)
        shape[axis] *= 2
        array = pairs.reshape(shape)
    return array
