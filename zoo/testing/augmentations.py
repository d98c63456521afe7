"""Contracts of augmentations, one for each task."""

from abc import abstractmethod
from typing import Any, ClassVar, get_args, get_type_hints

import torch
from torch import Tensor

from zoo.core.parts import Augmentation
from zoo.core.seeding import RandomStream
from zoo.heads.parts import HeadAugmentation, HeadBatch
from zoo.heads.rotation import matrix_from_euler
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo.testing.losses import load_head_model
from zoo.testing.networks import check_close, check_equal
from zoo.testing.parts import PartContract, run_seed


class AugmentationContract(PartContract):
    """Contract tests of an augmentation: each sample has its own random numbers, nothing is changed in place."""

    slot = "augmentations"
    images: ClassVar[tuple[str, ...]]
    """Fields with values in [0, 1]."""
    sizes: ClassVar[tuple[tuple[int, int], ...]]
    """Heights and widths of the test images."""

    @abstractmethod
    def random_batch(self, seeds: list[int], size: tuple[int, int]) -> Any:
        """Return a batch in which each sample depends on its seed alone."""

    def build(self, step: Any) -> None:
        """Prepare the augmentation as the data module does before the first call."""

    def prepare(self) -> Augmentation:
        """Return the augmentation, ready to be called."""
        step = self.make()
        self.build(step)
        return step

    def augment(self, step: Augmentation, batch: Any) -> Any:
        """Return the augmented batch."""
        with torch.no_grad():
            return step(batch, RandomStream(batch.seed, "contract"))

    def test_images_of_any_size_keep_size_and_range(self) -> None:
        step = self.prepare()
        for size in self.sizes:
            for seeds in ([1], [1, 2, 3]):
                batch = self.random_batch(seeds, size)
                after = self.augment(step, batch)
                assert type(after) is type(batch), f"{self.name()} gives a {type(batch).__name__}; got {type(after)}."
                for field, value in tensors(batch).items():
                    got = getattr(after, field)
                    assert got.shape == value.shape and got.dtype == value.dtype, (  # noqa: PT018
                        f"{self.name()} keeps shape and type of {field}, {tuple(value.shape)} {value.dtype}; got "
                        f"{tuple(got.shape)} {got.dtype}."
                    )
                    assert got.isfinite().all(), f"{self.name()} gives finite numbers in {field}."
                for field in self.images:
                    low, high = getattr(after, field).aminmax()
                    assert -1e-5 <= low <= high <= 1 + 1e-5, (
                        f"{self.name()} keeps {field} in [0, 1]; got {low:.3g} to {high:.3g}."
                    )

    def test_changes_nothing_in_place(self) -> None:
        step, batch = self.prepare(), self.random_batch(list(range(8)), self.sizes[0])
        before = {field: value.clone() for field, value in tensors(batch).items()}
        after = self.augment(step, batch)
        for field, value in before.items():
            check_equal([value], [getattr(batch, field)], f"{self.name()} changes nothing in place, but {field} did")
        same = {field: value for field, value in batch._asdict().items() if not isinstance(value, Tensor)}
        for field, value in same.items():
            assert getattr(after, field) == value, f"{self.name()} keeps {field}; got {getattr(after, field)!r}."
        assert torch.equal(after.seed, batch.seed), f"{self.name()} keeps the samples' seeds."

    def test_a_sample_s_fate_is_its_own(self) -> None:
        step, seeds = self.prepare(), list(range(6))
        together = tensors(self.augment(step, self.random_batch(seeds, self.sizes[0])))
        for index in (0, 3, 5):
            alone = tensors(self.augment(step, self.random_batch([seeds[index]], self.sizes[0])))
            for field, value in alone.items():
                promise = f"{self.name()} changes a sample alike in whatever batch it is ({field})"
                check_close([value], [together[field][index : index + 1]], promise, tolerance=1e-3)

    def test_the_draws_decide_and_nothing_else(self) -> None:
        step, batch = self.prepare(), self.random_batch(list(range(8)), self.sizes[0])
        results = []
        for seed in (1, 2):
            with run_seed(seed):
                results.append(tensors(self.augment(step, batch)))
        for field, value in results[0].items():
            promise = f"{self.name()} draws from `random` alone, never from a global stream ({field})"
            check_equal([value], [results[1][field]], promise)


class MattingAugmentationContract(AugmentationContract):
    """Contract tests of an augmentation of background matting.

    Example:
        >>> from zoo_plugins.augmentations.geometry import HorizontalFlip
        >>> class TestHorizontalFlip(MattingAugmentationContract):
        ...     def make(self): return HorizontalFlip("foreground")
        >>> TestHorizontalFlip().test_changes_nothing_in_place()
    """

    images = ("source", "background", "alpha", "foreground", "hint")
    sizes = ((32, 40), (33, 47), (8, 8))

    def test_says_when_it_runs(self) -> None:
        phases = get_args(get_type_hints(MattingAugmentation)["phase"])
        phase = getattr(self.make(), "phase", None)
        assert phase in phases, f"{self.name()}.phase is one of {', '.join(phases)}; got {phase!r}."

    def random_batch(self, seeds: list[int], size: tuple[int, int]) -> MattingBatch:
        random = RandomStream(seeds, "pictures")
        background, alpha, foreground, hint = (random.normal(channels, *size).sigmoid() for channels in (3, 1, 3, 1))
        source = alpha * foreground + (1 - alpha) * background
        names = [str(seed) for seed in seeds]
        seed = torch.tensor(seeds)
        return MattingBatch(source, background, alpha, foreground, name=names, seed=seed, hint=hint)


class HeadAugmentationContract(AugmentationContract):
    """Contract tests of an augmentation of 3D heads: image and ground truth change together.

    Example:
        >>> from zoo_plugins.augmentations.heads import HeadFlip
        >>> class TestHeadFlip(HeadAugmentationContract):
        ...     def make(self): return HeadFlip()
        >>> TestHeadFlip().test_arguments_are_explicit_and_typed()
    """

    images = ("image",)
    sizes = ((64, 64), (32, 32), (47, 47))
    head_model = "ProceduralHead"
    """Registered name of the head model of the data."""

    def build(self, step: Any) -> None:
        if isinstance(step, HeadAugmentation):
            step.build(load_head_model(self.head_model))

    def random_batch(self, seeds: list[int], size: tuple[int, int]) -> HeadBatch:
        head, side, random = load_head_model(self.head_model), size[0], RandomStream(seeds, "heads")
        vertices = head.template + head.offset + 0.002 * random.normal(head.vertex_count, 3)
        rotation = matrix_from_euler(torch.stack([random.uniform(-40, 40) for _ in range(3)], dim=1))
        projected = side * (0.5 + 2.5 * (vertices @ rotation.mT)[..., :2])
        landmarks = head.landmarks(projected) / side
        corner, end = projected.amin(1), projected.amax(1)
        return HeadBatch(
            image=random.normal(3, side, side).sigmoid(),
            vertices=vertices,
            projected=projected,
            landmarks=landmarks,
            visible=((landmarks > 0) & (landmarks < 1)).all(-1).float(),
            rotation=rotation,
            box=torch.cat([corner, end - corner], dim=1),
            attributes=[{"pose": "front"} for _ in seeds],
            neutral=vertices + 0.001,
            name=[str(seed) for seed in seeds],
            seed=torch.tensor(seeds),
        )

    def test_vertices_rotation_and_places_still_belong_together(self) -> None:
        batch = self.random_batch(list(range(6)), self.sizes[0])
        after = self.augment(self.prepare(), batch)
        determinants = torch.linalg.det(after.rotation)
        check_close([torch.ones(6)], [determinants], f"{self.name()} keeps rotations, of determinant 1", tolerance=1e-4)
        # The projection of an orthographic camera: the rotated vertices up to scale and translation.
        rotated = (after.vertices @ after.rotation.mT)[..., :2]
        rotated = rotated - rotated.mean(1, keepdim=True)
        projected = after.projected - after.projected.mean(1, keepdim=True)
        scale = (rotated * projected).sum((1, 2)) / rotated.square().sum((1, 2))
        promise = f"{self.name()} changes vertices, rotation and their places in the image alike"
        check_close([scale.view(-1, 1, 1) * rotated], [projected], promise, tolerance=0.01)
        landmarks = load_head_model(self.head_model).landmarks(after.projected) / after.image.shape[-1]
        promise = f"{self.name()} moves landmarks with the vertices"
        check_close([landmarks], [after.landmarks], promise, tolerance=0.01)


def tensors(batch: Any) -> dict[str, Tensor]:
    """Return the tensors of a batch by field.

    Example:
        >>> list(tensors(MattingBatch(*torch.rand(4, 1, 3, 8, 8), name=["one"])))
        ['source', 'background', 'alpha', 'foreground']
    """
    return {field: value for field, value in batch._asdict().items() if isinstance(value, Tensor)}
