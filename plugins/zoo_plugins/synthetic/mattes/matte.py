"""One matte: a subject, framed, rendered, blurred and converted to a straight foreground with its alpha.

The subject and its placement have random numbers of their own: the frames of one clip share the subject, and each is a
step further on its way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from zoo.core.seeding import derive_seed
from zoo_plugins.synthetic.drawing.canvas import Light, View
from zoo_plugins.synthetic.drawing.layers import Image8, Layer, defocus, motion_blur, over, to_straight
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.mattes.patches import add_patches
from zoo_plugins.synthetic.mattes.people import render_person
from zoo_plugins.synthetic.mattes.things import render_thing

COMPANION_FRACTION, MOTION_FRACTION, DEFOCUS_FRACTION = 0.12, 0.15, 0.2
"""Fractions of the mattes with a second thing in front, with motion blur, and with defocus blur."""
TEXTURE_FRACTION, COLOURS_FRACTION = 0.35, 0.35
"""Fractions of the mattes that get the fine texture, or the colours, of a photograph of the folder."""


@dataclass(frozen=True)
class MatteOptions:
    """Options that the mattes of a dataset share."""

    size: int  # height and width in pixels
    people: float = 0.75  # fraction of persons among the subjects; the others are things
    detail: float = 1.0  # number of strands of hair and other thin things, 1 is usual, 0.1 is coarse
    frames: int = 1  # so many consecutive mattes are frames of one clip
    patches: float = 0.0  # fraction of subjects with badges, prints, straps and reflections on them


def generate_matte(seed: int, photographs: Photographs, index: int, options: MatteOptions) -> Image8:
    """Return matte number `index` of a split: (size, size, 4) uint8, straight colours and alpha."""
    clip, frame = divmod(index, options.frames)
    split = photographs.split
    subject = np.random.default_rng(derive_seed(seed, split, "subject", clip))
    placement = np.random.default_rng(derive_seed(seed, split, "place", clip))
    layer = _compose(subject, placement, photographs, frame, options)
    if photographs.folder is not None:
        layer = _photographed(subject, layer, photographs)
    if options.patches and subject.random() < options.patches:
        layer = add_patches(subject, layer, photographs)
    return to_straight(_blur(placement, layer))


def _compose(
    subject: Generator, placement: Generator, photographs: Photographs, frame: int, options: MatteOptions
) -> Layer:
    """Render a person or a thing, sometimes with another thing in front of it."""
    size, detail = options.size, options.detail
    light = Light(subject.uniform(-np.pi, 0), subject.uniform(0.25, 0.7))
    if placement.random() < options.people:
        layer = render_person(subject, size, _frame_person(placement, size, frame), light, photographs, detail)
    else:
        framing = placement.uniform(0.55, 1.15), placement.uniform(0.3, 0.7), placement.uniform(0.4, 0.65)
        layer = render_thing(subject, size, _view(placement, *framing, size, frame), light, photographs, detail)
    if placement.random() < COMPANION_FRACTION:
        framing = placement.uniform(0.22, 0.5), placement.uniform(0.15, 0.85), placement.uniform(0.55, 0.9)
        companion = _view(placement, *framing, size, frame)
        layer = over(render_thing(subject, size, companion, light, photographs, detail), layer)
    return layer


def _photographed(rng: Generator, layer: Layer, photographs: Photographs) -> Layer:
    """Give a drawn subject the texture or the colours of a photograph, or leave it as it is.

    Without this, whatever looks photographed would be background in every sample, and a network would learn that.
    """
    kind = rng.random()
    if kind > TEXTURE_FRACTION + COLOURS_FRACTION:
        return layer
    alpha = layer[..., 3:]
    piece = photographs.crop(rng, layer.shape[0])
    if kind < COLOURS_FRACTION:
        weight = np.float32(rng.uniform(0.6, 1.0))
        colours = (1 - weight) * layer[..., :3] + weight * piece * alpha
    else:
        detail = piece.mean(axis=2, keepdims=True)
        smooth = gaussian_filter(detail, (layer.shape[0] / 12, layer.shape[0] / 12, 0))
        colours = layer[..., :3] * (1 + rng.uniform(0.3, 1.2) * (detail - smooth))
    return np.concatenate([np.clip(colours, 0, alpha), alpha], axis=2).astype(np.float32)


def _frame_person(rng: Generator, size: int, frame: int) -> View:
    """Frame a portrait (half of the time), a half-length portrait or a standing figure."""
    kind = rng.choice(["portrait", "half", "standing"], p=[0.5, 0.28, 0.22])
    ranges = {
        "portrait": ((0.3, 0.44), (0.36, 0.64), (0.3, 0.42)),
        "half": ((0.18, 0.26), (0.33, 0.67), (0.2, 0.3)),
        "standing": ((0.1, 0.125), (0.25, 0.75), (0.1, 0.16)),
    }[kind]
    unit, x, y = (rng.uniform(*limits) for limits in ranges)
    return _view(rng, unit, x, y, size, frame)


def _view(rng: Generator, unit: float, x: float, y: float, size: int, frame: int) -> View:
    """Convert a framing (fractions of the image's side) to pixels: a little rotated, perhaps mirrored, moved by frames.

    The unit is the height of a person's head, or the side of a thing's square.
    """
    way = rng.normal(0, 0.012, 2) * frame
    angle, swing = rng.normal(0, 0.04), rng.normal(0, 0.01)
    x, y = (x + float(way[0])) * size, (y + float(way[1])) * size
    return View(unit * size, x, y, float(angle + swing * frame), flip=bool(rng.random() < 0.5))


def _blur(rng: Generator, layer: Layer) -> Layer:
    size = layer.shape[0]
    if rng.random() < MOTION_FRACTION:
        way, angle = rng.uniform(0.01, 0.05) * size, rng.uniform(0, np.pi)
        layer = motion_blur(layer, way * np.cos(angle), way * np.sin(angle))
    if rng.random() < DEFOCUS_FRACTION:
        layer = defocus(layer, rng.uniform(0.004, 0.011) * size)
    return layer
