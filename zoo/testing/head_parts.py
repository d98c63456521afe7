"""Contracts of the parts of head networks: fusions, landmark branches, detectors, head models."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zoo.heads.mesh import HeadModel
from zoo.heads.parts import LANDMARKS, Fusion, LandmarkBranch
from zoo.heads.rotation import FRONTAL, matrix_to_6d
from zoo.testing.networks import Inputs, NetworkPartContract, check_close, check_shape
from zoo.testing.parts import PartContract


class FusionContract(NetworkPartContract):
    """Contract tests of a fusion: a pyramid of the backbone's features, and merged features of c4's shape.

    Example:
        >>> from zoo_plugins.fusions import ConcatFusion
        >>> class TestConcatFusion(FusionContract):
        ...     def make(self): return ConcatFusion(channels=8)
        >>> TestConcatFusion().test_works_without_heatmaps()
    """

    slot = "fusions"
    channels: Sequence[int] = (6, 10, 18)
    """Channels of c2, c3 and c4."""
    heatmaps = LANDMARKS
    """Number of heatmaps; one test tries none."""
    sizes = ((64, 64), (32, 32), (96, 96))
    """Sizes of the crops, multiples of 32."""

    def build(self, part: Fusion) -> None:
        part.build(self.channels, self.heatmaps)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        side = size[0]
        features = [
            torch.rand(batch, count, side // stride, side // stride)
            for count, stride in zip(self.channels, (4, 8, 16), strict=True)
        ]
        heatmaps = [torch.randn(batch, self.heatmaps, side // 4, side // 4)] if self.heatmaps else []
        return (*features, *heatmaps)

    def compute(self, part: Fusion, inputs: Inputs) -> Inputs:
        pyramid = part.pyramid(*inputs[:3])
        return (*pyramid, part.merge(inputs[2], pyramid, inputs[3] if len(inputs) > 3 else None))

    def test_a_pyramid_and_merged_features_of_crops_of_any_size(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            c2, c3, c4, *heatmaps = self.seeded_inputs(2, size)
            *pyramid, merged = self.evaluate(part, (c2, c3, c4, *heatmaps))
            assert len(pyramid) >= 3 or not part.fuses, (
                f"{self.name()}'s pyramid has strides 4, 8 and 16; got {len(pyramid)} levels."
            )
            for level, feature in zip(pyramid, (c2, c3, c4), strict=False):
                promise = f"{self.name()}'s pyramid has pyramid_channels={part.pyramid_channels} at the features' sizes"
                check_shape(level, (2, part.pyramid_channels, *feature.shape[2:]), promise)
            check_shape(merged, tuple(c4.shape), f"{self.name()}.merge gives features of c4's shape")

    def test_works_without_heatmaps(self) -> None:
        self.heatmaps = 0
        self.test_a_pyramid_and_merged_features_of_crops_of_any_size()
        self.test_every_parameter_gets_a_gradient()

    def test_gradients_reach_features_and_heatmaps(self) -> None:
        part, inputs = self.prepare().train(), tuple(value.requires_grad_() for value in self.seeded_inputs(4))
        merged = self.compute(part, inputs)[-1]
        if not part.fuses:
            assert torch.equal(merged, inputs[2]), f"{self.name()} says fuses=False, and its merge changes c4."
            return
        (merged * torch.linspace(-1, 1, merged.numel()).view_as(merged)).sum().backward()
        named = zip(("c2", "c3", "c4", "heatmaps"), inputs, strict=True)
        lacking = ", ".join(name for name, value in named if value.grad is None or not value.grad.any())
        assert not lacking, f"the result of {self.name()}.merge depends on {lacking} too; no gradient came there."


class DetectorContract(PartContract):
    """Contract tests of a detector: boxes within the image with scores, the surest first, the image left as it was.

    Example:
        >>> from zoo_plugins.detectors import FrontalCascade
        >>> class TestFrontalCascade(DetectorContract):
        ...     def make(self): return FrontalCascade()
        >>> TestFrontalCascade().test_an_image_without_structure_shows_no_head()
    """

    slot = "detectors"

    def image(self) -> np.ndarray:
        """Return an image with at least one head, (H, W, 3) uint8; override it for another kind of image."""
        from skimage.data import astronaut

        return astronaut()

    def test_boxes_lie_in_the_image_and_the_surest_comes_first(self) -> None:
        image = self.image()
        before = image.copy()
        found = self.make().find(image)
        assert np.array_equal(image, before), f"{self.name()}.find leaves the image as it is."
        assert found, f"{self.name()} finds the head in the image that `image` returns."
        height, width = image.shape[:2]
        for head in found:
            x, y, w, h = head.box
            inside = x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= width + 1e-3 and y + h <= height + 1e-3
            assert inside, f"{self.name()} gives boxes within the image; got {head.box} in {width}×{height}."
            assert 0 <= head.score <= 1, f"{self.name()} gives scores from 0 to 1; got {head.score}."
        scores = [head.score for head in found]
        assert scores == sorted(scores, reverse=True), f"{self.name()} gives the surest head first; got {scores}."

    def test_an_image_without_structure_shows_no_head(self) -> None:
        found = self.make().find(np.full((120, 200, 3), 128, np.uint8))
        assert found == [], f"{self.name()} gives an empty list for a grey image; got {found}."


class LandmarkBranchContract(NetworkPartContract):
    """Contract tests of a landmark branch: heatmaps and points of the 68 landmarks, as it declares.

    Example:
        >>> from zoo_plugins.landmark_branches import PointLandmarks
        >>> class TestPointLandmarks(LandmarkBranchContract):
        ...     def make(self): return PointLandmarks()
        >>> TestPointLandmarks().test_finds_what_it_says()
    """

    slot = "landmark_branches"
    pyramid_channels = 12
    last_channels = 20
    sizes = ((64, 64), (32, 32), (96, 96))
    """Sizes of the crops, multiples of 32."""

    def build(self, part: LandmarkBranch) -> None:
        part.build(self.pyramid_channels, self.last_channels)

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        side = size[0]
        pyramid = [torch.rand(batch, self.pyramid_channels, side // stride, side // stride) for stride in (4, 8, 16)]
        return (*pyramid, torch.rand(batch, self.last_channels, side // 32, side // 32))

    def compute(self, part: LandmarkBranch, inputs: Inputs) -> Inputs:
        *pyramid, last = inputs
        results = part.heatmaps(list(pyramid)), part.points(last)
        # Exported programs need a result, also for a branch without any.
        return tuple(value for value in results if value is not None) or (last,)

    def test_finds_what_it_says(self) -> None:
        part = self.prepare()
        for size in self.sizes:
            *pyramid, last = self.seeded_inputs(2, size)
            with torch.no_grad():
                heatmaps, points = part.heatmaps(pyramid), part.points(last)
            assert part.heatmap_count in (0, LANDMARKS), (
                f"{self.name()}.heatmap_count is 0 or {LANDMARKS}; it is {part.heatmap_count}."
            )
            if part.heatmap_count:
                expected = (2, part.heatmap_count, size[0] // 4, size[1] // 4)
                check_shape(heatmaps, expected, f"{self.name()} says that it gives heatmaps, logits at stride 4")
            else:
                assert heatmaps is None, f"{self.name()} says that it gives no heatmaps; got {type(heatmaps).__name__}."
            if part.gives_points:
                check_shape(points, (2, LANDMARKS, 2), f"{self.name()} says that it gives points")
            else:
                assert points is None, f"{self.name()} says that it gives no points; got {type(points).__name__}."


class HeadModelContract(NetworkPartContract):
    """Contract tests of a head model: an asset that is always the same, and a mesh that depends on all parameters.

    The asset checks its arrays itself, and the base class computes; the tests cover what a plugin provides or replaces.

    Example:
        >>> from zoo_plugins.head_models import ProceduralHead
        >>> class TestProceduralHead(HeadModelContract):
        ...     def make(self): return ProceduralHead()
        >>> TestProceduralHead().test_its_arrays_are_no_part_of_a_checkpoint()
    """

    slot = "head_models"
    sizes = ((256, 256),)
    trains = False
    exported = False

    def inputs(self, batch: int, size: tuple[int, int]) -> Inputs:
        return (0.3 * torch.randn(batch, self.count),)

    @cached_property
    def count(self) -> int:
        """Number of parameters of the head model."""
        return self.make().sizes.total

    def compute(self, part: HeadModel, inputs: Inputs) -> Inputs:
        (params,) = inputs
        return part.vertices(params), part.project(params)

    def test_the_asset_is_always_the_same(self) -> None:
        one, other = self.make(), self.make()
        same = one.asset().sha256 == other.asset().sha256 and one.sha256 == other.sha256
        assert same, f"{self.name()}.asset gives the same arrays every time."
        for field, text in (("licence", one.licence), ("source", one.source)):
            assert text.strip(), f"{self.name()} states its {field}."

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
        check_shape(projected, (2, part.vertex_count, 2), f"{self.name()}.project gives their positions in the image")
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
