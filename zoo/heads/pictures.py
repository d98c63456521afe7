"""Heads drawn over images: mesh, landmarks and pose axes; contact sheets of validation, and tiles of test samples.

Drawing functions take an image (H, W, 3) uint8 and return a new one; points are pixels, x right, y down. Directions are
in the image frame of `zoo.heads.rotation`: z points away from the viewer.
"""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from lightning.pytorch.loggers import Logger
from PIL import Image, ImageDraw
from torch import Tensor

from zoo.heads.mesh import HeadModel
from zoo.heads.parts import HeadBatch, HeadOutput
from zoo.heads.render import interpolate, rasterise, vertex_normals
from zoo.media.images import to_uint8
from zoo.training.pictures import contact_sheet, log_picture

COLUMNS = ("crop", "ground truth", "prediction", "heatmaps and landmarks")

Colour = tuple[int, int, int]

MESH_COLOUR: Colour = (210, 232, 255)
LIGHT = (-0.45, -0.55, -0.7)
"""Direction of the light on meshes: from above the viewer's left shoulder."""
AMBIENT = 0.2

SUPERSAMPLING, MAX_CANVAS = 4, 4000
"""Pixels of the canvas per pixel of the image, and the canvas's maximum side."""
MAX_COORDINATE = 20_000

FACE_PARTS: dict[str, tuple[range, bool, Colour]] = {
    "contour": (range(17), False, (255, 255, 255)),
    "right brow": (range(17, 22), False, (255, 190, 60)),
    "left brow": (range(22, 27), False, (255, 190, 60)),
    "bridge of the nose": (range(27, 31), False, (120, 255, 120)),
    "nostrils": (range(31, 36), False, (120, 255, 120)),
    "right eye": (range(36, 42), True, (80, 220, 255)),
    "left eye": (range(42, 48), True, (80, 220, 255)),
    "outer lips": (range(48, 60), True, (255, 110, 150)),
    "inner lips": (range(60, 68), True, (255, 110, 150)),
}
"""The 68 landmarks by part of the face: indices, whether their line is closed, colour."""

AXIS_COLOURS: tuple[Colour, ...] = ((235, 50, 50), (60, 200, 60), (60, 110, 255))
"""Colours of the head's x (to the subject's left), y (up) and z (out of the face)."""


class Layer:
    """Antialiased lines and dots over an image.

    Args:
        image: (H, W, 3) uint8.
        points: (N, 2) pixels; everything is drawn within their bounding box and `margin` pixels around it.
        margin: pixels.

    Example:
        >>> layer = Layer(np.zeros((20, 20, 3), np.uint8), np.array([[2, 2], [18, 18]]), margin=2)
        >>> layer.dots(np.array([[10, 10]]), (255, 0, 0), radius=2)
        >>> layer.blend()[10, 10]
        array([255,   0,   0], dtype=uint8)
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, margin: float) -> None:
        limits = np.array([image.shape[1], image.shape[0]])
        self._image = image
        self._low = np.floor(points.min(0) - margin).clip(0, limits).astype(int)
        self._size = np.ceil(points.max(0) + margin).clip(self._low, limits).astype(int) - self._low
        self._scale = int(np.clip(MAX_CANVAS // max(1, self._size.max()), 1, SUPERSAMPLING))
        width, height = self._size * self._scale
        self._canvas = Image.new("RGBA", (int(width), int(height)))
        self._draw = ImageDraw.Draw(self._canvas)

    def lines(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """Draw a line through points (N, 2); `width` in pixels of the image."""
        scaled = max(1, round(width * self._scale))
        self._draw.line([tuple(point) for point in self._on_canvas(points)], fill=colour, width=scaled, joint="curve")

    def dots(self, points: np.ndarray, colour: Colour, radius: float) -> None:
        """Draw a dot at each of (N, 2)."""
        radius *= self._scale
        for x, y in self._on_canvas(points):
            self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def blend(self, opacity: float = 1.0) -> np.ndarray:
        """Return the image with the layer over it."""
        if not self._size.all():  # all of it lies outside the image
            return self._image.copy()
        width, height = self._size.tolist()
        layer = np.asarray(self._canvas.resize((width, height), Image.Resampling.BOX), np.float32)
        alpha = opacity * layer[:, :, 3:] / 255
        drawn = self._image.copy()
        region = drawn[self._low[1] : self._low[1] + height, self._low[0] : self._low[0] + width]
        region[:] = np.rint((1 - alpha) * region + alpha * layer[:, :, :3])
        return drawn

    def _on_canvas(self, points: np.ndarray) -> list[list[float]]:
        """Map points to the canvas; those of a failed prediction may be too far away to draw lines to."""
        return ((points - self._low) * self._scale).clip(-MAX_COORDINATE, MAX_COORDINATE).tolist()


def draw_mesh(
    image: np.ndarray, projected: np.ndarray, posed: np.ndarray, faces: np.ndarray, opacity: float = 0.6
) -> np.ndarray:
    """Draw the mesh as a half-transparent, shaded surface.

    Args:
        image: (H, W, 3) uint8.
        projected: (V, 2) pixels.
        posed: (V, 3) vertices in the image frame, for depth and light.
        faces: (F, 3), counter-clockwise seen from outside.
        opacity: 0 shows only the image, 1 only the mesh.

    Example:
        >>> image, faces = np.zeros((40, 40, 3), np.uint8), np.array([[0, 1, 2]])
        >>> projected = np.array([[5, 5], [5, 35], [35, 5]], np.float32)
        >>> draw_mesh(image, projected, np.pad(projected, ((0, 0), (0, 1))), faces)[10, 10].any().item()
        True
    """
    raster = rasterise(np.concatenate([projected, posed[:, 2:]], axis=1), faces, *image.shape[:2])
    covered = raster.triangles >= 0
    normals = interpolate(raster, faces, vertex_normals(posed, faces))[covered]
    light = normals @ (np.array(LIGHT, np.float32) / np.linalg.norm(LIGHT))
    colour = (AMBIENT + (1 - AMBIENT) * light.clip(0, 1))[:, None] * np.array(MESH_COLOUR)
    drawn = image.copy()
    drawn[covered] = np.rint((1 - opacity) * image[covered] + opacity * colour)
    return drawn


def draw_wire(image: np.ndarray, projected: np.ndarray, faces: np.ndarray, opacity: float = 0.8) -> np.ndarray:
    """Draw the edges of the triangles that face the viewer; arguments as of `draw_mesh`.

    Example:
        >>> image, faces = np.zeros((40, 40, 3), np.uint8), np.array([[0, 1, 2]])
        >>> projected = np.array([[5, 5], [5, 35], [35, 5]], np.float32)
        >>> draw_wire(image, projected, faces)[20].any(axis=1).nonzero()[0].tolist()
        [5, 19, 20]
    """
    first, second, third = (projected[faces[:, corner]] for corner in range(3))
    across, along = second - first, third - first
    facing = faces[across[:, 0] * along[:, 1] < across[:, 1] * along[:, 0]]  # y points down: the area is negative
    edges = np.sort(np.concatenate([facing[:, [0, 1]], facing[:, [1, 2]], facing[:, [2, 0]]]), axis=1)
    layer = Layer(image, projected, margin=1)
    for edge in np.unique(edges, axis=0):
        layer.lines(projected[edge], MESH_COLOUR, width=0)
    return layer.blend(opacity)


def draw_landmarks(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Draw the 68 landmarks (68, 2) as dots, joined by a line per part of the face.

    Example:
        >>> image = np.zeros((40, 40, 3), np.uint8)
        >>> draw_landmarks(image, np.full((68, 2), 20.0))[20, 20].any().item()
        True
    """
    width = max(0.75, float(np.ptp(points, axis=0).max()) / 150)
    layer = Layer(image, points, margin=2 * width + 1)
    for indices, closed, colour in FACE_PARTS.values():
        part = points[list(indices)]
        layer.lines(np.concatenate([part, part[:1]]) if closed else part, colour, width)
        layer.dots(part, colour, 1.5 * width)
    return layer.blend()


def draw_axes(image: np.ndarray, rotation: np.ndarray, centre: np.ndarray, length: float) -> np.ndarray:
    """Draw the head's axes, the nearest in front: x red to the subject's left, y green up, z blue out of the face.

    Args:
        image: (H, W, 3) uint8.
        rotation: (3, 3), head frame to image frame.
        centre: (2,) pixels, origin of the axes.
        length: of an axis in the image plane, pixels.

    Example:
        >>> drawn = draw_axes(np.zeros((40, 40, 3), np.uint8), np.eye(3), np.array([10.0, 10.0]), length=20)
        >>> drawn[10, 25].tolist(), drawn[25, 10].tolist()
        ([175, 37, 37], [45, 150, 45])
    """
    width = max(1.0, length / 30)
    ends = centre + length * rotation[:2].T
    layer = Layer(image, np.concatenate([centre[None], ends]), margin=2 * width)
    for axis in np.argsort(-rotation[2]):
        layer.lines(np.stack([centre, ends[axis]]), AXIS_COLOURS[axis], width)
        layer.dots(ends[axis][None], AXIS_COLOURS[axis], width)
    return layer.blend()


def draw_head(
    image: np.ndarray,
    projected: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    landmarks: np.ndarray,
    rotation: np.ndarray,
    wire: bool = False,
) -> np.ndarray:
    """Draw mesh, landmarks and axes over one image; arguments as of the functions above.

    Example:
        >>> image, points = np.zeros((40, 40, 3), np.uint8), np.random.default_rng(0).uniform(5, 35, (68, 2))
        >>> posed = np.pad(points, ((0, 0), (0, 1)))
        >>> draw_head(image, points, posed, np.array([[0, 1, 2]]), points, np.eye(3)).shape
        (40, 40, 3)
    """
    drawn = draw_wire(image, projected, faces) if wire else draw_mesh(image, projected, posed, faces)
    low, high = projected.min(0), projected.max(0)
    axes = draw_axes(drawn, rotation, (low + high) / 2, 0.5 * float((high - low).max()))
    return draw_landmarks(axes, landmarks)


def _sheet(samples: Sequence[tuple[HeadBatch, HeadOutput]], head_model: HeadModel, side: int = 192) -> Image.Image:
    """Return a contact sheet: a row per sample, a column for each of `COLUMNS`, the last only with heatmaps."""
    rows = [row for batch, output in samples for row in _tiles(batch, output, head_model, side)]
    return contact_sheet(rows, COLUMNS[: len(rows[0])])


def _tiles(batch: HeadBatch, output: HeadOutput, head_model: HeadModel, side: int) -> list[list[np.ndarray]]:
    """Return the tiles of each sample of a batch, uint8 (side, side, 3)."""
    scale = side / batch.image.shape[-1]
    crops = F.interpolate(batch.image.detach().float(), (side, side), mode="bilinear", antialias=True)
    assert output.vertices is not None
    assert output.projected is not None
    assert output.rotation is not None
    images = [to_uint8(crop) for crop in crops]
    columns = [
        images,
        _with_heads(images, batch.vertices, batch.projected * scale, batch.rotation, head_model),
        _with_heads(images, output.vertices, output.projected * scale, output.rotation, head_model),
    ]
    if output.heatmaps is not None:
        columns.append(_heatmap_tiles(crops, output.heatmaps, output.landmarks))
    return [list(row) for row in zip(*columns, strict=True)]


def result_tiles(batch: HeadBatch, output: HeadOutput, head_model: HeadModel, side: int) -> list[dict[str, np.ndarray]]:
    """Return the crop of each sample of a batch, with the true and with the predicted head; uint8 (h, h, 3).

    Example:
        >>> import torch
        >>> head_model, eye = HeadModel.load("procedural"), torch.eye(3)[None]
        >>> vertices = head_model.template[None]
        >>> projected = 100 * vertices[..., :2] + 32
        >>> image, points = torch.rand(1, 3, 64, 64), projected[:, :68]
        >>> batch = HeadBatch(image, vertices, projected, points, points[..., 0], eye, torch.zeros(1, 4))
        >>> output = HeadOutput(None, None, torch.zeros(1, 413), vertices, projected, eye)
        >>> list(result_tiles(batch, output, head_model, side=32)[0])
        ['crop', 'ground truth', 'prediction']
    """
    rows = _tiles(batch, output._replace(heatmaps=None), head_model, min(side, batch.image.shape[-1]))
    return [dict(zip(COLUMNS, row, strict=False)) for row in rows]


def log_sheet(
    samples: Sequence[tuple[HeadBatch, HeadOutput]],
    head_model: HeadModel,
    directory: str | None,
    loggers: Sequence[Logger],
    name: str,
    step: int,
) -> None:
    """Write the sheet as `pictures/NAME.png` into the run directory, and log it with every logger that takes images.

    Example:
        >>> import torch
        >>> head_model, eye = HeadModel.load("procedural"), torch.eye(3)[None]
        >>> vertices = head_model.template[None]
        >>> projected = 100 * vertices[..., :2] + 32
        >>> image, points = torch.rand(1, 3, 64, 64), projected[:, :68]
        >>> batch = HeadBatch(image, vertices, projected, points, points[..., 0], eye, torch.zeros(1, 4))
        >>> output = HeadOutput(None, None, torch.zeros(1, 413), vertices, projected, eye)
        >>> log_sheet([(batch, output)], head_model, directory=None, loggers=[], name="epoch_0001", step=7)
    """
    log_picture(_sheet(samples, head_model), " | ".join(COLUMNS), directory, loggers, name, step)


def _with_heads(
    images: Sequence[np.ndarray], vertices: Tensor, projected: Tensor, rotation: Tensor, head_model: HeadModel
) -> list[np.ndarray]:
    posed = vertices.float() @ rotation.float().mT
    landmarks = head_model.landmarks(projected.float())
    faces = to_array(head_model.faces)
    arrays = map(to_array, (projected.float(), posed, landmarks, rotation.float()))
    heads = zip(images, *arrays, strict=True)
    return [draw_head(image, xy, xyz, faces, points, axes) for image, xy, xyz, points, axes in heads]


def _heatmap_tiles(crops: Tensor, heatmaps: Tensor, landmarks: Tensor | None) -> list[np.ndarray]:
    """Return the darkened crops with all heatmaps as light, and the landmarks of the landmark branch."""
    light = heatmaps.detach().float().sigmoid().amax(1, keepdim=True)
    light = F.interpolate(light, crops.shape[-2:], mode="bilinear")
    drawn = [to_uint8(image) for image in crops * 0.4 + light * 0.6]
    if landmarks is None:
        return drawn
    points = to_array(landmarks.float()) * crops.shape[-1]
    return [draw_landmarks(image, each) for image, each in zip(drawn, points, strict=True)]


def to_array(tensor: Tensor) -> np.ndarray:
    """Return the values of a tensor on any device.

    Example:
        >>> to_array(Tensor([1, 2]).requires_grad_())
        array([1., 2.], dtype=float32)
    """
    return tensor.detach().cpu().numpy()
