"""Clear things: gauze and glass, which let the background through all over, in a square from −0.5 to 0.5."""

import numpy as np
from scipy import ndimage

from zoo.matting.synthetic.canvas import Canvas
from zoo.matting.synthetic.cloth import cloth, gauze
from zoo.matting.synthetic.colours import house
from zoo.matting.synthetic.curves import ellipse, mirror, smooth
from zoo.matting.synthetic.layers import Layer, over


def hanging_gauze(rng: np.random.Generator, canvas: Canvas, split: str) -> Layer:
    """A transparent curtain on a rod, one side gathered."""
    sheet = canvas.paint(cloth(rng, canvas.size, split, canvas.view.scale * 0.25))
    top, bottom = rng.uniform(0.25, 0.45), rng.uniform(0.3, 0.5)
    hem = [(x, 0.46 + 0.03 * np.sin(9 * x + 1)) for x in np.linspace(bottom, -bottom, 12)]
    canvas.fill([(-top, -0.45), (top, -0.45), *hem], sheet)
    layer = gauze(rng, canvas)
    rod = Canvas(canvas.size, canvas.view, canvas.light)
    rod.line([(-0.48, -0.45), (0.48, -0.45)], 0.016, rod.paint(house(rng) * 0.7))
    return over(rod.layer(), layer)


def vase(rng: np.random.Generator, canvas: Canvas) -> Layer:
    """Glass: nearly clear in the middle, dense along the outline, with a reflected window."""
    u = rng.uniform
    right = np.array(
        [(u(0.1, 0.2), -0.45), (u(0.06, 0.15), -0.28), (u(0.15, 0.35), 0.0), (u(0.15, 0.35), 0.25), (u(0.1, 0.2), 0.45)]
    )
    canvas.fill(smooth(np.concatenate([right, mirror(right)]), steps=8), canvas.paint(house(rng)))
    layer = canvas.layer()
    reach = 0.06 * canvas.view.scale
    depth = ndimage.gaussian_filter(layer[..., 3], reach, truncate=2.5)
    clear, dense = u(0.08, 0.3), u(0.6, 0.95)
    glass = layer * (clear + (dense - clear) * (2 - 2 * depth).clip(0, 1) ** 1.5)[..., None].astype(np.float32)
    shine = Canvas(canvas.size, canvas.view, canvas.light)
    x, y = -0.4 * right[2, 0], u(-0.05, 0.1)
    shine.fill(ellipse((x, y), (0.025, 0.1), 0.15), shine.paint((0.97, 0.98, 1.0)))
    return over(0.8 * shine.layer(), glass)
