"""What is worn on the head or comes between it and the camera: glasses, masks, hats, hands, bars, scarves.

All are built in the head frame, in metres, and sized after the head's own landmarks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zoo.heads.render import vertex_normals
from zoo.heads.synthetic.bodies import scarf
from zoo.heads.synthetic.hair import scalp_shell
from zoo.heads.synthetic.looks import Look, linear
from zoo.heads.synthetic.pieces import Kind, Piece, Points, ellipsoid, part, piece, sheet
from zoo.heads.synthetic.regions import EYES, Regions, ramp
from zoo.matting.synthetic.colours import house

EYE_DISTANCE = 0.064
"""Metres between the eyes of an adult; what is worn grows with it."""


@dataclass(frozen=True)
class Wearer:
    """The head that something is put on.

    Args:
        regions: of its head model.
        look: its colours.
        vertices: (V, 3) in the head frame.
        landmarks: (68, 3) among them.
        viewer: (3,) direction to the camera.
    """

    regions: Regions
    look: Look
    vertices: Points
    landmarks: Points
    viewer: Points

    @property
    def eyes(self) -> Points:
        """(2, 3) middles of the eyes, the subject's right eye first."""
        return np.stack([self.landmarks[list(eye)].mean(0) for eye in EYES])

    @property
    def scale(self) -> float:
        """How much larger than usual the head is."""
        return float(np.linalg.norm(np.diff(self.eyes, axis=0)) / EYE_DISTANCE)


def things(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """What this head wears or has in front of it; more than half have nothing."""
    return [made for make, share in SHARES.items() if rng.random() < share for made in make(rng, wearer)]


def glasses(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """Frames; one in three has dark glass."""
    scale, colour = wearer.scale, linear(house(rng) * rng.uniform(0.1, 1))
    wide, high = rng.uniform(0.023, 0.029) * scale, rng.uniform(0.016, 0.025) * scale
    rim, power = rng.uniform(0.0012, 0.0035) * scale, rng.uniform(2, 5)
    dark = rng.random() < 0.35
    bridge = wearer.landmarks[27] + np.array([0, 0, 0.004]) * scale
    front = max(float(bridge[2]), float(wearer.eyes[:, 2].max()) + 0.012 * scale)
    pieces = []
    for side, eye in zip((-1, 1), wearer.eyes, strict=True):
        around = np.linspace(0, 2 * np.pi, 25)[:-1]
        outline = np.stack([np.sin(around), np.cos(around)], axis=1)
        outline *= ((np.abs(outline) ** power).sum(1) ** (-1 / power))[:, None]
        middle = np.array([eye[0], eye[1] - 0.002 * scale])
        flat = [middle + outline * (np.array([wide, high]) + grown) for grown in (rim, 0.0)]
        rings = [np.column_stack([ring, front - 4.0 * (ring[:, 0] - bridge[0]) ** 2 / scale]) for ring in flat]
        points = np.concatenate(rings)
        pieces.append(piece(points, sheet(2, 24, closed=True)[:, ::-1], colour, Kind.THING, 0.3))
        if dark:
            fan = np.concatenate([rings[1], rings[1].mean(0, keepdims=True)])
            spokes = np.stack([np.arange(24), np.full(24, 24), (np.arange(24) + 1) % 24], axis=1)
            pieces.append(piece(fan, spokes, linear(house(rng)) * 0.08, Kind.THING, 0.6))
        hinge = rings[0][6 if side > 0 else 18]
        ear = np.array([side * np.abs(wearer.vertices[:, 0]).max() * 0.9, hinge[1], wearer.landmarks[16, 2] - 0.02])
        pieces.append(_strip(hinge, ear, np.array([0, 1.4 * rim + 0.001, 0]), colour))
    inner = [middle + [0, 0.2 * high, 0] for middle in (pieces[0].points[24 + 6], pieces[-2 - dark].points[24 + 18])]
    pieces.append(_strip(inner[0], inner[1], np.array([0, rim, 0]), colour))
    return pieces


def mask(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """A medical mask from the nose to the chin."""
    marks = wearer.regions.landmarks
    places = wearer.regions.template
    covered = (
        (places[:, 1] < marks[29, 1]) & (places[:, 1] > marks[8, 1] - 0.012) & (places[:, 2] > marks[3, 2] + 0.004)
    )
    hidden = np.max([wearer.regions.weights[name] for name in ("mouth", "teeth", "tongue", "ears")], axis=0) > 0.5
    covered &= (wearer.regions.inside("head") | wearer.regions.inside("face")) & ~hidden
    chosen, faces = part(wearer.regions.faces, covered)
    if not len(faces):
        return []
    points = wearer.vertices[chosen]
    tent = ramp(points[:, 2], float(points[:, 2].min()), float(points[:, 2].max()))[:, None]
    lifted = points + vertex_normals(points, faces) * 0.004 + np.array([0, 0, 0.008]) * tent
    colour = linear(np.array([0.75, 0.85, 0.9]) if rng.random() < 0.5 else house(rng))
    pleats = 0.9 + 0.1 * np.cos(places[chosen, 1] * 400)[:, None]
    return [piece(lifted.astype(np.float32), faces, colour * pleats, Kind.THING)]


def hat(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """A cap of cloth over the scalp, half of the time with a peak."""
    if not wearer.regions.inside("scalp").any():
        return []
    colour = linear(house(rng))
    thickness = (
        rng.uniform(0.018, 0.03) if wearer.look.style in ("bald", "shaved", "short") else rng.uniform(0.03, 0.05)
    )
    cap = scalp_shell(rng, wearer.regions, wearer.vertices, thickness, colour, Kind.THING, ragged=0.03)
    return [cap, _peak(rng, wearer, thickness, colour)] if rng.random() < 0.5 else [cap]


def hand(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """A palm and four fingers somewhere on the face, in the colour of the head's skin."""
    scale = wearer.scale
    touched = wearer.landmarks[rng.choice([2, 5, 8, 11, 14, 33, 36, 45, 48, 54])]
    axes = _upright(wearer.viewer) * np.where(rng.random() < 0.5, [[-1], [1], [1]], 1)
    axes = axes if np.linalg.det(axes) > 0 else axes * [[1], [1], [-1]]
    angle = rng.uniform(-1.0, 1.0)
    along = np.cos(angle) * axes[1] + np.sin(angle) * axes[0]
    across, out = np.cross(along, axes[2]), axes[2]
    centre = touched + (0.025 * out - 0.05 * along) * scale
    blobs = [(centre, 0.042, 0.05, 0.014)]
    for finger in range(4):
        start = centre + (0.045 * along + (finger - 1.5) * 0.02 * across) * scale
        lean = along + (finger - 1.5) * rng.uniform(0.0, 0.12) * across - 0.15 * out
        blobs.append((start + 0.035 * lean * scale, 0.0095, rng.uniform(0.036, 0.046), 0.009))
    pieces = []
    for middle, wide, long, thick in blobs:
        shape = np.stack([across * wide, along * long, out * thick]) * scale
        if np.linalg.det(shape) < 0:
            shape[0] *= -1
        pieces.append(piece(*ellipsoid(middle, shape), wearer.look.skin * 0.95, Kind.THING, 0.03))
    return pieces


def bar(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """A pole, the edge of a board, or a microphone: a long round thing between the head and the camera."""
    axes = _upright(wearer.viewer)
    angle, away = rng.uniform(0, np.pi), rng.uniform(-0.09, 0.09) * wearer.scale
    along = np.cos(angle) * axes[0] + np.sin(angle) * axes[1]
    across = np.cross(along, axes[2])
    centre = wearer.vertices.mean(0) + axes[2] * rng.uniform(0.14, 0.2) * wearer.scale + across * away
    length = 0.5 if rng.random() < 0.6 else 0.12
    if length < 0.5:
        centre = centre + along * rng.uniform(0.1, 0.16) * wearer.scale
    thick = rng.uniform(0.006, 0.04)
    shape = np.stack([across * thick, along * length, axes[2] * min(thick, 0.01)]) * wearer.scale
    if np.linalg.det(shape) < 0:
        shape[0] *= -1
    return [piece(*ellipsoid(centre, shape, rows=15), linear(house(rng)), Kind.THING, rng.uniform(0, 0.4))]


def wound_scarf(rng: np.random.Generator, wearer: Wearer) -> list[Piece]:
    """A scarf around the neck, which may reach over the mouth."""
    rim = wearer.vertices[wearer.regions.rim]
    return [scarf(rng, rim, wearer.landmarks[8])] if len(rim) else []


Maker = Callable[[np.random.Generator, Wearer], list[Piece]]
SHARES: dict[Maker, float] = {glasses: 0.2, mask: 0.03, hat: 0.1, hand: 0.06, bar: 0.06, wound_scarf: 0.06}
"""How often each is there, independently of the others."""


def _peak(rng: np.random.Generator, wearer: Wearer, thickness: float, colour: Points) -> Piece:
    """The peak of a cap, over the forehead."""
    brow = wearer.landmarks[[19, 24]].mean(0)
    skull = wearer.vertices[wearer.regions.inside("head")]
    height = brow[1] + 0.55 * (skull[:, 1].max() - brow[1])
    around = np.linspace(-1.1, 1.1, 15)
    half = 0.85 * np.abs(skull[:, 0]).max() + thickness
    front = brow[2] - 0.035 * wearer.scale
    rows = []
    for grown, drop in ((0.0, 0.0), (0.045, -0.012), (0.07, -0.022)):
        forward = (front + thickness) * np.cos(around) + grown * wearer.scale * np.cos(around)
        rows.append(np.stack([half * np.sin(around), np.full(15, height + drop), forward], axis=1))
    points = np.concatenate(rows).astype(np.float32)
    return piece(points, sheet(3, 15), colour * 0.8, Kind.THING)


def _strip(start: Points, end: Points, up: Points, colour: Points) -> Piece:
    """A flat strip from one point to another, seen from both sides."""
    points = np.array([start + up, end + up, start - up, end - up], np.float32)
    return piece(
        np.concatenate([points, points]), np.array([[0, 2, 3], [0, 3, 1], [4, 7, 6], [4, 5, 7]]), colour, Kind.THING
    )


def _upright(viewer: Points) -> Points:
    """(3, 3) axes as rows: right, up and towards the viewer, right-handed."""
    out = viewer / np.linalg.norm(viewer)
    right = np.cross([0.0, 1.0, 0.0] if abs(out[1]) < 0.95 else [0.0, 0.0, -1.0], out)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(out, right), out])
