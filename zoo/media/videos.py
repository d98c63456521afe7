"""Video files, read and written frame by frame in constant memory.

*Reading* goes by timestamps, never by counting or seeking: a variable frame rate stays variable. Frames come upright
(rotation metadata applied) as RGB. A truncated video yields all its frames first and then raises `VideoEndsEarly`.
*Writing* keeps timestamps and sound. A file gets its name when it is complete, and `NAME.partial.ENDING` when the work
was interrupted. PyAV comes with the `video` extra and is imported on first use.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from uuid import uuid4

import numpy as np

from zoo.core.distributions import install_command
from zoo.media.colour_codes import HDR
from zoo.media.images import MediaError, MediaWarning

EXTENSIONS = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".3gp"}
)
"""File endings of videos, in lower case; upper case counts too."""


WIDE_GAMUTS = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Numbers of the primaries that are not converted."""


class VideoEndsEarly(MediaError):
    """A video holds fewer frames than its header says; raised after all frames that could be read."""


@dataclass(frozen=True)
class Frame:
    """One frame and its timestamp."""

    pixels: np.ndarray
    """(H, W, 3) uint8 RGB, upright."""
    timestamp: int
    """In units of `time_base`, from the start of the file, strictly ascending."""
    time_base: Fraction
    """Seconds."""

    @property
    def seconds(self) -> Fraction:
        """Time at which the frame is shown."""
        return self.timestamp * self.time_base


@dataclass(frozen=True)
class VideoInfo:
    """Size, rate and length of a video."""

    path: Path
    height: int
    """Pixels, upright, as `width`."""
    width: int
    rate: Fraction
    """Frames per second, on average."""
    time_base: Fraction
    """Seconds; the unit of the timestamps."""
    duration: float | None
    """Seconds; None when the file does not say it."""

    @property
    def frame_count(self) -> int | None:
        """Approximate number of frames, for progress bars."""
        return None if self.duration is None else max(1, round(self.duration * self.rate))


def is_video(path: str | Path) -> bool:
    """Return whether the name has the ending of a video."""
    return Path(path).suffix.lower() in EXTENSIONS


def read_video_info(path: str | Path, deinterlace: bool = False) -> VideoInfo:
    """Return size, rate and length of a video; decodes its first frame, which holds the rotation.

    Warns of an interlaced video, unless `deinterlace`, and of colours beyond BT.709.

    Raises:
        MediaError: PyAV is not installed, the file is missing, no frame can be read, or the video is HDR.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        first = next(_decoded(container, stream), None)
        if first is None:
            raise MediaError(
                f"{path} holds no frame that can be decoded; expected a whole video: copy or export it again."
            )
        primaries = stream.codec_context.color_primaries
        if primaries in WIDE_GAMUTS:
            _warn(
                f"{path} has colours of {WIDE_GAMUTS[primaries]}, which are taken as BT.709 and become a little paler."
            )
        if first.interlaced_frame and not deinterlace:
            _warn(f"{path} is interlaced, so that moving edges look like combs; --deinterlace joins the two fields.")
        height, width = upright(np.empty((first.height, first.width), bool), first).shape
        return VideoInfo(path, height, width, _rate(stream), stream.time_base, _announced_seconds(container, stream))


def read_frames(path: str | Path, decoder: str | None = None, deinterlace: bool = False) -> Iterator[Frame]:
    """Yield the frames of a video in display order.

    Args:
        path: the video.
        decoder: kind of device that decodes, such as `cuda`, `vaapi` or `videotoolbox`; None is the CPU.
        deinterlace: join the two fields of each frame.

    Raises:
        MediaError: as `read_video_info`, or no such device, or it cannot decode this video.
        VideoEndsEarly: after the last frame that could be read, when the file is truncated or damaged.
    """
    path = Path(path)
    with open_video(path, decoder) as (container, stream):
        start = _start(container, stream)
        step = max(1, round(1 / (_rate(stream) * stream.time_base)))
        first = last = end = None
        count, damage = 0, ""
        try:
            for decoded in _decoded(container, stream, deinterlace):
                timestamp = _timestamp(decoded, start, last, step)
                first = timestamp if first is None else first
                last, end, count = timestamp, timestamp + (decoded.duration or step), count + 1
                yield Frame(as_rgb(decoded), timestamp, stream.time_base)
        except Exception as error:
            damage = f" ({reason(error)})"
        seconds = 0.0 if first is None or end is None else float((end - first) * stream.time_base)
        announced = _announced_seconds(container, stream)
        if damage or not count or (announced is not None and seconds < announced - _tolerance(container, stream)):
            whole = f" of {announced:.2f} s" if announced is not None else ""
            raise VideoEndsEarly(
                f"{path} ends early{damage}: {count} frames, {seconds:.2f} s{whole}, could be read; "
                "expected a whole video: copy or export it again."
            )


class LoopingVideo:
    """Video as the background of another, repeated when it has finished."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._step = 1 / read_video_info(path).rate
        self._shown = Fraction(0)
        self._current: Frame
        self._next: Frame | None
        self._restart(at=Fraction(0))

    def at(self, seconds: Fraction) -> np.ndarray:
        """Return the frame at a time as (H, W, 3) uint8; times must not decrease."""
        while True:
            if self._next is None:
                end = self._shown + self._step
                if seconds < end:
                    return self._current.pixels
                self._restart(at=end)
            elif self._shown + (self._next.seconds - self._current.seconds) <= seconds:
                self._shown += self._next.seconds - self._current.seconds
                self._current, self._next = self._next, self._read()
            else:
                return self._current.pixels

    def _restart(self, at: Fraction) -> None:
        self._frames = read_frames(self._path)
        self._current = next(self._frames)
        self._next = self._read()
        self._shown = at

    def _read(self) -> Frame | None:
        try:
            return next(self._frames, None)
        except VideoEndsEarly:  # the frames so far suffice
            return None


class VideoWriter:
    """Writer of frames with the timestamps and the sound of the video they were made from.

    H.264 in MP4 (visually lossless, BT.709, 8 bits; odd sides grow by a pixel, which repeats the last one); with
    `transparent`, ProRes 4444 in MOV, which editing programs read with its alpha. All sound tracks are copied, or
    encoded as AAC (mono or stereo) where the container cannot hold them. A context manager: after an error in its
    block, the frames so far are kept as `NAME.partial.ENDING`.

    Args:
        path: ends in `.mp4`, or `.mov` with `transparent`.
        like: the video whose timing and sound are kept.
        transparent: frames have an alpha channel.
    """

    def __init__(self, path: str | Path, like: VideoInfo, transparent: bool = False) -> None:
        self.path = Path(path)
        self._like = like
        self._transparent = transparent
        self._container: Any = None
        self._frames = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = self.path.with_name(f".{self.path.stem}.{uuid4().hex[:8]}{self.path.suffix}")
        self._container = import_av().open(str(self._temporary), "w", container_options={"movflags": "+faststart"})
        self._stream = self._add_video_stream()
        with import_av().open(str(self._like.path), metadata_errors="replace") as source:
            known = [track.codec_context is not None for track in source.streams.audio]
        if not all(known):
            _warn(f"{self._like.path} has sound of an unknown codec, which is left out.")
        tracks = [track for track, readable in enumerate(known) if readable]
        self._sounds = [_Sound(self._like.path, track, self._container) for track in tracks]
        return self

    def write(self, pixels: np.ndarray, frame: Frame) -> None:
        """Add an image at the timestamp of a frame: uint8, (H, W) or (H, W, 3), with `transparent` (H, W, 4)."""
        if pixels.ndim == 2:
            pixels = pixels[:, :, None].repeat(3, axis=2)
        height, width = self._stream.height, self._stream.width
        if pixels.shape[:2] == (self._like.height, self._like.width) != (height, width):
            odd = ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0))
            pixels = np.pad(pixels, odd, mode="edge")
        layout = "rgba" if self._transparent else "rgb24"
        image = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), layout)
        # A stream may change its size in the middle; results then have the first one.
        image = image.reformat(width, height, self._stream.codec_context.pix_fmt, dst_colorspace="ITU709")
        image.pts, image.time_base = frame.timestamp, frame.time_base
        self._container.mux(self._stream.encode(image))
        for sound in self._sounds:
            sound.copy_until(frame.seconds)
        self._frames += 1

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            self._container.mux(self._stream.encode(None))
            for sound in self._sounds:
                if kind is None:
                    sound.copy_until(float("inf"))
                sound.close()
            self._container.close()
            if kind is None:
                os.replace(self._temporary, self.path)
            elif self._frames:
                os.replace(self._temporary, self.path.with_suffix(f".partial{self.path.suffix}"))
        finally:
            self._container.close()
            self._temporary.unlink(missing_ok=True)

    def _add_video_stream(self) -> Any:
        like = self._like
        if self._transparent:
            stream = self._container.add_stream("prores_ks", rate=like.rate, options={"profile": "4444"})
            stream.pix_fmt = "yuva444p10le"
        else:
            # Half the time of the default preset at the same size, for 1.5 dB less, of some 55 dB.
            options = {"preset": "veryfast", "crf": "13"}
            stream = self._container.add_stream("libx264", rate=like.rate, options=options)
            stream.pix_fmt = "yuv420p"  # which all players show, and which needs even sides
        odd = 0 if self._transparent else 1
        stream.height, stream.width = like.height + like.height % 2 * odd, like.width + like.width % 2 * odd
        stream.codec_context.time_base = stream.time_base = like.time_base
        context = stream.codec_context
        # BT.709, so that players show the same colours
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        return stream


class _Sound:
    """One sound track of a video, copied into another step by step in constant memory."""

    def __init__(self, source: Path, number: int, output: Any) -> None:
        self._source = import_av().open(str(source), metadata_errors="replace")
        self._output = output
        self._pending: Any = None
        self._packets: Iterator[Any] = iter(())
        track = self._source.streams.audio[number]
        if track.codec_context.name in output.supported_codecs:
            stream = output.add_stream_from_template(track)
            self._packets = self._copied(track, stream)
        else:
            layout = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
            stream = output.add_stream("aac", rate=track.codec_context.sample_rate, layout=layout)
            self._packets = self._encoded(track, stream)
        stream.metadata.update(track.metadata)  # the language

    def copy_until(self, seconds: Fraction | float) -> None:
        """Write the sound up to this time."""
        while True:
            if self._pending is None:
                self._pending = next(self._packets, None)
            packet = self._pending
            if packet is None or (packet.pts is not None and packet.pts * packet.time_base > seconds):
                return
            with suppress(import_av().error.ArgumentError):  # a packet of a damaged file
                self._output.mux(packet)
            self._pending = None

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _copied(self, track: Any, stream: Any) -> Iterator[Any]:
        start = _start(self._source, track)
        for packet in self._readable(self._source.demux(track)):
            if packet.dts is not None:  # the last, empty one has none
                packet.dts -= start
                packet.pts = None if packet.pts is None else packet.pts - start
                packet.stream = stream
                yield packet

    def _encoded(self, track: Any, stream: Any) -> Iterator[Any]:
        start = _start(self._source, track)
        for frame in self._readable(self._source.decode(track)):
            frame.pts = None if frame.pts is None else frame.pts - start
            yield from stream.encode(frame)
        yield from stream.encode(None)

    @staticmethod
    def _readable(items: Iterator[Any]) -> Iterator[Any]:
        """Yield items up to the first damage, which is reported where the frames are read."""
        try:
            yield from items
        except import_av().error.FFmpegError:
            return


def import_av() -> ModuleType:
    """Return PyAV, or raise a `MediaError` that names the extra."""
    try:
        import av
    except ImportError as error:
        raise MediaError(f"videos need PyAV, which is not installed: {install_command('video')}") from error
    return av


@contextmanager
def open_video(path: Path, decoder: str | None = None) -> Iterator[tuple[Any, Any]]:
    """Open a video: its container and main video stream."""
    av = import_av()
    if not path.is_file():
        raise MediaError(f"there is no file {path}; expected a video: check the path.")
    try:
        with av.open(str(path), hwaccel=decoding_device(path, decoder), metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if stream is None:
                raise MediaError(f"{path} holds no video stream; expected a video: check the path.")
            stream.thread_type = "AUTO"
            transfer = stream.codec_context.color_trc
            if transfer in HDR:
                raise MediaError(
                    f"{path} is a video of high dynamic range, {HDR[transfer]}, whose colours would come out wrong; "
                    "expected standard range: convert it, for example with `ffmpeg -i IN -vf zscale=t=linear:npl=100,"
                    "tonemap=hable,zscale=p=bt709:t=bt709:m=bt709,format=yuv420p -crf 10 OUT.mp4`."
                )
            yield container, stream
    except MediaError:
        raise
    except Exception as error:  # PyAV raises FFmpeg's errors and Python's
        raise MediaError(
            f"{path} cannot be read as a video ({reason(error)}); expected a whole video: copy or export it again."
        ) from error


def decoding_device(path: Path, kind: str | None) -> Any:
    """Return PyAV's decoder of a kind of device; None for the CPU.

    Raises:
        MediaError: there is no device of this kind, or it cannot decode this video.
    """
    if kind is None:
        return None
    av = import_av()
    from av.codec.hwaccel import HWAccel, hwdevices_available

    try:
        device = HWAccel(kind, allow_software_fallback=False)
        av.open(str(path), hwaccel=device).close()
    except (av.error.FFmpegError, RuntimeError) as error:
        raise MediaError(
            f"{path} cannot be decoded by '{kind}' ({error}); expected a device of this machine that takes the video's "
            f"codec, of a kind that this PyAV knows ({', '.join(hwdevices_available())}): without --decoder the CPU "
            "decodes."
        ) from error
    return device


def reason(error: Exception) -> str:
    """Return FFmpeg's or Python's words for an error, in one line.

    Example:
        >>> reason(ValueError("no such format"))
        'no such format'
    """
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def _decoded(container: Any, stream: Any, deinterlace: bool = False) -> Iterator[Any]:
    frames = (frame for packet in container.demux(stream) for frame in packet.decode())
    yield from _deinterlaced(frames, stream) if deinterlace else frames


def _deinterlaced(frames: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yield frames whose two fields are joined by FFmpeg's filter `bwdif`."""
    graph = import_av().filter.Graph()
    source, joining, sink = (
        graph.add_buffer(template=stream),
        graph.add("bwdif", "mode=send_frame"),
        graph.add("buffersink"),
    )
    source.link_to(joining)
    joining.link_to(sink)
    graph.configure()
    for frame in chain(frames, [None]):  # None makes it return the last frames
        graph.push(frame)
        while True:
            try:
                joined = graph.pull()
            except (BlockingIOError, EOFError):
                break
            joined.pts = None if joined.pts is None else round(joined.pts * joined.time_base / stream.time_base)
            joined.time_base = stream.time_base
            yield joined


def _warn(message: str) -> None:
    warnings.warn(message, MediaWarning, stacklevel=4)


def _rate(stream: Any) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _start(container: Any, stream: Any) -> int:
    """Return the file's first timestamp in units of the stream; frames and sound count from it."""
    return round(Fraction(container.start_time or 0, 1_000_000) / stream.time_base)


def _timestamp(decoded: Any, start: int, last: int | None, step: int) -> int:
    """Return a frame's timestamp, after that of the last: writers refuse equal ones, and some frames have none."""
    if decoded.pts is None:
        return 0 if last is None else last + step
    return decoded.pts - start if last is None else max(decoded.pts - start, last + 1)


def _announced_seconds(container: Any, stream: Any) -> float | None:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def _tolerance(container: Any, stream: Any) -> float:
    """Return how many seconds a video may lack; the length of a whole file may be that of its sound."""
    longer_sound = not stream.duration and container.streams.audio
    return max(3 / float(_rate(stream)), 1.0 if longer_sound else 0.1)


def upright(pixels: np.ndarray, decoded: Any) -> np.ndarray:
    """Rotate pixels by the frame's rotation metadata."""
    return np.rot90(pixels, round(decoded.rotation / 90))  # both count anticlockwise


def as_rgb(decoded: Any) -> np.ndarray:
    """Return (H, W, 3) uint8, upright; an unnamed colour matrix is the one that players assume for the size."""
    unnamed = decoded.colorspace == 2
    matrix = ("ITU709" if decoded.height >= 720 else "ITU601") if unnamed else None
    rgb = decoded.reformat(format="rgb24", src_colorspace=matrix)
    return np.ascontiguousarray(upright(rgb.to_ndarray(), decoded))
