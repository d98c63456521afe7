"""Matting of images in memory, and of an image, a folder of images or a video on disk.

`load_matting` prepares a model by name as `zoo matte` does. `matte_files` works with every callable
`model(source, background) -> MattingOutput` on tensors.
"""

import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.matting.base_scale import trained_side
from zoo.matting.cutout import UNMIXED, CutOut
from zoo.matting.fast import FastMatting
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import MattingOutput
from zoo.matting.results import MatteFiles
from zoo.measure.device import choose_device, device_of
from zoo.media.folders import find_images
from zoo.media.images import MediaError, MediaWarning, check_image, read_photograph, to_tensor, to_uint8
from zoo.media.run import Job, name_in, named_images, process_images, process_video, refuse_overwriting
from zoo.media.videos import Frame, VideoEndsEarly, is_video, read_frames, read_video_info
from zoo.training.models import create_model, load

Align = bool | Literal["auto"]
MattingModel = Callable[[Tensor, Tensor], MattingOutput]

PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


STILL = 0.5
"""Pixels by which a camera may seem to move while it stands still."""
SEARCHED_SECONDS = 5
"""How long the place of the background is searched at the beginning of a video."""


class MattingWarning(MediaWarning):
    """The result may be poor; the message says why."""


class Matting:
    """Matting model ready for inference, called with an image and what else the model needs.

    Image and background are arrays (H, W, 3), uint8 or float in [0, 1], or tensors (B, 3, H, W) in [0, 1]; a hint, the
    rough mask for a network with a guide, has one channel (H, W). All are of one size. A background with the values of
    the last one is not prepared again.

    Args:
        model: in eval mode; if it is a module, its device is used.
        cutout: changes the foreground's colours so that they fit on any background; None leaves those of the model.

    Example:
        >>> model = Matting(lambda source, background: MattingOutput(*[source] * 6))
        >>> model(np.full((4, 6, 3), 255, np.uint8), np.zeros((4, 6, 3), np.uint8)).alpha.shape
        torch.Size([1, 3, 4, 6])
    """

    def __init__(self, model: MattingModel, cutout: CutOut | None = None) -> None:
        self.model, self.cutout = model, cutout
        self._background: tuple[np.ndarray, Tensor] | None = None

    def __call__(self, image: np.ndarray | Tensor, background: np.ndarray | Tensor) -> MattingOutput:
        if isinstance(self.model, nn.Module) and self.model.training:
            raise ZooError("the model is in training mode; expected eval mode: call model.eval().")
        source, background = self.upload(check_image(image)), self.upload_background(check_image(background))
        with torch.inference_mode():
            output = self.model(source, background)
            return output if self.cutout is None else self.cutout(output, source, background)

    def upload(self, image: np.ndarray | Tensor) -> Tensor:
        """Return an image as a batch (B, 3, H, W) in [0, 1] on the model's device."""
        device = device_of(self.model)
        return image.to(device) if isinstance(image, Tensor) else to_tensor(image, device)[None]

    def upload_background(self, background: np.ndarray | Tensor) -> Tensor:
        """Return the same for a background: the same tensor as the last time if the array's values are the same."""
        if not isinstance(background, np.ndarray):
            return self.upload(background)
        last = self._background
        if last is None or last[0].dtype != background.dtype or not np.array_equal(last[0], background):
            own = background.copy()
            self._background = last = own, self.upload(own)
        return last[1]


def load_matting(
    name: str,
    checkpoint: str | None = None,
    device: str = "auto",
    precision: Literal["32", "bf16", "16"] = "32",
    base_scale: float | None = None,
    compiled: bool = False,
    foreground: bool = True,
    cutout: CutOut | None = UNMIXED,
) -> Matting:
    """Load a matting model for inference, as `zoo matte` does.

    Args:
        name: checkpoint file or catalogue name; with `checkpoint`, a name of `zoo.list_models()`.
        checkpoint: weights that do not say which model they belong to.
        device: `auto` is the fastest of this machine.
        precision: Lightning's name of the type that is computed in.
        base_scale: size of the base network's input relative to the image. None fits it to each image's size, so that
            the base network sees images about as large as those that it was trained on.
        compiled: compile the base network, which takes about half a minute.
        foreground: False leaves the foreground out of the output.
        cutout: see `Matting`; by default the captured background is removed from the colours.

    Raises:
        ZooError: unknown device or model, weights that do not fit, or a setting that this model does not have.

    Example:
        >>> matting = load_matting("bgmv2_mobilenetv2-synthetic", device="cpu")
        >>> image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        >>> matting(image, image).alpha.shape
        torch.Size([1, 1, 128, 128])
    """
    if base_scale is not None and not 1 / 32 <= base_scale <= 1:
        raise ZooError(
            f"base_scale={base_scale:g}: expected a number from {1 / 32:g}, below which the base network sees no "
            "person, to 1; 0.25 suits HD and 0.125 suits 4K. Leave it out to fit it to each image's size."
        )
    target = choose_device(device)
    model: Any = load(name) if checkpoint is None else create_model(name, checkpoint=checkpoint).eval()
    model.to(target)
    if not isinstance(getattr(model, "network", None), MattingNetwork):
        other = getattr(model, "output_type", MattingOutput) is not MattingOutput
        if other or base_scale is not None or precision != "32" or compiled:
            raise ZooError(f"{checkpoint or name} holds a {type(model).__name__}; expected a background matting model.")
        return Matting(model, cutout)
    side = trained_side(model.record) if model.record is not None else None
    fast = FastMatting(model.network, foreground, compiled, base_scale, side).to(PRECISIONS[precision])
    return Matting(fast, cutout)


def matte_files(
    model: MattingModel | Matting,
    source: str | Path,
    background: str | Path,
    results: MatteFiles,
    align: Align = "auto",
    progress: bool = True,
    decoder: str | None = None,
    deinterlace: bool = False,
) -> list[Path]:
    """Matte an image, every image in a folder and its subfolders, or a video.

    Names are checked before anything is computed. Results of a folder keep names and subfolders. Videos keep
    timestamps, rotation and sound; an interrupted one leaves `NAME.partial.mp4`.

    Args:
        model: see `Matting`.
        source: the image, folder or video.
        background: an image without the person, by the same camera at the same place. For a folder also a folder with
            an image of the same name (whatever its ending) for each.
        results: what is saved, and where.
        align: whether the background is warped onto the source first, which also allows another size: `auto` where the
            camera moved by half a pixel or more, which is said once. A video is aligned once, to its first frame that
            shows the place.
        progress: show a progress bar.
        decoder, deinterlace: of a video, see `read_frames`.

    Returns:
        The files written; for the frames of a video their folders.

    Raises:
        MediaError: files that cannot be read, missing backgrounds, backgrounds of another size. One bad image of a
            folder is reported when all others are done.
        VideoEndsEarly: after everything is written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from zoo.media.images import write_image
        >>> with TemporaryDirectory() as folder:
        ...     image, place = (write_image(f"{folder}/{n}.png", np.full((32, 32, 3), n, np.uint8)) for n in (1, 2))
        ...     model = lambda source, background: MattingOutput(*[source[:, :1]] * 6)
        ...     [path.name for path in matte_files(model, image, place, MatteFiles(f"{folder}/out", ["alpha"]))]
        ['1.png']
    """
    source, background = Path(source), Path(background)
    model = model if isinstance(model, Matting) else Matting(model)
    if is_video(source) and not source.is_dir():
        return _matte_video(model, source, background, results, align, progress, decoder, deinterlace)
    if source.is_dir():
        pairs = pair_images(source, background, results)
    else:
        refuse_moving(results)
        pairs = [(source, _one_background(background), source.stem)]
    jobs = [Job((image, behind), results.targets(name)) for image, behind, name in pairs]
    read_background = lru_cache(maxsize=1)(read_photograph)

    def read(path: Path, background_path: Path) -> tuple[Tensor, Tensor]:
        image, fitting = read_with_background(path, background_path, align, read_background)
        return model.upload(image), model.upload_background(fitting)

    folder = results.folder if source.is_dir() else None
    return process_images(jobs, read, lambda pair: model(*pair), results.write, folder, "matting", progress)


def _matte_video(
    model: Matting,
    source: Path,
    background: Path,
    results: MatteFiles,
    align: Align,
    progress: bool,
    decoder: str | None,
    deinterlace: bool,
) -> list[Path]:
    info, targets = read_video_info(source, deinterlace), results.targets(source.stem, video=True)
    refuse_overwriting(targets.values(), [source, _one_background(background)])
    empty = read_photograph(background)
    shown = _reference_frame(read_frames(source, decoder), empty)
    fitting = model.upload(fitting_background(shown, empty, source, background, align))

    def read(frame: Frame) -> Tensor:
        return model.upload(frame.pixels)

    writers = [results.frame_writer(kind, path, info) for kind, path in targets.items()]
    process_video(
        read_frames(source, decoder, deinterlace),
        read,
        lambda image: model(image, fitting),
        writers,
        info.frame_count,
        source.name,
        progress,
    )
    return list(targets.values())


def _reference_frame(frames: Iterator[Frame], background: np.ndarray) -> np.ndarray:
    """Return the first frame that shows the background's place: a video may fade in, or begin with a title.

    Five frames a second are compared, for a few seconds; where none shows the place, the most similar one is returned.
    """
    from zoo.matting.alignment import SAME_PLACE_SCORE, same_place_score

    best, highest, due = None, -1.0, Fraction(0)
    try:
        for frame in frames:
            if best is None or frame.seconds >= due:
                due = frame.seconds + Fraction(1, 5)
                score = same_place_score(frame.pixels, to_uint8(background))
                if score > highest:
                    best, highest = frame.pixels, score
            if highest >= SAME_PLACE_SCORE or frame.seconds > SEARCHED_SECONDS:
                break
    except VideoEndsEarly:  # reported when the frames are matted
        if best is None:
            raise
    assert best is not None
    return best


def read_with_background(
    path: Path, background_path: Path, align: Align, read_background: Callable[[Path], np.ndarray] = read_photograph
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its background at the same size.

    Raises:
        MediaError: files that cannot be read, of different sizes, or with the same pixels.
    """
    image, background = read_photograph(path), read_background(background_path)
    if np.array_equal(image, background):
        raise MediaError(
            f"{path} and its background {background_path} have the same pixels, so that nobody is in front of it; "
            "expected a background without the person."
        )
    return image, fitting_background(image, background, path, background_path, align)


def fitting_background(
    source: np.ndarray, background: np.ndarray, source_path: Path, background_path: Path, align: Align
) -> np.ndarray:
    """Return the background at the size of the source, aligned where `align` says so.

    Warns where the two do not look like the same place.

    Raises:
        MediaError: the sizes differ.
    """
    from zoo.matting.alignment import align_background, is_same_place  # scikit-image is loaded for images only

    failure = None
    if align is not False:
        aligned = align_background(source, background, STILL if align == "auto" else 0.0)
        background, failure = aligned.background, aligned.message
        if align is True and failure:
            warnings.warn(f"{source_path.name}: {failure}", MattingWarning, stacklevel=3)
        elif align == "auto" and not failure and aligned.moved and aligned.moved >= STILL:
            warnings.warn(
                "the camera moved between image and background, so the background is aligned (--align off leaves it).",
                MediaWarning,
                stacklevel=3,
            )
    if source.shape != background.shape:
        _refuse_sizes(source_path, background_path, source.shape[:2], background.shape[:2])
    chroma = [float(np.ptp(to_uint8(image), axis=2).mean()) for image in (source, background)]
    if min(chroma) < 1 and max(chroma) > 8:
        names = [source_path.name, background_path.name]
        grey, coloured = names if chroma[0] < chroma[1] else names[::-1]
        warnings.warn(
            f"{grey} is grey and {coloured} is coloured, so the matte will be poor; expected both by the same camera "
            "with the same settings.",
            MattingWarning,
            stacklevel=3,
        )
    if not is_same_place(to_uint8(source), to_uint8(background)):
        warnings.warn(
            f"{source_path.name} and {background_path.name} do not look like the same place, so the matte will be "
            "poor; expected an image of the place without the person, taken with the same camera."
            + (f" Also, {failure}" if failure and align == "auto" else ""),
            MattingWarning,
            stacklevel=3,
        )
    return background


def pair_images(source: Path, background: Path, results: MatteFiles) -> list[tuple[Path, Path, str]]:
    """Return (source, background, name of the results) for each image in the folder `source`.

    Raises:
        MediaError: no images, two of one name, a missing background, or a video as new background.
    """
    refuse_moving(results)
    images = named_images(source, results.folders())
    if not background.is_dir():
        one = _one_background(background)
        others = [(image, one, name) for image, name in images if image.resolve() != one.resolve()]
        if not others:
            raise MediaError(f"{source} holds only the background {one}; expected images of people in front of it.")
        if len(others) < len(images):
            warnings.warn(f"{one} is the background and left out of the images.", MediaWarning, stacklevel=2)
        return others
    backgrounds = {name_in(path, background): path for path in find_images(background)}
    missing = [name for _, name in images if name not in backgrounds]
    if missing:
        raise MediaError(
            f"{background} lacks the backgrounds of {len(missing)} of {len(images)} images (the first: "
            f"{missing[0]}); expected images of the same names, or give one background for all."
        )
    return [(image, backgrounds[name], name) for image, name in images]


def refuse_moving(results: MatteFiles) -> None:
    """Raise a `MediaError` for a video as the new background of images."""
    if results.new_background.moves:
        raise MediaError("the new background is a video and the source is not; expected an image or a colour.")


def _one_background(background: Path) -> Path:
    if background.is_dir() or is_video(background):
        raise MediaError(
            f"the background {background} is a {'folder' if background.is_dir() else 'video'}; expected one image of "
            "the empty place (a folder of backgrounds goes with a folder of sources)."
        )
    return background


def _refuse_sizes(source: Path, background: Path, size: tuple[int, ...], background_size: tuple[int, ...]) -> NoReturn:
    raise MediaError(
        f"{background} is {background_size[1]}×{background_size[0]} pixels, {source} is {size[1]}×{size[0]}; expected "
        "one size: take both with the same camera and settings; --align auto also takes another size where it can."
    )
