"""Contracts of datasets, one for each task."""

import pickle
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.core.parts import SampleSource
from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadDataset, HeadPicture
from zoo.matting.parts import Matte, MattingDataset
from zoo.testing.losses import load_head_model
from zoo.testing.networks import check_close, check_equal
from zoo.testing.parts import PartContract, run_seed


class DatasetContract(PartContract):
    """Contract tests of a dataset: the same sample for an index in every order, copy and process."""

    slot = "datasets"

    @abstractmethod
    def sample(self, dataset: Any, index: int) -> Sequence[Any]:
        """Return the sample of an index."""

    def build(self, dataset: Any) -> None:
        """Prepare the dataset as the data module does."""

    def prepare(self) -> Any:
        """Return the dataset, ready for use."""
        dataset = self.make()
        self.build(dataset)
        return dataset

    def indices(self, dataset: SampleSource) -> list[int]:
        """Return the first and the last index, and one between."""
        count = len(dataset)
        return sorted({0, count // 2, count - 1})

    def test_has_samples(self) -> None:
        dataset = self.prepare()
        count = len(dataset)
        assert type(count) is int and count > 0, f"{self.name()} has at least one sample; got {count!r}."  # noqa: PT018
        assert isinstance(dataset.synthetic, bool), f"{self.name()}.synthetic says whether its images are synthetic."

    def test_a_sample_is_the_same_whenever_it_is_asked_for(self) -> None:
        dataset, other = self.prepare(), self.prepare()
        with run_seed(1):
            first = {index: self.sample(dataset, index) for index in self.indices(dataset)}
        with run_seed(2):
            copied = pickle.loads(pickle.dumps(dataset))  # as a worker process receives it
            for again, origin in ((dataset, "again"), (other, "of another instance"), (copied, "of a copy")):
                for index in reversed(first):
                    self.check_same(first[index], self.sample(again, index), f"sample {index} asked for {origin}")

    def test_asking_leaves_global_streams_alone(self) -> None:
        dataset = self.prepare()
        with run_seed(1):
            before = torch.get_rng_state()
            self.sample(dataset, 0)
            same = torch.equal(before, torch.get_rng_state())
        assert same, f"{self.name()} draws from streams of its own, never from torch's global one."

    def check_same(self, expected: Sequence[Any], got: Sequence[Any], what: str) -> None:
        """Raise AssertionError unless two samples are equal."""
        for one, other in zip(expected, got, strict=True):
            if isinstance(one, Tensor):
                check_equal([one], [other], f"{self.name()} gives the same for an index: {what}")
            else:
                assert one == other, f"{self.name()} gives the same for an index: {what} has {other!r}, not {one!r}."


class MattingDatasetContract(DatasetContract):
    """Contract tests of a dataset of background matting.

    Example:
        >>> from zoo_plugins.datasets.synthetic import SyntheticMattes
        >>> class TestSyntheticMattes(MattingDatasetContract):
        ...     def make(self): return SyntheticMattes(count=1, size=32)
        >>> TestSyntheticMattes().test_has_samples()
    """

    def sample(self, dataset: MattingDataset, index: int) -> Sequence[Any]:
        count = dataset.background_count
        return (*dataset.matte(index), *([dataset.background(index % count)] if count else []))

    def test_mattes(self) -> None:
        dataset = self.prepare()
        names = []
        for index in self.indices(dataset):
            matte = dataset.matte(index)
            assert isinstance(matte, Matte), f"{self.name()}.matte gives a Matte; got {type(matte).__name__}."
            check_image(matte.foreground, 3, f"{self.name()}'s foreground {index}")
            check_image(matte.alpha, 1, f"{self.name()}'s alpha {index}")
            assert matte.foreground.shape[1:] == matte.alpha.shape[1:], (
                f"{self.name()}'s foreground and alpha have one size; got {tuple(matte.foreground.shape[1:])} and "
                f"{tuple(matte.alpha.shape[1:])}."
            )
            assert isinstance(matte.name, str), f"{self.name()} names its samples; got {matte.name!r}."
            names.append(matte.name)
        assert len(set(names)) == len(names), f"{self.name()} gives each sample a name of its own; got {names}."

    def test_fingerprints(self) -> None:
        dataset = self.prepare()
        fingerprints = [dataset.fingerprint(index) for index in self.indices(dataset)]
        again = [self.prepare().fingerprint(index) for index in self.indices(dataset)]
        of_files = [fingerprint for fingerprint in fingerprints if fingerprint is not None]
        assert fingerprints == again, (
            f"{self.name()}.fingerprint gives the same while no file changes; got {fingerprints}, then {again}."
        )
        assert len(of_files) in (0, len(fingerprints)), (
            f"{self.name()} reads all of its samples from files, or none; got the fingerprints {fingerprints}."
        )
        assert len(set(of_files)) == len(of_files), (
            f"{self.name()}.fingerprint tells one sample from another; got {fingerprints}."
        )

    def test_backgrounds(self) -> None:
        dataset = self.prepare()
        count = dataset.background_count
        assert type(count) is int, f"{self.name()} has a number of backgrounds; got {count!r}."
        assert count >= (0 if dataset.finished else 1), f"{self.name()} has at least one background; got {count!r}."
        for index in sorted({0, count - 1}) if count else []:
            check_image(dataset.background(index), 3, f"{self.name()}'s background {index}")


class HeadDatasetContract(DatasetContract):
    """Contract tests of a dataset of 3D heads.

    Example:
        >>> from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
        >>> class TestSyntheticHeads(HeadDatasetContract):
        ...     def make(self): return SyntheticHeads(count=1, size=32)
        >>> TestSyntheticHeads().test_survives_pickle_and_deepcopy()
    """

    head_model = "ProceduralHead"
    """Registered name of the head model of the data."""

    def build(self, dataset: HeadDataset) -> None:
        dataset.build(load_head_model(self.head_model))

    def sample(self, dataset: HeadDataset, index: int) -> Sequence[Any]:
        return dataset.picture(index)

    def test_pictures(self) -> None:
        dataset = self.prepare()
        head: HeadModel = load_head_model(self.head_model)
        for index in self.indices(dataset):
            picture = dataset.picture(index)
            assert isinstance(picture, HeadPicture), f"{self.name()}.picture gives a HeadPicture; got {type(picture)}."
            check_image(picture.image, 3, f"{self.name()}'s image {index}")
            count = head.vertex_count
            expected = {"box": (4,), "vertices": (count, 3), "projected": (count, 2), "rotation": (3, 3)}
            if dataset.gives_neutral:
                expected["neutral"] = (count, 3)
            else:
                assert picture.neutral is None, f"{self.name()}.gives_neutral is False, but sample {index} has one."
            for field, shape in expected.items():
                value = getattr(picture, field)
                assert isinstance(value, Tensor) and tuple(value.shape) == shape, (  # noqa: PT018
                    f"{self.name()}'s {field} {index} has shape {shape} for the head model {head.name}; got "
                    f"{tuple(value.shape) if isinstance(value, Tensor) else value!r}."
                )
                assert value.isfinite().all(), f"{self.name()}'s {field} {index} is finite."
            rotation = picture.rotation.double()
            promise = f"{self.name()}'s rotation {index} is a rotation"
            check_close([torch.eye(3).double()], [rotation @ rotation.mT], promise, tolerance=1e-4)
            assert torch.linalg.det(rotation) > 0, f"{promise}, no mirror image."
            assert (picture.box[2:] > 0).all(), f"{self.name()}'s box {index} has a size; got {picture.box.tolist()}."


def check_image(image: Any, channels: int, what: str) -> None:
    """Raise AssertionError unless the value is an image: (channels, H, W), bytes or floats in [0, 1].

    Example:
        >>> check_image(torch.rand(3, 8, 8), 3, "the first image")
    """
    got = f"{tuple(image.shape)} {image.dtype}" if isinstance(image, Tensor) else type(image).__name__
    assert isinstance(image, Tensor) and image.ndim == 3 and image.shape[0] == channels, (  # noqa: PT018
        f"{what} is a tensor ({channels}, H, W); got {got}."
    )
    assert image.dtype == torch.uint8 or image.is_floating_point(), f"{what} holds bytes or floats; got {got}."
    if image.is_floating_point():
        low, high = image.aminmax()
        assert low >= 0 and high <= 1, f"{what} lies in [0, 1]; got {low:.3g} to {high:.3g}."  # noqa: PT018
