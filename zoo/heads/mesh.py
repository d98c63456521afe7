"""Head models: from parameters to vertices, landmarks and their place in the picture.

Coordinates and axes are those of `zoo.heads.rotation`. A head model turns shape, expression and jaw into vertices at
rest (*unrotated*); rotation, translation and scale then place them in the picture by an orthographic projection.
"""

import inspect
from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from zoo.core.registry import get_slot
from zoo.core.slots import nearest
from zoo.core.spec import Part
from zoo.heads.asset import HeadAsset
from zoo.heads.rotation import matrix_from_6d, matrix_from_axis_angle

POSE_SIZE = 10
"""Rotation (6), translation (3) and scale (1)."""
JAW_SIZE = 3


class HeadParams(NamedTuple):
    """What the network predicts for a head model with S shape and E expression directions."""

    shape: Tensor
    """(B, S)."""
    expression: Tensor
    """(B, E)."""
    jaw: Tensor
    """(B, 3) axis times angle, radians."""
    rotation: Tensor
    """(B, 6), see `zoo.heads.rotation.matrix_from_6d`."""
    translation: Tensor
    """(B, 3) in half pictures, x right, y down; the third number is not used."""
    scale: Tensor
    """(B, 1): one metre is (scale + 1) half pictures long."""

    @classmethod
    def from_vector(cls, vector: Tensor, shape: int = 300, expression: int = 100) -> Self:
        """Split (B, shape + expression + 13) numbers, in the order of the fields.

        Raises:
            ValueError: another width.
        """
        sizes = [shape, expression, JAW_SIZE, 6, 3, 1]
        if vector.ndim != 2 or vector.shape[1] != sum(sizes):
            raise ValueError(
                f"head parameters have shape {tuple(vector.shape)}; expected (B, {sum(sizes)}): {shape} shape, "
                f"{expression} expression, 3 jaw, 6 rotation, 3 translation, 1 scale."
            )
        return cls(*vector.split(sizes, dim=1))

    def to_vector(self) -> Tensor:
        """(B, S + E + 13)."""
        return torch.cat(list(self), dim=1)


class HeadSizes(NamedTuple):
    """How many shape and expression parameters a head model has."""

    shape: int
    expression: int

    @property
    def total(self) -> int:
        """Of all parameters with jaw and pose."""
        return self.shape + self.expression + JAW_SIZE + POSE_SIZE


class HeadModel(Part, nn.Module):
    """A head model, computing on the asset that a plugin gives.

    A plugin implements `asset`; a constructor of its own keeps its arguments first and then calls `super().__init__()`.
    Its arrays are no part of a state dict: a checkpoint names the head model and never holds it.
    """

    read_from_file = True
    """Whether the arrays are the same to the last bit everywhere; computed ones may differ by a rounding."""
    template: Tensor
    """(V, 3) metres, without the offset."""
    faces: Tensor
    """(F, 3) indices, counter-clockwise seen from outside."""
    mirror: Tensor
    """(V,) the vertex at the mirrored place of each; (0,) where the mesh is not symmetric."""
    offset: Tensor
    landmark_corners: Tensor
    landmark_weights: Tensor
    resting: Tensor
    """(3·V,) the template, each coordinate of all vertices after the other; `directions` (K, 3·V) are in that order."""
    directions: Tensor
    jaw_weights: Tensor
    jaw_rest: Tensor
    jaw_directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        asset = self.asset()
        self.name, self.licence, self.source, self.notes = asset.name, asset.licence, asset.source, asset.notes
        self.sha256 = asset.sha256
        self.sizes = HeadSizes(asset.shape_basis.shape[2], asset.expression_basis.shape[2])
        self.subset_names = sorted(asset.subsets)
        for name, indices in asset.subsets.items():
            self._keep_indices(f"subset_{name}", indices)
        self._keep("template", asset.template)
        self._keep("offset", asset.offset)
        self._keep_indices("faces", asset.faces)
        self._keep_indices("landmark_corners", asset.faces[asset.landmark_faces])
        self._keep("landmark_weights", asset.landmark_weights)
        self._keep_indices("mirror", np.arange(0) if asset.mirror is None else asset.mirror)
        self._keep_skinning(asset)

    @abstractmethod
    def asset(self) -> HeadAsset:
        """The arrays of the head; called once, by the constructor."""

    @staticmethod
    def load(source: str | Path) -> "HeadModel":
        """A head model by what names it.

        Args:
            source: a path (`flame.pkl`, `head.safetensors`), a class name (`OpenHead`) or its short form (`open`).

        Raises:
            ZooError: the file cannot be used.
            PluginError: no head model of that name.
            ValueError: a head model that is not found without its file.
        """
        text, slot = str(source), get_slot("head_models")
        if text.endswith((".pkl", ".safetensors")):
            return slot.get("FlameHead" if text.endswith(".pkl") else "SavedHead")(path=text)
        short = {name.removesuffix("Head").lower(): name for name in slot.names()}
        found = slot.get(short.get(text, text))
        _, *parameters = inspect.signature(found.__init__).parameters.values()
        if any(each.default is each.empty for each in parameters):
            raise ValueError(f"the head model '{text}' needs a file: give its path instead, for example flame.pkl.")
        return found()

    @property
    def vertex_count(self) -> int:
        """V."""
        return len(self.template)

    def subset(self, name: str) -> Tensor:
        """Indices of the vertices of a subset: `face`, `head`, `face_with_ears`, or another that the head has.

        Raises:
            ValueError: the head has no such subset.
        """
        if name not in self.subset_names:
            raise ValueError(f"the head model '{self.name}' has no subset '{name}'{nearest(name, self.subset_names)}")
        return self.get_buffer(f"subset_{name}")

    def split(self, params: HeadParams | Tensor) -> HeadParams:
        """Parameters by name, from (B, sizes.total) numbers or as they are."""
        return params if isinstance(params, HeadParams) else HeadParams.from_vector(params, *self.sizes)

    def vertices(self, params: HeadParams | Tensor, rotated: bool = True) -> Tensor:
        """The mesh of each head, the head model's offset included.

        Args:
            params: of B heads.
            rotated: in the picture frame, turned by the heads' rotation; otherwise in the head frame.

        Returns:
            (B, V, 3), metres.
        """
        params = self.split(params)
        placed = self._skinned(params)
        if rotated:
            placed = matrix_from_6d(params.rotation) @ placed
        return placed.mT.contiguous()

    def neutral(self, params: HeadParams | Tensor) -> Tensor:
        """The mesh of each head without expression and with its jaw closed, in the head frame: (B, V, 3), metres."""
        params = self.split(params)
        still = params._replace(expression=torch.zeros_like(params.expression), jaw=torch.zeros_like(params.jaw))
        return self.vertices(still, rotated=False)

    def project(self, params: HeadParams | Tensor, image_size: float = 256, unrotated: Tensor | None = None) -> Tensor:
        """Where each vertex is seen in a square picture.

        Args:
            params: of B heads.
            image_size: side of the picture in pixels.
            unrotated: what `vertices(params, rotated=False)` gave, where it is known already.

        Returns:
            (B, V, 2) pixels: x right, y down, (0, 0) the picture's top left corner.
        """
        params = self.split(params)
        at_rest = self.vertices(params, rotated=False) if unrotated is None else unrotated
        across = matrix_from_6d(params.rotation)[:, :2]  # depth does not matter to an orthographic camera
        turned = across @ at_rest.mT
        seen = turned * (params.scale + 1).clamp(min=1e-8)[:, None] + params.translation[:, :2, None]
        return ((seen + 1) / 2 * image_size).mT.contiguous()

    def landmarks(self, points: Tensor) -> Tensor:
        """The 68 landmarks among the vertices: (B, V, D) → (B, 68, D)."""
        return (points[:, self.landmark_corners] * self.landmark_weights[:, :, None]).sum(2)

    def _keep(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.float32)), persistent=False)

    def _keep_indices(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.int64)), persistent=False)

    def _keep_skinning(self, asset: HeadAsset) -> None:
        """Skinning when only the jaw turns: vertices and the jaw joint are linear in shape, expression and R − 1."""
        jaw = asset.joints.index("jaw")
        moved = [joint for joint in range(len(asset.joints)) if _hangs_on(joint, jaw, asset.parents)]
        self._keep("jaw_weights", asset.weights[:, moved].sum(1))
        directions = np.concatenate([asset.shape_basis, asset.expression_basis], axis=2)
        self._keep("jaw_rest", asset.joint_regressor[jaw] @ asset.template)
        self._keep("jaw_directions", np.einsum("v,vdk->kd", asset.joint_regressor[jaw], directions))
        if asset.pose_basis is not None:
            corrective = asset.pose_basis[:, :, 9 * (jaw - 1) : 9 * jaw]
            directions = np.concatenate([directions, corrective], axis=2)
        self._keep("resting", asset.template.T.ravel())
        self._keep("directions", directions.swapaxes(0, 1).reshape(directions.shape[0] * 3, -1).T)
        self._has_corrective = asset.pose_basis is not None

    def _skinned(self, params: HeadParams) -> Tensor:
        """(B, 3, V) in the head frame: operations on rows of V numbers take a fraction of the time of rows of 3."""
        identity = torch.cat([params.shape, params.expression], dim=1)
        turn = matrix_from_axis_angle(params.jaw) - torch.eye(3, dtype=params.jaw.dtype, device=params.jaw.device)
        weights = torch.cat([identity, turn.flatten(1)], dim=1) if self._has_corrective else identity
        shaped = torch.addmm(self.resting, weights, self.directions).unflatten(1, (3, -1))
        joint = self.jaw_rest + identity @ self.jaw_directions
        opened = turn @ (shaped - joint[:, :, None])
        return opened.mul_(self.jaw_weights).add_(shaped).add_(self.offset[:, None])  # in place, gradients are right


def _hangs_on(joint: int, ancestor: int, parents: np.ndarray) -> bool:
    """Whether the joint is the ancestor or comes after it in the tree."""
    while joint >= 0 and joint != ancestor:
        joint = int(parents[joint])
    return joint == ancestor
