"""The NoW protocol: how far a scan of a face is from the predicted surface, in millimetres.

The scan is cropped to a ball around the face. The predicted mesh, which may come in any unit, is brought onto it by
seven points, then by the similarity that minimises Σd² over the distances d of the cropped scan points to the mesh's
surface (from the scan to the mesh, not back). The d that remain are the result; a benchmark pools them over all scans.

The similarity is found by Gauss–Newton on its seven unknowns (rotation, translation, logarithm of the scale). Moving
the surface changes a distance only along the line from its closest point, so derivatives need no search of their own.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.heads.metrics.alignment import procrustes
from zoo.heads.metrics.points import Points, as_one
from zoo.heads.metrics.surface import Surface

CROP_RADIUS = 1.4
"""Times half of (distance of the outer eye corners + length of the nose)."""
FACE_CENTRE = 0.3
"""Where the centre of the crop lies on the way from the base of the nose to the middle of the inner eye corners."""

EYES_APART = (30.0, 300.0)
"""Millimetres between the outer eye corners of a head; grown-ups have about 90."""
UNITS = {"metres": 1e-3, "centimetres": 0.1, "micrometres": 1e3}
"""What one millimetre is in other units."""

CONVERGED = 1e-6
"""Share by which an iteration must reduce Σd², otherwise it was the last."""
EXACT = 1e-6
"""Root mean square of d, millimetres, below which nothing is left to improve."""
ITERATIONS = 100
HALVINGS = 10
THINNED = 5000
"""About how many scan points find the first, rough similarity."""


def now_error(scan: Points, vertices: Points, faces: Points, scan_points7: Points, points7: Points) -> Tensor:
    """Distance of each point of the cropped scan to the aligned predicted surface, millimetres: (M,), M ≤ N.

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
    """The scan points near the face, (N, 3) → (M, 3).

    Raises:
        ValueError: there are none.
    """
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


class Fit(NamedTuple):
    """A surface under a similarity, seen from the scan."""

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
    """The similarity of the surface that minimises Σd² of the scan's points (M, 3), from where the surface is now."""
    start = (1.0, np.eye(3), np.zeros(3))
    thinned = scan[:: max(1, len(scan) // THINNED)]
    if len(thinned) < len(scan):  # most of the way with some of the points: all of them decide the rest
        start = _minimised(surface, thinned, *start)[:3]
    return _minimised(surface, scan, *start)


def _minimised(surface: Surface, scan: np.ndarray, scale: float, rotation: np.ndarray, translation: np.ndarray) -> Fit:
    """The same, starting from a similarity."""
    centre = scan.mean(0)
    fit = _seen(surface, scan, scale, rotation, translation)
    for _ in range(ITERATIONS):
        better = None if fit.energy <= EXACT**2 * len(scan) else _improved(surface, scan, centre, fit)
        if better is None:
            break
        converged = better.energy > (1 - CONVERGED) * fit.energy
        fit = better
        if converged:
            break
    return fit


def _improved(surface: Surface, scan: np.ndarray, centre: np.ndarray, fit: Fit) -> Fit | None:
    """The fit one Gauss–Newton step further, the step halved until Σd² falls; None where it does not."""
    step = _step(fit, centre)
    for halving in range(HALVINGS):
        part = step / 2**halving
        turn, growth = Rotation.from_rotvec(part[:3]).as_matrix(), float(np.exp(part[6]))
        translation = centre + growth * turn @ (fit.translation - centre) + part[3:6]
        trial = _seen(surface, scan, growth * fit.scale, turn @ fit.rotation, translation)
        if trial.energy < fit.energy:
            return trial
    return None


def _step(fit: Fit, centre: np.ndarray) -> np.ndarray:
    """Turn (radians) about the centre, shift, and growth (logarithm), that minimise Σd² with d to first order: (7,)."""
    arms = fit.closest - centre
    reach = float(np.sqrt((arms**2).sum(1).mean())) or 1.0  # turns and growth in units of length, as the shift is
    jacobian = np.concatenate(
        [
            np.cross(arms, fit.directions) / reach,
            fit.directions,
            (arms * fit.directions).sum(1, keepdims=True) / reach,
        ],
        axis=1,
    )
    solution, *_ = np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ fit.distances, rcond=1e-12)
    return solution / np.array([reach] * 3 + [1.0] * 3 + [reach])


def _seen(surface: Surface, scan: np.ndarray, scale: float, rotation: np.ndarray, translation: np.ndarray) -> Fit:
    """The surface under a similarity: its search tree stays, and the scan is taken into the surface's own frame."""
    local = (scan - translation) @ rotation / scale
    nearest, triangles = surface.nearest(local)
    away = local - nearest
    distances = np.linalg.norm(away, axis=1)
    directions = np.divide(away, distances[:, None], out=surface.normals(triangles), where=distances[:, None] > 1e-12)
    closest = scale * nearest @ rotation.T + translation
    return Fit(scale, rotation, translation, closest, directions @ rotation.T, scale * distances)


def check_millimetres(scan: np.ndarray, points7: np.ndarray) -> None:
    """ValueError unless the seven points, (7, 3), have a head's size in millimetres and the scan, (N, 3), fits them."""
    eyes = float(np.linalg.norm(points7[0] - points7[3]))
    low, high = EYES_APART
    if not low <= eyes <= high:
        likely = [name for name, millimetre in UNITS.items() if low <= eyes / millimetre <= high]
        advice = (
            f"they look like {likely[0]}, multiply scan and points by {1 / UNITS[likely[0]]:g}"
            if likely
            else ("check the unit and the order of the points")
        )
        raise ValueError(
            f"the outer eye corners of the scan are {eyes:g} apart: expected {low:g} to {high:g} mm; {advice}."
        )
    check_same_unit(scan, points7, "the scan", "its seven points")


def check_same_unit(points: np.ndarray, points7: np.ndarray, name: str, name7: str) -> None:
    """ValueError unless points (N, 3) have an extent that fits a head with these seven points."""
    eyes = float(np.linalg.norm(points7[0] - points7[3]))
    extent = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    if not 0.5 * eyes <= extent <= 100 * eyes:
        raise ValueError(
            f"{name} measures {extent:g} across, but the outer eye corners of {name7} are {eyes:g} apart: "
            "expected both in one unit."
        )
