"""Random access to the frames of a video.

Only some packets of a video, the *keyframes*, can be decoded by themselves. The *frame index* lists the timestamps of
all frames in display order, read from the packets without decoding. To read a frame, seek to the last keyframe at or
before its timestamp and decode until that timestamp: wrong frame rates, missing frame counts and variable rates do not
matter.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from zoo.media.folders import find_files
from zoo.media.images import MediaError
from zoo.media.videos import EXTENSIONS, as_rgb, open_video, reason, upright

INDEXED = frozenset({"mp4", "matroska", "avi"})
"""Containers (MP4 and MOV, MKV and WebM, AVI) whose packets hold the timestamp of each frame."""


class FrameIndex(NamedTuple):
    """Timestamps and keyframes of one video."""

    timestamps: tuple[int, ...]
    """One per frame, ascending, in the units of the video stream."""
    keyframes: tuple[int, ...]
    """Numbers of the frames that can be decoded by themselves, ascending."""


def find_videos(folder: str | Path) -> list[Path]:
    """Return the videos in a folder and its subfolders, sorted by path, without hidden ones.

    Raises:
        MediaError: the folder is missing or holds no video.
    """
    return find_files(Path(folder), EXTENSIONS, "video")


def index_frames(path: str | Path) -> FrameIndex:
    """Return the frame index of a video; reads the file once and decodes nothing.

    Raises:
        MediaError: the file is missing, no video, in a container without exact timestamps, or truncated.
    """
    path = Path(path)
    keyframe_of: dict[int, bool] = {}
    packets = 0
    try:
        with open_video(path) as (container, stream):
            containers = INDEXED.intersection(container.format.name.split(","))
            if not containers or ("avi" in containers and stream.codec_context.has_b_frames):
                raise _without_timestamps(path, container.format.long_name)
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                packets += 1
                if packet.is_discard:  # an edit list hides this frame from viewers
                    continue
                if packet.pts is None or packet.pts in keyframe_of:
                    raise _without_timestamps(path, container.format.long_name)
                keyframe_of[packet.pts] = packet.is_keyframe
            announced = stream.frames if "mp4" in containers else 0  # exact in MP4 only
    except MediaError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    if not keyframe_of or packets < announced:
        raise MediaError(
            f"{path} ends early: it holds {packets} of {announced or 'its'} frames; expected a whole video: "
            "copy or export it again."
        )
    timestamps = tuple(sorted(keyframe_of))
    return FrameIndex(timestamps, tuple(number for number, stamp in enumerate(timestamps) if keyframe_of[stamp]))


class FrameReader:
    """Reader of one video's frames in any order; only frames other than the next one need a seek.

    A context manager, or call `close`. Not for several threads at once, nor on both sides of a fork.

    Raises:
        MediaError: the file is missing or cannot be opened.
    """

    def __init__(self, path: str | Path, index: FrameIndex) -> None:
        self.path = Path(path)
        self.index = index
        self._opened = open_video(self.path)
        self._container, self._stream = self._opened.__enter__()
        # Data workers already run in parallel, and a fork would lose the decoder's threads.
        self._stream.codec_context.thread_count = 1
        self._frames: Iterator[Any] = iter(())
        self._last: int | None = None

    def read(self, number: int, mode: Literal["RGB", "L"] = "RGB") -> np.ndarray:
        """Return frame `number`, 0 ≤ number < the index's length, upright: uint8, (H, W, 3) or (H, W).

        Raises:
            MediaError: the frame cannot be decoded.
        """
        try:
            frame = self._frame(number)
        except Exception as error:
            raise _damaged(self.path, error) from error
        if frame is None:
            raise MediaError(
                f"frame {number} of {self.path} cannot be decoded; expected {len(self.index.timestamps)} whole frames: "
                "copy or export the video again."
            )
        return as_rgb(frame) if mode == "RGB" else upright(frame.to_ndarray(format="gray"), frame)

    def close(self) -> None:
        """Close the file."""
        self._frames = iter(())
        self._opened.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _frame(self, number: int) -> Any:
        timestamp = self.index.timestamps[number]
        sequential = self._continues_to(number)
        self._last = None  # after an error, the next read seeks
        if sequential:
            frame = self._decode_until(timestamp)
        else:
            frame = self._decode_from(self._keyframe_before(number), timestamp)
            if frame is None:  # some containers seek to a keyframe that is too late
                frame = self._decode_from(0, timestamp)
        self._last = None if frame is None else number
        return frame

    def _continues_to(self, number: int) -> bool:
        """Return whether decoding on from the last frame is no slower than seeking."""
        if self._last is None or number <= self._last:
            return False
        return number == self._last + 1 or self._keyframe_before(number) <= self._last

    def _keyframe_before(self, number: int) -> int:
        position = bisect_right(self.index.keyframes, number)
        return self.index.keyframes[position - 1] if position else 0

    def _decode_from(self, keyframe: int, timestamp: int) -> Any:
        self._container.seek(self.index.timestamps[keyframe], stream=self._stream)
        self._frames = self._container.decode(self._stream)
        return self._decode_until(timestamp)

    def _decode_until(self, timestamp: int) -> Any:
        """Return the frame with this timestamp, or None when decoding starts or passes behind it."""
        for frame in self._frames:
            if frame.pts is not None and frame.pts >= timestamp:
                return frame if frame.pts == timestamp else None
        return None


def _without_timestamps(path: Path, container: str) -> MediaError:
    return MediaError(
        f"{path} ({container}) does not tell exactly when each frame is shown; expected MP4, MOV, MKV or WebM: "
        f"convert it, for example with `ffmpeg -i {path.name} -crf 10 {path.stem}.mp4`."
    )


def _damaged(path: Path, error: Exception) -> MediaError:
    return MediaError(
        f"{path} is truncated or damaged ({reason(error)}); expected a whole video: copy or export it again."
    )
