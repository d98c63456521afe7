"""Square crops of heads in images, and head boxes.

A head's *box* is x, y, width, height in pixels of the image. It is *extended* on each side, trimmed to the image, and
resized until its longer side fills the square; the rest of the square is black *padding*, half on either side. Points
are continuous: (0, 0) is the top left corner of the top left pixel.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadBatch, HeadPicture

Box = tuple[float, float, float, float]

HEAD_MARGINS = (0.3, 0.5, 0.3, 0.25)
"""From a detected face, brow to mouth, to the head: left, top, right, bottom, as fractions of the face."""


class Crop(NamedTuple):
    """Rectangle of an image, in whole pixels, and the square that it is resized to.

    Example:
        >>> crop = place_crop((20, 10, 40, 80), (100, 100), size=64)
        >>> crop.cut(torch.rand(3, 100, 100)).shape, crop.padding
        (torch.Size([3, 64, 64]), (16, 0))
        >>> crop.to_image(crop.from_image(torch.tensor([30.0, 50.0])))
        tensor([30., 50.])
    """

    left: int
    top: int
    width: int
    height: int
    size: int
    """Side of the square in pixels."""

    @property
    def scale(self) -> float:
        """Pixels of the square per pixel of the image."""
        return self.size / max(self.width, self.height)

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height of the rectangle in the square."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))

    @property
    def padding(self) -> tuple[int, int]:
        """Black pixels at the left and at the top of the square; an odd one goes to the right or bottom."""
        width, height = self.resized
        return (self.size - width) // 2, (self.size - height) // 2

    def cut(self, image: Tensor) -> Tensor:
        """Return the square (3, S, S) of an image (3, H, W), of the same type; bilinear with antialias."""
        region = image[:, self.top : self.top + self.height, self.left : self.left + self.width]
        width, height = self.resized
        resized = F.interpolate(region[None], (height, width), mode="bilinear", antialias=True)[0]
        left, top = self.padding
        return F.pad(resized, (left, self.size - width - left, top, self.size - height - top))

    def from_image(self, points: Tensor) -> Tensor:
        """Map points (…, 2) of the image to pixels of the square."""
        return (points - points.new_tensor([self.left, self.top])) * self.scale + points.new_tensor(self.padding)

    def to_image(self, points: Tensor) -> Tensor:
        """Map points (…, 2) of the square to pixels of the image."""
        return (points - points.new_tensor(self.padding)) / self.scale + points.new_tensor([self.left, self.top])

    def shows(self, points: Tensor) -> Tensor:
        """Return whether points (…, 2) of the image lie inside the rectangle."""
        inside = points - points.new_tensor([self.left, self.top])
        return ((inside > 0) & (inside < points.new_tensor([self.width, self.height]))).all(-1)

    def params_in_image(self, params: HeadParams) -> HeadParams:
        """Return parameters that place the head in the image, from those that place it in the square.

        `head_model.project(result, image_size=crop.size)` then returns pixels of the image: the unit of translation and
        scale stays half the square's side (as in the official `readjust_3dmm_to_the_input_image`).
        """
        corner, padding = (params.translation.new_tensor(point) for point in ((self.left, self.top), self.padding))
        moved = (params.translation[:, :2] + 1 - 2 * padding / self.size) / self.scale - 1 + 2 * corner / self.size
        return params._replace(
            translation=torch.cat([moved, params.translation[:, 2:]], dim=1), scale=(params.scale + 1) / self.scale - 1
        )


def place_crop(box: Sequence[float], image: Sequence[int], size: int, extension: Sequence[float] | float = 0.0) -> Crop:
    """Return the crop around a head.

    Args:
        box: x, y, width, height of the head; may reach over the image's edge.
        image: its height and width.
        size: side of the square in pixels.
        extension: how far each side of the box moves outwards (left, top, right, bottom, or one number for all), as a
            fraction of the box's width or height. As in the official code, the extended box is rounded down to whole
            pixels; unlike there, what is trimmed at the left or top is not added at the right or bottom.

    Raises:
        ValueError: the box is no box, or lies outside the image.

    Example:
        >>> place_crop((20, 10, 40, 40), (100, 100), size=64, extension=0.25)
        Crop(left=10, top=0, width=60, height=60, size=64)
    """
    x, y, width, height = check_box(box, image)
    left, top, right, bottom = [extension] * 4 if isinstance(extension, int | float) else extension
    first_column, columns = _extended(x, width, left, right, limit=image[1])
    first_row, rows = _extended(y, height, top, bottom, limit=image[0])
    return Crop(first_column, first_row, columns, rows, size)


def crop_head(
    picture: HeadPicture, head_model: HeadModel, size: int, extension: Sequence[float] | float = 0.0
) -> HeadBatch:
    """Return the training sample of one head: its square crop, with all points in pixels of it.

    Args:
        picture: the head in its image.
        head_model: selects the 68 landmarks among the projected vertices.
        size: side S of the crop in pixels.
        extension: of the head's box, see `place_crop`.

    Returns:
        A batch's fields without their first dimension, name and attributes as lists of one. A landmark is visible
        where the crop shows it, without padding.

    Raises:
        ValueError: the box is no box, or lies outside the image.

    Example:
        >>> from zoo.heads.mesh import HeadModel
        >>> head_model = HeadModel.load("procedural")
        >>> vertices = head_model.template
        >>> box, projected = torch.tensor([20.0, 20.0, 40.0, 40.0]), 300 * vertices[:, :2] + 40
        >>> head = HeadPicture(torch.rand(3, 80, 80), box, vertices, projected, torch.eye(3), {}, "me")
        >>> crop_head(head, head_model, size=64).box
        tensor([ 0.,  0., 64., 64.])
    """
    crop = place_crop(picture.box.tolist(), picture.image.shape[1:], size, extension)
    landmarks = head_model.landmarks(picture.projected[None])[0]
    return HeadBatch(
        image=crop.cut(picture.image),
        vertices=picture.vertices,
        projected=crop.from_image(picture.projected),
        landmarks=crop.from_image(landmarks) / size,
        visible=crop.shows(landmarks).to(landmarks),
        rotation=picture.rotation,
        box=torch.cat([crop.from_image(picture.box[:2]), picture.box[2:] * crop.scale]),
        attributes=[picture.attributes],
        neutral=picture.neutral,
        name=[picture.name],
    )


def check_box(box: Sequence[float], image: Sequence[int]) -> Box:
    """Return the box of a head in an image of this height and width, or raise a ValueError.

    Example:
        >>> check_box([10, 20, 30, 40], (100, 100))
        (10.0, 20.0, 30.0, 40.0)
    """
    if len(box) != 4 or not all(math.isfinite(number) for number in box):
        raise ValueError(f"the head's box is {list(box)}; expected four numbers: x, y, width, height in pixels.")
    x, y, width, height = (float(number) for number in box)
    text = f"the head's box x={x:g}, y={y:g}, width={width:g}, height={height:g}"
    if width <= 0 or height <= 0:
        raise ValueError(f"{text} is empty; expected a width and height above 0, in pixels.")
    if x >= image[1] or y >= image[0] or x + width <= 0 or y + height <= 0:
        raise ValueError(
            f"{text} lies outside the image, which is {image[1]}×{image[0]}; expected x, y of the box's top left "
            "corner, then its width and height, in pixels of the image."
        )
    return x, y, width, height


def widened(face: Box, image: Sequence[int], margins: Sequence[float] = HEAD_MARGINS) -> Box:
    """Return the box of the head around a face, within an image of this height and width.

    Args:
        face: x, y, width, height in pixels.
        image: its height and width.
        margins: left, top, right, bottom, as fractions of the face.

    Example:
        >>> widened((40, 40, 20, 20), (100, 100))
        (34.0, 30.0, 32.0, 35.0)
    """
    x, y, width, height = face
    left, top, right, bottom = margins
    start = max(0.0, x - left * width), max(0.0, y - top * height)
    end = min(float(image[1]), x + (1 + right) * width), min(float(image[0]), y + (1 + bottom) * height)
    return (*start, end[0] - start[0], end[1] - start[1])


def _extended(start: float, length: float, before: float, after: float, limit: int) -> tuple[int, int]:
    """Return one side of the box, extended and trimmed: its first pixel and its number of pixels, at least 1."""
    first = int(start - before * length)
    end = min(first + int((1 + before + after) * length), limit)
    first = min(max(first, 0), limit - 1)
    return first, max(1, end - first)
