"""Optics: blur by motion and by defocus, of premultiplied layers.

Blur spreads colour and coverage together, so it is right on premultiplied layers only. The picture is continued
beyond its frame by its edge pixels: a subject that is cut by the frame does not fade there.
"""

import numpy as np

from zoo.matting.synthetic.layers import Layer


def motion_blur(layer: Layer, right: float, down: float) -> Layer:
    """Blur along a straight movement of (right, down) pixels, centred on where the layer is."""
    taps = int(np.ceil(max(abs(right), abs(down)))) + 1
    if taps < 2:
        return layer
    reach = taps // 2 + 1
    padded = np.pad(layer, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = layer.shape[:2]
    total = np.zeros_like(layer)
    for share in np.linspace(-0.5, 0.5, taps):
        row, column = reach + round(share * down), reach + round(share * right)
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
