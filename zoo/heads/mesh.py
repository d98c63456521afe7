"""Head models: from parameters to vertices, landmarks and their projection into the image.

Coordinates and axes are those of `zoo.heads.rotation`. Shape, expression and jaw give *unrotated* vertices in the head
frame; rotation, translation and scale then place them in the image by an orthographic projection.
"""

import inspect
from abc import abstractmethod
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.slot import nearest
from zoo.core.spec import Part, build
from zoo.heads.asset import HeadAsset, first_directions
from zoo.heads.rotation import matrix_from_6d, matrix_from_axis_angle

POSE_SIZE = 10
"""Rotation (6), translation (3) and scale (1)."""
JAW_SIZE = 3


class HeadParams(NamedTuple):
    """Parameters of a head model with S shape and E expression directions, as the network predicts them."""

    shape: Tensor
    """(B, S)."""
    expression: Tensor
    """(B, E)."""
    jaw: Tensor
    """(B, 3), axis times angle, radians."""
    rotation: Tensor
    """(B, 6), see `zoo.heads.rotation.matrix_from_6d`."""
    translation: Tensor
    """(B, 3), in units of half an image, x right, y down; the third number is unused."""
    scale: Tensor
    """(B, 1): one metre is (scale + 1) half images long."""

    @classmethod
    def from_vector(cls, vector: Tensor, shape: int = 300, expression: int = 100) -> Self:
        """Split (B, shape + expression + 13) parameters; the 13 are jaw 3, rotation 6, translation 3, scale 1.

        Raises:
            ValueError: the width differs from that sum.

        Example:
            >>> HeadParams.from_vector(torch.zeros(2, 413)).expression.shape
            torch.Size([2, 100])
        """
        sizes = [shape, expression, JAW_SIZE, 6, 3, 1]
        if vector.ndim != 2 or vector.shape[1] != sum(sizes):
            raise ValueError(
                f"head parameters have shape {tuple(vector.shape)}; expected (B, {sum(sizes)}): {shape} shape, "
                f"{expression} expression, 3 jaw, 6 rotation, 3 translation, 1 scale."
            )
        return cls(*vector.split(sizes, dim=1))

    def to_vector(self) -> Tensor:
        """Return (B, S + E + 13) numbers, the fields in order."""
        return torch.cat(list(self), dim=1)


class HeadSizes(NamedTuple):
    """Numbers of shape and expression parameters of a head model.

    Example:
        >>> HeadSizes(shape=300, expression=100).total
        413
    """

    shape: int
    expression: int

    @property
    def total(self) -> int:
        """Number of all parameters, jaw and pose included."""
        return self.shape + self.expression + JAW_SIZE + POSE_SIZE


class HeadModel(Part, nn.Module):
    """Head model computed from the asset that a plugin returns.

    A plugin implements `asset`; a constructor of its own stores its arguments and then calls `super().__init__()`.
    The arrays are not part of the state dict: a checkpoint names the head model and never holds it.

    Args:
        shape: number of shape parameters, the first of those that the head has; None for all.
        expression: number of expression parameters, likewise.

    Raises:
        ZooError: the head has fewer parameters.

    Example:
        >>> head = HeadModel.load("open")
        >>> params = torch.zeros(2, head.sizes.total)
        >>> params[:, -10:-7], params[:, -7:-4] = torch.tensor([1.0, 0, 0]), torch.tensor([0, -1.0, 0])
        >>> head.landmarks(head.project(params, image_size=256)).shape
        torch.Size([2, 68, 2])
    """

    read_from_file = True
    """Whether the arrays come from a file; computed arrays may differ in the last bit between machines."""
    template: Tensor
    """(V, 3) metres, without the offset."""
    faces: Tensor
    """(F, 3) indices, counter-clockwise seen from outside."""
    mirror: Tensor
    """(V,) index of each vertex's mirror image; (0,) if the mesh is not symmetric."""
    offset: Tensor
    landmark_corners: Tensor
    landmark_weights: Tensor
    resting: Tensor
    """(3·V,) the template, first all x, then all y, then all z; `directions` (K, 3·V) are in that order."""
    directions: Tensor
    jaw_weights: Tensor
    jaw_rest: Tensor
    jaw_directions: Tensor

    def __init__(self, shape: int | None = None, expression: int | None = None) -> None:
        super().__init__()
        asset = first_directions(self.asset(), shape, expression)
        self.name, self.licence, self.source, self.notes = asset.name, asset.licence, asset.source, asset.notes
        self.sha256 = asset.sha256
        self.sizes = HeadSizes(asset.shape_basis.shape[2], asset.expression_basis.shape[2])
        self.subset_names = sorted(asset.subsets)
        for name, indices in asset.subsets.items():
            self._store_indices(f"subset_{name}", indices)
        self._store("template", asset.template)
        self._store("offset", asset.offset)
        self._store_indices("faces", asset.faces)
        self._store_indices("landmark_corners", asset.faces[asset.landmark_faces])
        self._store("landmark_weights", asset.landmark_weights)
        self._store_indices("mirror", np.arange(0) if asset.mirror is None else asset.mirror)
        self._store_skinning(asset)

    @abstractmethod
    def asset(self) -> HeadAsset:
        """Return the arrays of the head; called once, by the constructor."""

    @staticmethod
    def load(source: str | Path) -> "HeadModel":
        """Load a head model by path or name.

        Args:
            source: a path (`flame.pkl`, `head.safetensors`), a class name (`OpenHead`) or its short form (`open`).

        Raises:
            ZooError: the file cannot be used, there is no head model of that name, or it needs a file.
        """
        text, slot = str(source), get_slot("head_models")
        if text.endswith((".pkl", ".safetensors")):
            return slot.get("FlameHead" if text.endswith(".pkl") else "SavedHead")(path=text)
        short = {name.removesuffix("Head").lower(): name for name in slot.names()}
        head_class = slot.get(short.get(text, text))
        _, *parameters = inspect.signature(head_class.__init__).parameters.values()
        if any(each.default is each.empty for each in parameters):
            raise ZooError(f"the head model '{text}' needs a file: give its path instead, for example flame.pkl.")
        return head_class()

    def complete(self) -> "HeadModel":
        """Return this head with all its parameters, as data are rendered: they do not depend on how many are learnt."""
        arguments = self.spec["init_args"]
        if arguments.get("shape") is None and arguments.get("expression") is None:
            return self
        return build({"class_path": type(self).__name__, "init_args": arguments | {"shape": None, "expression": None}})

    @property
    def vertex_count(self) -> int:
        """V, the number of vertices."""
        return len(self.template)

    def subset(self, name: str) -> Tensor:
        """Return the vertex indices of a subset: `face`, `head`, `face_with_ears`, or another that the head has.

        Raises:
            ValueError: the head has no such subset.
        """
        if name not in self.subset_names:
            raise ValueError(f"the head model '{self.name}' has no subset '{name}'{nearest(name, self.subset_names)}")
        return self.get_buffer(f"subset_{name}")

    def split(self, params: HeadParams | Tensor) -> HeadParams:
        """Return parameters as `HeadParams`: split a (B, sizes.total) tensor, return `HeadParams` unchanged."""
        return params if isinstance(params, HeadParams) else HeadParams.from_vector(params, *self.sizes)

    def vertices(self, params: HeadParams | Tensor, rotated: bool = True) -> Tensor:
        """Return the mesh of each head, the head model's offset included.

        Args:
            params: of B heads.
            rotated: True returns vertices in the image frame, False in the head frame.

        Returns:
            (B, V, 3), metres.
        """
        params = self.split(params)
        vertices = self._skin(params)
        if rotated:
            vertices = matrix_from_6d(params.rotation) @ vertices
        return vertices.mT.contiguous()

    def neutral(self, params: HeadParams | Tensor) -> Tensor:
        """Return each mesh without expression and with closed jaw, in the head frame: (B, V, 3), metres."""
        params = self.split(params)
        neutral = params._replace(expression=torch.zeros_like(params.expression), jaw=torch.zeros_like(params.jaw))
        return self.vertices(neutral, rotated=False)

    def project(self, params: HeadParams | Tensor, image_size: float = 256, unrotated: Tensor | None = None) -> Tensor:
        """Project the vertices into a square image.

        Args:
            params: of B heads.
            image_size: side of the image in pixels.
            unrotated: the output of `vertices(params, rotated=False)`, if already computed.

        Returns:
            (B, V, 2) pixels: x right, y down, (0, 0) the image's top left corner.
        """
        params = self.split(params)
        unrotated = self.vertices(params, rotated=False) if unrotated is None else unrotated
        rotated = matrix_from_6d(params.rotation)[:, :2] @ unrotated.mT  # an orthographic camera needs no depth
        projected = rotated * (params.scale + 1).clamp(min=1e-8)[:, None] + params.translation[:, :2, None]
        return ((projected + 1) / 2 * image_size).mT.contiguous()

    def landmarks(self, points: Tensor) -> Tensor:
        """Return the 68 landmarks of vertices, (B, V, D) → (B, 68, D)."""
        return (points[:, self.landmark_corners] * self.landmark_weights[:, :, None]).sum(2)

    def _store(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.float32)), persistent=False)

    def _store_indices(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.int64)), persistent=False)

    def _store_skinning(self, asset: HeadAsset) -> None:
        """Store skinning for a jaw that alone rotates: vertices are then linear in shape, expression and R − 1."""
        jaw = asset.joints.index("jaw")
        moved = [joint for joint in range(len(asset.joints)) if _descends(joint, jaw, asset.parents)]
        self._store("jaw_weights", asset.weights[:, moved].sum(1))
        directions = np.concatenate([asset.shape_basis, asset.expression_basis], axis=2)
        self._store("jaw_rest", asset.joint_regressor[jaw] @ asset.template)
        self._store("jaw_directions", np.einsum("v,vdk->kd", asset.joint_regressor[jaw], directions))
        if asset.pose_basis is not None:
            corrective = asset.pose_basis[:, :, 9 * (jaw - 1) : 9 * jaw]
            directions = np.concatenate([directions, corrective], axis=2)
        self._store("resting", asset.template.T.ravel())
        self._store("directions", directions.swapaxes(0, 1).reshape(directions.shape[0] * 3, -1).T)
        self._has_corrective = asset.pose_basis is not None

    def _skin(self, params: HeadParams) -> Tensor:
        """Return (B, 3, V) in the head frame; rows of V numbers are much faster than rows of 3."""
        identity = torch.cat([params.shape, params.expression], dim=1)
        jaw = matrix_from_axis_angle(params.jaw) - torch.eye(3, dtype=params.jaw.dtype, device=params.jaw.device)
        weights = torch.cat([identity, jaw.flatten(1)], dim=1) if self._has_corrective else identity
        shaped = torch.addmm(self.resting, weights, self.directions).unflatten(1, (3, -1))
        joint = self.jaw_rest + identity @ self.jaw_directions
        opened = jaw @ (shaped - joint[:, :, None])
        return opened.mul_(self.jaw_weights).add_(shaped).add_(self.offset[:, None])  # in place is safe for gradients


def _descends(joint: int, ancestor: int, parents: np.ndarray) -> bool:
    """Return whether the joint is the ancestor or one of its descendants."""
    while joint >= 0 and joint != ancestor:
        joint = int(parents[joint])
    return joint == ancestor
