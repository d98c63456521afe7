"""What is measured of loading: batches equal what they are beside, and official code leaves nothing behind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import data
from benchmarks.cases import difference
from benchmarks.data_references import check_checkout, checkout_digest, load_official

AUGMENTATION = '''
"""Takes the steps that the official code is asked for, and only brings pictures to their size."""


class PairCompose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, *pictures):
        for transform in self.transforms:
            pictures = transform(*pictures)
        return pictures


class PairRandomAffineAndResize:
    def __init__(self, size, degrees, translate, scale, shear):
        self.size = size

    def __call__(self, *pictures):
        return [picture.resize(self.size) for picture in pictures]


class RandomAffineAndResize(PairRandomAffineAndResize):
    def __call__(self, picture):
        return picture.resize(self.size)


class PairRandomHorizontalFlip:
    def __init__(self, *arguments):
        self.arguments = arguments

    def __call__(self, *pictures):
        return pictures


class PairRandomBoxBlur(PairRandomHorizontalFlip):
    pass


class PairRandomSharpen(PairRandomHorizontalFlip):
    pass


class RandomBoxBlur(PairRandomHorizontalFlip):
    def __call__(self, picture):
        return picture


class RandomSharpen(RandomBoxBlur):
    pass


class PairApply:
    def __init__(self, transform):
        self.transform = transform

    def __call__(self, *pictures):
        return [self.transform(picture) for picture in pictures]


class PairApplyOnlyAtIndices(PairRandomHorizontalFlip):
    pass
'''

IMAGES = """
from pathlib import Path

from PIL import Image


class ImagesDataset:
    def __init__(self, root, mode="RGB", transforms=None):
        self.files, self.mode, self.transforms = sorted(Path(root).iterdir()), mode, transforms

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        picture = Image.open(self.files[index]).convert(self.mode)
        return self.transforms(picture) if self.transforms else picture
"""

ZIP = """
class ZipDataset:
    def __init__(self, datasets, transforms=None, assert_equal_length=False):
        self.datasets, self.transforms = datasets, transforms

    def __len__(self):
        return len(self.datasets[0])

    def __getitem__(self, index):
        samples = tuple(dataset[index] for dataset in self.datasets)
        return self.transforms(*samples) if self.transforms else samples
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "BackgroundMattingV2" / "dataset"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('wants OpenCV')\n")
    for name, source in (("augmentation", AUGMENTATION), ("images", IMAGES), ("zip", ZIP)):
        (package / f"{name}.py").write_text(source)
    return package.parent


def test_quick_runs_everything_beside_the_official_loader(
    bench: Callable[..., Any], checkout: Path, tmp_path: Path
) -> None:
    path = tmp_path / "data.json"
    done = bench("data", "--quick", "--repeats", 1, "--against", checkout, "--json", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [case["name"] for case in record["cases"]] == [
        "reading",
        "loading, the official loader's steps",
        "loading, nothing augmented",
        "loading, all steps",
        "loading, nothing augmented, cut-outs kept",
        "heads, kept",
    ]
    assert all(case["equal"] and case["ratio"] for case in record["cases"])
    assert record["official"] == checkout_digest(checkout)


def test_our_own_steps_serve_without_a_checkout() -> None:
    found = []
    for case in data.cases(quick=True):
        found.append(case.name)
        if case.name != "reading":
            break
        assert case.plain is not None
        assert difference(case.fast(), case.plain()) == 0
    assert found == ["reading", "loading, all steps"]


def test_batches_are_augmented_and_not_alike(tmp_path: Path) -> None:
    data.write_files(tmp_path, 32, different=2, copies=1)
    loading = data.matting_data(tmp_path, 32, 2, data.recipe())
    loading.workers = 0
    raw = next(iter(loading.train_dataloader()))
    done = loading.augmenter(0)(raw)
    assert raw.alpha.dtype == torch.uint8
    assert done.source.shape == (2, 3, 32, 32)
    assert done.source.is_floating_point()
    assert (done.source - done.background).abs().max() > 0.1
    assert 0.01 < done.alpha.mean() < 0.99


def test_official_modules_leave_nothing_behind(checkout: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    official = load_official(checkout)
    assert official.images.ImagesDataset.__name__ == "ImagesDataset"
    assert set(sys.modules) == before
    assert sys.path == path
    assert len(list((checkout / "dataset").iterdir())) == 4


def test_a_checkout_is_known_by_its_code(checkout: Path, tmp_path: Path) -> None:
    before = checkout_digest(checkout)
    assert checkout_digest(checkout) == before
    (checkout / "dataset/zip.py").write_text(ZIP + "\n")
    assert checkout_digest(checkout) != before
    with pytest.raises(ValueError, match=r"--against .*: expected a checkout of the official BackgroundMattingV2"):
        check_checkout(tmp_path)
