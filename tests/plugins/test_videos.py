"""VideoMattes on real, tiny clips."""

import pickle
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from zoo_plugins.datasets.videos import VideoMattes

from zoo.matting.parts import Matte
from zoo.media.images import MediaError, write_image
from zoo.media.videos import read_frames

SIZE = 32


def write_clip(path: Path, frames: int, seed: int, grey: bool, size: int = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "4", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for _ in range(frames):
            coarse = random.integers(0, 256, (4, 4, 1 if grey else 3), np.uint8)
            pixels = np.broadcast_to(coarse, (4, 4, 3)).repeat(size // 4, 0).repeat(size // 4, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def backgrounds(tmp_path: Path) -> str:
    write_image(tmp_path / "places/room.png", np.zeros((8, 8, 3), np.uint8))
    return str(tmp_path / "places")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, (name, frames) in enumerate({"anna/0001": 10, "ben": 3}.items()):
        write_clip(tmp_path / f"train/fgr/{name}.mp4", frames, number, grey=False)
        write_clip(tmp_path / f"train/pha/{name}.mp4", frames, 10 + number, grey=True)
    return tmp_path / "train"


def in_order(path: Path) -> list[torch.Tensor]:
    return [torch.from_numpy(frame.pixels).permute(2, 0, 1) for frame in read_frames(path)]


def test_every_frame_equals_the_one_read_in_order(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds)
    foregrounds = in_order(root / "fgr/anna/0001.mp4") + in_order(root / "fgr/ben.mp4")
    alphas = in_order(root / "pha/anna/0001.mp4") + in_order(root / "pha/ben.mp4")
    assert len(dataset) == len(foregrounds) == 13
    for index in [*range(13), 12, 0, 7, 3, 11, 4]:
        foreground, alpha, _ = dataset.matte(index)
        assert torch.equal(foreground, foregrounds[index]), index
        assert alpha.shape == (1, SIZE, SIZE)
        assert (alpha.float() - alphas[index].float().mean(0, keepdim=True)).abs().max() < 3, index


def test_names_tell_clip_and_frame(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds)
    assert dataset.matte(9).name == "anna/0001/00009"
    assert dataset.matte(10).name == "ben/00000"
    with pytest.raises(IndexError):
        dataset.matte(13)


def test_stride_takes_every_third_frame_of_each_clip(root: Path, backgrounds: str) -> None:
    every, third = VideoMattes(str(root), backgrounds), VideoMattes(str(root), backgrounds, stride=3)
    assert [third.matte(index).name for index in range(len(third))] == [
        "anna/0001/00000",
        "anna/0001/00003",
        "anna/0001/00006",
        "anna/0001/00009",
        "ben/00000",
    ]
    assert torch.equal(third.matte(2).foreground, every.matte(6).foreground)
    with pytest.raises(ValueError, match=r"stride=0.*expected a whole number from 1 on"):
        VideoMattes(str(root), backgrounds, stride=0)


def test_backgrounds_are_pictures(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds)
    assert dataset.background_count == 1
    assert dataset.background(0).shape == (3, 8, 8)


class Foregrounds(Dataset):
    def __init__(self, mattes: VideoMattes) -> None:
        self.mattes = mattes

    def __len__(self) -> int:
        return len(self.mattes)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.mattes.matte(index).foreground


def test_workers_read_what_the_main_process_reads(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds)
    expected = [dataset.matte(index).foreground for index in range(len(dataset))]  # leaves a clip open before the fork
    dataset.matte(4)
    loaded = list(DataLoader(Foregrounds(dataset), batch_size=None, num_workers=2))
    assert all(torch.equal(*both) for both in zip(loaded, expected, strict=True))
    assert torch.equal(dataset.matte(5).foreground, expected[5])


def test_a_dataset_in_use_can_be_pickled(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds)
    matte: Matte = dataset.matte(1)
    assert torch.equal(pickle.loads(pickle.dumps(dataset)).matte(1).alpha, matte.alpha)


def test_clips_of_different_length(root: Path, backgrounds: str) -> None:
    write_clip(root / "pha/ben.mp4", 5, 0, grey=True)
    with pytest.raises(MediaError, match=r"fgr/ben.mp4 has 3 frames but .*pha/ben.mp4 has 5; .*remove the clip"):
        len(VideoMattes(str(root), backgrounds))


def test_clips_of_different_size(root: Path, backgrounds: str) -> None:
    write_clip(root / "pha/ben.mp4", 3, 0, grey=True, size=2 * SIZE)
    dataset = VideoMattes(str(root), backgrounds)
    with pytest.raises(MediaError, match=r"fgr/ben.mp4 is 32×32 but .*pha/ben.mp4 is 64×64"):
        dataset.matte(12)


def test_names_are_compared_when_the_dataset_is_made(root: Path, backgrounds: str) -> None:
    (root / "pha/ben.mp4").unlink()
    with pytest.raises(MediaError, match=r"1 foreground without alpha \(ben\)"):
        VideoMattes(str(root), backgrounds)


def test_damaged_clip_is_named(root: Path, backgrounds: str) -> None:
    (root / "fgr/ben.mp4").write_bytes(b"no video at all")
    with pytest.raises(MediaError, match=r"fgr/ben.mp4 .*expected a whole video"):
        len(VideoMattes(str(root), backgrounds))


def test_without_pyav_the_extra_is_named(root: Path, backgrounds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match=r"PyAV.*pip install 'av>="):
        len(VideoMattes(str(root), backgrounds))


def test_fingerprints_tell_the_frame(root: Path, backgrounds: str) -> None:
    dataset = VideoMattes(str(root), backgrounds, stride=2)
    fingerprints = [dataset.fingerprint(index) for index in range(len(dataset))]
    assert len(set(fingerprints)) == len(dataset)
    assert fingerprints[1].startswith("frame 2 of\n")
    with pytest.raises(IndexError):
        dataset.fingerprint(len(dataset))
