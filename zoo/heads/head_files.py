"""Record of one head in an image, and the files that it is saved as.

Of a video the overlay is a video, JSON has a line per frame, and meshes are a file per frame. Files are written
atomically.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw
from torch import Tensor

from zoo.core.files import replacing
from zoo.heads.crop import Box
from zoo.heads.detection import LOW_SCORE
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.mesh_files import for_viewers, write_glb, write_obj
from zoo.heads.pictures import draw_head, to_array
from zoo.media.images import write_image
from zoo.media.run import ResultFiles
from zoo.media.videos import Frame, VideoInfo, VideoWriter

KINDS = ("overlay", "obj", "glb", "json", "landmarks")
"""Kinds of results: head drawn over the image, mesh in two formats, parameters, 68 landmarks."""

PROJECTION = "pixels = (rotation_matrix · vertex · (scale + 1) + translation + 1) / 2 · projection_side, x and y of it"
UNITS = {
    "meshes": "metres",
    "euler": "degrees",
    "jaw": "axis times angle, radians",
    "translation": "halves of projection_side",
    "box": "x, y, width, height in pixels",
    "landmarks": "pixels, x right, y down",
}


class HeadResult(NamedTuple):
    """One head in one image; `zoo.heads.inference.predict_head` returns it."""

    params: HeadParams
    """Of one head (B = 1), placed in the whole image: see `projection_side`."""
    vertices: np.ndarray
    """(V, 3) metres, unrotated, in the head frame."""
    projected: np.ndarray
    """(V, 2) pixels of the image, x right, y down."""
    landmarks: np.ndarray
    """(68, 2) of the mesh, pixels of the image."""
    rotation: np.ndarray
    """(3, 3), head frame to image frame."""
    euler: tuple[float, float, float]
    """Pitch, yaw and roll in degrees; straight ahead is 0, 0, 0."""
    box: Box
    """Of the head: x, y, width, height in pixels of the image."""
    how: str
    """Origin of the box: the end of a sentence that begins "the head was …"."""
    projection_side: int
    """Pixels: side of the square that translation and scale refer to, for `HeadModel.project`."""
    head_model: HeadModel
    """Head model of the mesh."""
    network_landmarks: np.ndarray | None = None
    """(68, 2) of the landmark branch, pixels of the image; None without such a branch."""
    score: float | None = None
    """How sure it is that a head is in the box, from 0 to 1; None for a box that was given."""

    @property
    def doubtful(self) -> bool:
        """Whether the score is low."""
        return is_doubtful(self.score)

    @property
    def posed(self) -> np.ndarray:
        """(V, 3) vertices in the image frame: x right, y down, z away."""
        return self.vertices @ self.rotation.T


def is_doubtful(score: float | None) -> bool:
    """Return whether a score is low.

    Example:
        >>> is_doubtful(0.5), is_doubtful(1.0), is_doubtful(None)
        (True, False, False)
    """
    return score is not None and score < LOW_SCORE


class HeadImage(NamedTuple):
    """An image with its heads."""

    path: Path
    pixels: np.ndarray
    """(H, W, 3) uint8."""
    heads: list[HeadResult]
    """The largest first."""


class HeadFiles(ResultFiles):
    """Files that heads are saved as.

    Args:
        folder: created when missing; files of the same name are replaced. A name such as `out.obj` is one file.
        save: some of `KINDS`; None takes all for images, and for videos those that are not a file per frame.
        wire: draw the mesh as a wire frame instead of a half-transparent surface.
        posed: rotate meshes as in the image; otherwise they look at the viewer.
        model: name of the model in JSON files.

    Raises:
        ZooError: unknown kind, or a file where the folder should be.

    Example:
        >>> HeadFiles("out", ["json"]).targets("walk", video=True)["json"].as_posix()
        'out/json/walk.jsonl'
    """

    endings = {"overlay": ".png", "obj": ".obj", "glb": ".glb", "json": ".json", "landmarks": ".json"}
    video_endings = {"overlay": ".mp4", "obj": "", "glb": "", "json": ".jsonl", "landmarks": ".jsonl"}
    default, video_default = KINDS, ("overlay", "json", "landmarks")

    def __init__(
        self,
        folder: str | Path,
        save: Sequence[str] | None = None,
        wire: bool = False,
        posed: bool = False,
        model: str | None = None,
    ) -> None:
        super().__init__(folder, save)
        self.wire, self.posed, self.model = wire, posed, model

    def write(self, kind: str, path: Path, image: HeadImage) -> None:
        """Write one kind of result of an image. Meshes are a file per head: `NAME.obj`, `NAME_2.obj`, …"""
        if kind == "overlay":
            write_image(path, self.overlay(image.pixels, image.heads))
        elif kind in ("obj", "glb"):
            for number, head in enumerate(image.heads, start=1):
                self.write_mesh(path if number == 1 else path.with_stem(f"{path.stem}_{number}"), head)
        else:
            size = [image.pixels.shape[1], image.pixels.shape[0]]
            record = {"picture": image.path.name, "size": size} | self.record(kind, image.heads[0])
            if len(image.heads) > 1:
                record["others"] = [self.record(kind, head) for head in image.heads[1:]]
            lines = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items())
            with replacing(path) as unfinished:
                unfinished.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    @contextmanager
    def frame_writer(self, kind: str, path: Path, info: VideoInfo) -> Iterator[Callable[[int, Frame, Any], None]]:
        """Write one kind of result of a video, see `zoo.media.run.FrameWriter`.

        A frame without a head (None) keeps its image, and its JSON is `"box": null`.
        """
        if kind == "overlay":
            with VideoWriter(path, info) as video:
                yield lambda number, frame, head: video.write(self.overlay(frame.pixels, [head] if head else []), frame)
        elif kind in ("obj", "glb"):
            yield lambda number, frame, head: self.write_mesh(path / f"{number:06d}.{kind}", head)
        else:
            with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:

                def write_line(number: int, frame: Frame, head: HeadResult | None) -> None:
                    record = {"frame": number, "seconds": round(float(frame.seconds), 6)} | self.record(kind, head)
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")

                yield write_line

    def overlay(self, pixels: np.ndarray, heads: Sequence[HeadResult]) -> np.ndarray:
        """Return the image (H, W, 3) uint8 with the heads drawn over it, doubtful ones in a red frame."""
        image = pixels
        for head in reversed(heads):  # the largest is in front
            faces = to_array(head.head_model.faces)
            image = draw_head(image, head.projected, head.posed, faces, head.landmarks, head.rotation, wire=self.wire)
        doubtful = [head.box for head in heads if head.doubtful]
        if not doubtful:
            return image
        framed = Image.fromarray(image)
        draw = ImageDraw.Draw(framed)
        for x, y, width, height in doubtful:
            draw.rectangle(
                (x, y, x + width - 1, y + height - 1), outline="red", width=max(2, min(image.shape[:2]) // 100)
            )
        return np.asarray(framed)

    def write_mesh(self, path: Path, head: HeadResult | None) -> None:
        """Write OBJ or GLB, as the path ends."""
        if head is not None:
            vertices = for_viewers(head.posed) if self.posed else head.vertices
            (write_obj if path.suffix == ".obj" else write_glb)(path, vertices, to_array(head.head_model.faces))

    def record(self, kind: str, head: HeadResult | None) -> dict[str, Any]:
        """Return the JSON of a head, of the kind `json` or `landmarks`."""
        if head is None:
            return {"box": None}
        box = {"box": rounded(head.box), "box_from": head.how, "score": head.score, "doubtful": head.doubtful}
        if kind == "landmarks":
            network = head.network_landmarks
            return box | {
                "landmarks": rounded(head.landmarks),
                "network_landmarks": None if network is None else rounded(network),
            }
        model = head.head_model
        return {
            **box,
            "euler": dict(zip(("pitch", "yaw", "roll"), rounded(head.euler), strict=True)),
            "rotation_matrix": rounded(head.rotation),
            **{name: rounded(value[0]) for name, value in head.params._asdict().items()},
            "projection_side": head.projection_side,
            "projection": PROJECTION,
            "units": UNITS,
            "model": self.model,
            "head_model": {"name": model.name, "licence": model.licence, "sha256": model.sha256},
        }


def rounded(values: ArrayLike | Tensor) -> Any:
    """Return plain numbers for JSON, of six decimals: micrometres, and far less than a pixel.

    Example:
        >>> rounded([0.12345678, 2])
        [0.123457, 2.0]
    """
    array = to_array(values) if isinstance(values, Tensor) else np.asarray(values)
    return array.astype(np.float64).round(6).tolist()
