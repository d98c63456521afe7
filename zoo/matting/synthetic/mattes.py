"""Mattes: one subject, drawn, blurred and handed over as a straight foreground with its alpha.

What a subject is and where it is have streams of their own: the frames of one clip share the subject, and each is a
step further on its way.
"""

from dataclasses import dataclass

import numpy as np

from zoo.core.seeding import derive_seed
from zoo.matting.synthetic.canvas import Light
from zoo.matting.synthetic.framing import frame_companion, frame_person, frame_thing, view
from zoo.matting.synthetic.layers import Layer, Picture, over, to_straight
from zoo.matting.synthetic.optics import defocus, motion_blur
from zoo.matting.synthetic.people import draw_person
from zoo.matting.synthetic.things import draw_thing

COMPANY, MOVING, OUT_OF_FOCUS = 0.12, 0.15, 0.2
"""Shares of the mattes with a second thing in front, with motion blur, and with defocus blur."""


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
    people: float = 0.75
    detail: float = 1.0
    frames: int = 1


def draw_matte(seed: int, split: str, index: int, options: MatteOptions) -> Picture:
    """Matte number `index` of a split: (size, size, 4) uint8, straight colours and alpha."""
    clip, frame = divmod(index, options.frames)
    subject = np.random.default_rng(derive_seed(seed, split, "subject", clip))
    place = np.random.default_rng(derive_seed(seed, split, "place", clip))
    return to_straight(_blur(place, _compose(subject, place, split, frame, options)))


def _compose(
    subject: np.random.Generator, place: np.random.Generator, split: str, frame: int, options: MatteOptions
) -> Layer:
    """A person or a thing, sometimes with another thing in front of it."""
    size = options.size
    light = Light(subject.uniform(-np.pi, 0), subject.uniform(0.25, 0.7))
    if place.random() < options.people:
        layer = draw_person(subject, size, view(place, frame_person(place), size, frame), light, split, options.detail)
    else:
        layer = draw_thing(subject, size, view(place, frame_thing(place), size, frame), light, split, options.detail)
    if place.random() < COMPANY:
        beside = view(place, frame_companion(place), size, frame)
        layer = over(draw_thing(subject, size, beside, light, split, options.detail), layer)
    return layer


def _blur(place: np.random.Generator, layer: Layer) -> Layer:
    """What a camera does to a subject that moves or is not in focus."""
    size = layer.shape[0]
    if place.random() < MOVING:
        way, angle = place.uniform(0.01, 0.05) * size, place.uniform(0, np.pi)
        layer = motion_blur(layer, way * np.cos(angle), way * np.sin(angle))
    if place.random() < OUT_OF_FOCUS:
        layer = defocus(layer, place.uniform(0.004, 0.011) * size)
    return layer
