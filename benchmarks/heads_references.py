"""Plain references of the fast paths for heads, a few lines each, computed as published code does."""

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.heads.asset import HeadAsset
from zoo.heads.mesh import HeadParams
from zoo.heads.metrics.now import Surface, crop
from zoo.heads.metrics.points import procrustes
from zoo.heads.metrics.shape import EYE_DISTANCE
from zoo.heads.rotation import matrix_from_axis_angle


class PlainSkinning:
    """Linear blend skinning with a 4×4 matrix for every joint (SMPL, section 3).

    Args:
        asset: of the head model.
    """

    def __init__(self, asset: HeadAsset) -> None:
        self.jaw, self.parents = asset.joints.index("jaw"), asset.parents.tolist()
        basis = np.concatenate([asset.shape_basis, asset.expression_basis], axis=2)
        arrays = (asset.template, basis, asset.joint_regressor, asset.weights, asset.offset)
        self.template, self.basis, self.regressor, self.weights, self.offset = (
            torch.from_numpy(np.asarray(array, np.float32)) for array in arrays
        )
        self.correctives: Tensor | None = None
        if asset.pose_basis is not None:
            flat = asset.pose_basis.reshape(-1, asset.pose_basis.shape[2]).T
            self.correctives = torch.from_numpy(np.ascontiguousarray(flat, np.float32))

    def __call__(self, params: HeadParams) -> Tensor:
        """Return vertices (B, V, 3) in the head frame."""
        shaped = self.template + torch.einsum(
            "bk,vdk->bvd", torch.cat([params.shape, params.expression], 1), self.basis
        )
        joints = torch.einsum("jv,bvd->bjd", self.regressor, shaped)
        turns = torch.zeros_like(joints)
        turns[:, self.jaw] = params.jaw
        rotations = matrix_from_axis_angle(turns)
        if self.correctives is not None:
            feature = (rotations[:, 1:] - torch.eye(3)).flatten(1)
            shaped = shaped + (feature @ self.correctives).view_as(shaped)
        blended = torch.einsum("vj,bjrc->bvrc", self.weights, self._transforms(rotations, joints))
        homogeneous = torch.cat([shaped, torch.ones_like(shaped[..., :1])], dim=2)
        return (blended @ homogeneous[..., None])[..., :3, 0] + self.offset

    def _transforms(self, rotations: Tensor, joints: Tensor) -> Tensor:
        """Return the transform of each joint, (B, J, 4, 4)."""
        world: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            step = joints[:, joint] - joints[:, parent] if parent >= 0 else joints[:, joint]
            local = _matrix(rotations[:, joint], step)
            world.append(world[parent] @ local if parent >= 0 else local)
        unturned = torch.eye(3).expand(len(joints), 3, 3)
        return torch.stack([move @ _matrix(unturned, -joints[:, joint]) for joint, move in enumerate(world)], dim=1)


def zn_accuracy_pair_by_pair(predicted: Tensor, target: Tensor, n: int, axis: int) -> Tensor:
    """Compute `zn_accuracy` from all sorted distances between vertices (V, 3), one comparison after another.

    Args:
        axis: along which distances are sorted: 0 is the `official` kind, 1 the `paper` kind.
    """
    others = torch.cdist(target, target).argsort(dim=axis)[:, 1 : n + 1]
    agreeing = 0
    for vertex in range(len(target)):
        for rank in range(n):
            other = others[vertex, rank]
            truly, predictedly = (points[vertex, 2] >= points[other, 2] for points in (target, predicted))
            agreeing += int(truly == predictedly)
    return torch.tensor(agreeing / (len(target) * n), dtype=torch.float64)


def chamfer_over_all_pairs(vertices: Tensor, face: Tensor, points7: Tensor, true_points7: Tensor) -> Tensor:
    """Compute `chamfer_to_ground_truth` from the distances of every face vertex to every vertex."""
    unit = EYE_DISTANCE / (true_points7[1] - true_points7[2]).norm()
    aligned = procrustes(points7, true_points7 * unit, reflection=True).apply(vertices)
    return torch.cdist(face * unit, aligned).min(dim=1).values.square().mean()


def now_error_by_least_squares(
    scan: Tensor, vertices: Tensor, faces: Tensor, scan_points7: Tensor, points7: Tensor
) -> Tensor:
    """Compute `now_error` by a general optimiser that moves the scan and estimates derivatives numerically."""
    cropped = crop(scan.numpy(), scan_points7.numpy())
    centre = cropped.mean(0)
    surface = Surface(procrustes(points7, scan_points7, reflection=True).apply(vertices).numpy(), faces.numpy())

    def distances(unknowns: np.ndarray) -> np.ndarray:
        turn, shift, growth = Rotation.from_rotvec(unknowns[:3]), unknowns[3:6], np.exp(unknowns[6])
        moved = turn.apply(cropped - centre) * growth + centre + shift
        closest, _ = surface.nearest(moved)
        return np.linalg.norm(moved - closest, axis=1) / growth

    return torch.from_numpy(distances(least_squares(distances, np.zeros(7), x_scale="jac").x))


def heatmaps_one_by_one(landmarks: Tensor, visible: Tensor, size: int) -> Tensor:
    """Compute `heatmap_targets` by adding each Gaussian to its map, clipped at the border."""
    radius = 5
    offsets = np.arange(-radius, radius + 1)
    bell = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (len(offsets) / 6) ** 2)).astype(np.float32)
    maps = np.zeros((*visible.shape, size, size), np.float32)
    for place in np.argwhere(visible.numpy() > 0):
        heatmap = maps[tuple(place)]
        x, y = (int(number) for number in landmarks[tuple(place)] * size)
        left, right, top, bottom = max(x - radius, 0), x + radius + 1, max(y - radius, 0), y + radius + 1
        window = heatmap[top:bottom, left:right]
        height, width = window.shape
        part = bell[top - y + radius :, left - x + radius :][:height, :width]
        np.maximum(window, part, out=window)
    return torch.from_numpy(maps)


def write_landmark_tables(asset: HeadAsset, path: Path) -> None:
    """Write the file that `landmarks_by_file` reads."""
    np.savez(path, faces=asset.faces, on=asset.landmark_faces, weights=asset.landmark_weights)


def landmarks_by_file(vertices: Tensor, path: Path) -> Tensor:
    """Compute `HeadModel.landmarks` of one mesh, (V, 3) → (68, 3), reading the tables from the file each time."""
    with np.load(path) as tables:
        corners = torch.from_numpy(tables["faces"][tables["on"]])
        weights = torch.from_numpy(tables["weights"])
    return torch.einsum("lc,lcd->ld", weights, vertices[corners])


def _matrix(rotation: Tensor, translation: Tensor) -> Tensor:
    """Return homogeneous matrices: (B, 3, 3) and (B, 3) → (B, 4, 4)."""
    top = torch.cat([rotation, translation[:, :, None]], dim=2)
    bottom = top.new_tensor([0, 0, 0, 1]).expand(len(top), 1, 4)
    return torch.cat([top, bottom], dim=1)
