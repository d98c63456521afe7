"""Synthetic scans: points on the surface of a true face, in place of a scanner's.

What is measured on them follows the NoW protocol but is no NoW number: the scan has no noise and no holes, and it lies
on a surface of the head model's own topology.
"""

import numpy as np
import torch
from torch import Tensor

from zoo.core.seeding import derive_seed
from zoo.heads.metrics.points import as_one

SCAN_POINTS = 3000


def faces_within(faces: Tensor, subset: Tensor) -> Tensor:
    """The triangles all of whose corners are in a subset of vertices: (F, 3), indices (N,) → (G, 3)."""
    return faces[torch.isin(faces, subset).all(1)]


def synthetic_scan(vertices: Tensor, faces: Tensor, count: int = SCAN_POINTS) -> Tensor:
    """Points spread evenly over the triangles, the same ones whenever it is asked for: (count, 3).

    Args:
        vertices: (V, 3).
        faces: (F, 3), the triangles that are scanned.
        count: how many points.

    Raises:
        ValueError: the triangles have no area.
    """
    corners = as_one(vertices, "vertices").numpy()[faces.cpu().numpy()]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not areas.sum() > 0:
        raise ValueError("the triangles to scan have no area: expected the neutral face of a head.")
    draws = np.random.default_rng(derive_seed("synthetic scan", count)).random((3, count))
    chosen = np.searchsorted(np.cumsum(areas) / areas.sum(), draws[0]).clip(max=len(areas) - 1)
    along = np.sqrt(draws[1])  # so that points do not crowd at the first corner
    weights = np.stack([1 - along, along * (1 - draws[2]), along * draws[2]], axis=1)
    return torch.from_numpy((corners[chosen] * weights[:, :, None]).sum(1))
