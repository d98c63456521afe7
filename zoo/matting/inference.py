"""From files to mattes: a picture, a folder of pictures or a video becomes a folder of results.

Any callable `model(source, background) -> MattingOutput` will do; `FastMatting` makes one of a network that is faster
for many pictures. `Results` says which *kinds* of results are wanted and where: pictures land as
`FOLDER/alpha/NAME.png`, videos as `FOLDER/alpha/NAME.mp4` (`rgba` as `.mov`) or, frame by frame, as
`FOLDER/alpha/NAME/000000.png`. The background of a video is aligned, checked and uploaded once. Every file is written
whole or not at all, and what is written stays whatever happens later.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor, nn

from zoo.matting.compose import composite
from zoo.matting.parts import PATCH, MattingOutput, resize
from zoo.measure.device import device_of
from zoo.media.images import MediaError, find_images, image_size, read_image, to_uint8, write_image
from zoo.media.pipeline import Behind, ahead
from zoo.media.results import name_in, named_pictures, refuse_overwriting, tracked
from zoo.media.videos import Frame, LoopingVideo, VideoEndsEarly, VideoWriter, is_video, read_frames, read_video_info

MattingModel = Callable[[Tensor, Tensor], MattingOutput]

KINDS = ("alpha", "foreground", "rgba", "composite", "error", "refined")
"""What can be saved: the matte, the colours (straight), both in one, the foreground over a new background, the error
that the network expects, and the patches that it refined."""

WAITING = 2
"""How many frames of a video wait at most before the network, and behind it for each kind of result: one of 4K takes a
few hundred megabytes."""

DEFAULT_KINDS = ("alpha", "composite")
DEFAULT_NEW_BACKGROUND = "#78ff9b"
"""A light green that no skin or hair has."""


class MattingWarning(UserWarning):
    """The result is there but may be poor; the message says why."""


class Results:
    """Which results are wanted, and where they land.

    Args:
        folder: made where it does not exist; files of the same name are replaced.
        save: some of `KINDS`.
        new_background: what stands behind the foreground in `composite` (which it adds to `save`): a picture, a colour
            (`#00ff00`, `green`) or, behind a video, a video, which starts again when it is over. Pictures and videos
            of another size are scaled to cover the source.

    Raises:
        ValueError: a kind that does not exist, or a new background that is neither file nor colour.
    """

    def __init__(
        self,
        folder: str | Path,
        save: Sequence[str] = DEFAULT_KINDS,
        new_background: str | Path | None = None,
    ) -> None:
        unknown = [kind for kind in save if kind not in KINDS]
        if unknown or not save:
            raise ValueError(
                f"results of kind '{' '.join(unknown)}' do not exist; expected some of {', '.join(KINDS)}."
            )
        self.folder = Path(folder)
        wanted = {*save, "composite"} if new_background is not None else {*save}
        self.save = tuple(kind for kind in KINDS if kind in wanted)
        self.new_background = NewBackground(DEFAULT_NEW_BACKGROUND if new_background is None else new_background)

    @property
    def need_foreground(self) -> bool:
        """Whether anything shows the foreground's colours; if not, the model need not give them."""
        return bool({"foreground", "rgba", "composite"} & {*self.save})

    def path(self, kind: str, name: str | Path) -> Path:
        """Where one result lands; `name` has its ending."""
        return self.folder / kind / name

    def render(self, output: MattingOutput, seconds: Fraction = Fraction(0)) -> Iterator[tuple[str, np.ndarray]]:
        """Each wanted kind with its picture, as `picture` gives it."""
        for kind in self.save:
            yield kind, self.picture(kind, output, seconds)

    def picture(self, kind: str, output: MattingOutput, seconds: Fraction = Fraction(0)) -> np.ndarray:
        """One kind of result, uint8, (H, W), (H, W, 3) or (H, W, 4), of the first image of the batch."""
        behind = self.new_background.at(seconds, output.alpha) if kind == "composite" else None
        return to_uint8(render(output, kind, behind))


class NewBackground:
    """What stands behind the foreground in a composite; whatever does not change is prepared once.

    Raises:
        ValueError: neither a file nor a colour.
    """

    def __init__(self, what: str | Path) -> None:
        self._colour: tuple[int, ...] | None = None
        self._picture: np.ndarray | None = None
        self._video: LoopingVideo | None = None
        self._prepared: Tensor | None = None
        if Path(what).is_file():
            if is_video(what):
                self._video = LoopingVideo(what)
            else:
                self._picture = to_uint8(read_image(what))
            return
        try:
            self._colour = ImageColor.getrgb(str(what))[:3]
        except ValueError as error:
            raise ValueError(
                f"the new background '{what}' is neither a file nor a colour; expected a picture, a video or a colour "
                "such as green or '#00ff00'."
            ) from error

    @property
    def moves(self) -> bool:
        """Whether it is a video."""
        return self._video is not None

    def at(self, seconds: Fraction, like: Tensor) -> Tensor:
        """(1, 3, H, W), or (1, 3, 1, 1) for a colour, on the device of `like`, of whose size it is."""
        if self._video is not None:
            return _upload(_covering(self._video.at(seconds), like.shape[-2:]), like.device)
        if self._prepared is None or self._prepared.shape[-2:] not in ((1, 1), like.shape[-2:]):
            if self._picture is not None:
                pixels = _covering(self._picture, like.shape[-2:])
            else:
                pixels = np.array(self._colour, np.uint8).reshape(1, 1, 3)
            self._prepared = _upload(pixels, like.device)
        return self._prepared


def matte(model: MattingModel, source: np.ndarray, background: np.ndarray) -> MattingOutput:
    """Matte one picture in memory.

    Args:
        model: in eval mode; if it is a module, its device is used.
        source, background: (H, W, 3), uint8 or float in [0, 1], of one size.
    """
    device = device_of(model)
    return _run(model, _upload(source, device), _upload(background, device))


def render(output: MattingOutput, kind: str, new_background: Tensor | None = None) -> Tensor:
    """One of `KINDS` as a picture (C, H, W) in [0, 1], of the first image of the batch.

    Args:
        new_background: (1, 3, H, W) or (1, 3, 1, 1), what a `composite` is made with.
    """
    alpha = output.alpha[:1]
    size = (alpha.shape[-2], alpha.shape[-1])
    if kind == "alpha":
        picture = alpha
    elif kind == "foreground":
        picture = output.foreground[:1]
    elif kind == "rgba":
        picture = torch.cat([output.foreground[:1] * (alpha > 0), alpha], dim=1)
    elif kind == "composite":
        if new_background is None:
            raise ValueError("a composite needs a new background; got none.")
        picture = composite(output.foreground[:1].float(), alpha.float(), new_background)
    elif kind == "error":
        picture = resize(output.error[:1], size)
    elif kind == "refined":
        cells = output.refined[:1].repeat_interleave(PATCH, dim=2).repeat_interleave(PATCH, dim=3)
        picture = cells[:, :, : size[0], : size[1]]
    else:
        raise ValueError(f"there is no kind of result named '{kind}'; expected one of {', '.join(KINDS)}.")
    return picture[0]


def matte_files(
    model: MattingModel,
    source: str | Path,
    background: str | Path,
    results: Results,
    align: bool = False,
    frames: bool = False,
    progress: bool = True,
    decoder: str | None = None,
) -> list[Path]:
    """Matte whatever `source` is: a folder, a video or a picture; see `matte_folder`, `matte_video`, `matte_image`."""
    if Path(source).is_dir():
        return matte_folder(model, source, background, results, align, progress)
    if is_video(source):
        return matte_video(model, source, background, results, align, frames, progress, decoder)
    return matte_image(model, source, background, results, align)


def matte_image(
    model: MattingModel, source: str | Path, background: str | Path, results: Results, align: bool = False
) -> list[Path]:
    """Matte one picture.

    Args:
        model: in eval mode; if it is a module, its device is used.
        align: lay the background over the source first, which also allows another size.

    Returns:
        The files written.

    Raises:
        MediaError: a picture that cannot be read, a background of another size.
    """
    source, background = Path(source), _one_background(background)
    refuse_moving(results)
    refuse_overwriting([results.path(kind, f"{source.stem}.png") for kind in results.save], [source, background])
    if not align:
        _refuse_another_size(source, background)
    return _matte_picture(model, source, background, source.stem, results, align, Backgrounds(device_of(model)))


def matte_folder(
    model: MattingModel,
    source: str | Path,
    background: str | Path,
    results: Results,
    align: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Matte every picture in a folder and its subfolders; results keep the names and subfolders.

    Names and sizes are checked before anything is computed. A picture that turns out to be damaged is left out and
    named at the end, when all others are done.

    Args:
        model: in eval mode; if it is a module, its device is used.
        background: one picture for all, or a folder with a picture of the same name (whatever its ending) for each.
        align: lay each background over its source first, which also allows another size.

    Returns:
        The files written.

    Raises:
        MediaError: no pictures, missing backgrounds, backgrounds of another size; pictures that were left out.
    """
    source, background = Path(source), Path(background)
    refuse_moving(results)
    pairs = pair_pictures(source, background, results)
    targets = [results.path(kind, f"{name}.png") for _, _, name in pairs for kind in results.save]
    refuse_overwriting(targets, [path for pair in pairs for path in pair[:2]])
    if not align:
        for picture, behind, _ in pairs:
            _refuse_another_size(picture, behind)
    written: list[Path] = []
    failures: list[MediaError] = []
    backgrounds = Backgrounds(device_of(model))
    for picture, behind, name in tracked(pairs, len(pairs), "matting", progress):
        try:
            written += _matte_picture(model, picture, behind, name, results, align, backgrounds)
        except MediaError as error:
            failures.append(error)
    if failures:
        raise MediaError(
            f"{len(failures)} of {len(pairs)} pictures were left out, the others are in {results.folder}; "
            f"the first of them: {failures[0]}"
        )
    return written


def matte_video(
    model: MattingModel,
    source: str | Path,
    background: str | Path,
    results: Results,
    align: bool = False,
    frames: bool = False,
    progress: bool = True,
    decoder: str | None = None,
) -> list[Path]:
    """Matte a video; timestamps, rotation and sound are kept, memory does not grow with its length. Decoding and
    uploading, the network, and rendering and encoding of each kind of result run at the same time.

    A video that ends early gives results of what there is of it, under their names, and the error says so. When the
    work is interrupted, what was written is kept as `NAME.partial.mp4`.

    Args:
        model: in eval mode; if it is a module, its device is used.
        background: one picture, taken with the same camera at the same place.
        align: lay the background over the first frame first, which also allows another size.
        frames: write each frame as a PNG, which loses nothing, instead of a video.
        decoder: see `read_frames`.

    Returns:
        The files written; with `frames` the folders.

    Raises:
        MediaError: the video or the background cannot be read, sizes differ, PyAV is missing.
        VideoEndsEarly: after everything is written.
    """
    source, background = Path(source), _one_background(background)
    info = read_video_info(source)
    names = {kind: source.stem + ("" if frames else ".mov" if kind == "rgba" else ".mp4") for kind in results.save}
    targets = {kind: results.path(kind, name) for kind, name in names.items()}
    refuse_overwriting(targets.values(), [source, background])
    first = next(read_frames(source, decoder)).pixels
    device = device_of(model)
    behind = _upload(fitting_background(first, read_image(background), source, background, align), device)
    damage = None
    with ExitStack() as stack:
        writers: dict[str, _FrameFiles | VideoWriter] = {}
        for kind, path in targets.items():
            writer: _FrameFiles | VideoWriter
            writer = _FrameFiles(path) if frames else VideoWriter(path, info, transparent=kind == "rgba")
            stack.enter_context(writer)
            writers[kind] = writer
        threads = {kind: stack.enter_context(Behind(WAITING)) for kind in writers}

        def write(kind: str, output: MattingOutput, frame: Frame) -> None:
            writers[kind].write(results.picture(kind, output, frame.seconds), frame)

        uploaded = ((frame, _upload(frame.pixels, device)) for frame in read_frames(source, decoder))
        try:
            with ahead(uploaded, WAITING) as decoded:
                for frame, pixels in tracked(decoded, info.frame_count, source.name, progress):
                    output = _run(model, pixels, behind)
                    for kind, thread in threads.items():
                        thread.do(write, kind, output, frame)
        except VideoEndsEarly as error:
            damage = error
    if damage is not None:
        raise damage
    return list(targets.values())


class _FrameFiles:
    """Takes frames as a `VideoWriter` does and writes each to its own PNG."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __enter__(self) -> "_FrameFiles":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def write(self, pixels: np.ndarray, frame: Frame) -> None:
        write_image(self._folder / f"{self._count:06d}.png", pixels)
        self._count += 1


class Backgrounds:
    """Reads backgrounds and uploads them. The last one is given again as the same tensor, so that a model can tell that
    it has seen it.

    Args:
        device: where they are wanted.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._path: Path | None = None
        self._pixels: np.ndarray | None = None
        self._uploaded: tuple[np.ndarray, Tensor] | None = None

    def read(self, path: Path) -> np.ndarray:
        """As `read_image` gives it; not to be changed."""
        if self._pixels is None or path != self._path:
            self._path, self._pixels = path, read_image(path)
        return self._pixels

    def upload(self, pixels: np.ndarray) -> Tensor:
        """(1, 3, H, W) in [0, 1], on the device."""
        if self._uploaded is None or pixels is not self._uploaded[0]:
            self._uploaded = pixels, _upload(pixels, self._device)
        return self._uploaded[1]


def _matte_picture(
    model: MattingModel,
    source: Path,
    background: Path,
    name: str,
    results: Results,
    align: bool,
    backgrounds: Backgrounds,
) -> list[Path]:
    pixels = read_image(source)
    behind = fitting_background(pixels, backgrounds.read(background), source, background, align)
    output = _run(model, _upload(pixels, device_of(model)), backgrounds.upload(behind))
    return [write_image(results.path(kind, f"{name}.png"), rendered) for kind, rendered in results.render(output)]


def _run(model: MattingModel, source: Tensor, background: Tensor) -> MattingOutput:
    if isinstance(model, nn.Module) and model.training:
        raise ValueError("the model is in training mode; expected eval mode: call model.eval().")
    with torch.inference_mode():
        return model(source, background)


def _upload(pixels: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, 3) → (1, 3, H, W) in [0, 1]; bytes are turned into floats on the device."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1)[None]
    return tensor.float() / 255 if pixels.dtype == np.uint8 else tensor.float()


def fitting_background(
    source: np.ndarray, background: np.ndarray, source_path: Path, background_path: Path, align: bool
) -> np.ndarray:
    """The background at the size of the source, aligned on request; warns where it looks like another place."""
    from zoo.matting.alignment import align_background, is_same_place  # scikit-image is loaded for pictures only

    if align:
        background, message = align_background(to_uint8(source), to_uint8(background))
        if message:
            warnings.warn(f"{source_path.name}: {message}", MattingWarning, stacklevel=3)
    if source.shape != background.shape:
        _refuse_sizes(source_path, source.shape[:2], background_path, background.shape[:2])
    if not is_same_place(to_uint8(source), to_uint8(background)):
        warnings.warn(
            f"{source_path.name} and {background_path.name} do not look like the same place, so the matte will be "
            "poor; expected a picture of the place without the person, taken with the same camera.",
            MattingWarning,
            stacklevel=3,
        )
    return background


def _refuse_another_size(source: Path, background: Path) -> None:
    sizes = image_size(source), image_size(background)
    if sizes[0] != sizes[1]:
        _refuse_sizes(source, sizes[0], background, sizes[1])


def _refuse_sizes(source: Path, size: tuple[int, ...], background: Path, background_size: tuple[int, ...]) -> None:
    raise MediaError(
        f"{background} is {background_size[1]}×{background_size[0]} pixels, {source} is {size[1]}×{size[0]}; expected "
        "one size: take both with the same camera and settings, or use --align to lay the background over the source."
    )


def _one_background(background: str | Path) -> Path:
    if Path(background).is_dir() or is_video(background):
        what = "folder" if Path(background).is_dir() else "video"
        raise MediaError(
            f"the background {background} is a {what}; expected one picture of the empty place "
            "(a folder of backgrounds goes with a folder of sources)."
        )
    return Path(background)


def refuse_moving(results: Results) -> None:
    if results.new_background.moves:
        raise MediaError("the new background is a video and the source is not; expected a picture or a colour.")


def pair_pictures(source: Path, background: Path, results: Results) -> list[tuple[Path, Path, str]]:
    """(source, background, name) for each picture in the folder `source`; the name is its path there without the
    ending.

    Raises:
        MediaError: no pictures, two of one name, or a missing background.
    """
    pictures = named_pictures(source, own=(results.folder / kind for kind in KINDS))
    if not background.is_dir():
        behind = _one_background(background)
        return [(picture, behind, name) for picture, name in pictures]
    backgrounds = {name_in(path, background): path for path in find_images(background)}
    missing = [name for _, name in pictures if name not in backgrounds]
    if missing:
        raise MediaError(
            f"{background} lacks the backgrounds of {len(missing)} of {len(pictures)} pictures (the first: "
            f"{missing[0]}); expected pictures of the same names, or give one background for all."
        )
    return [(picture, backgrounds[name], name) for picture, name in pictures]


def _covering(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Scaled to cover (height, width), the middle cut out."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    return np.array(ImageOps.fit(Image.fromarray(pixels), (size[1], size[0]), Image.Resampling.BICUBIC))
