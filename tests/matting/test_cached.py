"""Cut-outs kept on disk: the same as decoded ones, as few as asked for, and never out of date."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo_plugins.datasets.folders import CutoutFolder, MatteFolder

from zoo.matting.cached import CachedMattes
from zoo.matting.data import TrainingSamples, TrainingStage
from zoo.matting.parts import Matte, MattingDataset
from zoo.media.images import MediaError, write_image
from zoo.training.sampling import SampleKey

CANVAS = 16


def write_pair(root: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 20, 4), np.uint8)
    write_image(root / f"fgr/{name}.png", pixels[..., :3])
    write_image(root / f"pha/{name}.png", pixels[..., 3])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        write_pair(tmp_path / "train", f"{number}", number)
    write_image(tmp_path / "bgr/room.png", np.zeros((CANVAS, CANVAS, 3), np.uint8))
    return tmp_path / "train"


class Watched(MatteFolder):
    """Counts how often a cut-out is decoded."""

    def matte(self, index: int) -> Matte:
        self.decoded = getattr(self, "decoded", 0) + 1
        return super().matte(index)


def folder(root: Path) -> Watched:
    return Watched(str(root), str(root.parent / "bgr"))


def kept_files(root: Path) -> list[Path]:
    return sorted((root.parent / "cache").rglob("*.npz"))


def equal(first: Matte, second: Matte) -> bool:
    return all(torch.equal(*pair) for pair in zip(first[:2], second[:2], strict=True)) and first.name == second.name


def test_what_is_kept_is_what_is_decoded_and_decoded_once(root: Path) -> None:
    decoded = CachedMattes(folder(root), CANVAS)
    dataset = folder(root)
    for _ in range(2):  # written, then read
        again = CachedMattes(dataset, CANVAS, count=3)
        assert all(equal(again.matte(index), decoded.matte(index)) for index in range(3))
    assert dataset.decoded == 3
    assert decoded.matte(0).foreground.shape == (3, CANVAS, CANVAS)


def test_no_more_are_kept_than_asked_for(root: Path) -> None:
    dataset = folder(root)
    mattes = CachedMattes(dataset, CANVAS, count=2)
    for index in (0, 1, 2, 0, 1, 2):
        mattes.matte(index)
    assert dataset.decoded == 4
    assert [file.name for file in kept_files(root)] == ["000000.npz", "000001.npz"]
    CachedMattes(folder(root), CANVAS).matte(0)
    assert len(kept_files(root)) == 2


def test_a_changed_file_is_decoded_anew_and_replaces_the_old_one(root: Path) -> None:
    before = CachedMattes(folder(root), CANVAS, count=3).matte(1)
    write_pair(root, "1", seed=9)
    after = CachedMattes(folder(root), CANVAS, count=3).matte(1)
    assert not torch.equal(after.foreground, before.foreground)
    assert equal(after, CachedMattes(folder(root), CANVAS).matte(1))
    alpha = root / "pha/1.png"
    os.utime(alpha, ns=(1, 1))  # touched alone: nobody knows what it was for
    dataset = folder(root)
    CachedMattes(dataset, CANVAS, count=3).matte(1)
    assert dataset.decoded == 1
    assert len(kept_files(root)) == 1


def test_another_file_before_it_does_not_shift_what_is_kept(root: Path) -> None:
    mattes = CachedMattes(folder(root), CANVAS, count=4)
    for index in range(3):
        mattes.matte(index)
    write_pair(root, "-", seed=8)  # sorts first
    kept, decoded = (CachedMattes(folder(root), CANVAS, count) for count in (4, 0))
    assert [kept.matte(index).name for index in range(4)] == ["-", "0", "1", "2"]
    assert all(equal(kept.matte(index), decoded.matte(index)) for index in range(4))


def test_another_canvas_is_kept_by_itself(root: Path) -> None:
    CachedMattes(folder(root), CANVAS, count=1).matte(0)
    assert CachedMattes(folder(root), 2 * CANVAS, count=1).matte(0).alpha.shape == (1, 32, 32)
    assert len(kept_files(root)) == 2


def test_a_damaged_file_is_decoded_anew(root: Path) -> None:
    expected = CachedMattes(folder(root), CANVAS, count=1).matte(0)
    (file,) = kept_files(root)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert equal(CachedMattes(folder(root), CANVAS, count=1).matte(0), expected)
    file.write_bytes(b"")
    assert equal(CachedMattes(folder(root), CANVAS, count=1).matte(0), expected)


def test_deep_alphas_stay_deep(root: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((12, 20), 12345, np.uint16)).save(root / "pha/0.png")
    for _ in range(2):
        alpha = CachedMattes(folder(root), CANVAS, count=1).matte(0).alpha
        assert alpha.dtype == torch.float32
        assert float(alpha.max()) == pytest.approx(12345 / 65535)


def test_training_samples_are_the_same_with_and_without(root: Path) -> None:
    stages = [TrainingStage(folder(root), CANVAS, keep=keep) for keep in (2, 2, 0)]
    samples = [TrainingSamples(stage.dataset, stage.canvas, 0, stage.keep) for stage in stages]
    for index in range(3):
        first, *others = (each[SampleKey(1, index)] for each in samples)
        for other in others:
            assert all(torch.equal(*pair) for pair in zip(first[:4], other[:4], strict=True))
            assert first.name == other.name


def test_a_missing_file_is_one_sentence(root: Path) -> None:
    mattes = CachedMattes(folder(root), CANVAS, count=3)
    (root / "pha/1.png").unlink()
    with pytest.raises(MediaError, match=r"there is no file .*pha/1\.png; expected a picture"):
        mattes.matte(1)


def test_cut_outs_with_transparency_are_kept_too(root: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "cutouts/a.png", np.random.default_rng(0).integers(0, 256, (9, 9, 4), np.uint8))
    dataset = CutoutFolder(str(tmp_path / "cutouts"), str(tmp_path / "bgr"))
    assert equal(CachedMattes(dataset, CANVAS, count=1).matte(0), CachedMattes(dataset, CANVAS).matte(0))
    assert len(kept_files(root)) == 1


class Drawn(MattingDataset):
    """Comes from no file."""

    background_count = 1

    def __len__(self) -> int:
        return 1

    def matte(self, index: int) -> Matte:
        return Matte(torch.zeros(3, 4, 4), torch.zeros(1, 4, 4), "drawn")

    def background(self, index: int) -> torch.Tensor:
        return torch.zeros(3, 4, 4)


def test_what_comes_from_no_file_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match=r"keep=5, but Drawn says of no file .* set keep to 0"):
        CachedMattes(Drawn(), CANVAS, count=5)
    with pytest.raises(ValueError, match="keep=-1: expected 0 or a number of cut-outs"):
        TrainingStage(Drawn(), CANVAS, keep=-1)
