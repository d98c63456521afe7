"""What is known of one head in one picture, and the files that it is saved as.

`Results` says which *kinds* are wanted, and where they land: `FOLDER/KIND/NAME.ENDING`. Of a video the overlay is a
video, JSON has a line a frame, and meshes are a file a frame. Every file is written whole or not at all.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from zoo.core.files import replacing
from zoo.heads.crop import Box
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.mesh_files import for_viewers, write_glb, write_obj
from zoo.heads.pictures import draw_head, to_array
from zoo.media.videos import Frame, VideoInfo, VideoWriter

KINDS = ("overlay", "obj", "glb", "json", "landmarks")
"""What can be saved: the head drawn over the picture, its mesh, its parameters, its 68 landmarks."""

VIDEO_KINDS = ("overlay", "json", "landmarks")
"""What is saved of a video when nothing is said: meshes are a file a frame."""

ENDINGS = {"overlay": ".png", "obj": ".obj", "glb": ".glb", "json": ".json", "landmarks": ".json"}
VIDEO_ENDINGS = {"overlay": ".mp4", "obj": "", "glb": "", "json": ".jsonl", "landmarks": ".jsonl"}

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
    """One head in one picture."""

    params: HeadParams
    """Of one head (B = 1), placed in the whole picture: see `projection_side`."""
    vertices: np.ndarray
    """(V, 3) metres, unrotated, in the head frame."""
    projected: np.ndarray
    """(V, 2) pixels of the picture, x right, y down."""
    landmarks: np.ndarray
    """(68, 2) of the mesh, pixels of the picture."""
    rotation: np.ndarray
    """(3, 3), head frame to picture frame."""
    euler: tuple[float, float, float]
    """Pitch, yaw and roll in degrees; straight ahead is 0, 0, 0."""
    box: Box
    """Of the head: x, y, width, height in pixels of the picture."""
    how: str
    """Where the box came from: the end of a sentence that begins "the head was …"."""
    projection_side: int
    """Pixels: the side of the square that translation and scale refer to, for `HeadModel.project`."""
    network_landmarks: np.ndarray | None = None
    """(68, 2) that the landmark branch found itself, pixels of the picture; None without such a branch."""

    @property
    def posed(self) -> np.ndarray:
        """(V, 3) vertices in the picture frame: x right, y down, z away."""
        return self.vertices @ self.rotation.T


class Results:
    """Which results are wanted, and where they land.

    Args:
        folder: made where it does not exist; files of the same name are replaced.
        save: some of `KINDS`; None takes all for pictures, `VIDEO_KINDS` for videos.
        wire: draw the mesh as a wire frame instead of a half-transparent surface.
        posed: meshes are turned as in the picture; otherwise they look at the viewer.
        model: what JSON files call the model.

    Raises:
        ValueError: a kind that does not exist.
    """

    def __init__(
        self,
        folder: str | Path,
        save: Sequence[str] | None = None,
        wire: bool = False,
        posed: bool = False,
        model: str | None = None,
    ) -> None:
        unknown = [kind for kind in save or () if kind not in KINDS]
        if unknown:
            raise ValueError(
                f"results of kind '{' '.join(unknown)}' do not exist; expected some of {', '.join(KINDS)}."
            )
        self.folder = Path(folder)
        self.save = save
        self.wire, self.posed, self.model = wire, posed, model

    def targets(self, name: str, video: bool = False) -> dict[str, Path]:
        """Where each wanted kind of one picture or video lands; folders for a video's meshes."""
        wanted = self.save or (VIDEO_KINDS if video else KINDS)
        endings = VIDEO_ENDINGS if video else ENDINGS
        return {kind: self.folder / kind / f"{name}{endings[kind]}" for kind in wanted}

    def overlay(self, pixels: np.ndarray, result: HeadResult, head_model: HeadModel) -> np.ndarray:
        """The head drawn over its picture (H, W, 3) uint8."""
        faces = to_array(head_model.faces)
        return draw_head(
            pixels, result.projected, result.posed, faces, result.landmarks, result.rotation, wire=self.wire
        )

    def write_mesh(self, path: Path, result: HeadResult, head_model: HeadModel) -> Path:
        """Write OBJ or GLB, as the path ends."""
        vertices = for_viewers(result.posed) if self.posed else result.vertices
        return (write_obj if path.suffix == ".obj" else write_glb)(path, vertices, to_array(head_model.faces))

    def record(self, kind: str, result: HeadResult, head_model: HeadModel) -> dict[str, Any]:
        """What the JSON of a kind, `json` or `landmarks`, says of a head."""
        box = {"box": rounded(result.box), "box_from": result.how}
        if kind == "landmarks":
            network = result.network_landmarks
            return box | {
                "landmarks": rounded(result.landmarks),
                "network_landmarks": None if network is None else rounded(network),
            }
        return {
            **box,
            "euler": dict(zip(("pitch", "yaw", "roll"), rounded(result.euler), strict=True)),
            "rotation_matrix": rounded(result.rotation),
            **{name: rounded(value[0]) for name, value in result.params._asdict().items()},
            "projection_side": result.projection_side,
            "projection": PROJECTION,
            "units": UNITS,
            "model": self.model,
            "head_model": {"name": head_model.name, "licence": head_model.licence, "sha256": head_model.sha256},
        }

    def write_json(
        self, path: Path, kind: str, result: HeadResult, head_model: HeadModel, about: dict[str, Any]
    ) -> None:
        """Write what is said about a picture and its head, a key a line."""
        record = about | self.record(kind, result, head_model)
        lines = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items()
        )
        with replacing(path) as unfinished:
            unfinished.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


class VideoResults:
    """Writes the results of a video frame by frame; used in a `with` block, in which files get their names at the end.

    Args:
        results: what is wanted.
        targets: where each kind lands.
        info: of the video.
        head_model: of the heads.
    """

    def __init__(self, results: Results, targets: dict[str, Path], info: VideoInfo, head_model: HeadModel) -> None:
        self._results, self._targets, self._info, self._head_model = results, targets, info, head_model
        self._lines: dict[str, TextIO] = {}
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for kind, path in self._targets.items():
                if path.suffix == ".mp4":
                    self._video = stack.enter_context(VideoWriter(path, self._info))
                elif path.suffix == ".jsonl":
                    unfinished = stack.enter_context(replacing(path))
                    self._lines[kind] = stack.enter_context(unfinished.open("w", encoding="utf-8"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, frame: Frame, result: HeadResult | None) -> None:
        """Add the next frame; without a head, its picture stays as it is and its JSON says `"box": null`."""
        moment = {"frame": self._count, "seconds": round(float(frame.seconds), 6)}
        for kind, path in self._targets.items():
            if kind == "overlay":
                self._video.write(self._drawn(frame, result), frame)
            elif kind in self._lines:
                found = {"box": None} if result is None else self._results.record(kind, result, self._head_model)
                self._lines[kind].write(json.dumps(moment | found, ensure_ascii=False) + "\n")
            elif result is not None:
                self._results.write_mesh(path / f"{self._count:06d}.{kind}", result, self._head_model)
        self._count += 1

    def _drawn(self, frame: Frame, result: HeadResult | None) -> np.ndarray:
        return frame.pixels if result is None else self._results.overlay(frame.pixels, result, self._head_model)


def rounded(values: ArrayLike | Tensor) -> Any:
    """Plain numbers for JSON, of six decimals: micrometres, and far less than a pixel."""
    array = to_array(values) if isinstance(values, Tensor) else np.asarray(values)
    return array.astype(np.float64).round(6).tolist()
