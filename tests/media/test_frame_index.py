"""Any frame of a video equals the one that reading in order gives."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from zoo.media.frame_index import FrameReader, find_videos, index_frames
from zoo.media.images import MediaError
from zoo.media.videos import read_frames

FRAMES = 20


def write_video(path: Path, codec: str = "libx264", uneven: bool = False, **options: Any) -> Path:
    """Twenty frames that all differ, with keyframes every eight and frames stored out of order in between."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=25, options={"g": "8", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if uneven:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(FRAMES):
            pixels = np.full((48, 64, 3), number * 12, np.uint8)
            pixels[:, : number + 1] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if uneven:
                frame.pts, frame.time_base = number * number + 40 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("reordered.mp4", {"bf": "3"}),
        ("open.mp4", {"bf": "3", "x264-params": "open-gop=1"}),
        ("uneven.mp4", {"bf": "3", "uneven": True}),
        ("a.mkv", {"bf": "3"}),
        ("a.avi", {"codec": "mpeg4"}),
    ],
)
def test_frames_in_any_order_equal_frames_in_order(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    path = write_video(tmp_path / name, **arguments)
    expected = [frame.pixels for frame in read_frames(path)]
    order = [*range(FRAMES), *random.Random(0).choices(range(FRAMES), k=40), 3, 5, 5, 4]
    with FrameReader(path, index_frames(path)) as reader:
        assert len(expected) == len(reader.index.timestamps) == FRAMES
        for number in order:
            assert np.array_equal(reader.read(number), expected[number]), number


def test_grey_frames_cover_the_whole_range(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", qp="0")
    with FrameReader(path, index_frames(path)) as reader:
        grey = reader.read(2, "L")
    assert grey.shape == (48, 64)
    assert grey[10, 0] == 255
    assert abs(int(grey[10, 40]) - 24) <= 1


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_cut_video_says_how_many_frames_are_left(tmp_path: Path, share: float) -> None:
    path = write_video(tmp_path / "a.mp4", qp="0")
    whole = path.read_bytes()
    header = whole.index(b"mdat")
    path.write_bytes(whole[: header + round((len(whole) - header) * share)])
    with pytest.raises(
        MediaError, match=rf"a.mp4 ends early: it holds \d+ of {FRAMES} frames.* copy or export it again"
    ):
        index_frames(path)


def test_file_that_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(MediaError, match=r"a.mp4 cannot be read as a video .*expected a whole video"):
        index_frames(path)


def test_container_without_exact_timestamps_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts")
    with pytest.raises(MediaError, match=r"a.ts .*expected MP4, MOV, MKV or WebM: convert it"):
        index_frames(path)


def test_frame_that_the_file_does_not_hold(tmp_path: Path) -> None:
    long, path = write_video(tmp_path / "long.mp4"), write_video(tmp_path / "uneven.mp4", uneven=True)
    with (
        FrameReader(path, index_frames(long)) as reader,
        pytest.raises(MediaError, match=r"frame 19 of .* cannot be decoded"),
    ):
        reader.read(19)


def test_videos_are_found_in_subfolders(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("b.mp4", "more/a.MOV", ".hidden.mp4", "text.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_videos(tmp_path)] == ["b.mp4", "a.MOV"]
    with pytest.raises(MediaError, match="nowhere is not a folder"):
        find_videos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="empty holds no video"):
        find_videos(tmp_path / "empty")
