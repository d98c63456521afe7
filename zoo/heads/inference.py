"""3D heads in images in memory, and in an image, a folder of images or a video on disk.

A *model* has a `head_model`, an `image_size` and a `network` for square crops of that size, as
`zoo.heads.module.HeadAlignment` does. Heads are predicted where a detector finds them, or in a given box.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.heads.crop import Box, check_box, place_crop, widened
from zoo.heads.dad_format import Item
from zoo.heads.detection import FoundBox, find_head_boxes, overlap
from zoo.heads.head_files import HeadFiles, HeadImage, HeadResult, is_doubtful
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.metrics.points import seven_points
from zoo.heads.parts import Detector, HeadOutput
from zoo.heads.pictures import to_array
from zoo.heads.rotation import matrix_from_6d, matrix_to_euler
from zoo.heads.smoothing import HeadSmoother
from zoo.heads.submission import SubmissionItem
from zoo.measure.device import device_of
from zoo.media.folders import listing
from zoo.media.images import MediaError, MediaWarning, check_image, read_image, to_tensor, to_uint8
from zoo.media.progress import tracked
from zoo.media.run import Job, named_images, process_images, process_video, refuse_overwriting
from zoo.media.videos import Frame, is_video, read_frames, read_video_info

EXTENSION = 0.1
"""How far each side of the head's box is moved outwards, as a fraction of the box: the mean of training."""

GIVEN = "in the box that was given"
FRAME_BEFORE = "taken to be where it was in the frame before"
FRAME_BEFORE_SCORE = 0.5
NOT_FOUND = "not found yet"


class NoHeadError(MediaError):
    """No head could be placed in an image; the message says why."""


class AlignmentModel(Protocol):
    """Model of 3D heads, as far as inference uses it."""

    head_model: HeadModel
    image_size: int
    network: Callable[[Tensor], HeadOutput]


def predict_head(
    model: AlignmentModel, image: np.ndarray, box: Box | None = None, detector: Detector | None = None
) -> HeadResult:
    """Predict one head in an image in memory.

    Args:
        model: in eval mode; if it is a module, its device is used.
        image: (H, W, 3), uint8 or float in [0, 1].
        box: of the head: x, y, width, height in pixels; None takes the largest head that the detector finds.
        detector: None takes BlazeFace.

    Raises:
        NoHeadError: no head was found, the box lies outside the image, or the prediction is not finite.
        ZooError: a model in training mode, or an image that is no such array.

    Example:
        >>> import zoo
        >>> model = zoo.load("dad3dnet_facemesh-synthetic")
        >>> head = predict_head(model, np.full((128, 128, 3), 128, np.uint8), box=(24, 24, 80, 80))
        >>> head.landmarks.shape, len(head.euler)
        ((68, 2), 3)
    """
    pixels = to_uint8(check_image(image))
    return _predict_in_box(model, pixels, _locate(pixels, box, detector)[0])


def predict_heads(model: AlignmentModel, image: np.ndarray, detector: Detector | None = None) -> list[HeadResult]:
    """Predict every head that the detector finds in an image in memory, the largest first; see `predict_head`.

    Example:
        >>> import zoo
        >>> from skimage.data import astronaut
        >>> [round(head.score, 1) for head in predict_heads(zoo.load("dad3dnet_facemesh-synthetic"), astronaut())]
        [0.9]
    """
    pixels = to_uint8(check_image(image))
    return [_predict_in_box(model, pixels, found) for found in _locate(pixels, None, detector)]


def _locate(
    pixels: np.ndarray, box: Box | None, detector: Detector | None = None, rotations: bool = True
) -> list[FoundBox]:
    """Return the given box, checked, or those that the detector finds."""
    try:
        if box is None:
            return find_head_boxes(pixels, detector, rotations)
        return [FoundBox(check_box(box, pixels.shape[:2]), GIVEN)]
    except ValueError as error:
        raise NoHeadError(str(error)) from error


def _predict_in_box(model: AlignmentModel, pixels: np.ndarray, found: FoundBox) -> HeadResult:
    if isinstance(model, nn.Module) and model.training:
        raise ZooError("the model is in training mode; expected eval mode: call model.eval().")
    crop = place_crop(found.box, pixels.shape[:2], model.image_size, EXTENSION)
    square = crop.cut(to_tensor(pixels, scale=False))[None]
    with torch.inference_mode():
        output = model.network(square.to(device_of(model)).float() / 255)
    params = crop.params_in_image(model.head_model.split(output.params.float()))
    head = _place_head(model.head_model, params, crop.size, found)
    if output.landmarks is None:
        return head
    return head._replace(network_landmarks=to_array(crop.to_image(output.landmarks[0].float() * crop.size)))


def _place_head(head_model: HeadModel, params: HeadParams, projection_side: int, found: FoundBox) -> HeadResult:
    """Return the mesh of one head (B = 1) and its position in the image."""
    if not all(bool(value.isfinite().all()) for value in params):
        raise NoHeadError("the model gives parameters that are not finite (NaN or infinity): it is broken.")
    with torch.inference_mode():
        vertices = head_model.vertices(params, rotated=False)
        projected = head_model.project(params, projection_side, vertices)
        rotation = matrix_from_6d(params.rotation)
        pitch, yaw, roll = matrix_to_euler(rotation)[0].tolist()
        return HeadResult(
            params=params,
            vertices=to_array(vertices[0]),
            projected=to_array(projected[0]),
            landmarks=to_array(head_model.landmarks(projected)[0]),
            rotation=to_array(rotation[0]),
            euler=(pitch, yaw, roll),
            box=found.box,
            how=found.how,
            score=found.score,
            projection_side=projection_side,
            head_model=head_model,
        )


def head_files(
    model: AlignmentModel,
    source: str | Path,
    results: HeadFiles,
    box: Box | None = None,
    smooth: bool = False,
    progress: bool = True,
    deinterlace: bool = False,
    heads: Literal["one", "all"] | None = None,
    detector: Detector | None = None,
) -> list[Path]:
    """Predict the heads in an image, in every image in a folder and its subfolders, or one in each frame of a video.

    Prints the origin of the boxes. Results of a folder keep names and subfolders. The overlay of a video keeps
    timestamps, rotation and sound; an interrupted one leaves `NAME.partial.mp4`.

    Args:
        model: in eval mode; if it is a module, its device is used.
        source: the image, folder or video.
        results: what is saved, and where.
        box: of the head in every image or frame, x, y, width, height in pixels. None takes what the detector finds; a
            frame without a head takes the box of the frame before.
        smooth: smooth the parameters of a video's frames, see `zoo.heads.smoothing`.
        progress: show a progress bar.
        deinterlace: join the two fields of each frame of a video.
        heads: `all` that are found in an image, or the largest `one`; None is all in images and one in videos, where
            one head is followed from frame to frame.
        detector: None takes BlazeFace.

    Returns:
        The files written, of meshes those of the largest heads; of a video's meshes the folders.

    Raises:
        MediaError: files that cannot be read, no head (`NoHeadError`), `smooth` without a video. One bad image of a
            folder is reported when all others are done.
        VideoEndsEarly: after everything is written.

    Example:
        >>> import zoo
        >>> from tempfile import TemporaryDirectory
        >>> from zoo.media.images import write_image
        >>> with TemporaryDirectory() as folder:
        ...     image = write_image(f"{folder}/me.png", np.full((128, 128, 3), 128, np.uint8))
        ...     results = HeadFiles(f"{folder}/out", ["obj"])
        ...     len(head_files(zoo.load("dad3dnet_facemesh-synthetic"), image, results, box=(24, 24, 80, 80)))
        me.png: the head was in the box that was given (x=24 y=24 width=80 height=80)
        1
    """
    source, folder = Path(source), Path(source).is_dir()
    if is_video(source) and not folder:
        if heads == "all":
            raise MediaError(f"{source} is a video, in which one head is followed: leave out --heads all.")
        return _head_video(model, source, results, _VideoBoxes(source, box, detector), smooth, progress, deinterlace)
    if smooth:
        what = "folder of images" if folder else "image"
        raise MediaError(f"{source} is a {what} and smoothing needs the frames of a video: leave out --smooth.")
    images = named_images(source, results.folders()) if folder else [(source, source.stem)]
    doubtful: list[str] = []
    jobs = [Job((path,), results.targets(name)) for path, name in images]

    def predict(image: tuple[Path, np.ndarray]) -> HeadImage:
        path, pixels = image
        with naming_the_file(path):
            boxes = _locate(pixels, box, detector)
            found = [_predict_in_box(model, pixels, one) for one in (boxes[:1] if heads == "one" else boxes)]
        for head in found:
            x, y, width, height = (round(number) for number in head.box)
            score = "" if head.score is None else f", score {head.score:.2g}{': doubtful' if head.doubtful else ''}"
            print(f"{path.name}: the head was {head.how} (x={x} y={y} width={width} height={height}{score})")
        if any(head.doubtful for head in found):
            doubtful.append(path.name)
        return HeadImage(path, pixels, found)

    try:
        return process_images(
            jobs, _read_image, predict, results.write, results.folder if folder else None, "heads", progress
        )
    finally:
        if doubtful:
            warnings.warn(
                f"the head in {len(doubtful)} of {len(jobs)} images is doubtful, and marked so in JSON and by a red "
                f"frame in overlays: {listing(doubtful)}. Look at the results, or give the head's box.",
                MediaWarning,
                stacklevel=2,
            )


def _head_video(
    model: AlignmentModel,
    source: Path,
    results: HeadFiles,
    boxes: "_VideoBoxes",
    smooth: bool,
    progress: bool,
    deinterlace: bool,
) -> list[Path]:
    targets = results.targets(source.stem, video=True)
    refuse_overwriting(targets.values(), [source])
    info = read_video_info(source, deinterlace)
    smoother = HeadSmoother() if smooth else None

    def predict(frame: Frame) -> HeadResult | None:
        location = boxes.locate(frame.pixels)
        if location is None:
            return None
        head = _predict_in_box(model, frame.pixels, location)
        if smoother is None:
            return head
        params = smoother(head.params, float(frame.seconds))
        smoothed = _place_head(model.head_model, params, head.projection_side, location)
        return smoothed._replace(network_landmarks=head.network_landmarks)

    writers = [results.frame_writer(kind, path, info) for kind, path in targets.items()]
    try:
        frames = read_frames(source, deinterlace=deinterlace)
        process_video(frames, lambda frame: frame, predict, writers, info.frame_count, source.name, progress)
    finally:
        print(f"{source.name}: {boxes.summary()}")
    return list(targets.values())


class _VideoBoxes:
    """Boxes of one head in the frames of a video, which is read up to the first one.

    It is the head that was largest there. A frame in which it is not found takes the box of the frame before, and
    frames before the first one have none.
    """

    def __init__(self, source: Path, box: Box | None, detector: Detector | None) -> None:
        self._box, self._detector = box, detector
        self._last: Box | None = None
        self._origins: Counter[str] = Counter()
        self._doubtful = 0
        for frame in read_frames(source):
            try:
                _locate(frame.pixels, box, detector, rotations=False)
                return
            except NoHeadError as error:
                if box is not None:
                    raise NoHeadError(f"{source}: {error}") from error
        raise NoHeadError(f"{source}: no face was found in any frame; give the head's box: x, y, width, height.")

    def locate(self, pixels: np.ndarray) -> FoundBox | None:
        """Return the box in the next frame; None before the first face."""
        last = self._last
        found = None if last is None else FoundBox(last, FRAME_BEFORE, FRAME_BEFORE_SCORE)
        try:
            boxes = _locate(pixels, self._box, self._detector, rotations=False)
            near = boxes[0] if last is None else max(boxes, key=lambda one: overlap(one.box, last))
            if last is None or near.score != 0:  # a portrait without a face says less than the frame before
                found = near
        except NoHeadError:
            pass
        self._last = None if found is None else found.box
        self._origins[NOT_FOUND if found is None else found.how] += 1
        self._doubtful += found is not None and is_doubtful(found.score)
        return found

    def summary(self) -> str:
        """Return in how many frames the head was found, and how."""
        origins = ", ".join(f"the head was {how} ({count} frames)" for how, count in self._origins.most_common())
        return origins + (f"; doubtful in {self._doubtful} frames" if self._doubtful else "")


def submission_items(model: AlignmentModel, items: Sequence[Item], progress: bool = True) -> Iterator[SubmissionItem]:
    """Yield the prediction for each item of a benchmark; an item whose image cannot be used is skipped and printed.

    Args:
        model: in eval mode; if it is a module, its device is used.
        items: with the head's box in each image.
        progress: show a progress bar.

    Example:
        >>> list(submission_items(model=None, items=[], progress=False))
        []
    """
    for item in tracked(items, len(items), "items", progress):
        try:
            _, pixels = _read_image(item.image)
            with naming_the_file(item.image):
                head = predict_head(model, pixels, item.box)
        except MediaError as error:
            print(f"{item.name} is left out: {error}")
            continue
        head_model = model.head_model
        vertices, rotation, landmarks = (
            torch.from_numpy(array).to(head_model.template.device)
            for array in (head.vertices, head.rotation, head.landmarks)
        )
        yield SubmissionItem.from_mesh(item.name, head_model, vertices, rotation, landmarks)


class NeutralHead(NamedTuple):
    """Shape of a head in an image: without expression, its mouth closed, looking straight ahead."""

    vertices: np.ndarray
    """(V, 3) metres, in the head frame."""
    points7: np.ndarray
    """(7, 3) of the mesh, in the order of `zoo.heads.metrics.SEVEN_POINTS`."""
    how: str
    """Origin of the head's box: the end of a sentence that begins "the head was …"."""


def neutral_head(model: AlignmentModel, source: Path, face: Box | None = None) -> NeutralHead:
    """Return the neutral head of the predicted shape, for benchmarks of identity such as NoW.

    Args:
        model: in eval mode; if it is a module, its device is used.
        source: the image.
        face: box of the face, x, y, width, height in pixels, which is widened to the head; None takes the largest face.

    Raises:
        MediaError: the image cannot be read, or no head can be placed in it (`NoHeadError`); names the file.

    Example:
        >>> neutral_head(model=None, source=Path("missing.png"))
        Traceback (most recent call last):
        zoo.media.errors.MediaError: there is no file missing.png; expected an image: check the path.
    """
    _, pixels = _read_image(source)
    with naming_the_file(source):
        found = _locate(pixels, face)[0]
        if face is not None:
            found = FoundBox(widened(found.box, pixels.shape[:2]), "placed around the benchmark's face box")
        params = _predict_in_box(model, pixels, found).params
    with torch.inference_mode():
        vertices = model.head_model.neutral(params)
        points7 = seven_points(model.head_model.landmarks(vertices))
    return NeutralHead(to_array(vertices[0]), to_array(points7[0]), found.how)


def _read_image(path: Path) -> tuple[Path, np.ndarray]:
    return path, to_uint8(read_image(path))


@contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Raise a `NoHeadError` of the block again with the file's name before it.

    Example:
        >>> with naming_the_file(Path("me.png")):
        ...     raise NoHeadError("no face was found.")
        Traceback (most recent call last):
        zoo.heads.inference.NoHeadError: me.png: no face was found.
    """
    try:
        yield
    except NoHeadError as error:
        raise NoHeadError(f"{path}: {error}") from error
