"""Heads of persons: face, glasses, headphones, hats, and hair of thousands of strands.

A head is an ellipsoid: x to the right, y down, z towards the viewer, its height as the unit, its centre as the origin.
A strand of hair starts on the scalp in the combed direction, then gravity bends it; it cannot enter the head. Strands
behind the head are drawn before the body, strands in front of it after the face. The strands overlap to a solid mass
near the scalp and thin out to single hairs at the tips: these make alpha soft.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from zoo_plugins.synthetic.drawing.canvas import SAMPLES, Canvas, Light
from zoo_plugins.synthetic.drawing.curves import Points, ellipse, mirror, rotation, smooth
from zoo_plugins.synthetic.drawing.textures import Colour, house_colour, sample_colour

HEAD = np.array([0.385, 0.505, 0.42])  # radii of the head's ellipsoid
NECK = np.array([0.0, 0.45])  # top of the neck, about which a head tilts
SHADES = 10  # number of shades of a hair colour
PIECES, POINTS = 3, 16
"""Pieces of a strand with a shade of their own, from the root to the tip; points of a strand, a multiple and 1."""
Strands = NDArray[np.floating]  # points (N, POINTS, 3)


@dataclass(frozen=True)
class Face:
    """Shape and pose of a head."""

    jaw: float  # half widths, in heads
    cheek: float
    yaw: float  # to the right, about −1 to 1
    tilt: float  # radians, clockwise on the screen

    def tilted(self, points: ArrayLike) -> Points:
        """Tilt points (..., 2) of an upright head."""
        return (np.asarray(points, np.float64) - NECK) @ rotation(self.tilt).T + NECK


@dataclass(frozen=True)
class HairStyle:
    """Growth of hair."""

    length: float  # of a strand, in heads
    lift: float  # 0 lies on the head, 1 stands on end
    curl: float  # radius of the curls, in heads; 0 is straight
    windings: float  # number of curls of a strand
    fringe: float  # fraction of the strands on the forehead that fall into it
    flyaway: float  # fraction of the strands that stray from the combed direction
    fullness: float = 1.0  # number of strands, 1 is usual


def sample_face(rng: Generator) -> Face:
    """Sample an adult's head, mostly towards the viewer."""
    return Face(rng.uniform(0.15, 0.25), rng.uniform(0.33, 0.39), rng.normal(0, 0.25), rng.normal(0, 0.09))


def draw_head(rng: Generator, canvas: Canvas, face: Face, skin_colour: Colour, hair_colour: Colour, skin: int) -> None:
    """Draw ears, head, eyes, brows, nose and mouth."""
    shade = canvas.paint(skin_colour * 0.8)
    lit = canvas.paint((skin_colour * 1.1).clip(0, 1))
    for side in (-1, 1):
        if side * face.yaw < 0.35:
            canvas.fill(face.tilted(ellipse((side * (face.cheek + 0.01), 0.06), (0.06, 0.115), side * 0.2)), shade)
    jaw, cheek = face.jaw, face.cheek
    right = np.array(
        [(0.0, -0.5), (0.24, -0.43), (0.36, -0.2), (cheek, 0.06), (cheek * 0.88, 0.26), (jaw, 0.43), (jaw * 0.4, 0.5)]
    )
    outline = np.concatenate([right, mirror(right[1:])])
    outline[:, 0] += face.yaw * 0.12 * (outline[:, 1] + 0.3).clip(0)
    canvas.fill(face.tilted(smooth(outline, steps=5)), skin)
    _draw_eyes(rng, canvas, face, hair_colour, shade)
    shift = 0.16 * face.yaw
    bridge, tip, middle = shift * 1.1 - 0.015, shift * 1.4, shift * 1.5
    nose = [(bridge, -0.02), (middle - 0.055, 0.17), (tip, 0.195), (middle + 0.06, 0.165)]
    canvas.fill(face.tilted(smooth(nose, steps=4)), shade)
    canvas.line(face.tilted(np.array([(shift * 1.2, 0.0), (shift * 1.55, 0.15)])), 0.03, lit)
    lips = canvas.paint((skin_colour * np.array([0.85, 0.55, 0.55], np.float32)).clip(0, 1))
    smile, width = rng.uniform(-0.02, 0.05), rng.uniform(0.09, 0.14)
    corner, low = 0.3 - smile, 0.325 + 0.6 * abs(smile)
    mouth = [(shift - width, corner), (shift, 0.285), (shift + width, corner), (shift, low)]
    canvas.fill(face.tilted(smooth(mouth, steps=4)), lips)


def _draw_eyes(rng: Generator, canvas: Canvas, face: Face, hair_colour: Colour, shade: int) -> None:
    white, pupil = canvas.paint((0.93, 0.93, 0.92)), canvas.paint((0.05, 0.04, 0.04))
    irises = np.array([(0.2, 0.12, 0.07), (0.25, 0.4, 0.55), (0.3, 0.4, 0.25)], np.float32)
    iris = canvas.paint(sample_colour(rng, irises))
    brow = canvas.paint(hair_colour * 0.75)
    open_by = rng.uniform(0.022, 0.036)
    for side in (-1, 1):
        x = side * 0.155 * (1 - 0.25 * side * face.yaw) + 0.16 * face.yaw
        canvas.fill(face.tilted(ellipse((x, -0.022), (0.078, 0.05))), shade)
        canvas.fill(face.tilted(ellipse((x, -0.01), (0.062, open_by))), white)
        canvas.fill(face.tilted(ellipse((x + 0.03 * face.yaw, -0.01), 0.029)), iris)
        canvas.fill(face.tilted(ellipse((x + 0.03 * face.yaw, -0.01), 0.013)), pupil)
        canvas.line(face.tilted(np.array([(x - 0.085, -0.105), (x, -0.13), (x + 0.085, -0.105)])), 0.028, brow)


def draw_glasses(rng: Generator, canvas: Canvas, face: Face) -> None:
    """Draw glasses with a thin frame."""
    frame = canvas.paint(house_colour(rng) * 0.6)
    radii = (rng.uniform(0.1, 0.13), rng.uniform(0.075, 0.115))
    width = rng.uniform(0.012, 0.03)
    for side in (-1, 1):
        x = side * 0.158 + 0.16 * face.yaw
        canvas.line(face.tilted(ellipse((x, 0.0), radii)), width, frame, closed=True)
        temple = np.array([(x + side * radii[0], -0.02), (side * (face.cheek + 0.05), -0.02)])
        canvas.line(face.tilted(temple), width, frame)
    middle = 0.16 * face.yaw
    canvas.line(face.tilted(np.array([(middle - 0.06, -0.02), (middle, -0.035), (middle + 0.06, -0.02)])), width, frame)


def draw_headphones(rng: Generator, canvas: Canvas, face: Face) -> None:
    """Draw a band over the head, two cups, and often a microphone on a thin arm."""
    colour = house_colour(rng) * 0.7
    band, cup = canvas.paint(colour), canvas.paint(colour, relief=0.08)
    angles = np.linspace(np.pi, 2 * np.pi, 24)
    arc = np.stack([0.45 * np.cos(angles), 0.04 + 0.63 * np.sin(angles)], axis=1)
    canvas.line(face.tilted(arc), rng.uniform(0.04, 0.08), band)
    for side in (-1, 1):
        canvas.fill(face.tilted(ellipse((side * 0.43, 0.06), (0.09, 0.16))), cup)
    if rng.random() < 0.6:
        boom = smooth([(0.43, 0.12), (0.4, 0.34), (0.2, 0.4)], closed=False)
        canvas.line(face.tilted(boom), 0.022, band)
        canvas.fill(face.tilted(ellipse((0.19, 0.4), (0.05, 0.035))), cup)


def draw_hat(rng: Generator, canvas: Canvas, face: Face) -> None:
    """Draw a cap, a woollen hat or a hat with a brim."""
    colour = house_colour(rng)
    crown, dark = canvas.paint(colour, relief=0.25), canvas.paint(colour * 0.7, relief=0.05)
    height = rng.uniform(0.55, 0.75)
    right = np.array([(0.0, -height), (0.25, -height + 0.04), (0.4, -0.42), (0.425, -0.2)])
    dome = np.concatenate([right, mirror(right[1:])])
    canvas.fill(face.tilted(smooth(dome, steps=6)), crown)
    kind = rng.integers(3)
    if kind == 0:
        canvas.fill(face.tilted(ellipse((0.16 * face.yaw, -0.22), (0.44, 0.07))), dark)
    elif kind == 1:
        canvas.fill(face.tilted(ellipse((0.0, -0.23), (rng.uniform(0.7, 0.95), 0.09))), dark)
    else:
        canvas.fill(face.tilted(ellipse((0.0, -0.25), (0.44, 0.09))), dark)
        canvas.fill(face.tilted(ellipse((0.0, -height - 0.06), 0.12)), crown)


def sample_style(rng: Generator) -> HairStyle:
    """Sample one of the usual hair styles."""
    u = rng.uniform
    styles = {
        "cropped": lambda: HairStyle(u(0.06, 0.12), u(0.3, 0.9), 0, 0, 0, 0.02, 0.8),
        "short": lambda: HairStyle(u(0.18, 0.4), u(0.1, 0.8), u(0, 0.02), 1, u(0, 0.8), u(0.02, 0.08)),
        "bob": lambda: HairStyle(u(0.75, 1.1), u(0, 0.2), u(0, 0.02), 1, u(0, 1), u(0.02, 0.06)),
        "long": lambda: HairStyle(u(1.3, 2.2), u(0, 0.2), u(0, 0.015), 2, u(0, 0.5), u(0.02, 0.08)),
        "wavy": lambda: HairStyle(u(1, 1.9), u(0.1, 0.4), u(0.03, 0.06), u(1.5, 3), u(0, 0.5), u(0.04, 0.12), 1.2),
        "curly": lambda: HairStyle(u(0.5, 1.1), u(0.3, 0.7), u(0.04, 0.08), u(2, 3.5), u(0, 0.4), u(0.06, 0.15), 1.3),
        "afro": lambda: HairStyle(u(0.35, 0.8), 1.0, u(0.03, 0.06), u(2, 3.5), 0, 0.1, 1.5),
    }
    return styles[rng.choice(list(styles), p=[0.1, 0.2, 0.12, 0.2, 0.18, 0.12, 0.08])]()


class Hair:
    """The hair of one head: `count` strands, more or fewer for full or thin hair, in shades of a colour."""

    def __init__(self, rng: Generator, style: HairStyle, colour: Colour, face: Face, count: int, light: Light) -> None:
        self.style, self.colour, self.face = style, colour, face
        roots = _sample_roots(rng, int(count * style.fullness))
        strands = _comb(rng, roots, style)
        chosen = _outside_face(rng, strands, style.fringe)
        strands, roots = strands[chosen], roots[chosen]
        shades = _shade(rng, strands, roots, light)
        cosine, sine = np.cos(face.yaw), np.sin(face.yaw)
        strands = strands @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]).T
        depth = strands[..., 2].mean(axis=1)
        order = np.argsort(depth)
        self.strands, self.shades, depth = strands[order], shades[order], depth[order]
        self.front = depth > (0.02 if style.length > 0.5 else -0.2)
        self._shade_paints: list[int] = []

    def draw_back(self, canvas: Canvas) -> None:
        """Draw the hair behind the head, with a mass of hair that hides the background between its strands."""
        if self.style.length > 0.12:
            grow = 1.0 + 0.25 * min(self.style.length, 0.6) * (0.3 + self.style.lift)
            canvas.fill(self.face.tilted(ellipse((0, -0.04), HEAD[:2] * grow)), self._paints(canvas)[1])
        self._draw(canvas, ~self.front)

    def draw_front(self, canvas: Canvas) -> None:
        """Draw the hair in front of the head: the scalp, in the colour of the hair's roots, and the strands on it."""
        canvas.fill(self.face.tilted(_cap(self.face.yaw)), self._paints(canvas)[2])
        self._draw(canvas, self.front)

    def _draw(self, canvas: Canvas, which: NDArray[np.bool_]) -> None:
        strands = self.face.tilted(self.strands[which][..., :2])
        paints = np.array(self._paints(canvas))[self.shades[which]]
        thickest = int(np.clip(round(0.0045 * canvas.view.scale * SAMPLES), 1, 4))
        steps = (POINTS - 1) // PIECES
        for piece, width in enumerate((thickest, thickest, max(1, thickest // 2))):
            canvas.strands(strands[:, piece * steps : (piece + 1) * steps + 1], paints[:, piece], width)

    def _paints(self, canvas: Canvas) -> list[int]:
        if not self._shade_paints:
            steps = np.linspace(0.45, 1.7, SHADES)[:, None]
            gloss = (np.linspace(0, 1, SHADES)[:, None] ** 3) * 0.1
            self._shade_paints = [canvas.paint(shade) for shade in (self.colour * steps + gloss).clip(0, 1)]
        return self._shade_paints


def _cap(yaw: float) -> NDArray[np.floating]:
    """Return the scalp from the front, (N, 2): from ear to ear over the top of the head, back along the hairline."""
    angles = np.linspace(np.pi + 0.1, 2 * np.pi - 0.1, 24)
    top = np.stack([HEAD[0] * np.cos(angles), -0.01 + HEAD[1] * np.sin(angles)], axis=1)
    hairline = np.array([(0.33, -0.13), (0.25, -0.26), (0.1, -0.33), (-0.1, -0.33), (-0.25, -0.26), (-0.33, -0.13)])
    return np.concatenate([top, hairline + [0.14 * yaw, 0]])


def _sample_roots(rng: Generator, count: int) -> NDArray[np.floating]:
    """Sample directions (N, 3) from the centre of the head to roots of hair: neither in the face nor on the neck."""
    directions = rng.normal(size=(3 * count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x, y, z = directions.T
    hairline = -0.62 + 0.35 * np.abs(x) + 0.9 * (np.abs(x) > 0.82)
    face = (z > 0.12) & (y > hairline)
    grows = ~face & (y < 0.45)
    return directions[grows][:count]


def _comb(rng: Generator, roots: NDArray[np.floating], style: HairStyle) -> Strands:
    """Return the strands' points (N, POINTS, 3): combed, then bent by gravity."""
    count = len(roots)
    part = rng.uniform(-0.35, 0.35)
    side = np.where(roots[:, 0] > part * (roots[:, 2] > 0), 1.0, -1.0)
    combed = np.stack([side * 1.0, np.full(count, 0.35), np.full(count, -0.5)], axis=1)
    combed = combed + rng.normal(0, 0.25, (count, 3))
    fringe = (roots[:, 2] > 0.3) & (rng.random(count) < style.fringe)
    forward = np.array([0.25, 1.0, 0.6]) * np.stack([side, side**2, side**2], axis=1)[fringe]
    combed[fringe] = forward + rng.normal(0, 0.2, (fringe.sum(), 3))
    combed -= (combed * roots).sum(axis=1, keepdims=True) * roots
    velocity = combed * (1 - style.lift) + roots * (0.06 + style.lift) + rng.normal(0, 0.08, (count, 3))
    wild = rng.random(count) < style.flyaway
    velocity[wild] += rng.normal(0, 0.45, (wild.sum(), 3))
    velocity /= np.linalg.norm(velocity, axis=1, keepdims=True)
    length = style.length * rng.uniform(0.7, 1.1, count)
    length[fringe] = np.minimum(length[fringe], rng.uniform(0.2, 0.38, fringe.sum()))
    step = (length / (POINTS - 1))[:, None]
    weight = (1.4 - 1.2 * style.lift) * np.where(wild, 0.4, 1.0)[:, None]
    drift = rng.normal(0, 0.05, (count, 3))
    points = [roots * HEAD]
    for _ in range(POINTS - 1):
        velocity = velocity + weight * step * np.array([0, 4.0, 0]) + drift * step * 4
        velocity /= np.linalg.norm(velocity, axis=1, keepdims=True)
        points.append(_keep_out(points[-1] + velocity * step))
    return np.stack(points, axis=1) + _curls(rng, count, style)


def _keep_out(points: NDArray[np.floating]) -> NDArray[np.floating]:
    inside = np.linalg.norm(points / (HEAD * 1.02), axis=1, keepdims=True)
    points = np.where(inside < 1, points / np.maximum(inside, 1e-6), points)
    below = (points[:, 1] > 0.3) & (np.abs(points[:, 0]) < 0.24)
    points[:, 0] = np.where(below, np.where(points[:, 0] < 0, -0.24, 0.24), points[:, 0])
    return points


def _curls(rng: Generator, count: int, style: HairStyle) -> Strands:
    """Return helices (N, POINTS, 3) that widen towards the tip; neighbours differ in phase."""
    along = np.linspace(0, 1, POINTS)
    phase = rng.uniform(0, 2 * np.pi, (count, 1)) + 2 * np.pi * style.windings * along
    radius = style.curl * rng.uniform(0.5, 1.3, (count, 1)) * along**0.5
    return np.stack([radius * np.cos(phase), 0.4 * radius * np.sin(2 * phase), radius * np.sin(phase)], axis=-1)


def _outside_face(rng: Generator, strands: Strands, fringe: float) -> NDArray[np.bool_]:
    """Return which strands leave the eyes, the nose and the mouth free, and a few that do not."""
    x, y, z = np.moveaxis(strands, -1, 0)
    covers = ((np.abs(x) < 0.25) & (y > (-0.08 if fringe else -0.2)) & (y < 0.6) & (z > 0)).any(axis=1)
    return ~covers | (rng.random(len(strands)) < 0.01)


def _shade(rng: Generator, strands: Strands, roots: NDArray[np.floating], light: Light) -> NDArray[np.int64]:
    """Return a shade for each piece of each strand (N, PIECES): Lambert's law, and a gloss across the light."""
    steps = (POINTS - 1) // PIECES
    towards = light.direction / np.linalg.norm(light.direction)
    middle = strands[:, steps // 2 :: steps][:, :PIECES]
    outwards = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
    tangents = strands[:, steps::steps] - strands[:, :-1:steps]
    tangents /= np.maximum(np.linalg.norm(tangents, axis=-1, keepdims=True), 1e-6)
    half = towards + np.array([0, 0, 1.0])
    half /= np.linalg.norm(half)
    gloss = (1 - (tangents @ half) ** 2).clip(0, 1) ** 8
    diffuse = (outwards @ towards).clip(0, 1) * light.strength
    hidden = np.where(middle[..., 2] < -0.1, -1.5, 0.0)
    values = 2.0 + 3.5 * diffuse + 2.5 * gloss + hidden + rng.normal(0, 1.0, (len(strands), 1))
    return np.rint(values).clip(0, SHADES - 1).astype(np.int64)
