"""Things: subjects that are no persons, and objects in a hand: thin, furry or transparent.

Each thing lies in a square of its own, from −0.5 to 0.5; the view `at` positions that square on the canvas. Thin things
have holes between spokes, stems, slats and wires; furry ones have thousands of short strands.
"""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy import ndimage

from zoo_plugins.synthetic.drawing.canvas import Canvas, Light, View
from zoo_plugins.synthetic.drawing.curves import Points, ellipse, limb, mirror, rectangle, rotation, smooth
from zoo_plugins.synthetic.drawing.layers import Layer, over
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import HAIR, house_colour, sample_colour
from zoo_plugins.synthetic.mattes.cloth import cloth, gauze


def draw_bicycle(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw two wheels with spokes, a frame, a saddle and a handlebar."""
    tyre, metal = canvas.paint((0.07, 0.07, 0.08)), canvas.paint(rng.uniform(0.4, 0.85) * np.ones(3))
    frame = canvas.paint(house_colour(rng), relief=0.02)
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
    top_tube = (seat + [0.01, 0.04], head + [0.0, 0.03])
    for first, second in ((back, pedals), (back, seat), (pedals, seat), (pedals, head), top_tube, (head, front)):
        canvas.fill(at(limb([first, second], [0.012, 0.012])), frame)
    canvas.line(at([seat, seat - [0.02, 0.06]]), 0.014, metal)
    canvas.fill(at(ellipse(seat - [0.03, 0.07], (0.075, 0.018))), tyre)
    handlebar = smooth([head, head - [0.02, 0.09], head + [0.07, -0.1], head + [0.06, -0.03]], closed=False)
    canvas.line(at(handlebar), 0.014, tyre)
    canvas.line(at(ellipse(pedals, 0.045)), 0.01, metal, closed=True)
    canvas.line(at([pedals, pedals + [0.05, 0.075]]), 0.012, metal)


def draw_potted_plant(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw leaves of many greens on thin stems."""
    green = np.array([0.25, 0.45, 0.2])
    greens = [canvas.paint(green * rng.uniform(0.5, 1.6) + rng.normal(0, 0.04, 3), relief=0.01) for _ in range(5)]
    stem = canvas.paint((0.3, 0.32, 0.16))
    blossom = canvas.paint(house_colour(rng)) if rng.random() < 0.3 else None
    base, slim = np.array([0.0, 0.24]), rng.uniform(0.1, 0.35)
    for _ in range(int(rng.integers(8, 20) * max(detail, 0.3))):
        tip = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.48, 0.1)])
        path = smooth([base, 0.5 * (base + tip) + [0.25 * tip[0], -0.06], tip], closed=False, steps=8)
        canvas.line(at(path), 0.006, stem)
        for joint in path[4:]:
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.12)
            middle = joint + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
            canvas.fill(at(_leaf(middle, length, slim * length, angle)), greens[rng.integers(len(greens))])
        if blossom is not None:
            for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
                petal = tip + 0.02 * np.array([np.cos(angle), np.sin(angle)])
                canvas.fill(at(ellipse(petal, (0.018, 0.01), angle, 10)), blossom)
    pot = canvas.paint(house_colour(rng), relief=0.05)
    canvas.fill(at([(-0.15, 0.22), (0.15, 0.22), (0.11, 0.5), (-0.11, 0.5)]), pot)
    canvas.fill(at(rectangle(-0.165, 0.21, 0.165, 0.26)), pot)


def _leaf(middle: Points, length: float, broad: float, angle: float) -> Points:
    half = np.array([(0.5 * length, 0.0), (0.15 * length, broad), (-0.3 * length, 0.7 * broad), (-0.5 * length, 0.0)])
    outline = smooth(np.concatenate([half, half[1:-1][::-1] * [1, -1]]), steps=4)
    return middle + outline @ rotation(angle).T


def draw_chair(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw a chair with a slatted or a woven back."""
    wood = canvas.paint(house_colour(rng), relief=0.015)
    lean = rng.uniform(-0.06, 0.06)
    for x, top, bottom in ((-0.25, -0.48, 0.5), (0.25, -0.48, 0.5), (-0.19, 0.1, 0.42), (0.19, 0.1, 0.42)):
        canvas.fill(at(limb([(x + lean * (top < 0), top), (x, bottom)], [0.02, 0.016])), wood)
    slats = int(rng.integers(2, 8))
    upright = rng.random() < 0.5
    for fraction in np.linspace(0, 1, slats):
        if upright:
            x = -0.25 + 0.5 * fraction
            canvas.fill(at(limb([(x + lean, -0.45), (x, 0.05)], [0.012, 0.012])), wood)
        else:
            y = -0.44 + 0.4 * fraction
            canvas.fill(at(limb([(-0.25 + lean, y), (0.25 + lean, y)], [0.018, 0.018])), wood)
    canvas.fill(at(limb([(-0.25 + lean, -0.46), (0.25 + lean, -0.46)], [0.025, 0.025])), wood)
    seat = canvas.paint(house_colour(rng), relief=0.03)
    canvas.fill(at(smooth([(-0.28, 0.04), (0.28, 0.04), (0.32, 0.12), (-0.32, 0.12)], steps=4)), seat)
    canvas.line(at([(-0.24, 0.32), (0.24, 0.32)]), 0.018, wood)


def draw_lattice(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw a frame with crossing bars: a grid, a fence, a racket, a cage."""
    colour = house_colour(rng)
    frame, bar = canvas.paint(colour, relief=0.012), canvas.paint(colour * 0.85)
    width, height = rng.uniform(0.25, 0.48), rng.uniform(0.25, 0.48)
    curved = rng.random() < 0.5
    step = rng.uniform(0.035, 0.12) / max(min(detail, 2.0), 0.4)
    thin, start = rng.uniform(0.003, 0.014), rng.choice([0.0, np.pi / 4, rng.uniform(0, np.pi / 2)])
    for angle in (start, start + np.pi / 2):
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        for offset in np.arange(-0.7, 0.7, step):
            ends = _clip_to(along, offset * across, width, height, curved)
            if ends is not None:
                canvas.line(at(ends), thin, bar)
    oval, box = ellipse((0, 0), (width, height), count=60), rectangle(-width, -height, width, height)
    canvas.line(at(oval if curved else box), rng.uniform(0.012, 0.035), frame, closed=True)
    if curved and rng.random() < 0.5:
        canvas.fill(at(limb([(0, height), (0, height + 0.4)], [0.02, 0.028])), frame)


def _clip_to(along: Points, start: Points, width: float, height: float, curved: bool) -> Points | None:
    """Return the part of a line inside an ellipse or a rectangle of these half sizes: (2, 2), or None."""
    t = np.linspace(-0.8, 0.8, 321)[:, None]
    points = start + t * along
    scaled = np.abs(points) / [width, height]
    inside = (scaled**2).sum(axis=1) < 1 if curved else (scaled < 1).all(axis=1)
    return points[inside][[0, -1]] if inside.sum() > 1 else None


def draw_wires(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw loops and tangles of wire and cable."""
    for _ in range(int(rng.integers(8, 22) * max(detail, 0.5))):
        wire = canvas.paint(house_colour(rng))
        walk = np.cumsum(rng.normal(0, 0.28, (8, 2)), axis=0).clip(-0.5, 0.5)
        path = smooth(walk, closed=rng.random() < 0.5, steps=12)
        canvas.line(at(path), float(rng.choice([0.003, 0.006, 0.012, 0.025])), wire)


def draw_mug(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw a mug, a jug or a teapot: a body with a handle and the hole in it."""
    colour = house_colour(rng)
    body, dark = canvas.paint(colour, relief=0.1), canvas.paint(colour * 0.5)
    top, bottom, height = rng.uniform(0.22, 0.32), rng.uniform(0.16, 0.3), rng.uniform(0.3, 0.45)
    joints = [(top * 0.8, -0.6), (top + 0.2, -0.3), (top + 0.12, 0.45), (bottom * 0.8, 0.6)]
    handle = smooth(np.array(joints) * [1, height], closed=False)[::3]
    canvas.fill(at(limb(handle, [0.035] * 2)), body)
    canvas.fill(at([(-top, -height), (top, -height), (bottom, height), (-bottom, height)]), body)
    canvas.fill(at(ellipse((0, height), (bottom, 0.05))), body)
    canvas.fill(at(ellipse((0, -height), (top, 0.06))), body)
    canvas.fill(at(ellipse((0, -height), (top * 0.9, 0.045))), dark)


def draw_umbrella(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw a canopy of panels between ribs, a thin shaft and a hook."""
    first, second = house_colour(rng), house_colour(rng)
    panels = [canvas.paint(colour, relief=0.1) for colour in (first, second)]
    shaft = canvas.paint((0.15, 0.13, 0.12))
    hook = smooth([(0, 0.38), (0.01, 0.47), (0.06, 0.48), (0.075, 0.42)], closed=False)
    canvas.line(at(np.concatenate([[(0, -0.3)], hook])), 0.014, shaft)
    ribs, top = int(rng.integers(4, 9)), np.array([0.0, -0.4])
    edge = np.linspace(-0.48, 0.48, ribs + 1)
    for number, (left, right) in enumerate(itertools.pairwise(edge)):
        hem = [(left, -0.02), (0.5 * (left + right), -0.06), (right, -0.02)]
        canvas.fill(at(np.array([top, (0.75 * left, -0.27), *hem, (0.75 * right, -0.27)])), panels[number % 2])
    canvas.line(at([(0, -0.45), (0, -0.38)]), 0.014, shaft)


def draw_animal(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw a sitting animal with a long tail and whiskers."""
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
    eye, nose = canvas.paint((0.75, 0.65, 0.2)), canvas.paint((0.08, 0.05, 0.05))
    for side in (-1, 1):
        canvas.fill(at(ellipse(head + [side * 0.07, -0.02], (0.028, 0.024))), eye)
        canvas.fill(at(ellipse(head + [side * 0.07, -0.02], (0.008, 0.022))), nose)
        for row in range(4):
            end = head + [side * rng.uniform(0.2, 0.28), 0.02 + 0.035 * row + rng.normal(0, 0.01)]
            canvas.line(at([head + [side * 0.03, 0.07], end]), 0.002, fur.shades[-1])
    canvas.fill(at(ellipse(head + [0, 0.05], (0.022, 0.015))), nose)


def draw_furry_body(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw an animal from near: large patches of fur of several colours, with eyes and a nose."""
    fur = _Fur(rng, canvas, at, detail)
    for _ in range(int(rng.integers(4, 8))):
        middle = rng.uniform(-0.22, 0.22, 2) + [0, 0.12]
        fur.grow(middle, (rng.uniform(0.14, 0.34), rng.uniform(0.14, 0.36)), length=rng.uniform(0.03, 0.07))
    head = rng.uniform(-0.15, 0.15, 2) - [0, 0.15]
    fur.grow(head, (rng.uniform(0.16, 0.28), rng.uniform(0.16, 0.26)), length=0.05)
    fur.grow(head + [0, 0.03], (0.11, 0.12), length=0.02)
    eye, dark = canvas.paint(house_colour(rng)), canvas.paint((0.06, 0.05, 0.05))
    for side in (-1, 1):
        canvas.fill(at(ellipse(head + [side * 0.055, 0.0], (0.024, 0.022))), eye)
        canvas.fill(at(ellipse(head + [side * 0.055, 0.0], (0.01, 0.012))), dark)
    canvas.fill(at(ellipse(head + [0, 0.1], (0.03, 0.022))), dark)


class _Fur:
    """Fur of one to three colours, each in eight shades from dark to light."""

    def __init__(self, rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
        self.rng, self.canvas, self.at, self.detail = rng, canvas, at, detail
        colours = [sample_colour(rng, HAIR, 0.03)]
        if rng.random() < 0.5:
            colours += [np.full(3, shade) for shade in rng.permutation([0.08, 0.75])[: rng.integers(1, 3)]]
        self.coats = [
            [canvas.paint((colour * shade).clip(0, 1)) for shade in np.linspace(0.55, 1.45, 8)] for colour in colours
        ]
        self.shades = self.coats[0]

    def grow(self, centre: ArrayLike, radii: tuple[float, float], length: float, density: float = 1.0) -> None:
        """Draw an ellipse of hairs that point outwards and down, from the top to the bottom, as they overlap."""
        rng, middle, half = self.rng, np.asarray(centre, np.float64), np.array(radii)
        coat = self.coats[rng.integers(len(self.coats))]
        self.canvas.fill(self.at(ellipse(middle, half)), coat[2])
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
        shades = np.array(coat)[np.rint(light).clip(0, 7).astype(int)]
        self.canvas.strands(self.at(strands), shades, width=2 if pixels > 60 else 1)


def draw_plume(rng: Generator, canvas: Canvas, at: View, detail: float) -> None:
    """Draw feathers or grasses: bent stems with thousands of barbs."""
    for _ in range(rng.integers(1, 4)):
        colour = house_colour(rng)
        barbs = [canvas.paint((colour * shade).clip(0, 1)) for shade in (0.7, 0.9, 1.1, 1.3)]
        lean = rng.uniform(-0.35, 0.35)
        stem = smooth([(0.0, 0.5), (0.2 * lean, 0.15), (0.7 * lean, -0.2), (lean, -0.46)], closed=False, steps=20)
        canvas.line(at(stem), 0.008, barbs[0])
        count = int(900 * detail)
        position = rng.uniform(0.25, 1.0, count)
        roots = stem[(position * (len(stem) - 1)).astype(int)]
        side = rng.choice([-1.0, 1.0], count)
        length = rng.uniform(0.5, 1.1, count) * rng.uniform(0.1, 0.18) * np.sin(np.pi * (position - 0.22) / 0.85)
        tips = roots + length[:, None] * np.stack([side, np.full(count, -0.9)], axis=1)
        middle = roots + 0.55 * length[:, None] * np.stack([side, np.full(count, -0.35)], axis=1)
        strands = np.stack([roots, middle, tips + [0, 0.03]], axis=1)
        canvas.strands(at(strands), np.array(barbs)[rng.integers(0, 4, count)], 1)


def render_gauze(rng: Generator, canvas: Canvas, photographs: Photographs) -> Layer:
    """Render a transparent curtain on a rod, one side gathered."""
    sheet = canvas.paint(cloth(rng, canvas.size, photographs, canvas.view.scale * 0.25))
    top, bottom = rng.uniform(0.25, 0.45), rng.uniform(0.3, 0.5)
    hem = [(x, 0.46 + 0.03 * np.sin(9 * x + 1)) for x in np.linspace(bottom, -bottom, 12)]
    canvas.fill([(-top, -0.45), (top, -0.45), *hem], sheet)
    layer = gauze(rng, canvas)
    rod = Canvas(canvas.size, canvas.view, canvas.light)
    rod.line([(-0.48, -0.45), (0.48, -0.45)], 0.016, rod.paint(house_colour(rng) * 0.7))
    return over(rod.layer(), layer)


def render_vase(rng: Generator, canvas: Canvas) -> Layer:
    """Render a glass vase: nearly clear in the middle, dense along the outline, with a reflected window."""
    u = rng.uniform
    right = np.array(
        [(u(0.1, 0.2), -0.45), (u(0.06, 0.15), -0.28), (u(0.15, 0.35), 0.0), (u(0.15, 0.35), 0.25), (u(0.1, 0.2), 0.45)]
    )
    canvas.fill(smooth(np.concatenate([right, mirror(right)]), steps=8), canvas.paint(house_colour(rng)))
    layer = canvas.layer()
    reach = 0.06 * canvas.view.scale
    depth = ndimage.gaussian_filter(layer[..., 3], reach, truncate=2.5)
    clear, dense = u(0.08, 0.3), u(0.6, 0.95)
    glass = layer * (clear + (dense - clear) * (2 - 2 * depth).clip(0, 1) ** 1.5)[..., None].astype(np.float32)
    shine = Canvas(canvas.size, canvas.view, canvas.light)
    x, y = -0.4 * right[2, 0], u(-0.05, 0.1)
    shine.fill(ellipse((x, y), (0.025, 0.1), 0.15), shine.paint((0.97, 0.98, 1.0)))
    return over(0.8 * shine.layer(), glass)


Draw = Callable[[Generator, Canvas, View, float], None]

THINGS: tuple[Draw, ...] = (
    draw_bicycle, draw_potted_plant, draw_chair, draw_lattice, draw_wires,
    draw_mug, draw_umbrella, draw_animal, draw_animal, draw_furry_body, draw_furry_body, draw_plume,
)  # fmt: skip
"""Opaque things, equally likely; furry animals are there four times."""

HELD: dict[Draw, tuple[float, float]] = {
    draw_mug: (0.7, 0.0),
    draw_umbrella: (4.0, -1.6),
    draw_plume: (1.6, -0.7),
    draw_potted_plant: (1.5, -0.6),
}
"""Things in a hand: the size in heads, and the distance of the middle below the hand."""


def render_thing(rng: Generator, size: int, view: View, light: Light, photographs: Photographs, detail: float) -> Layer:
    """Render one thing as a premultiplied layer (size, size, 4).

    Cloth may show the photographs; `detail` is the number of spokes, leaves and hairs, 1 is usual.
    """
    canvas = Canvas(size, view, light)
    kind = rng.integers(len(THINGS) + 2)
    if kind == len(THINGS):
        return render_gauze(rng, canvas, photographs)
    if kind == len(THINGS) + 1:
        return render_vase(rng, canvas)
    THINGS[kind](rng, canvas, View(1.0, 0.0, 0.0), detail)
    return canvas.layer()
