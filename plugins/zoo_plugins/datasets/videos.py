"""A dataset of videos: pairs of files, foreground and alpha, each frame a matte.

A *clip* is a pair of video files of one name. Index i of the dataset counts through the frames of one clip after the
other.
"""

import os
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track

from zoo.matting.folders import find_pairs, fingerprint, index_clips, require_same_size
from zoo.matting.parts import Matte
from zoo.media.frame_index import FrameIndex, FrameReader, find_videos
from zoo.media.images import to_tensor
from zoo_plugins.datasets.folders import BackgroundFolder

PROGRESS_FROM = 20  # smallest number of clips whose indexing shows a progress bar


class VideoMattes(BackgroundFolder):
    """Foregrounds and alphas as videos in two folders, the layout in which VideoMatte240K is distributed.

    `fgr/0001.mp4` belongs to `pha/0001.mp4`, frame by frame. Needs PyAV (extra `video`). The
    clips' frames are counted when the dataset is first used, which reads each file once and decodes nothing.

    Args:
        root: the folder that holds the two, such as `VideoMatte240K/train`.
        backgrounds: a folder of images, searched with its subfolders; its whole path, since it is often not in
            `root`.
        foregrounds: the foregrounds' folder in `root` (an absolute path works too).
        alphas: the alphas' folder in `root` (an absolute path works too).
        stride: take every `stride`-th frame of a clip, the first one included.

    Raises:
        MediaError: a folder is missing or empty, or the names of foregrounds and alphas do not match; on use, PyAV is
            missing, a clip is damaged, or its two files differ in length or size.
        ValueError: `stride` is below 1.

    Example:
        >>> VideoMattes("nowhere", ".")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        zoo.media.errors.MediaError: nowhere is not a folder; expected one with fgr/ and pha/ in it: check the path.
    """

    def __init__(
        self, root: str, backgrounds: str, foregrounds: str = "fgr", alphas: str = "pha", stride: int = 1
    ) -> None:
        super().__init__(backgrounds)
        if stride < 1:
            raise ValueError(f"VideoMattes(stride={stride}): expected a whole number from 1 on (1 takes every frame).")
        self._pairs = find_pairs(Path(root), foregrounds, alphas, find_videos)
        self._stride = stride
        self._open: dict[int, _OpenClip] = {}

    def __len__(self) -> int:
        return self._ends[-1]

    def matte(self, index: int) -> Matte:
        clip, frame = self._locate(index)
        foregrounds, alphas = self._readers(clip)
        foreground, alpha = foregrounds.read(frame, "RGB"), alphas.read(frame, "L")
        pair = self._pairs[clip]
        require_same_size(pair, foreground, alpha)
        return Matte(to_tensor(foreground, scale=False), to_tensor(alpha, scale=False), f"{pair.name}/{frame:05d}")

    def fingerprint(self, index: int) -> str:
        clip, frame = self._locate(index)
        return f"frame {frame} of\n{fingerprint(*self._pairs[clip][1:])}"

    def _locate(self, index: int) -> tuple[int, int]:
        """Return the numbers of the clip and of its frame."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        clip = bisect_right(self._ends, index)
        return clip, (index - (self._ends[clip - 1] if clip else 0)) * self._stride

    @cached_property
    def _clips(self) -> list[tuple[FrameIndex, FrameIndex]]:
        silent = len(self._pairs) < PROGRESS_FROM
        console = Console(stderr=True)
        pairs = track(self._pairs, "Counting frames", console=console, transient=True, disable=silent)
        return [index_clips(pair) for pair in pairs]

    @cached_property
    def _ends(self) -> list[int]:
        """For each clip, the dataset's index after its last frame."""
        return list(accumulate(len(foreground.timestamps[:: self._stride]) for foreground, _ in self._clips))

    def _readers(self, clip: int) -> tuple[FrameReader, FrameReader]:
        """Return the clip's two readers, which stay open for the next frame.

        One clip a process: a fork shares the positions in the files. It must neither use the inherited readers nor
        release them, since closing waits for threads that only the parent has.
        """
        process = os.getpid()
        if process not in self._open or self._open[process].clip != clip:
            pair, (foregrounds, alphas) = self._pairs[clip], self._clips[clip]
            readers = FrameReader(pair.foreground, foregrounds), FrameReader(pair.alpha, alphas)
            self._open[process] = _OpenClip(clip, *readers)
        return self._open[process].foregrounds, self._open[process].alphas

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


class _OpenClip(NamedTuple):
    clip: int
    foregrounds: FrameReader
    alphas: FrameReader
