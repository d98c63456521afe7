"""Matting of images in memory, and of an image, a folder of images or a video on disk.

`load_matting` prepares a model by name as `zoo matte` does. `matte_files` works with every callable
`model(source, background) -> MattingOutput` on tensors; one that is guided also takes `hint=`.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.matting.base_scale import trained_side
from zoo.matting.cutout import UNMIXED, CutOut
from zoo.matting.fast import FastMatting
from zoo.matting.matte_files import MatteFiles
from zoo.matting.net import MattingNetwork
from zoo.matting.parts import Guide, MattingOutput
from zoo.measure.device import choose_device, device_of
from zoo.media.folders import find_images
from zoo.media.images import MediaError, MediaWarning, check_image, read_image, read_photograph, to_tensor, to_uint8
from zoo.media.run import Job, name_in, named_images, process_images, process_video, refuse_overwriting
from zoo.media.videos import Frame, VideoEndsEarly, is_video, read_frames, read_video_info
from zoo.training.models import create_model, load

if TYPE_CHECKING:
    from zoo.matting.moving_camera import MovingCamera

Align = bool | Literal["auto"]
MattingModel = Callable[..., MattingOutput]

PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


SEARCHED_SECONDS = 5
"""How long the place of the background is searched at the beginning of a video."""
GUIDED = 0.3
"""Value of a guide from which there may be foreground."""
GUIDED_SURELY = 0.9
"""Value of a guide from which its author means foreground."""
CELLS, REACH = 64, 4
"""Cells along an image's longer side, and how many of them foreground may be away from the guide's."""
MARKED = 0.25
"""Alpha, or value of a guide, that a pixel needs at least for a matte, or guide, that is not empty."""


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

    def __call__(
        self,
        image: np.ndarray | Tensor,
        background: np.ndarray | Tensor | None = None,
        hint: np.ndarray | Tensor | None = None,
    ) -> MattingOutput:
        if isinstance(self.model, nn.Module) and self.model.training:
            raise ZooError("the model is in training mode; expected eval mode: call model.eval().")
        source = self.upload(check_image(image))
        behind = None if background is None else self.upload_background(check_image(background))
        images = (source,) if behind is None else (source, behind)
        named = {} if hint is None else {"hint": self.upload(check_image(hint))}
        with torch.inference_mode():
            output = self.model(*images, **named)
            network = self.network
            if network is not None and network.guide.channels and not network.captured_background:
                output = output._replace(alpha=output.alpha * near_guide(network.guide, source, named.get("hint")))
            return output if self.cutout is None else self.cutout(output, source, behind)

    @property
    def network(self) -> MattingNetwork | None:
        """The network, where the model is one of ours."""
        network = getattr(self.model, "network", None)
        return network if isinstance(network, MattingNetwork) else None

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


def near_guide(guide: Guide, source: Tensor, hint: Tensor | None = None) -> Tensor:
    """Return where the foreground may be, (B, 1, H, W): 1 near the guide's foreground, 0 elsewhere, with a soft edge.

    Without a captured background, what looks like a subject but is none may be far from the guide, such as a tree.

    Args:
        guide: of the network.
        source: (B, 3, H, W) in [0, 1].
        hint: (B, 1, H, W), for the guide.
    """
    weight = next(guide.buffers(), source)
    found = guide(source.to(weight.dtype), None if hint is None else hint.to(weight.dtype))
    height, width = source.shape[-2:]
    if found is None:
        return source.new_ones(len(source), 1, height, width)
    cells = [max(1, round(CELLS * side / max(height, width))) for side in (height, width)]
    known = (F.adaptive_max_pool2d(found, cells) > GUIDED).to(source.dtype)
    near = F.max_pool2d(known, 2 * REACH + 1, 1, REACH)
    return F.interpolate(near, (height, width), mode="bilinear").to(source.dtype)


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
    background: str | Path | None,
    results: MatteFiles,
    align: Align = "auto",
    progress: bool = True,
    decoder: str | None = None,
    deinterlace: bool = False,
    guide: str | Path | None = None,
) -> list[Path]:
    """Matte an image, every image in a folder and its subfolders, or a video.

    Names are checked before anything is computed. Results of a folder keep names and subfolders. Videos keep
    timestamps, rotation and sound; an interrupted one leaves `NAME.partial.mp4`.

    Args:
        model: see `Matting`.
        source: the image, folder or video.
        background: an image without the person, by the same camera at the same place. For a folder also a folder with
            an image of the same name (whatever its ending) for each. None where the model takes none.
        results: what is saved, and where.
        align: whether the background is warped onto the source first, which also allows another size: `auto` where the
            camera moved by half a pixel or more, which is said once. A video is aligned once, to its first frame that
            shows the place, or frame by frame where its camera moves in the first seconds.
        progress: show a progress bar.
        decoder, deinterlace: of a video, see `read_frames`.
        guide: for a model with a guide, a grey mask, white where the foreground is. For a folder also a folder of
            them, as for the background; for a video also a video.

    Returns:
        The files written; for the frames of a video their folders.

    Warns:
        MattingWarning: a matte is empty, or a background does not look like the place.

    Raises:
        MediaError: files that cannot be read, missing backgrounds or guides, some of another size, an empty guide, or
            none where the model needs one. One bad image of a folder is reported when all others are done.
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
    source = Path(source)
    model = model if isinstance(model, Matting) else Matting(model)
    background, guide = usable_inputs(model, background, guide)
    if is_video(source) and not source.is_dir():
        return _matte_video(model, source, background, guide, results, align, progress, decoder, deinterlace)
    if source.is_dir():
        matched = match_images(source, background, guide, results)
    else:
        refuse_moving(results)
        matched = [(source, _one(background, "background"), _one(guide, "guide"), source.stem)]
    jobs = [Job(tuple(path for path in files if path), results.targets(name)) for *files, name in matched]
    read_again, read_mask = lru_cache(maxsize=1)(read_photograph), lru_cache(maxsize=1)(read_guide)

    def read(path: Path, *others: Path) -> tuple[Path, list[Tensor | None]]:
        image, fitting, hint = read_inputs(
            path, others[0] if background else None, others[-1] if guide else None, align, read_again, read_mask
        )
        behind = None if fitting is None else model.upload_background(fitting)
        return path, [model.upload(image), behind, None if hint is None else model.upload(hint)]

    def compute(item: tuple[Path, list[Any]]) -> MattingOutput:
        output = model(*item[1])
        if output.alpha.max() < MARKED:
            warn_of_empty(item[0].name, background is not None)
        elif item[1][2] is not None:
            check_followed(item[0].name, output.alpha, item[1][2])
        return output

    folder = results.folder if source.is_dir() else None
    return process_images(jobs, read, compute, results.write, folder, "matting", progress)


def usable_inputs(
    model: Matting, background: str | Path | None, guide: str | Path | None
) -> tuple[Path | None, Path | None]:
    """Return background and guide as far as the model takes them; warn of one that it does not take.

    Raises:
        MediaError: the model needs one that is missing.
    """
    network = model.network
    takes_background = network is None or network.captured_background
    if background is None and takes_background:
        raise MediaError(
            "this model needs the captured background: give BACKGROUND, an image of the same place without the person "
            "by the same camera, or --model with weights of a network without it (captured_background: false)."
        )
    if guide is None and network is not None and network.guide.needs_hint:
        raise MediaError(
            "this model needs a guide: give --guide MASK, a grey image that is white where the foreground is."
        )
    takes_guide = network is not None and network.guide.channels > 0
    for path, taken, what in ((background, takes_background, "background"), (guide, takes_guide, "guide")):
        if path is not None and not taken:
            warnings.warn(f"{path} is not used: this model takes no {what}.", MediaWarning, stacklevel=3)
    return (
        Path(background) if background is not None and takes_background else None,
        Path(guide) if guide is not None and takes_guide else None,
    )


def warn_of_empty(name: str, with_background: bool) -> None:
    """Warn that no pixel of a matte is foreground."""
    advice = (
        "check that the background shows the same place without the subject, or mark the subject in a guide for a "
        "model that takes one."
        if with_background
        else "mark the subject with --guide MASK, or give BACKGROUND, an image of the same place without it."
    )
    warnings.warn(
        f"the matte of {name} is empty, since no foreground was found: {advice}",
        MattingWarning,
        stacklevel=3,
    )


def check_followed(name: str, alpha: Tensor, guide: Tensor) -> None:
    """Warn where most of what a user's guide (B, 1, H, W) marks has come out as background."""
    kept = float(alpha[guide > GUIDED_SURELY].mean())
    if kept < 0.5:
        warnings.warn(
            f"the matte of {name} keeps {kept:.0%} of what the guide marks: the model takes the rest for background; "
            "these weights know people best; give BACKGROUND, an image of the empty place, in place of the guide.",
            MattingWarning,
            stacklevel=3,
        )


def _matte_video(
    model: Matting,
    source: Path,
    background: Path | None,
    guide: Path | None,
    results: MatteFiles,
    align: Align,
    progress: bool,
    decoder: str | None,
    deinterlace: bool,
) -> list[Path]:
    info, targets = read_video_info(source, deinterlace), results.targets(source.stem, video=True)
    masks = guide if guide is None or is_video(guide) else _one(guide, "guide")
    inputs = [source, _one(background, "background"), masks]
    refuse_overwriting(targets.values(), [path for path in inputs if path])
    behind = None if background is None else video_background(source, background, align, decoder)
    camera = None if isinstance(behind, np.ndarray) else behind
    fitting = model.upload(behind) if isinstance(behind, np.ndarray) else None
    hints = frame_guides(masks)
    found = False

    def read(frame: Frame) -> tuple[Tensor, Tensor | None, Tensor | None]:
        hint = next(hints, None)
        if masks is not None:
            if hint is None:
                raise MediaError(f"{masks} ends before {source} does; expected a frame for each frame.")
            check_guide_size(masks, hint, source, frame.pixels)
        seen = fitting if camera is None else model.upload(camera.seen_in(frame.pixels))
        return model.upload(frame.pixels), seen, None if hint is None else model.upload(hint)

    def compute(images: tuple[Tensor, Tensor | None, Tensor | None]) -> MattingOutput:
        nonlocal found
        output = model(*images)
        found = found or bool(output.alpha.max() >= MARKED)
        return output

    writers = [results.frame_writer(kind, path, info) for kind, path in targets.items()]
    process_video(
        read_frames(source, decoder, deinterlace), read, compute, writers, info.frame_count, source.name, progress
    )
    if not found:
        warn_of_empty(source.name, background is not None)
    return list(targets.values())


def video_background(source: Path, background: Path, align: Align, decoder: str | None) -> "np.ndarray | MovingCamera":
    """Return the background of a video: one for all frames, or aligned with every frame where the camera moves.

    A panorama, as `--background estimate` writes it of a camera that turned, is always aligned with every frame.

    Raises:
        MediaError: the sizes differ, and no frame at the beginning shows a part of the background.
    """
    from zoo.matting.moving_camera import MovingCamera, camera_moves, view_of  # scikit-image is loaded for images only

    empty = read_photograph(background)
    first = beginning(read_frames(source, decoder)) if align is not False else []
    if first and empty.shape != first[0].shape and all(np.greater_equal(empty.shape, first[0].shape)):
        view = next((view for frame in first if (view := view_of(frame, empty)) is not None), None)
        if view is not None:
            return MovingCamera(empty, view)
    shown = _reference_frame(read_frames(source, decoder), empty)
    fitting = fitting_background(shown, empty, source, background, align)
    if not first or not camera_moves(first):
        return fitting
    warnings.warn(
        f"the camera of {source.name} moves, so the background is aligned with every frame, which takes time "
        "(--align off leaves it).",
        MediaWarning,
        stacklevel=4,
    )
    return MovingCamera(fitting)


def beginning(frames: Iterator[Frame]) -> list[np.ndarray]:
    """Return the first frame of a video and one every two seconds after it, for some seconds."""
    found: list[np.ndarray] = []
    with suppress(VideoEndsEarly):  # reported when the frames are matted
        for frame in frames:
            if frame.seconds >= 2 * len(found):
                found.append(frame.pixels)
            if frame.seconds > SEARCHED_SECONDS:
                break
    return found


def frame_guides(guide: Path | None) -> Iterator[np.ndarray]:
    """Yield the guide (H, W) of each frame: one image again and again, or a video's frames; nothing without a guide."""
    if guide is None:
        return
    if is_video(guide):
        for frame in read_frames(guide):
            yield to_uint8(frame.pixels).max(axis=2)
        return
    mask = read_guide(guide)
    while True:
        yield mask


def read_guide(path: Path) -> np.ndarray:
    """Return a mask (H, W) of the foreground.

    Raises:
        MediaError: it is no grey image, or marks no foreground.
    """
    mask = read_image(path, "L")
    brightest = int(to_uint8(mask).max())
    if brightest < MARKED * 255:
        raise MediaError(
            f"the guide {path} marks no foreground: its brightest pixel is {brightest} of 255; expected white where "
            "the foreground is, black where it is not, and grey where that is unknown."
        )
    return mask


def check_guide_size(guide_path: Path, guide: np.ndarray, path: Path, image: np.ndarray) -> None:
    """Raise a `MediaError` unless guide and image are of one size."""
    if guide.shape[:2] != image.shape[:2]:
        raise MediaError(
            f"the guide {guide_path} is {guide.shape[1]}×{guide.shape[0]} pixels, {path} is {image.shape[1]}×"
            f"{image.shape[0]}; expected one size: resize the guide."
        )


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


def read_inputs(
    path: Path,
    background_path: Path | None,
    guide_path: Path | None,
    align: Align,
    read_background: Callable[[Path], np.ndarray] = read_photograph,
    read_mask: Callable[[Path], np.ndarray] = read_guide,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return an image, its background and its guide at the same size; what has no path is None.

    Raises:
        MediaError: files that cannot be read, of different sizes, or without information.
    """
    fitting = hint = None
    if background_path is None:
        image = read_photograph(path)
    else:
        image, fitting = read_with_background(path, background_path, align, read_background)
    if guide_path is not None:
        hint = read_mask(guide_path)
        check_guide_size(guide_path, hint, path, image)
    return image, fitting, hint


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
    from zoo.matting.moving_camera import STILL

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
        (height, width), (other_height, other_width) = source.shape[:2], background.shape[:2]
        hint = "--align auto also takes another size where it can" if align is False else "they could not be aligned"
        raise MediaError(
            f"{background_path} is {other_width}×{other_height} pixels, {source_path} is {width}×{height}; expected "
            f"one size: take both with the same camera and settings; {hint}."
        )
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


def match_images(
    source: Path, background: Path | None, guide: Path | None, results: MatteFiles
) -> list[tuple[Path, Path | None, Path | None, str]]:
    """Return (source, background, guide, name of the results) for each image in the folder `source`.

    Raises:
        MediaError: no images, two of one name, a missing background or guide, or a video as new background.
    """
    refuse_moving(results)
    images = named_images(source, results.folders())
    for path, what in ((background, "background"), (guide, "guide")):
        if path is None or path.is_dir():
            continue
        others = [(image, name) for image, name in images if image.resolve() != path.resolve()]
        if not others:
            raise MediaError(f"{source} holds only the {what} {path}; expected images of people.")
        if len(others) < len(images):
            warnings.warn(f"{path} is the {what} and left out of the images.", MediaWarning, stacklevel=2)
        images = others
    names = [name for _, name in images]
    backgrounds, guides = companions(background, "background", names), companions(guide, "guide", names)
    rows = zip(images, backgrounds, guides, strict=True)
    return [(image, behind, mask, name) for (image, name), behind, mask in rows]


def companions(path: Path | None, what: str, names: list[str]) -> Sequence[Path | None]:
    """Return the background, or guide, of each name: one for all, or those of the same names in a folder."""
    if path is None or not path.is_dir():
        return [_one(path, what)] * len(names)
    files = {name_in(file, path): file for file in find_images(path)}
    missing = [name for name in names if name not in files]
    if missing:
        raise MediaError(
            f"{path} lacks the {what}s of {len(missing)} of {len(names)} images (the first: {missing[0]}); expected "
            f"images of the same names, or give one {what} for all."
        )
    return [files[name] for name in names]


def refuse_moving(results: MatteFiles) -> None:
    """Raise a `MediaError` for a video as the new background of images."""
    if results.new_background.moves:
        raise MediaError("the new background is a video and the source is not; expected an image or a colour.")


def _one(path: Path | None, what: str) -> Path | None:
    if path is not None and (path.is_dir() or is_video(path)):
        expected = "one image of the empty place" if what == "background" else "one grey image"
        raise MediaError(
            f"the {what} {path} is a {'folder' if path.is_dir() else 'video'}; expected {expected} (a folder of "
            f"{what}s goes with a folder of sources)."
        )
    return path
