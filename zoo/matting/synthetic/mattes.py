"""Mattes: one subject, drawn, blurred and handed over as a straight foreground with its alpha.

A subject and its movement have streams of their own: the frames of one clip share the subject, and each has its own place on the way.
"""

from dataclasses import dataclass

import numpy as np

from zoo.core.seeding import derive_seed
from zoo.matting.synthetic.canvas import Light, View
from zoo.matting.synthetic.layers import Picture, over, to_straight
from zoo.matting.synthetic.optics import defocus, motion_blur
from zoo.matting.synthetic.people import Framing, draw_person, portrait_or_figure
from zoo.matting.synthetic.things import draw_thing


COMPANY = 0.12
"""Share of subjects with a thing before them."""


@dataclass(frozen=True)
class MatteOptions:
    """What the mattes of a dataset have in common.

    Attributes:
        size: height and width in pixels.
        people: share of persons among the subjects; the others are things.
        detail: how many strands of hair and other thin things, 1 is usual, 0.1 is coarse.
        frames: how many consecutive mattes are frames of one clip; 1 gives stills.
    """

    size: int
    people: float = 0.8
    detail: float = 1.0
    frames: int = 1


def draw_matte(seed: int, split: str, index: int, options: MatteOptions) -> Picture:
    """Matte number `index` of a split: (size, size, 4) uint8, straight colours and alpha."""
    clip, frame = divmod(index, options.frames)
    rng = np.random.default_rng(derive_seed(seed, split, "subject", clip))
    place = np.random.default_rng(derive_seed(seed, split, "place", clip))
    light = Light(rng.uniform(-np.pi, 0), rng.uniform(0.25, 0.7))
    draw, framing = (draw_person, portrait_or_figure(place)) if place.random() < options.people else (draw_thing, thing_framing(place))
    view = _view(place, framing, options.size, frame)
    layer = draw(rng, options.size, view, light, split, options.detail)
    if place.random() < COMPANY:
        beside = _view(place, thing_framing(place, 0.4), options.size, frame)
        layer = over(draw_thing(rng, options.size, beside, light, split, options.detail), layer)
    if place.random() < 0.15:
        way, angle = place.uniform(0.01, 0.05) * options.size, place.uniform(0, np.pi)
        layer = motion_blur(layer, way * np.cos(angle), way * np.sin(angle))
    if place.random() < 0.25:
        layer = defocus(layer, place.uniform(0.004, 0.01) * options.size)
    return to_straight(layer)


def thing_framing(rng: np.random.Generator, smaller: float = 1.0) -> Framing:
    """A thing that fills most of the picture, or with `smaller` less of it."""
    return Framing(smaller * rng.uniform(0.55, 1.15), rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.65))


def _view(rng: np.random.Generator, framing: Framing, size: int, frame: int) -> View:
    """The framing in pixels, a little turned, perhaps mirrored, and moved on by so many frames."""
    way = rng.normal(0, 0.012, 2) * frame
    turn, swing = rng.normal(0, 0.04), rng.normal(0, 0.01)
    return View(
        framing.unit * size, (framing.x + way[0]) * size, (framing.y + way[1]) * size, float(turn + swing * frame), bool(rng.random() < 0.5)
    )
