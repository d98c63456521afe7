"""Framing: how large and where in the picture a subject is, and how it moves from frame to frame."""

from dataclasses import dataclass

import numpy as np

from zoo.matting.synthetic.canvas import View


@dataclass(frozen=True)
class Framing:
    """A subject's unit (a head's height, the side of a thing's square) and origin, as shares of the picture's side."""

    unit: float
    x: float
    y: float


def frame_person(rng: np.random.Generator) -> Framing:
    """A portrait (half of the time), a half-length picture or a standing figure."""
    kind = rng.choice(["portrait", "half", "standing"], p=[0.5, 0.28, 0.22])
    u = rng.uniform
    if kind == "portrait":
        return Framing(u(0.3, 0.44), u(0.36, 0.64), u(0.3, 0.42))
    if kind == "half":
        return Framing(u(0.18, 0.26), u(0.33, 0.67), u(0.2, 0.3))
    return Framing(u(0.1, 0.125), u(0.25, 0.75), u(0.1, 0.16))


def frame_thing(rng: np.random.Generator) -> Framing:
    """A thing that fills most of the picture."""
    return Framing(rng.uniform(0.55, 1.15), rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.65))


def frame_companion(rng: np.random.Generator) -> Framing:
    """A smaller thing in the lower half, before someone or something else."""
    return Framing(rng.uniform(0.22, 0.5), rng.uniform(0.15, 0.85), rng.uniform(0.55, 0.9))


def view(rng: np.random.Generator, framing: Framing, size: int, frame: int) -> View:
    """The framing in pixels: a little turned, perhaps mirrored, and moved on by so many frames."""
    way = rng.normal(0, 0.012, 2) * frame
    turn, swing = rng.normal(0, 0.04), rng.normal(0, 0.01)
    return View(
        scale=framing.unit * size,
        x=(framing.x + float(way[0])) * size,
        y=(framing.y + float(way[1])) * size,
        turn=float(turn + swing * frame),
        flip=bool(rng.random() < 0.5),
    )
