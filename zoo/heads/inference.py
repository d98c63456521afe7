"""From pictures to heads: in memory, or from a picture, a folder of pictures or a video to a folder of results.

A *model* has a `head_model`, an `image_size` and a `network` for square crops of that size, as
`zoo.heads.module.HeadAlignment` does. One head a picture is found: that in the box that is given, or the largest face.
Memory does not grow with the length of a video.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from zoo.heads.crop import Box, check_box, find_head_box, place_crop, widened
from zoo.heads.dad_format import Item
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.metrics.points import seven_points
from zoo.heads.parts import HeadOutput
from zoo.heads.pictures import to_array
from zoo.heads.results import KINDS, HeadResult, Results, VideoResults
from zoo.heads.rotation import matrix_from_6d, matrix_to_euler
from zoo.heads.smoothing import HeadSmoother
from zoo.heads.submission import SubmissionItem
from zoo.measure.device import device_of
from zoo.media.images import MediaError, read_image, to_uint8, write_image
from zoo.media.results import named_pictures, refuse_overwriting, tracked
from zoo.media.videos import VideoEndsEarly, is_video, read_frames, read_video_info

EXTENSION = 0.1
"""How far each side of the head's box is moved outwards, as a share of the box: the middle of what training draws."""

CARRIED_OVER = "taken to be where it was in the frame before"
NOT_FOUND = "not found yet"


class NoHeadError(MediaError):
    """A picture in which no head could be placed; the message says why."""


class AlignmentModel(Protocol):
    """What is needed of a model."""

    head_model: HeadModel
    image_size: int
    network: Callable[[Tensor], HeadOutput]


def predict_head(model: AlignmentModel, image: np.ndarray, box: Box | None = None) -> HeadResult:
    """Find one head in a picture in memory.

    Args:
        model: in eval mode; if it is a module, its device is used.
        image: (H, W, 3), uint8 or float in [0, 1].
        box: of the head: x, y, width, height in pixels; None looks for the largest face.

    Raises:
        NoHeadError: no head was found, the box lies outside the picture, or the model gives no finite numbers.
        ValueError: a model in training mode.
    """
    pixels = to_uint8(image)
    return predict_in_box(model, pixels, *locate(pixels, box))


def locate(pixels: np.ndarray, box: Box | None) -> tuple[Box, str]:
    """The box that was given, checked, or that of the largest face; and which of the two.

    Raises:
        NoHeadError: no head was found, or the box lies outside the picture.
    """
    try:
        return find_head_box(pixels) if box is None else (check_box(box, pixels.shape[:2]), "in the box that was given")
    except ValueError as error:
        raise NoHeadError(str(error)) from error


def predict_in_box(model: AlignmentModel, pixels: np.ndarray, box: Box, how: str) -> HeadResult:
    """The head in a box of a picture (H, W, 3) uint8; otherwise as `predict_head`."""
    if isinstance(model, nn.Module) and model.training:
        raise ValueError("the model is in training mode; expected eval mode: call model.eval().")
    crop = place_crop(box, pixels.shape[:2], model.image_size, EXTENSION)
    square = crop.cut(torch.from_numpy(pixels).permute(2, 0, 1))[None]
    with torch.inference_mode():
        output = model.network(square.to(device_of(model)).float() / 255)
    params = crop.params_in_picture(model.head_model.split(output.params.float()))
    result = place_head(model.head_model, params, crop.size, box, how)
    if output.landmarks is None:
        return result
    return result._replace(network_landmarks=to_array(crop.to_picture(output.landmarks[0].float() * crop.size)))


def place_head(head_model: HeadModel, params: HeadParams, projection_side: int, box: Box, how: str) -> HeadResult:
    """The mesh of one head (B = 1) and its place in the picture, from its parameters.

    Raises:
        NoHeadError: parameters that are not finite.
    """
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
            box=box,
            how=how,
            projection_side=projection_side,
        )


def head_files(
    model: AlignmentModel,
    source: str | Path,
    results: Results,
    box: Box | None = None,
    smooth: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Find heads in whatever `source` is, a folder, a video or a picture: `head_folder`, `head_video`, `head_image`.

    Raises:
        MediaError: `smooth` for pictures, which do not follow one another in time.
    """
    folder = Path(source).is_dir()
    if is_video(source) and not folder:
        return head_video(model, source, results, box, smooth, progress)
    if smooth:
        what = "folder of pictures" if folder else "picture"
        raise MediaError(f"{source} is a {what} and smoothing needs the frames of a video: leave out --smooth.")
    return head_folder(model, source, results, box, progress) if folder else head_image(model, source, results, box)


def head_image(model: AlignmentModel, source: str | Path, results: Results, box: Box | None = None) -> list[Path]:
    """Find the head in one picture, and print where its box came from.

    Args:
        model: in eval mode; if it is a module, its device is used.
        box: of the head: x, y, width, height in pixels; None looks for the largest face.

    Returns:
        The files written.

    Raises:
        MediaError: the picture cannot be read, or no head can be placed in it (`NoHeadError`); nothing is written.
    """
    source = Path(source)
    targets = results.targets(source.stem)
    refuse_overwriting(targets.values(), [source])
    return _head_picture(model, source, targets, results, box)


def head_folder(
    model: AlignmentModel, source: str | Path, results: Results, box: Box | None = None, progress: bool = True
) -> list[Path]:
    """Find the head in every picture in a folder and its subfolders; results keep the names and subfolders.

    A picture that cannot be read or shows no head is left out and named at the end, when all others are done.

    Args:
        model: in eval mode; if it is a module, its device is used.
        box: of the head in every picture; None looks for the largest face in each.

    Returns:
        The files written.

    Raises:
        MediaError: no pictures, or two of one name; pictures that were left out.
    """
    source = Path(source)
    pictures = named_pictures(source, own=(results.folder / kind for kind in KINDS))
    targets = {name: results.targets(name) for _, name in pictures}
    refuse_overwriting((path for paths in targets.values() for path in paths.values()), (path for path, _ in pictures))
    written: list[Path] = []
    failures: list[MediaError] = []
    for picture, name in tracked(pictures, len(pictures), "heads", progress):
        try:
            written += _head_picture(model, picture, targets[name], results, box)
        except MediaError as error:
            failures.append(error)
    if failures:
        raise MediaError(
            f"{len(failures)} of {len(pictures)} pictures were left out, the others are in {results.folder}; "
            f"the first of them: {failures[0]}"
        )
    return written


def head_video(
    model: AlignmentModel,
    source: str | Path,
    results: Results,
    box: Box | None = None,
    smooth: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Find the head in every frame of a video, and print where its boxes came from.

    The overlay keeps timestamps, rotation and sound. A video that ends early gives results of what there is of it,
    under their names, and the error says so. When the work is interrupted, the overlay is kept as `NAME.partial.mp4`.

    Args:
        model: in eval mode; if it is a module, its device is used.
        box: of the head in every frame; None looks for the largest face, see `VideoBoxes`.
        smooth: let the parameters follow each other smoothly, see `zoo.heads.smoothing`.

    Returns:
        The files written; of meshes the folders.

    Raises:
        MediaError: the video cannot be read, PyAV is missing; no head can be placed in it (`NoHeadError`).
        VideoEndsEarly: after everything is written.
    """
    source = Path(source)
    targets = results.targets(source.stem, video=True)
    refuse_overwriting(targets.values(), [source])
    info = read_video_info(source)
    boxes = VideoBoxes(source, box)
    smoother = HeadSmoother() if smooth else None
    damage = None
    with VideoResults(results, targets, info, model.head_model) as writer:
        try:
            for frame in tracked(read_frames(source), info.frame_count, source.name, progress):
                found = boxes.locate(frame.pixels)
                result = None if found is None else predict_in_box(model, frame.pixels, *found)
                if smoother is not None and result is not None:
                    result = smoothed(result, smoother, float(frame.seconds), model.head_model)
                writer.write(frame, result)
        except VideoEndsEarly as error:
            damage = error
    print(f"{source.name}: {boxes.summary()}")
    if damage is not None:
        raise damage
    return list(targets.values())


def smoothed(result: HeadResult, smoother: HeadSmoother, seconds: float, head_model: HeadModel) -> HeadResult:
    """The head that the smoothed parameters give; what the landmark branch found stays as it is."""
    params = smoother(result.params, seconds)
    placed = place_head(head_model, params, result.projection_side, result.box, result.how)
    return placed._replace(network_landmarks=result.network_landmarks)


class VideoBoxes:
    """The head's box in each frame of a video: the given one, or that of the largest face.

    A frame that shows no face takes the box of the frame before it; frames before the first face have none.

    Args:
        source: the video; it is read up to its first face.
        given: of the head in every frame, or None.

    Raises:
        NoHeadError: no frame shows a head, or the box lies outside the picture.
    """

    def __init__(self, source: Path, given: Box | None) -> None:
        self._given = given
        self._last: Box | None = None
        self._origins: Counter[str] = Counter()
        for frame in read_frames(source):
            try:
                locate(frame.pixels, given)
                return
            except NoHeadError as error:
                if given is not None:
                    raise NoHeadError(f"{source}: {error}") from error
        raise NoHeadError(
            f"{source}: no frontal face was found in any frame; give the head's box: x, y, width, height."
        )

    def locate(self, pixels: np.ndarray) -> tuple[Box, str] | None:
        """The box in the next frame and where it came from; None before the first face."""
        box, how = self._last, CARRIED_OVER
        try:
            found, origin = locate(pixels, self._given)
            filling = self._given is None and found == (0, 0, pixels.shape[1], pixels.shape[0])
            if self._last is None or not filling:  # a portrait without a face says less than the frame before
                box, how = found, origin
        except NoHeadError:
            pass
        self._last = box
        self._origins[NOT_FOUND if box is None else how] += 1
        return None if box is None else (box, how)

    def summary(self) -> str:
        """In how many frames the head was found, and how."""
        return ", ".join(f"the head was {how} ({count} frames)" for how, count in self._origins.most_common())


def submission_items(model: AlignmentModel, items: Sequence[Item], progress: bool = True) -> Iterator[SubmissionItem]:
    """The prediction for each item of a benchmark, one by one; an item whose picture cannot be used is passed over.

    Args:
        model: in eval mode; if it is a module, its device is used.
        items: with the head's box in each picture.
    """
    for item in tracked(items, len(items), "items", progress):
        try:
            _, result = read_head(model, item.image, item.box)
        except MediaError as error:
            print(f"{item.name} is left out: {error}")
            continue
        head_model = model.head_model
        vertices, rotation, landmarks = (
            torch.from_numpy(array).to(head_model.template.device)
            for array in (result.vertices, result.rotation, result.landmarks)
        )
        yield SubmissionItem.from_mesh(item.name, head_model, vertices, rotation, landmarks)


class NeutralHead(NamedTuple):
    """The shape of a head in a picture: without expression, its mouth closed, looking straight ahead."""

    vertices: np.ndarray
    """(V, 3) metres, in the head frame."""
    points7: np.ndarray
    """(7, 3) of the mesh, in the order of `zoo.heads.metrics.SEVEN_POINTS`."""
    how: str
    """Where the head's box came from: the end of a sentence that begins "the head was …"."""


def neutral_head(model: AlignmentModel, source: Path, face: Box | None = None) -> NeutralHead:
    """The neutral head that the predicted shape gives, for benchmarks of identity such as NoW.

    Args:
        model: in eval mode; if it is a module, its device is used.
        source: the picture.
        face: box of the face, x, y, width, height in pixels, which is widened to the head as that of a face that is
            found; None looks for the largest face.

    Raises:
        MediaError: the picture cannot be read, or no head can be placed in it (`NoHeadError`); names the file.
    """
    pixels = to_uint8(read_image(source))
    try:
        box, how = locate(pixels, face)
        if face is not None:
            box, how = widened(box, pixels.shape[:2]), "placed around the benchmark's face box"
        params = predict_in_box(model, pixels, box, how).params
    except NoHeadError as error:
        raise NoHeadError(f"{source}: {error}") from error
    with torch.inference_mode():
        vertices = model.head_model.neutral(params)
        points7 = seven_points(model.head_model.landmarks(vertices))
    return NeutralHead(to_array(vertices[0]), to_array(points7[0]), how)


def read_head(model: AlignmentModel, source: Path, box: Box | None) -> tuple[np.ndarray, HeadResult]:
    """A picture (H, W, 3) uint8 and its head, see `predict_head`.

    Raises:
        MediaError: the picture cannot be read, or no head can be placed in it; names the file.
    """
    pixels = to_uint8(read_image(source))
    try:
        return pixels, predict_head(model, pixels, box)
    except NoHeadError as error:
        raise NoHeadError(f"{source}: {error}") from error


def _head_picture(
    model: AlignmentModel, source: Path, targets: dict[str, Path], results: Results, box: Box | None
) -> list[Path]:
    pixels, result = read_head(model, source, box)
    x, y, width, height = (round(number) for number in result.box)
    print(f"{source.name}: the head was {result.how} (x={x} y={y} width={width} height={height})")
    for kind, path in targets.items():
        if kind == "overlay":
            write_image(path, results.overlay(pixels, result, model.head_model))
        elif path.suffix == ".json":
            about = {"picture": source.name, "size": [pixels.shape[1], pixels.shape[0]]}
            results.write_json(path, kind, result, model.head_model, about)
        else:
            results.write_mesh(path, result, model.head_model)
    return list(targets.values())
