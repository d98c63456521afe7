"""The NoW protocol: distances from a scan of a face to the predicted surface, in millimetres.

The scan is cropped to a ball around the face. The predicted mesh, which may come in any unit, is aligned by seven
points, then by the similarity that minimises Σd² over the distances d of the cropped scan points to the mesh's surface
(from the scan to the mesh, not back). These distances are the result; a benchmark pools them over all scans.

The similarity is found by Gauss–Newton on its seven unknowns (rotation, translation, logarithm of the scale). Moving
the surface changes a distance only along the line from its closest point, so derivatives need no search of their own.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.core.seeding import derive_seed
from zoo.heads.metrics.points import Points, as_one, procrustes

CROP_RADIUS = 1.4
"""Radius of the crop, in halves of (distance of the outer eye corners + length of the nose)."""
FACE_CENTRE = 0.3
"""Centre of the crop on the line from the base of the nose (0) to the middle of the inner eye corners (1)."""

EYES_APART = (30.0, 300.0)
"""Plausible millimetres between the outer eye corners of a head; adults have about 90."""
UNITS = {"metres": 1e-3, "centimetres": 0.1, "micrometres": 1e3}
"""One millimetre in other units."""

CONVERGED = 1e-6
"""The last iteration is the one that reduces Σd² by less than this fraction."""
EXACT = 1e-6
"""Root mean square of d, millimetres, below which nothing is left to improve."""
ITERATIONS = 100
HALVINGS = 10
COARSE_POINTS = 5000
"""Approximate number of scan points that find the first, rough similarity."""
SCAN_POINTS = 3000
"""Points of a synthetic scan."""


def now_error(scan: Points, vertices: Points, faces: Points, scan_points7: Points, points7: Points) -> Tensor:
    """Return the distance of each point of the cropped scan to the aligned surface, millimetres: (M,), M ≤ N.

    Args:
        scan: (N, 3) millimetres.
        vertices: (V, 3) of the predicted mesh with a closed, expressionless face, in any frame and unit.
        faces: (F, 3) its triangles.
        scan_points7: (7, 3) millimetres, in the order of `points.SEVEN_POINTS`.
        points7: (7, 3) the same of the predicted mesh.

    Raises:
        ValueError: the scan is not in millimetres, no scan point lies near the face, or a mesh is not usable.

    Source: Sanyal, Bolkart, Feng, Black, "Learning to Regress 3D Face Shape and Expression from an Image without 3D
    Supervision" (CVPR 2019), section 4, with the constants of its evaluation program.

    Example:
        >>> grid = np.stack(np.meshgrid([-60.0, 0, 60], [-60.0, 0, 60], [0.0]), axis=-1).reshape(-1, 3)
        >>> faces = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [3, 4, 7], [3, 7, 6], [4, 5, 8], [4, 8, 7]])
        >>> eyes_nose_mouth = [[-45, 20], [-15, 20], [15, 20], [45, 20], [0, -10], [-20, -30], [20, -30]]
        >>> points7 = np.array([[x, y, 0.0] for x, y in eyes_nose_mouth])
        >>> bool(now_error(grid, grid / 1000, faces, points7, points7 / 1000).max() < 1e-5)
        True
    """
    scan_points, mesh = as_one(scan, "scan").numpy(), as_one(vertices, "vertices")
    scan_points7, points7 = as_one(scan_points7, "scan_points7", 7), as_one(points7, "points7", 7)
    check_millimetres(scan_points, scan_points7.numpy())
    check_same_unit(mesh.numpy(), points7.numpy(), "the mesh", "points7")
    cropped = crop(scan_points, scan_points7.numpy())
    roughly = procrustes(points7, scan_points7, reflection=True).apply(mesh)
    surface = Surface(roughly.numpy(), torch.as_tensor(faces).cpu().numpy())
    return torch.from_numpy(refine(surface, cropped).distances)


def crop(scan: np.ndarray, points7: np.ndarray) -> np.ndarray:
    """Return the scan points near the face, (N, 3) → (M, 3); raise ValueError if there are none."""
    between_eyes, nose = (points7[1] + points7[2]) / 2, points7[4]
    centre = nose + FACE_CENTRE * (between_eyes - nose)
    radius = CROP_RADIUS * (np.linalg.norm(points7[0] - points7[3]) + np.linalg.norm(between_eyes - nose)) / 2
    near = scan[np.linalg.norm(scan - centre, axis=1) <= radius]
    if not len(near):
        raise ValueError(
            f"none of the {len(scan)} scan points lies within {radius:.0f} mm of the face's centre: expected scan and "
            "seven points in one frame and unit."
        )
    return near


class Surface:
    """A triangle mesh with a search tree (libigl), for many queries of closest points.

    Args:
        vertices: (V, 3).
        faces: (F, 3) indices.

    Raises:
        ValueError: no triangles, indices outside the vertices, or a coordinate that is not finite.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        import igl  # imported here: most users of the metrics never measure to a surface

        self.vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        self.faces = np.ascontiguousarray(faces, dtype=np.int64)
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or not len(self.faces):
            raise ValueError(f"faces have shape {self.faces.shape}: expected (F, 3) with at least one triangle.")
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise ValueError(
                f"faces hold indices from {self.faces.min()} to {self.faces.max()}: expected 0 to "
                f"{len(self.vertices) - 1}, the mesh has {len(self.vertices)} vertices."
            )
        if not np.isfinite(self.vertices).all():
            raise ValueError("the mesh holds coordinates that are not finite: leave it out and count it as failed.")
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.faces)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the closest surface point of each point, (N, 3) → (N, 3), and its triangle, (N,)."""
        _, triangles, closest = self._tree.squared_distance(
            self.vertices, self.faces, np.ascontiguousarray(points, dtype=np.float64)
        )
        return closest, triangles

    def normals(self, triangles: np.ndarray) -> np.ndarray:
        """Return unit normals of the triangles (N,): (N, 3); 0 for a triangle without area."""
        a, b, c = (self.vertices[self.faces[triangles, corner]] for corner in range(3))
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)


class Fit(NamedTuple):
    """A similarity of the surface, and the distances of the scan to it."""

    scale: float
    rotation: np.ndarray
    """(3, 3)."""
    translation: np.ndarray
    """(3,)."""
    closest: np.ndarray
    """(M, 3) the surface point closest to each scan point, in the scan's frame."""
    directions: np.ndarray
    """(M, 3) unit vectors from there to the scan points."""
    distances: np.ndarray
    """(M,)."""

    @property
    def energy(self) -> float:
        """Σd²."""
        return float(self.distances @ self.distances)


def refine(surface: Surface, scan: np.ndarray) -> Fit:
    """Return the similarity of the surface that minimises Σd² of the scan's points (M, 3), starting from identity."""
    start = (1.0, np.eye(3), np.zeros(3))
    coarse = scan[:: max(1, len(scan) // COARSE_POINTS)]
    if len(coarse) < len(scan):  # some of the points find the rough fit, all of them refine it
        start = _minimise(surface, coarse, *start)[:3]
    return _minimise(surface, scan, *start)


def _minimise(surface: Surface, scan: np.ndarray, scale: float, rotation: np.ndarray, translation: np.ndarray) -> Fit:
    """Refine from a given similarity."""
    centre = scan.mean(0)
    fit = _measure(surface, scan, scale, rotation, translation)
    for _ in range(ITERATIONS):
        better = None if fit.energy <= EXACT**2 * len(scan) else _improve(surface, scan, centre, fit)
        if better is None:
            break
        converged = better.energy > (1 - CONVERGED) * fit.energy
        fit = better
        if converged:
            break
    return fit


def _improve(surface: Surface, scan: np.ndarray, centre: np.ndarray, fit: Fit) -> Fit | None:
    """Return the fit after one Gauss–Newton step, halved until Σd² falls; None where it does not."""
    step = _step(fit, centre)
    for halving in range(HALVINGS):
        part = step / 2**halving
        rotated, growth = Rotation.from_rotvec(part[:3]).as_matrix(), float(np.exp(part[6]))
        translation = centre + growth * rotated @ (fit.translation - centre) + part[3:6]
        trial = _measure(surface, scan, growth * fit.scale, rotated @ fit.rotation, translation)
        if trial.energy < fit.energy:
            return trial
    return None


def _step(fit: Fit, centre: np.ndarray) -> np.ndarray:
    """Return rotation vector about the centre, shift and log scale that minimise Σd² with linearised d: (7,)."""
    arms = fit.closest - centre
    reach = float(np.sqrt((arms**2).sum(1).mean())) or 1.0  # gives rotation and scale units of length, as the shift has
    along = (arms * fit.directions).sum(1, keepdims=True)
    jacobian = np.concatenate([np.cross(arms, fit.directions) / reach, fit.directions, along / reach], axis=1)
    solution, *_ = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ fit.distances, rcond=1e-12)
    return solution / np.array([reach] * 3 + [1.0] * 3 + [reach])


def _measure(surface: Surface, scan: np.ndarray, scale: float, rotation: np.ndarray, translation: np.ndarray) -> Fit:
    """Return distances under a similarity: the scan is mapped into the surface's frame, so its tree stays valid."""
    local = (scan - translation) @ rotation / scale
    nearest, triangles = surface.nearest(local)
    away = local - nearest
    distances = np.linalg.norm(away, axis=1)
    directions = np.divide(away, distances[:, None], out=surface.normals(triangles), where=distances[:, None] > 1e-12)
    closest = scale * nearest @ rotation.T + translation
    return Fit(scale, rotation, translation, closest, directions @ rotation.T, scale * distances)


def check_millimetres(scan: np.ndarray, points7: np.ndarray) -> None:
    """Raise ValueError unless the seven points have a head's size in millimetres and the scan (N, 3) fits them."""
    eyes = float(np.linalg.norm(points7[0] - points7[3]))
    low, high = EYES_APART
    if not low <= eyes <= high:
        advice = "check the unit and the order of the points"
        for unit in [name for name, millimetre in UNITS.items() if low <= eyes / millimetre <= high][:1]:
            advice = f"they look like {unit}, multiply scan and points by {1 / UNITS[unit]:g}"
        raise ValueError(
            f"the outer eye corners of the scan are {eyes:g} apart: expected {low:g} to {high:g} mm; {advice}."
        )
    check_same_unit(scan, points7, "the scan", "its seven points")


def check_same_unit(points: np.ndarray, points7: np.ndarray, name: str, name7: str) -> None:
    """Raise ValueError unless points (N, 3) have an extent that fits a head with these seven points."""
    eyes = float(np.linalg.norm(points7[0] - points7[3]))
    extent = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    if not 0.5 * eyes <= extent <= 100 * eyes:
        raise ValueError(
            f"{name} measures {extent:g} across, but the outer eye corners of {name7} are {eyes:g} apart: "
            "expected both in one unit."
        )


def faces_within(faces: Tensor, subset: Tensor) -> Tensor:
    """Return the triangles all of whose corners are in a subset of vertices: (F, 3), indices (N,) → (G, 3)."""
    return faces[torch.isin(faces, subset).all(1)]


def synthetic_scan(vertices: Tensor, faces: Tensor, count: int = SCAN_POINTS) -> Tensor:
    """Return points spread evenly over the triangles of a true face, the same on every call: (count, 3).

    Measuring on them follows the NoW protocol but gives no NoW number: the scan has no noise and no holes, and it lies
    on a surface of the head model's own topology.

    Args:
        vertices: (V, 3).
        faces: (F, 3) triangles to scan.
        count: number of points.

    Raises:
        ValueError: the triangles have no area.

    Example:
        >>> synthetic_scan(torch.eye(3), torch.tensor([[0, 1, 2]]), count=5).shape
        torch.Size([5, 3])
    """
    corners = as_one(vertices, "vertices").numpy()[faces.cpu().numpy()]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not areas.sum() > 0:
        raise ValueError("the triangles to scan have no area: expected the neutral face of a head.")
    numbers = np.random.default_rng(derive_seed("synthetic scan", count)).random((3, count))
    chosen = np.searchsorted(np.cumsum(areas) / areas.sum(), numbers[0]).clip(max=len(areas) - 1)
    along = np.sqrt(numbers[1])  # keeps points from crowding at the first corner
    weights = np.stack([1 - along, along * (1 - numbers[2]), along * numbers[2]], axis=1)
    return torch.from_numpy((corners[chosen] * weights[:, :, None]).sum(1))
