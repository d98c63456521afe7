"""Thin things: spokes, stems, slats, lattices and wires, and the holes between them.

Each is drawn in a square of its own, from −0.5 to 0.5; the view `at` sets that square on the canvas.
"""

import itertools

import numpy as np

from zoo.matting.synthetic.canvas import Canvas, View
from zoo.matting.synthetic.colours import house
from zoo.matting.synthetic.curves import Points, ellipse, limb, rotation, smooth


def draw_bicycle(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Two wheels with spokes, a frame, a saddle and a handlebar."""
    tyre, metal = canvas.paint((0.07, 0.07, 0.08)), canvas.paint(rng.uniform(0.4, 0.85) * np.ones(3))
    frame = canvas.paint(house(rng), relief=0.02)
    radius = rng.uniform(0.19, 0.225)
    back, front = np.array([-0.27, 0.2]), np.array([0.27, 0.2])
    for hub in (back, front):
        start = rng.uniform(0, 1)
        for angle in start + np.linspace(0, 2 * np.pi, int(10 + 18 * min(detail, 1.5)), endpoint=False):
            rim = hub + radius * np.array([np.cos(angle), np.sin(angle)])
            canvas.line(at([hub + 0.012 * np.array([np.sin(angle), np.cos(angle)]), rim]), 0.0022, metal)
        canvas.line(at(ellipse(hub, radius, count=60)), rng.uniform(0.012, 0.025), tyre, closed=True)
        canvas.fill(at(ellipse(hub, 0.018)), metal)
    pedals, seat, head = np.array([-0.05, 0.21]), np.array([-0.13, -0.1]), np.array([0.2, -0.1])
    for first, second in (
        (back, pedals),
        (back, seat),
        (pedals, seat),
        (pedals, head),
        (seat + [0.01, 0.04], head + [0.0, 0.03]),
        (head, front),
    ):
        canvas.fill(at(limb([first, second], [0.012, 0.012])), frame)
    canvas.line(at([seat, seat - [0.02, 0.06]]), 0.014, metal)
    canvas.fill(at(ellipse(seat - [0.03, 0.07], (0.075, 0.018))), tyre)
    canvas.line(
        at(smooth([head, head - [0.02, 0.09], head + [0.07, -0.1], head + [0.06, -0.03]], closed=False)), 0.014, tyre
    )
    canvas.line(at(ellipse(pedals, 0.045)), 0.01, metal, closed=True)
    canvas.line(at([pedals + [0, 0.0], pedals + [0.05, 0.075]]), 0.012, metal)


def draw_potted_plant(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Leaves of many greens on thin stems."""
    greens = [
        canvas.paint(np.array([0.25, 0.45, 0.2]) * rng.uniform(0.5, 1.6) + rng.normal(0, 0.04, 3), relief=0.01)
        for _ in range(5)
    ]
    stem = canvas.paint((0.3, 0.32, 0.16))
    blossom = canvas.paint(house(rng)) if rng.random() < 0.3 else None
    base, slim = np.array([0.0, 0.24]), rng.uniform(0.1, 0.35)
    for _ in range(int(rng.integers(8, 20) * max(detail, 0.3))):
        tip = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.48, 0.1)])
        path = smooth([base, 0.5 * (base + tip) + [0.25 * tip[0], -0.06], tip], closed=False, steps=8)
        canvas.line(at(path), 0.006, stem)
        for place in path[4:]:
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.12)
            middle = place + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
            canvas.fill(at(_leaf(middle, length, slim * length, angle)), greens[rng.integers(len(greens))])
        if blossom is not None:
            for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
                canvas.fill(
                    at(ellipse(tip + 0.02 * np.array([np.cos(angle), np.sin(angle)]), (0.018, 0.01), angle, 10)),
                    blossom,
                )
    pot = canvas.paint(house(rng), relief=0.05)
    canvas.fill(at([(-0.15, 0.22), (0.15, 0.22), (0.11, 0.5), (-0.11, 0.5)]), pot)
    canvas.fill(at([(-0.165, 0.21), (0.165, 0.21), (0.165, 0.26), (-0.165, 0.26)]), pot)


def _leaf(middle: Points, length: float, broad: float, angle: float) -> Points:
    half = np.array([(0.5 * length, 0.0), (0.15 * length, broad), (-0.3 * length, 0.7 * broad), (-0.5 * length, 0.0)])
    outline = smooth(np.concatenate([half, half[1:-1][::-1] * [1, -1]]), steps=4)
    return middle + outline @ rotation(angle).T


def draw_chair(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """A chair with a slatted or a woven back."""
    wood = canvas.paint(house(rng), relief=0.015)
    lean = rng.uniform(-0.06, 0.06)
    for x, top, bottom in ((-0.25, -0.48, 0.5), (0.25, -0.48, 0.5), (-0.19, 0.1, 0.42), (0.19, 0.1, 0.42)):
        canvas.fill(at(limb([(x + lean * (top < 0), top), (x, bottom)], [0.02, 0.016])), wood)
    slats = int(rng.integers(2, 8))
    upright = rng.random() < 0.5
    for share in np.linspace(0, 1, slats):
        if upright:
            x = -0.25 + 0.5 * share
            canvas.fill(at(limb([(x + lean, -0.45), (x, 0.05)], [0.012, 0.012])), wood)
        else:
            y = -0.44 + 0.4 * share
            canvas.fill(at(limb([(-0.25 + lean, y), (0.25 + lean, y)], [0.018, 0.018])), wood)
    canvas.fill(at(limb([(-0.25 + lean, -0.46), (0.25 + lean, -0.46)], [0.025, 0.025])), wood)
    seat = canvas.paint(house(rng), relief=0.03)
    canvas.fill(at(smooth([(-0.28, 0.04), (0.28, 0.04), (0.32, 0.12), (-0.32, 0.12)], steps=4)), seat)
    canvas.line(at([(-0.24, 0.32), (0.24, 0.32)]), 0.018, wood)


def draw_lattice(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """A frame with crossing bars: a grid, a fence, a racket, a cage."""
    colour = house(rng)
    frame, bar = canvas.paint(colour, relief=0.012), canvas.paint(colour * 0.85)
    width, height = rng.uniform(0.25, 0.48), rng.uniform(0.25, 0.48)
    curved = rng.random() < 0.5
    step = rng.uniform(0.035, 0.12) / max(min(detail, 2.0), 0.4)
    thin, turn = rng.uniform(0.003, 0.014), rng.choice([0.0, np.pi / 4, rng.uniform(0, np.pi / 2)])
    for angle in (turn, turn + np.pi / 2):
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        for offset in np.arange(-0.7, 0.7, step):
            ends = _clip_to(along, offset * across, width, height, curved)
            if ends is not None:
                canvas.line(at(ends), thin, bar)
    outline = (
        ellipse((0, 0), (width, height), count=60)
        if curved
        else np.array([(-width, -height), (width, -height), (width, height), (-width, height)])
    )
    canvas.line(at(outline), rng.uniform(0.012, 0.035), frame, closed=True)
    if curved and rng.random() < 0.5:
        canvas.fill(at(limb([(0, height), (0, height + 0.4)], [0.02, 0.028])), frame)


def _clip_to(along: Points, start: Points, width: float, height: float, curved: bool) -> Points | None:
    """The part of the line start + t · along inside an ellipse or a rectangle of these half sizes: (2, 2), or None."""
    t = np.linspace(-0.8, 0.8, 321)[:, None]
    points = start + t * along
    scaled = np.abs(points) / [width, height]
    inside = (scaled**2).sum(axis=1) < 1 if curved else (scaled < 1).all(axis=1)
    return points[inside][[0, -1]] if inside.sum() > 1 else None


def draw_wires(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Loops and tangles of wire and cable."""
    for _ in range(int(rng.integers(8, 22) * max(detail, 0.5))):
        wire = canvas.paint(house(rng))
        path = smooth(
            np.cumsum(rng.normal(0, 0.28, (8, 2)), axis=0).clip(-0.5, 0.5), closed=rng.random() < 0.5, steps=12
        )
        canvas.line(at(path), float(rng.choice([0.003, 0.006, 0.012, 0.025])), wire)


def draw_mug(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """A mug, a jug or a teapot: a body with a handle and the hole in it."""
    colour = house(rng)
    body, dark = canvas.paint(colour, relief=0.1), canvas.paint(colour * 0.5)
    top, bottom, height = rng.uniform(0.22, 0.32), rng.uniform(0.16, 0.3), rng.uniform(0.3, 0.45)
    handle = limb(
        smooth(
            [
                (top * 0.8, -0.6 * height),
                (top + 0.2, -0.3 * height),
                (top + 0.12, 0.45 * height),
                (bottom * 0.8, 0.6 * height),
            ],
            closed=False,
        )[::3],
        [0.035] * 2,
    )
    canvas.fill(at(handle), body)
    canvas.fill(at([(-top, -height), (top, -height), (bottom, height), (-bottom, height)]), body)
    canvas.fill(at(ellipse((0, height), (bottom, 0.05))), body)
    canvas.fill(at(ellipse((0, -height), (top, 0.06))), body)
    canvas.fill(at(ellipse((0, -height), (top * 0.9, 0.045))), dark)


def draw_umbrella(rng: np.random.Generator, canvas: Canvas, at: View, detail: float) -> None:
    """A canopy of panels between ribs, a thin shaft and a hook."""
    first, second = house(rng), house(rng)
    panels, shaft = (
        [canvas.paint(first, relief=0.1), canvas.paint(second, relief=0.1)],
        canvas.paint((0.15, 0.13, 0.12)),
    )
    hook = smooth([(0, 0.38), (0.01, 0.47), (0.06, 0.48), (0.075, 0.42)], closed=False)
    canvas.line(at(np.concatenate([[(0, -0.3)], hook])), 0.014, shaft)
    ribs, top = int(rng.integers(4, 9)), np.array([0.0, -0.4])
    edge = np.linspace(-0.48, 0.48, ribs + 1)
    for number, (left, right) in enumerate(itertools.pairwise(edge)):
        arcs = [
            top,
            (0.75 * left, -0.27),
            (left, -0.02),
            (0.5 * (left + right), -0.06),
            (right, -0.02),
            (0.75 * right, -0.27),
        ]
        canvas.fill(at(np.array(arcs)), panels[number % 2])
    canvas.line(at([(0, -0.45), (0, -0.38)]), 0.014, shaft)
