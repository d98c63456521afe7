"""The contract of head models."""

from functools import cached_property

import torch
from torch import Tensor

from zoo.heads.mesh import HeadModel
from zoo.heads.rotation import FRONTAL, matrix_to_6d
from zoo.testing.networks import Inputs, NetworkPartContract, check_close, check_shape


class HeadModelContract(NetworkPartContract):
    """What a head model promises: an asset that is always the same, and a mesh that is computed from it.

    The arrays themselves are checked when the asset is made, and the computing is the base class's; this is about what
    the plugin gives to it, and what the plugin may have replaced.
    """

    slot = "head_models"
    sizes = ((256, 256),)
    trains = False
    exported = False

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (0.3 * torch.randn(batch, self.count),)

    @cached_property
    def count(self) -> int:
        """How many parameters the head model has."""
        return self.make().sizes.total

    def compute(self, part: HeadModel, inputs: Inputs) -> Inputs:
        (params,) = inputs
        return part.vertices(params), part.project(params)

    def test_the_asset_is_always_the_same(self) -> None:
        one, other = self.make(), self.make()
        assert one.asset().sha256 == other.sha256 == one.sha256, (
            f"{self.name()}.asset gives the same arrays every time."
        )
        for what, text in (("licence", one.licence), ("source", one.source)):
            assert text.strip(), f"{self.name()} says its {what}."

    def test_its_arrays_are_no_part_of_a_checkpoint(self) -> None:
        saved = list(self.make().state_dict())
        assert not saved, (
            f"{self.name()}'s arrays are not saved with a model, which names the head instead; got {saved}."
        )

    def test_meshes_and_landmarks(self) -> None:
        part = self.prepare()
        (params,) = self.seeded_inputs(2)
        with torch.no_grad():
            vertices, projected = self.compute(part, (params,))
            landmarks = part.landmarks(projected)
        check_shape(vertices, (2, part.vertex_count, 3), f"{self.name()}.vertices gives each head's vertices")
        check_shape(projected, (2, part.vertex_count, 2), f"{self.name()}.project gives their places in the picture")
        check_shape(landmarks, (2, 68, 2), f"{self.name()}.landmarks gives the 68 of them")

    def test_without_parameters_it_is_the_template(self) -> None:
        part = self.prepare()
        neutral = torch.zeros(1, part.sizes.total, dtype=torch.float64)
        neutral[:, -10:-4] = matrix_to_6d(torch.tensor(FRONTAL)).double()
        (expected,) = (part.template + part.offset)[None]
        got = part.vertices(neutral, rotated=False)[0]
        check_close([expected], [got], f"{self.name()} without shape and expression is its template, at its offset")

    def test_every_parameter_moves_the_mesh(self) -> None:
        part = self.prepare()
        params = self.seeded_inputs(1)[0].requires_grad_()
        vertices = part.vertices(params)
        (vertices * torch.linspace(-1, 1, vertices.numel()).view_as(vertices)).sum().backward()
        gradient: Tensor = params.grad  # type: ignore[assignment]
        assert gradient.isfinite().all(), f"{self.name()}'s gradients are finite."
        still = (gradient[0, : part.sizes.shape + part.sizes.expression] == 0).sum().item()
        assert not still, f"every shape and expression parameter of {self.name()} moves vertices; {still} move none."
