"""Cases of video: decoding, network and encoding, each alone, then all three at once, as `zoo matte` runs them.

The plain code of the last case runs them one after another.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.cases import Case
from benchmarks.matting import SETTINGS, matting_network, pictures, smaller
from zoo.matting.fast import FastMatting
from zoo.matting.inference import Matting, matte_files
from zoo.matting.matte_files import MatteFiles
from zoo.matting.parts import MattingOutput
from zoo.measure.timing import time_interleaved
from zoo.media.images import read_image, to_tensor, to_uint8, write_image
from zoo.media.videos import Frame, VideoWriter, import_av, read_frames, read_video_info

FRAMES = 100
"""An encoder reads some forty frames ahead, so most of a short clip is encoded after its last frame."""
MAX_SLOWDOWN = 1.15
"""Target: all stages together, relative to the slowest stage alone."""


class Clip(NamedTuple):
    """A video on disk, its background and the model."""

    video: Path
    background: Path
    model: FastMatting


def cases(quick: bool = False) -> Iterator[Case]:
    """Yield every case; `quick` makes them small and without a target, to see that they run."""
    frames = 5 if quick else FRAMES
    network, setting = matting_network(smaller(SETTINGS[0]) if quick else SETTINGS[0])
    what = f"MobileNetV2, {setting}, alpha alone"
    with tempfile.TemporaryDirectory() as folder:
        clip = Clip(*write_clip(Path(folder), setting.size, frames), FastMatting(network, foreground=False))
        stages = stages_alone(clip)
        for name, stage in stages.items():
            yield Case(name, what, stage, count=frames)
        together = partial(at_once, clip), partial(one_after_another, clip)
        slowest = max(timing.median for timing in time_interleaved(list(stages.values()), 1)) / frames
        case = Case("all at the same time", what, *together, count=frames, within=MAX_SLOWDOWN * slowest)
        yield replace(case, within=None) if quick else case


def write_clip(folder: Path, size: tuple[int, int], frames: int) -> tuple[Path, Path]:
    """Write a synthetic video from a camera that trembles, and an image of its background; return both paths."""
    source, background = (to_uint8(picture[0]) for picture in pictures(size))
    av = import_av()
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(source, number % 3, 1), "rgb24")))
        container.mux(stream.encode(None))
    return path, write_image(folder / "background.png", background)


def stages_alone(clip: Clip) -> dict[str, Callable[[], np.ndarray]]:
    """Return functions by name that each run one stage on all frames of the clip."""
    frames = list(read_frames(clip.video))  # decoded once: the other stages do not wait for it
    background = read_image(clip.background)
    matting = Matting(clip.model)
    outputs = [matting(frame.pixels, background) for frame in frames[:2]]

    def decoding() -> np.ndarray:
        return np.array([frame.timestamp for frame in read_frames(clip.video)])

    def network() -> np.ndarray:
        return np.array([float(matting(frame.pixels, background).alpha[0, 0, 0, 0]) for frame in frames])

    def encoding() -> np.ndarray:
        return encoded(clip, "alone", ((outputs[number % 2], frame) for number, frame in enumerate(frames)))

    return {"decoding": decoding, "network": network, "rendering and encoding": encoding}


def at_once(clip: Clip) -> np.ndarray:
    """Return the bytes of the video of alphas that `zoo matte` writes."""
    results = MatteFiles(clip.video.parent / "at once", ["alpha"])
    (path,) = matte_files(clip.model, clip.video, clip.background, results, progress=False)
    return read_bytes(path)


def one_after_another(clip: Clip) -> np.ndarray:
    """Return the bytes of the same video, with each frame decoded, matted and encoded before the next."""
    background = to_tensor(read_image(clip.background))[None]

    def outputs() -> Iterator[tuple[MattingOutput, Frame]]:
        for frame in read_frames(clip.video):
            source = to_tensor(frame.pixels)[None]
            yield clip.model(source, background), frame

    return encoded(clip, "one after another", outputs())


def encoded(clip: Clip, folder: str, outputs: Iterator[tuple[MattingOutput, Frame]]) -> np.ndarray:
    """Write the alphas as a video and return its bytes."""
    results = MatteFiles(clip.video.parent / folder, ["alpha"])
    path = results.targets(clip.video.stem, video=True)["alpha"]
    with VideoWriter(path, read_video_info(clip.video)) as writer:
        for output, frame in outputs:
            writer.write(results.image("alpha", output), frame)
    return read_bytes(path)


def read_bytes(path: Path) -> np.ndarray:
    """Return the bytes of a file."""
    return np.fromfile(path, np.uint8)
