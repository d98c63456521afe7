"""Procedural head with FLAME's sizes.

Its surface is a stack of *rings* of equal height, from the top of the skull to the rim of the neck. On every ring the
*angle* runs from the front (0) over the subject's left (π/2) to the back (π). Lengths are metres, x to the subject's
left, y up, z out of the face, with the skull's middle at the origin until FLAME's offset is subtracted.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from zoo.core.seeding import derive_seed
from zoo.heads.asset import HeadAsset
from zoo.heads.flame import FLAME_JOINTS, FLAME_OFFSET, FLAME_PARENTS
from zoo.heads.transfer import nearest_on_surface
from zoo_plugins.synthetic.heads.regions import ramp

VERTICES, RIM = 5023, 68
"""FLAME's number of vertices, and those around the one hole, which make FLAME's 9,976 triangles."""
RINGS = 60
SHAPES, EXPRESSIONS = 300, 100
SUBSET_SIZES = {"face": 2094, "head": 3457, "face_with_ears": 3669}

PROFILE = np.array([
    # height, half the width, front, back
    [0.115, 0.000, -0.005, -0.005], [0.110, 0.026, 0.028, -0.040], [0.095, 0.051, 0.061, -0.077],
    [0.060, 0.070, 0.087, -0.098], [0.025, 0.075, 0.093, -0.102], [0.000, 0.074, 0.089, -0.100],
    [-0.030, 0.070, 0.088, -0.092], [-0.060, 0.063, 0.088, -0.078], [-0.085, 0.054, 0.086, -0.066],
    [-0.104, 0.044, 0.078, -0.060], [-0.115, 0.042, 0.050, -0.060], [-0.128, 0.049, 0.026, -0.062],
    [-0.150, 0.054, 0.022, -0.066],
])  # fmt: skip


class Bump(NamedTuple):
    """Gaussian bump on the front of the head, mirrored to both sides."""

    x: float
    y: float
    width: float
    height: float
    rise: float


BUMPS = (
    Bump(0.000, -0.042, 0.010, 0.010, 0.019),  # tip of the nose
    Bump(0.000, -0.016, 0.008, 0.020, 0.010),  # its bridge
    Bump(0.014, -0.047, 0.006, 0.006, 0.006),  # its wings
    Bump(0.032, 0.000, 0.016, 0.010, -0.011),  # eye sockets
    Bump(0.032, 0.000, 0.009, 0.007, 0.007),  # eyeballs
    Bump(0.030, 0.022, 0.022, 0.007, 0.004),  # brows
    Bump(0.042, -0.035, 0.016, 0.016, 0.004),  # cheeks
    Bump(0.000, -0.067, 0.018, 0.004, 0.005),  # upper lip
    Bump(0.000, -0.079, 0.016, 0.004, 0.005),  # lower lip
    Bump(0.000, -0.073, 0.020, 0.002, -0.003),  # between them
    Bump(0.000, -0.098, 0.014, 0.008, 0.005),  # chin
)
EAR = np.array([0.079, -0.012, -0.008])
EYE = np.array([0.032, 0.000, 0.085])
MOUTH = np.array([0.000, -0.073, 0.092])
HINGE = np.array([0.060, -0.030, 0.000])
"""Joint of the jaw, left."""

CONTOUR = (
    (0.0735, -0.005, 0.012), (0.0710, -0.023, 0.014), (0.0670, -0.041, 0.017), (0.0610, -0.056, 0.025),
    (0.0535, -0.071, 0.035), (0.0440, -0.086, 0.047), (0.0320, -0.097, 0.060), (0.0160, -0.104, 0.075),
    (0.0000, -0.106, 0.082),
)  # fmt: skip
"""Approximate positions of landmarks 0 to 8; the nearest surface point is used. The 68 count from the subject's right,
so these, measured on the left, are mirrored, and `OPPOSITE` names their partners."""
WITHIN_FACE = {
    17: (0.053, 0.017), 18: (0.046, 0.023), 19: (0.036, 0.026), 20: (0.026, 0.025), 21: (0.015, 0.021),
    27: (0.000, 0.004), 28: (0.000, -0.011), 29: (0.000, -0.026), 30: (0.000, -0.041),
    31: (0.016, -0.051), 32: (0.008, -0.054), 33: (0.000, -0.055),
    36: (0.045, -0.001), 37: (0.037, 0.006), 38: (0.027, 0.006), 39: (0.019, -0.002), 40: (0.027, -0.007),
    41: (0.037, -0.007),
    48: (0.025, -0.073), 49: (0.016, -0.067), 50: (0.007, -0.063), 51: (0.000, -0.064), 57: (0.000, -0.084),
    58: (0.007, -0.083), 59: (0.016, -0.080), 60: (0.020, -0.073), 61: (0.008, -0.071), 62: (0.000, -0.071),
    66: (0.000, -0.075), 67: (0.008, -0.075),
}  # fmt: skip
"""x and y of the other landmarks, which are projected onto the front of the face."""

OPPOSITE = (
    dict(zip(range(8), range(16, 8, -1), strict=True))
    | dict(zip(range(17, 22), range(26, 21, -1), strict=True))
    | {31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
    | {48: 54, 49: 53, 50: 52, 58: 56, 59: 55, 60: 64, 61: 63, 67: 65}
)
"""Landmarks on the subject's right and their partners on the left."""


class Rings(NamedTuple):
    """Layout of the vertices by ring, from the top down."""

    sizes: np.ndarray
    """(R,) number of vertices of each ring: even, after a first ring of one vertex."""
    starts: np.ndarray
    """(R,) index of each ring's first vertex, at its front."""
    outlines: np.ndarray
    """(R, 4) height, half width, front and back of each ring, as in `PROFILE`."""


@cache
def procedural_asset() -> HeadAsset:
    """Return the arrays of `ProceduralHead`, computed once per process; do not change them.

    Example:
        >>> procedural_asset().faces.shape
        (9976, 3)
    """
    rings = _lay_rings()
    mirror = _mirror_rings(rings)
    centred = _surface(rings)
    faces = _triangles(rings, mirror)
    template = centred - FLAME_OFFSET
    fields = _SmoothFields(centred)
    landmark_faces, landmark_weights = _landmarks(centred, faces)
    weights = _skinning_weights(centred)
    return HeadAsset(
        name="procedural",
        licence="Apache-2.0",
        source="made of formulas by zoo_plugins.head_models.ProceduralHead",
        template=template.astype(np.float32),
        faces=faces,
        shape_basis=fields.basis("shape", SHAPES, 0.003),
        expression_basis=fields.basis("expression", EXPRESSIONS, 0.002, where=_expressive(centred)),
        joints=FLAME_JOINTS,
        parents=FLAME_PARENTS,
        joint_regressor=_joint_regressor(centred),
        weights=weights,
        landmark_faces=landmark_faces,
        landmark_weights=landmark_weights,
        subsets=_subsets(centred),
        pose_basis=np.concatenate(
            [
                fields.basis(f"pose of {joint}", 9, 0.001, where=weights[:, number])
                for number, joint in enumerate(FLAME_JOINTS)
                if joint != "root"
            ],
            axis=2,
        ),
        mirror=mirror,
        offset=FLAME_OFFSET,
    )


def _lay_rings() -> Rings:
    """Distribute the vertices over rings: denser on the face, and more where the head is wider."""
    path = np.linspace(0, 1, 2001)
    line = _profile(path)
    along_front = np.linalg.norm(np.diff(line[:, [0, 2]], axis=0), axis=1)
    height = (line[1:, 0] + line[:-1, 0]) / 2
    passed = np.cumsum(along_front * (1 + 1.5 * np.exp(-(((height + 0.04) / 0.05) ** 2))))
    outlines = _profile(np.interp(np.linspace(0, passed[-1], RINGS + 1), np.append(0, passed), path))
    girth = outlines[1:-1, 1] + (outlines[1:-1, 2] - outlines[1:-1, 3]) / 2
    total = (VERTICES - 1 - RIM) // 2
    # First slightly too few, and at least a hexagon; the remainder goes to the largest rings.
    halves = np.maximum(3, np.floor(girth / girth.sum() * total * 0.99).astype(int))
    largest_first = np.argsort(-girth, kind="stable")
    np.add.at(halves, np.resize(largest_first, total - halves.sum()), 1)
    sizes = np.concatenate([[1], 2 * halves, [RIM]])
    return Rings(sizes, np.cumsum(sizes) - sizes, outlines)


def _profile(path: np.ndarray) -> np.ndarray:
    """Return (N, 4) height, half width, front and back at N positions in [0, 1] along the profile."""
    steps = np.linalg.norm(np.diff(PROFILE[:, :3], axis=0), axis=1)
    return PchipInterpolator(np.append(0, np.cumsum(steps)) / steps.sum(), PROFILE)(path)


def _mirror_rings(rings: Rings) -> np.ndarray:
    """Return (V,) the index of each vertex's mirror image."""
    return np.concatenate(
        [start + -np.arange(size) % size for size, start in zip(rings.sizes, rings.starts, strict=True)]
    )


def _surface(rings: Rings) -> np.ndarray:
    """Return (V, 3) the head, its skull's middle at the origin."""
    return _add_features(np.concatenate([_ring(*each) for each in zip(rings.sizes, rings.outlines, strict=True)]))


def _ring(size: int, outline: np.ndarray) -> np.ndarray:
    """Return (size, 3) one ring without nose and ears, from the front over the left; denser in front."""
    height, half_width, front, back = outline
    fraction = np.minimum(np.arange(size), size - np.arange(size)) / max(size / 2, 1)
    angle = np.pi * fraction - 0.45 * np.sin(np.pi * fraction)
    left = np.where(np.arange(size) <= size / 2, 1, -1)
    ear_plane = PROFILE[0, 2]
    reach = np.where(np.cos(angle) > 0, front - ear_plane, ear_plane - back)
    x = half_width * np.sin(angle) * left
    x[fraction == 1] = 0  # sin π is not quite 0
    return np.stack([x, np.full(size, height), ear_plane + reach * np.cos(angle)], axis=1)


def _add_features(vertices: np.ndarray) -> np.ndarray:
    """Raise nose, eyes, lips and ears from the plain head (V, 3)."""
    x, y, z = vertices.T
    in_front = ramp(z, 0.0, 0.05)
    rise = sum(bump.rise * _gaussian((np.abs(x) - bump.x) / bump.width, (y - bump.y) / bump.height) for bump in BUMPS)
    ear = 0.014 * _gaussian((y - EAR[1]) / 0.018, (z - EAR[2]) / 0.010) * ramp(np.abs(x), 0.03, 0.06)
    return np.stack([x + np.sign(x) * ear, y, z + in_front * rise], axis=1)


def _triangles(rings: Rings, mirror: np.ndarray) -> np.ndarray:
    """Return (9976, 3) triangles between neighbouring rings: first the left half, then its mirror image."""
    left: list[tuple[int, int, int]] = []
    for upper in range(len(rings.sizes) - 1):
        (above, below), (above_half, below_half) = rings.starts[upper : upper + 2], rings.sizes[upper : upper + 2] // 2
        i = j = 0
        while i < above_half or j < below_half:
            if (i + 1) * below_half <= (j + 1) * above_half and i < above_half:
                left.append((above + i, below + j, above + i + 1))
                i += 1
            else:
                left.append((above + i, below + j, below + j + 1))
                j += 1
    half = np.array(left)
    return np.concatenate([half, mirror[half][:, ::-1]])


def _skinning_weights(vertices: np.ndarray) -> np.ndarray:
    """Return (V, 5) skinning weights: the jaw moves everything under a plane through mouth and hinge."""
    x, y, z = vertices.T
    plane = HINGE[1] + (MOUTH[1] - HINGE[1]) * np.clip(z / MOUTH[2], 0, 1.1)
    softness = 0.0015 + 0.01 * np.clip(np.abs(x) / 0.03, 0, 1) ** 2
    jaw = ramp(plane - y, -softness, softness) * ramp(z, -0.005, 0.03) * ramp(y, -0.130, -0.112)
    eyes = [_gaussian((side * x - EYE[0]) / 0.008, (y - EYE[1]) / 0.006) * ramp(z, 0.06, 0.08) for side in (1, -1)]
    root = ramp(-y, 0.125, 0.150)
    weights = np.stack([root, np.zeros_like(x), jaw, *eyes], axis=1)
    weights[:, 1] = 1 - weights.sum(1).clip(max=1)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _joint_regressor(vertices: np.ndarray) -> np.ndarray:
    """Return (5, V) each joint as a mean of nearby vertices: a ring for root and neck, both hinges for the jaw."""
    x, y, z = vertices.T
    near = [
        _gaussian((y + 0.150) / 0.003, 0),
        _gaussian((y + 0.128) / 0.004, 0),
        _gaussian((np.abs(x) - HINGE[0]) / 0.01, (y - HINGE[1]) / 0.01) * _gaussian((z - HINGE[2]) / 0.01, 0),
        *(_gaussian((side * x - EYE[0]) / 0.01, (y - EYE[1]) / 0.01) * ramp(z, 0.0, 0.05) for side in (1, -1)),
    ]
    rows = np.stack(near)
    return (rows / rows.sum(1, keepdims=True)).astype(np.float32)


def _expressive(vertices: np.ndarray) -> np.ndarray:
    """Return (V,) in [0, 1], the strength of expressions: high around mouth, eyes and brows."""
    on_left = vertices * np.where(vertices[:, :1] < 0, [-1, 1, 1], 1)
    centres = (MOUTH, EYE + [0, 0.012, 0])
    return np.max([np.exp(-((on_left - centre) ** 2).sum(1) / (2 * 0.028**2)) for centre in centres], axis=0)


def _subsets(vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Return nested subsets of FLAME's sizes: the face, the head without neck and ears, and with ears."""
    x, y, z = vertices.T
    from_ear = np.linalg.norm(np.stack([np.abs(x), y, z], axis=1) - EAR, axis=1)
    ears = np.argsort(from_ear, kind="stable")[: SUBSET_SIZES["face_with_ears"] - SUBSET_SIZES["head"]]
    is_ear = np.isin(np.arange(len(vertices)), ears)
    angle = np.arctan2(np.abs(x), z - PROFILE[0, 2])
    from_face = np.hypot((y + 0.03) / 0.09, angle / 1.7)
    face = np.argsort(np.where(is_ear, np.inf, from_face), kind="stable")[: SUBSET_SIZES["face"]]
    above_neck = y + 0.5 * z
    above_neck[face] = np.inf
    above_neck[is_ear] = -np.inf
    head = np.argsort(-above_neck, kind="stable")[: SUBSET_SIZES["head"]]
    subsets = {"face": face, "head": head, "face_with_ears": np.append(head, np.flatnonzero(is_ear))}
    return {name: np.sort(indices) for name, indices in subsets.items()}


def _landmarks(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return triangles and barycentric weights of the 68 landmarks."""
    contour = {number: np.array(point) for number, point in enumerate(CONTOUR)}
    within = {number: np.array([*point, 0]) for number, point in WITHIN_FACE.items()}
    front = np.flatnonzero((vertices[faces, 2] > 0.03).all(1))
    triangles, weights = np.empty(68, np.int64), np.empty((68, 3), np.float32)
    flat = vertices * [1, 1, 0]
    for left, surface, candidates in ((contour, vertices, np.arange(len(faces))), (within, flat, front)):
        numbers = [*left, *(OPPOSITE[number] for number in left if number in OPPOSITE)]
        points = [point * [-1, 1, 1] for point in left.values()]
        points += [point for number, point in left.items() if number in OPPOSITE]
        nearest, weights[numbers], _ = nearest_on_surface(np.array(points), surface, faces[candidates])
        triangles[numbers] = candidates[nearest]
    return triangles, weights


class _SmoothFields:
    """Random smooth displacements of vertices (V, 3): sums of products of cosines, two thirds mirror symmetric."""

    ORDER = 6
    """Maximum number of half waves of a product, summed over the axes."""

    def __init__(self, vertices: np.ndarray) -> None:
        waves = np.arange(self.ORDER + 1)[:, None]
        x, y, z = (vertices / [0.09, 0.15, 0.12]).T
        even, odd = np.cos(np.pi * waves * x), np.sin(np.pi * (waves + 0.5) * x)
        upwards, outwards = np.cos(np.pi / 2 * waves * (y + 1)), np.cos(np.pi / 2 * waves * (z + 1))
        orders = np.array([order for order in np.ndindex((self.ORDER + 1,) * 3) if 0 < sum(order) <= self.ORDER])
        first, second, third = orders.T
        self.even, self.odd = (across[first] * upwards[second] * outwards[third] for across in (even, odd))
        self.frequency = orders.sum(1)

    def basis(self, name: str, count: int, size: float, where: np.ndarray | None = None) -> np.ndarray:
        """Return (V, 3, count) displacements with decreasing wavelength and amplitude.

        Args:
            name: seeds the displacements.
            count: number of displacements.
            size: root mean square of the first, in metres, over the region that moves.
            where: (V,) factors in [0, 1]; None is 1 everywhere.
        """
        number = np.arange(count)[:, None, None]
        random = np.random.default_rng(derive_seed("ProceduralHead", name))
        coefficients = random.standard_normal((count, 3, len(self.frequency)))
        coefficients *= np.exp(-((self.frequency / (2 + 3 * number / count)) ** 2) / 2)
        symmetric = number % 3 < 2
        across = np.where(symmetric[:, 0], coefficients[:, 0] @ self.odd, coefficients[:, 0] @ self.even)
        others = np.where(symmetric, coefficients[:, 1:] @ self.even, coefficients[:, 1:] @ self.odd)
        fields = np.concatenate([across[:, None], others], axis=1)
        if where is not None:
            fields *= where
        moved = 1.0 if where is None else (where**2).mean()
        fields *= size * (1 + number) ** -0.8 / np.sqrt((fields**2).sum(1).mean(1) / moved)[:, None, None]
        return np.ascontiguousarray(fields.transpose(2, 1, 0), dtype=np.float32)


def _gaussian(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    """Return a Gaussian of two coordinates in standard deviations, 1 at the top."""
    return np.exp(-(first**2 + second**2) / 2)
