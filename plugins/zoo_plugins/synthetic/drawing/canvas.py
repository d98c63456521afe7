"""The canvas: shapes are drawn so that each pixel's alpha is exactly the area that they cover.

The canvas is larger than the image by `SAMPLES` in each direction. Each sample holds the number of the *paint* that is
in front there; 0 is nothing. Drawing a shape overwrites samples, so a part hides what is behind it and two parts that
touch have no seam. A pixel's colour is the mean over its samples, which is a premultiplied layer. A paint is one colour
or an image of colours, with *relief*: its shape is shaded as if it were inflated, which makes an arm stand out from a
chest of the same cloth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from zoo_plugins.synthetic.drawing.curves import Points, rasterise_outline, rotation
from zoo_plugins.synthetic.drawing.layers import Layer

SAMPLES = 4  # samples in each direction of a pixel: alpha has 16 steps before blur and cloth
_FULL = 255 // SAMPLES**2 * SAMPLES**2
"""A grey level whose mean over a pixel's samples is a whole number, so that Pillow's rounding loses nothing."""


@dataclass(frozen=True)
class View:
    """Position of a subject in the image: the size of its unit (such as the height of a head) and origin in pixels."""

    scale: float
    x: float
    y: float
    angle: float = 0.0
    flip: bool = False

    def __call__(self, points: ArrayLike) -> Points:
        """Convert points of the subject (..., 2) to pixels of the image."""
        moved = np.asarray(points, np.float64) @ rotation(self.angle).T * self.scale
        return moved * np.array([-1.0 if self.flip else 1.0, 1.0]) + np.array([self.x, self.y])


@dataclass(frozen=True)
class Light:
    """A directed light: angle on the screen in radians, and strength compared with the light from everywhere."""

    angle: float = -2.2
    strength: float = 0.5

    @property
    def direction(self) -> NDArray[np.floating]:
        """Vector (3,) towards the light: right, down, towards the viewer."""
        return np.array([0.75 * np.cos(self.angle), 0.75 * np.sin(self.angle), 0.66])


@dataclass(frozen=True)
class Paint:
    """The material of a shape."""

    colour: NDArray[np.floating]  # (3,) or (H, W, 3), in [0, 1]
    relief: float  # radius of the rounded edge in pixels; 0 is flat


class Canvas:
    """An image under construction, `size` pixels high and wide; drawing methods take coordinates of the subject."""

    def __init__(self, size: int, view: View, light: Light) -> None:
        self.size = size
        self.view = view
        self.light = light
        self.samples = Image.new("L", (size * SAMPLES, size * SAMPLES))
        self._draw = ImageDraw.Draw(self.samples)
        self._paints: list[Paint] = []
        self._extents: list[NDArray[np.floating]] = []

    def paint(self, colour: ArrayLike, relief: float = 0.0) -> int:
        """Add a paint and return its number; `relief` in the subject's units."""
        if len(self._paints) == 255:
            raise ValueError("a canvas has 255 paints at most and all are taken: share paints between shapes.")
        self._paints.append(Paint(np.asarray(colour, np.float32), relief * self.view.scale))
        self._extents.append(np.array([np.inf, np.inf, -np.inf, -np.inf]))
        return len(self._paints)

    def fill(self, outline: ArrayLike, paint: int) -> None:
        """Fill an outline (N, 2); paint 0 cuts a hole through everything drawn so far."""
        mask, left, top = rasterise_outline(self.view(outline) * SAMPLES, self.size * SAMPLES)
        if mask.size:
            self._extend_box(paint, np.array([[left, top], [left + mask.shape[1], top + mask.shape[0]]], np.float64))
            self.samples.paste(paint, (left, top), Image.fromarray(mask))

    def line(self, points: ArrayLike, width: float, paint: int, closed: bool = False) -> None:
        """Draw a line through the points (N, 2); `width` in the subject's units, at least one sample."""
        corners = np.asarray(points, np.float64)
        path = self._to_samples(np.concatenate([corners, corners[:2]]) if closed else corners)
        samples = max(1, round(width * self.view.scale * SAMPLES))
        self._extend_box(paint, path, samples)
        self._draw.line(path.ravel().tolist(), fill=paint, width=samples, joint="curve")

    def strands(self, strands: NDArray[np.floating], paints: NDArray[np.int64], width: int) -> None:
        """Draw many lines of one width in samples: (N, T, 2) points and (N,) paints."""
        placed = self._to_samples(strands)
        for paint in np.unique(paints).tolist():
            self._extend_box(paint, placed[paints == paint], width)
        rows = placed.reshape(len(strands), -1).tolist()
        for row, paint in zip(rows, paints.tolist(), strict=True):
            self._draw.line(row, fill=paint, width=width)

    def layer(self) -> Layer:
        """Return the drawing as a premultiplied layer (size, size, 4)."""
        result = np.zeros((self.size, self.size, 4), np.float32)
        samples = np.asarray(self.samples)
        for number, (paint, extent) in enumerate(zip(self._paints, self._extents, strict=True), start=1):
            edges = np.concatenate([np.floor(extent[:2] / SAMPLES), np.floor(extent[2:] / SAMPLES) + 1])
            left, top, right, bottom = edges.clip(0, self.size).astype(int).tolist()
            if left < right and top < bottom:
                where = (slice(top, bottom), slice(left, right))
                self._add(result, samples, number, paint, where)
        return result

    def _to_samples(self, points: ArrayLike) -> NDArray[np.floating]:
        return np.rint(self.view(points) * SAMPLES - 0.5)

    def _extend_box(self, paint: int, points: NDArray[np.floating], width: int = 0) -> None:
        if paint:
            flat, extent = points.reshape(-1, 2), self._extents[paint - 1]
            extent[:2] = np.minimum(extent[:2], flat.min(axis=0) - width)
            extent[2:] = np.maximum(extent[2:], flat.max(axis=0) + width)

    def _add(
        self, result: Layer, samples: NDArray[np.uint8], number: int, paint: Paint, where: tuple[slice, slice]
    ) -> None:
        """Add the samples of one paint, which all lie in the rows and columns `where` of the image."""
        rows, columns = (slice(part.start * SAMPLES, part.stop * SAMPLES) for part in where)
        only = np.multiply(samples[rows, columns] == number, np.uint8(_FULL), dtype=np.uint8)
        area = np.asarray(Image.fromarray(only).reduce(SAMPLES), np.float32)[..., None] / _FULL
        colour = paint.colour[where] if paint.colour.ndim == 3 else paint.colour
        if paint.relief > 0.5:
            colour = (colour * relief(area[..., 0], paint.relief, self.light)[..., None]).clip(0, 1)
        result[where][..., :3] += area * colour
        result[where][..., 3:] += area


def relief(area: NDArray[np.floating], radius: float, light: Light) -> NDArray[np.floating]:
    """Shade a shape as if it were inflated: factors (H, W), 1 where the surface faces the viewer.

    `area` (H, W) is the fraction of each pixel that the shape covers; its edge is round up to `radius` pixels inwards.
    """
    step = max(1, int(radius // 3))
    margin = int(2 * radius) + 1
    small = np.asarray(Image.fromarray(np.pad(area, margin)).reduce(step))
    height = ndimage.gaussian_filter(small, radius / step, truncate=2.5)
    down, right = np.gradient(height * (3.0 * radius / step))
    normal = np.stack([-right, -down, np.ones_like(down)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lit = (normal @ light.direction).clip(0, None) / light.direction[2]
    dark = 0.75 + 0.25 * np.minimum(1, 1.6 * height)
    shade = ((1 - light.strength) + light.strength * lit) * dark
    rows, columns = (length + 2 * margin for length in area.shape)
    full = Image.fromarray(shade.astype(np.float32)).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(full)[margin:-margin, margin:-margin]
