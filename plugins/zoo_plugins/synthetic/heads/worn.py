"""Body and occluders: neck, shoulders and collar below the head; glasses, masks, hats, hands, bars and scarves on it.

All meshes are built in the head frame, in metres, and sized by the head's own landmarks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from zoo.heads.render import vertex_normals
from zoo_plugins.synthetic.drawing.textures import Colour, house_colour
from zoo_plugins.synthetic.heads.looks import Look, linear, scalp_shell
from zoo_plugins.synthetic.heads.meshes import Material, Mesh, Points, ellipsoid, make_mesh, sheet, submesh
from zoo_plugins.synthetic.heads.regions import EYES, Regions, ramp

EYE_DISTANCE = 0.064  # metres between the eyes of an adult; occluders scale with it
BODY_RINGS = np.array(
    [(0.008, 1.00, 1.00, 0.1), (0.020, 1.06, 1.06, 0.4), (0.036, 1.45, 1.20, 0.8), (0.052, 2.30, 1.45, 1.0),
     (0.085, 3.05, 1.65, 1.0), (0.16, 3.35, 1.85, 1.0), (0.30, 3.20, 1.95, 1.0), (0.50, 3.00, 1.85, 1.0)]
)  # fmt: skip
"""Metres below the neck's opening, half width and half depth there in radii of the neck, and how elliptic it is."""


@dataclass(frozen=True)
class Wearer:
    """A head that occluders are fitted to."""

    regions: Regions
    look: Look
    vertices: Points  # (V, 3) in the head frame
    landmarks: Points  # (68, 3)
    viewer: Points  # (3,) direction to the camera

    @property
    def eyes(self) -> Points:
        """(2, 3) middles of the eyes, the subject's right eye first."""
        return np.stack([self.landmarks[list(eye)].mean(0) for eye in EYES])

    @property
    def scale(self) -> float:
        """Size of the head, 1 is usual."""
        return float(np.linalg.norm(np.diff(self.eyes, axis=0)) / EYE_DISTANCE)


def body_meshes(rng: Generator, rim: Points, body: Points, neck: Points, skin: Colour) -> list[Mesh]:
    """Return neck and chest in the head frame: the neck's opening `rim` (N, 3) continued to the shoulders.

    The matrices (3, 3) rotate the body's and the neck's axes to the head frame.
    """
    if len(rim) < 3:
        return []
    middle = rim.mean(0)
    away = rim - middle
    reach = np.hypot(away[:, 0], away[:, 2])
    radius, around = reach.mean(), np.arctan2(away[:, 0], away[:, 2])
    down, wide, deep, elliptic = BODY_RINGS.T[..., None]
    own = reach + (radius - reach) * elliptic
    breadth = 1 + (rng.uniform(0.9, 1.15) - 1) * elliptic
    x, y = breadth * wide * own * np.sin(around), (1 - elliptic) * away[:, 1] - down
    ring = np.stack([x, y, deep * own * np.cos(around) - 0.15 * (deep - 1) * radius], axis=-1)
    rotated = np.concatenate([ring[:2] @ neck.T, ring[2:] @ body.T])
    points = np.concatenate([rim[None], rotated + middle]).astype(np.float32)
    neckline = int(rng.integers(2, 5))
    cloth = linear(house_colour(rng))
    meshes = [_tube(points[: neckline + 1], skin, Material.SKIN, 0.03), _tube(points[neckline:], cloth, Material.CLOTH)]
    if rng.random() < 0.5:
        return meshes
    inner, height = points[neckline], rng.uniform(0.01, 0.03)
    outer = inner.mean(0) + 1.04 * (inner - inner.mean(0))
    collar = np.stack([inner + [0, height, 0], outer + [0, 0.6 * height, 0], outer - [0, 0.005, 0]])
    return [*meshes, _tube(collar, 0.8 * cloth, Material.CLOTH)]


def worn_meshes(rng: Generator, wearer: Wearer, factor: float = 1.0) -> list[Mesh]:
    """Return the occluders on this head or in front of it; with `factor` 1, more than half of the heads have none."""
    chances = {make: factor * chance for make, chance in PROBABILITIES.items()}
    return [mesh for make, chance in chances.items() if rng.random() < chance for mesh in make(rng, wearer)]


def glasses(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return glasses; one pair in three is dark."""
    scale, colour = wearer.scale, linear(house_colour(rng) * rng.uniform(0.1, 1))
    wide, high = rng.uniform(0.023, 0.029) * scale, rng.uniform(0.016, 0.025) * scale
    rim, power = rng.uniform(0.0012, 0.0035) * scale, rng.uniform(2, 5)
    dark = rng.random() < 0.35
    bridge = wearer.landmarks[27] + np.array([0, 0, 0.004]) * scale
    front = max(float(bridge[2]), float(wearer.eyes[:, 2].max()) + 0.012 * scale)
    meshes = []
    for side, eye in zip((-1, 1), wearer.eyes, strict=True):
        around = np.linspace(0, 2 * np.pi, 25)[:-1]
        outline = np.stack([np.sin(around), np.cos(around)], axis=1)
        outline *= ((np.abs(outline) ** power).sum(1) ** (-1 / power))[:, None]
        middle = np.array([eye[0], eye[1] - 0.002 * scale])
        flat = [middle + outline * (np.array([wide, high]) + grown) for grown in (rim, 0.0)]
        rings = [np.column_stack([ring, front - 4.0 * (ring[:, 0] - bridge[0]) ** 2 / scale]) for ring in flat]
        frame = sheet(2, 24, closed=True)[:, ::-1]
        meshes.append(make_mesh(np.concatenate(rings), frame, colour, Material.THING, 0.3))
        if dark:
            fan = np.concatenate([rings[1], rings[1].mean(0, keepdims=True)])
            spokes = np.stack([np.arange(24), np.full(24, 24), (np.arange(24) + 1) % 24], axis=1)
            meshes.append(make_mesh(fan, spokes, linear(house_colour(rng)) * 0.08, Material.THING, 0.6))
        hinge = rings[0][6 if side > 0 else 18]
        ear = np.array([side * np.abs(wearer.vertices[:, 0]).max() * 0.9, hinge[1], wearer.landmarks[16, 2] - 0.02])
        meshes.append(_strip(hinge, ear, np.array([0, 1.4 * rim + 0.001, 0]), colour))
    inner = [middle + [0, 0.2 * high, 0] for middle in (meshes[0].points[24 + 6], meshes[-2 - dark].points[24 + 18])]
    meshes.append(_strip(inner[0], inner[1], np.array([0, rim, 0]), colour))
    return meshes


def mask(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return a medical mask from the nose to the chin."""
    marks, positions, weights = wearer.regions.landmarks, wearer.regions.template, wearer.regions.weights
    _, y, z = positions.T
    covered = (y < marks[29, 1]) & (y > marks[8, 1] - 0.012) & (z > marks[3, 2] + 0.004)
    inner = np.max([weights[name] for name in ("mouth", "teeth", "tongue", "ears")], axis=0) > 0.5
    covered &= (wearer.regions.inside("head") | wearer.regions.inside("face")) & ~inner
    chosen, faces = submesh(wearer.regions.faces, covered)
    if not len(faces):
        return []
    points = wearer.vertices[chosen]
    tent = ramp(points[:, 2], float(points[:, 2].min()), float(points[:, 2].max()))[:, None]
    lifted = points + vertex_normals(points, faces) * 0.004 + np.array([0, 0, 0.008]) * tent
    colour = linear(np.array([0.75, 0.85, 0.9]) if rng.random() < 0.5 else house_colour(rng))
    pleats = 0.9 + 0.1 * np.cos(positions[chosen, 1] * 400)[:, None]
    return [make_mesh(lifted.astype(np.float32), faces, colour * pleats, Material.THING)]


def hat(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return a cap of cloth over the scalp, half of the time with a peak."""
    if not wearer.regions.inside("scalp").any():
        return []
    colour = linear(house_colour(rng))
    thickness = rng.uniform(*((0.018, 0.03) if wearer.look.style in ("bald", "shaved", "short") else (0.03, 0.05)))
    cap = scalp_shell(rng, wearer.regions, wearer.vertices, thickness, colour, Material.THING, ragged=0.03)
    return [cap, _peak(wearer, thickness, colour)] if rng.random() < 0.5 else [cap]


def hand(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return a palm and four fingers somewhere on the face, in the colour of the head's skin."""
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
    skin = wearer.look.skin * 0.95
    return [
        _ellipsoid(middle, np.stack([across * wide, along * long, out * thick]) * scale, skin, 0.03)
        for middle, wide, long, thick in blobs
    ]


def bar(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return a pole, the edge of a board, or a microphone: a long round thing between the head and the camera."""
    axes = _upright(wearer.viewer)
    angle, away = rng.uniform(0, np.pi), rng.uniform(-0.09, 0.09) * wearer.scale
    along = np.cos(angle) * axes[0] + np.sin(angle) * axes[1]
    across = np.cross(along, axes[2])
    centre = wearer.vertices.mean(0) + axes[2] * rng.uniform(0.14, 0.2) * wearer.scale + across * away
    length = 0.5 if rng.random() < 0.6 else 0.12
    if length < 0.5:
        centre = centre + along * rng.uniform(0.1, 0.16) * wearer.scale
    thick = rng.uniform(0.006, 0.04)
    half_axes = np.stack([across * thick, along * length, axes[2] * min(thick, 0.01)]) * wearer.scale
    return [_ellipsoid(centre, half_axes, linear(house_colour(rng)), rng.uniform(0, 0.4), rows=15)]


def scarf(rng: Generator, wearer: Wearer) -> list[Mesh]:
    """Return cloth wound around the neck, up to the chin or over the mouth."""
    rim, chin = wearer.vertices[wearer.regions.rim], wearer.landmarks[8]
    if not len(rim):
        return []
    middle = rim.mean(0)
    radius = np.linalg.norm((rim - middle)[:, [0, 2]], axis=1).mean()
    top, bottom = chin[1] + rng.uniform(-0.01, 0.035), middle[1] - 0.02
    forward = max(chin[2] - middle[2] + 0.012, radius)
    around = np.linspace(0, 2 * np.pi, 33)[:-1]
    bulge = np.array([0.95, 1.08, 1.12, 1.05, 1.1, 1.15, 1.0])[:, None] * rng.uniform(0.97, 1.03, (7, 32))
    reach = np.where(np.cos(around) > 0, forward, 1.35 * radius)
    y = np.linspace(top, bottom, 7)[:, None] + 0 * around
    points = np.stack([bulge * 1.45 * radius * np.sin(around), y, middle[2] + bulge * reach * np.cos(around)], axis=-1)
    points[:, :, 0] += middle[0]
    return [_tube(points, linear(house_colour(rng)), Material.THING)]


Make = Callable[[Generator, Wearer], list[Mesh]]
PROBABILITIES: dict[Make, float] = {glasses: 0.2, mask: 0.03, hat: 0.1, hand: 0.06, bar: 0.06, scarf: 0.06}
"""Probability of each kind of occluder, independent of the others."""


def _peak(wearer: Wearer, thickness: float, colour: Points) -> Mesh:
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
    return make_mesh(np.concatenate(rows).astype(np.float32), sheet(3, 15), colour * 0.8, Material.THING)


def _tube(rings: Points, colour: Points, material: Material, gloss: float = 0.0) -> Mesh:
    """Return the mesh through rings of points (R, N, 3)."""
    faces = sheet(len(rings), rings.shape[1], closed=True)
    return make_mesh(rings.reshape(-1, 3).astype(np.float32), faces, colour, material, gloss)


def _ellipsoid(centre: Points, half_axes: Points, colour: Points, gloss: float, rows: int = 9) -> Mesh:
    """Return an ellipsoid of half axes (3, 3) of either handedness."""
    if np.linalg.det(half_axes) < 0:
        half_axes[0] *= -1
    return make_mesh(*ellipsoid(centre, half_axes, rows), colour, Material.THING, gloss)


def _strip(start: Points, end: Points, up: Points, colour: Points) -> Mesh:
    """Return a flat strip from one point to another, visible from both sides."""
    points = np.array([start + up, end + up, start - up, end - up], np.float32)
    faces = np.array([[0, 2, 3], [0, 3, 1], [4, 7, 6], [4, 5, 7]])
    return make_mesh(np.concatenate([points, points]), faces, colour, Material.THING)


def _upright(viewer: Points) -> Points:
    """Return axes as rows (3, 3): right, up and towards the viewer, right-handed."""
    out = viewer / np.linalg.norm(viewer)
    right = np.cross([0.0, 1.0, 0.0] if abs(out[1]) < 0.95 else [0.0, 0.0, -1.0], out)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(out, right), out])
