"""Furry things: animals and feathers, thousands of short strands on a body or a stem.

Each is drawn in a square of its own, from −0.5 to 0.5; the view `at` sets that square on the canvas.
"""

import numpy as np
from numpy.typing import ArrayLike

from zoo.matting.synthetic.canvas import Canvas, View
from zoo.matting.synthetic.colours import HAIR, house, pick
from zoo.matting.synthetic.curves import Points, ellipse, smooth


def draw_animal(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """A sitting animal with a long tail and whiskers."""
    fur = _Fur(rng, canvas, at, detail)
    tail = smooth([(0.15, 0.42), (0.34, 0.4), (0.4, 0.2), (0.33, rng.uniform(-0.1, 0.1))], closed=False, steps=6)
    for joint in tail:
        fur.grow(joint, (0.05, 0.05), length=0.05)
    fur.grow((0.0, 0.2), (0.22, 0.29), length=0.05)
    for side in (-1, 1):
        fur.grow((side * 0.08, 0.42), (0.08, 0.07), length=0.05)
    head = np.array([rng.uniform(-0.06, 0.06), -0.2])
    tall = rng.uniform(0.08, 0.16)
    for side in (-1, 1):
        tip = head + [side * 0.15, -0.13 - tall]
        canvas.fill(at([head + [side * 0.03, -0.13], tip, head + [side * 0.17, -0.04]]), fur.shades[2])
        fur.grow(0.5 * (tip + head + [side * 0.12, -0.08]), (0.04, 0.07), length=0.03, density=0.5)
    fur.grow(head, (0.17, 0.15), length=0.04)
    _draw_muzzle(rng, canvas, at, head, fur.shades[-1])


def _draw_muzzle(rng: np.random.Generator, canvas: Canvas, at: View, head: Points, whisker: int) -> None:
    eye, nose = canvas.paint((0.75, 0.65, 0.2)), canvas.paint((0.08, 0.05, 0.05))
    for side in (-1, 1):
        canvas.fill(at(ellipse(head + [side * 0.07, -0.02], (0.028, 0.024))), eye)
        canvas.fill(at(ellipse(head + [side * 0.07, -0.02], (0.008, 0.022))), nose)
        for row in range(4):
            end = head + [side * rng.uniform(0.2, 0.28), 0.02 + 0.035 * row + rng.normal(0, 0.01)]
            canvas.line(at([head + [side * 0.03, 0.07], end]), 0.002, whisker)
    canvas.fill(at(ellipse(head + [0, 0.05], (0.022, 0.015))), nose)


class _Fur:
    """Fur of one colour in eight shades, from dark to light."""

    def __init__(self, rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
        self.rng, self.canvas, self.at, self.detail = rng, canvas, at, detail
        colour = pick(rng, HAIR, 0.03)
        self.shades = [canvas.paint((colour * shade).clip(0, 1)) for shade in np.linspace(0.55, 1.45, 8)]

    def grow(self, centre: ArrayLike, radii: tuple[float, float], length: float, density: float = 1.0) -> None:
        """An ellipse of hairs that point outwards and down, drawn from the top to the bottom as they overlap."""
        rng, middle, half = self.rng, np.asarray(centre, np.float64), np.array(radii)
        self.canvas.fill(self.at(ellipse(middle, half)), self.shades[2])
        pixels = self.canvas.view.scale * self.at.scale * max(radii)
        count = int(np.clip(25 * pixels, 60, 2500) * self.detail * density)
        angle, distance = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
        outwards = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        roots = middle + outwards * distance[:, None] * half
        order = np.argsort(roots[:, 1])
        roots, outwards = roots[order], outwards[order]
        way = outwards + [0, 0.6] + rng.normal(0, 0.3, (count, 2))
        reach = length * rng.uniform(0.5, 1.4, (count, 1)) * way
        strands = np.stack([roots, roots + 0.5 * reach, roots + reach + [0, 0.15 * length]], axis=1)
        light = 3.0 - 2.0 * (roots[:, 1] - middle[1]) / half[1] + rng.normal(0, 1.2, count)
        shades = np.array(self.shades)[np.rint(light).clip(0, 7).astype(int)]
        self.canvas.strands(self.at(strands), shades, width=2 if pixels > 60 else 1)


def draw_plume(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Feathers or grasses: bent stems with thousands of barbs."""
    for _ in range(rng.integers(1, 4)):
        colour = house(rng)
        barbs = [canvas.paint((colour * shade).clip(0, 1)) for shade in (0.7, 0.9, 1.1, 1.3)]
        lean = rng.uniform(-0.35, 0.35)
        stem = smooth([(0.0, 0.5), (0.2 * lean, 0.15), (0.7 * lean, -0.2), (lean, -0.46)], closed=False, steps=20)
        canvas.line(at(stem), 0.008, barbs[0])
        count = int(900 * detail)
        place = rng.uniform(0.25, 1.0, count)
        roots = stem[(place * (len(stem) - 1)).astype(int)]
        side = rng.choice([-1.0, 1.0], count)
        length = rng.uniform(0.5, 1.1, count) * rng.uniform(0.1, 0.18) * np.sin(np.pi * (place - 0.22) / 0.85)
        tips = roots + length[:, None] * np.stack([side, np.full(count, -0.9)], axis=1)
        middle = roots + 0.55 * length[:, None] * np.stack([side, np.full(count, -0.35)], axis=1)
        strands = np.stack([roots, middle, tips + [0, 0.03]], axis=1)
        canvas.strands(at(strands), np.array(barbs)[rng.integers(0, 4, count)], 1)
