"""Files and images made of a network's output: matte, colours, cut-out, composite, expected error, refined patches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from zoo.core.errors import ZooError
from zoo.matting.compose import composite
from zoo.matting.parts import PATCH, MattingOutput, resize
from zoo.media.exr import import_openexr, to_linear, to_srgb
from zoo.media.images import EXR, cover, read_image, to_tensor, to_uint8, write_image
from zoo.media.run import ResultFiles
from zoo.media.videos import Frame, LoopingVideo, VideoInfo, VideoWriter, is_video

KINDS = ("alpha", "foreground", "rgba", "composite", "error", "refined")
"""Kinds of results: matte, straight colours, both in one file, foreground over a new background, error that the network
expects, patches that it refined."""

FORMATS = ("png", "png16", "exr")
"""Formats of images: PNG of 8 or 16 bits, and EXR."""

DEFAULT_NEW_BACKGROUND = "#78ff9b"
"""A light green that no skin or hair has."""


class MatteFiles(ResultFiles):
    """Files that mattes are saved as.

    Args:
        folder: created when missing; files of the same name are replaced. A name such as `out.png` is one file.
        save: some of `KINDS`; None takes alpha and composite, for one file the cut-out or, in MP4 or with a new
            background, the composite.
        new_background: background of composites, which it adds to `save`: an image, a colour (`#00ff00`, `green`) or,
            for videos, a video, which is repeated. Images and videos of another size are scaled to cover the source.
        frames: save each frame of a video as a lossless image, `FOLDER/KIND/NAME/000000.png`.
        format: one of `FORMATS`, of images and frames; None takes `exr` for a file of that ending, otherwise `png`.

    Raises:
        ZooError: unknown kind, a file where the folder should be, a new background that is neither a file nor a
            colour, or EXR without the package that writes it.

    Example:
        >>> MatteFiles("out", ["alpha"], new_background="green").targets("me")["composite"].as_posix()
        'out/composite/me.png'
    """

    video_endings = dict.fromkeys(KINDS, ".mp4") | {"rgba": ".mov"}
    default = video_default = ("alpha", "composite")

    def __init__(
        self,
        folder: str | Path,
        save: Sequence[str] | None = None,
        new_background: str | Path | None = None,
        frames: bool = False,
        format: Literal["png", "png16", "exr"] | None = None,
    ) -> None:
        self.format = format or ("exr" if Path(folder).suffix.lower() == EXR else "png")
        if self.format == "exr":
            import_openexr()
        self.endings = dict.fromkeys(KINDS, EXR if self.format == "exr" else ".png")
        super().__init__(folder, save)
        if save is None:
            composites = new_background is not None or self.folder.suffix.lower() == ".mp4"
            save = self.default if self.file is None else ["composite" if composites else "rgba"]
        chosen = {*save, "composite"} if new_background is not None else {*save}
        self.save: tuple[str, ...] = tuple(kind for kind in KINDS if kind in chosen)
        self.new_background = NewBackground(DEFAULT_NEW_BACKGROUND if new_background is None else new_background)
        self.frames = frames
        if frames:
            self.video_endings = dict.fromkeys(KINDS, "")

    def targets(self, name: str, video: bool = False) -> dict[str, Path]:
        if video and not self.frames and self.format != "png":
            raise ZooError(f"a video cannot be written as {self.format}; expected --frames, which writes its frames.")
        return super().targets(name, video)

    @property
    def linear(self) -> bool:
        """Whether results are composited in linear light."""
        return self.format == "exr"

    @property
    def need_foreground(self) -> bool:
        """Whether a kind shows the foreground's colours; otherwise the model may leave them out."""
        return bool({"foreground", "rgba", "composite"} & {*self.save})

    def image(self, kind: str, output: MattingOutput, seconds: Fraction = Fraction(0)) -> np.ndarray:
        """Return one kind of result of the batch's first image, uint8 (H, W), (H, W, 3) or (H, W, 4)."""
        return to_uint8(self._rendered(kind, output, seconds))

    def write(self, kind: str, path: Path, output: MattingOutput, seconds: Fraction = Fraction(0)) -> None:
        """Write one kind of result of an image."""
        write_image(path, self._rendered(kind, output, seconds), 16 if self.format == "png16" else 8)

    def _rendered(self, kind: str, output: MattingOutput, seconds: Fraction) -> Tensor:
        background = self.new_background.at(seconds, output.alpha) if kind == "composite" else None
        return render(output, kind, background, self.linear)

    @contextmanager
    def frame_writer(self, kind: str, path: Path, info: VideoInfo) -> Iterator[Callable[[int, Frame, Any], None]]:
        """Write one kind of result of a video, see `zoo.media.run.FrameWriter`."""
        if self.frames:
            yield lambda number, frame, output: self.write(
                kind, path / f"{number:06d}{self.endings[kind]}", output, frame.seconds
            )
            return
        with VideoWriter(path, info, transparent=kind == "rgba") as video:
            yield lambda number, frame, output: video.write(self.image(kind, output, frame.seconds), frame)


class NewBackground:
    """Background of composites: a colour, an image or a video. Constant ones are prepared once.

    Raises:
        ZooError: neither a file nor a colour.

    Example:
        >>> NewBackground("#ff0000").at(0, torch.zeros(1, 1, 4, 4)).flatten()
        tensor([1., 0., 0.])
    """

    def __init__(self, source: str | Path) -> None:
        self._image: Tensor | None = None
        self._video: LoopingVideo | None = None
        self._prepared: Tensor | None = None
        if Path(source).is_file():
            if is_video(source):
                self._video = LoopingVideo(source)
            else:
                self._image = to_tensor(to_uint8(read_image(source)), scale=False)
            return
        try:
            colour = ImageColor.getrgb(str(source))[:3]
        except ValueError as error:
            raise ZooError(
                f"the new background '{source}' is neither a file nor a colour; expected an image, a video or a colour "
                "such as green or '#00ff00'."
            ) from error
        self._image = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)

    @property
    def moves(self) -> bool:
        """Whether it is a video."""
        return self._video is not None

    def at(self, seconds: Fraction | int, like: Tensor) -> Tensor:
        """Return (1, 3, H, W), or (1, 3, 1, 1) for a colour, with the size and on the device of `like`."""
        if self._video is not None:
            image = to_tensor(self._video.at(Fraction(seconds)), scale=False)
        elif self._prepared is not None and self._prepared.shape[-2:] in ((1, 1), like.shape[-2:]):
            return self._prepared
        else:
            assert self._image is not None
            image = self._image
        if image.shape[-2:] != (1, 1):
            image = cover(image, like.shape[-2], like.shape[-1], "bicubic")
        self._prepared = image.to(like.device).float()[None] / 255
        return self._prepared


def render(output: MattingOutput, kind: str, new_background: Tensor | None = None, linear: bool = False) -> Tensor:
    """Return one of `KINDS` as an image (C, H, W) in sRGB, of the batch's first image.

    Args:
        output: of a network.
        kind: one of `KINDS`.
        new_background: (1, 3, H, W) or (1, 3, 1, 1), for a `composite`.
        linear: composite in linear light.

    Example:
        >>> one = torch.ones(1, 1, 8, 8)
        >>> output = MattingOutput(one, one.expand(1, 3, 8, 8), one, one, one, torch.eye(2)[None, None])
        >>> render(output, "rgba").shape, render(output, "refined").mean()
        (torch.Size([4, 8, 8]), tensor(0.5000))
    """
    alpha = output.alpha[:1]
    height, width = alpha.shape[-2:]
    if kind == "alpha":
        image = alpha
    elif kind == "foreground":
        image = output.foreground[:1]
    elif kind == "rgba":
        image = torch.cat([output.foreground[:1] * (alpha > 0), alpha], dim=1)
    elif kind == "composite":
        if new_background is None:
            raise ZooError("a composite needs a new background; got none.")
        colours = output.foreground[:1].float(), new_background
        over, under = (to_linear(each) for each in colours) if linear else colours
        image = composite(over, alpha.float(), under)
        image = to_srgb(image) if linear else image
    elif kind == "error":
        image = resize(output.error[:1], (height, width))
    elif kind == "refined":
        cells = output.refined[:1].repeat_interleave(PATCH, dim=2).repeat_interleave(PATCH, dim=3)
        image = cells[:, :, :height, :width]
    else:
        raise ZooError(f"there is no kind of result named '{kind}'; expected one of {', '.join(KINDS)}.")
    return image[0]
