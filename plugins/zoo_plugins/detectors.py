"""Detectors of heads: MediaPipe's BlazeFace, and scikit-image's cascade of frontal faces.

Both detect faces; a face's box is widened to the head by margins of its own. The weights of BlazeFace are those of
MediaPipe's short-range model (Apache-2.0, The MediaPipe Authors), converted by `tools/mediapipe.py`.
"""

from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torchvision.ops import box_iou

from zoo.heads.crop import Box, widened
from zoo.heads.detection import overlap
from zoo.heads.parts import Detector, FoundHead
from zoo_plugins.mediapipe import INPUT, BlazeNetwork

FACE_MARGINS = (0.05, 0.44, 0.05, 0.05)
"""From BlazeFace's box, brow to chin, to the head: left, top, right, bottom, as fractions of the face (median of 145
rendered heads that it finds)."""
SAME_FACE = 0.3
"""Overlap (intersection over union) from which two boxes show one face."""


class BlazeFace(Detector):
    """Faces at any size, from the front to almost the profile, by a network of 100,000 parameters.

    The network sees 128×128 pixels, so it runs on the whole image and on overlapping squares of it: small faces are
    found in the smaller squares.

    Args:
        score: faces with a lower score are left out, in (0, 1).
        smallest: smallest square that is searched, as a fraction of the image's longer side: 1 searches the whole image
            only, 0.25 finds faces of about 1/40 of the image.

    Example:
        >>> BlazeFace().find(np.zeros((90, 160, 3), np.uint8))
        []
    """

    def __init__(self, score: float = 0.5, smallest: float = 0.25) -> None:
        for name, value in (("score", score), ("smallest", smallest)):
            if not 0 < value <= 1:
                raise ValueError(f"BlazeFace({name}={value}): expected a number above 0 and at most 1.")
        self.score = score
        self.smallest = smallest

    def find(self, image: np.ndarray) -> list[FoundHead]:
        squares = list(squares_of(image.shape[1], image.shape[0], self.smallest))
        pixels = Image.fromarray(image)
        crops = [pixels.crop(square).resize((INPUT, INPUT), Image.Resampling.BILINEAR) for square in squares]
        batch = torch.from_numpy(np.stack([np.asarray(crop) for crop in crops])).permute(0, 3, 1, 2).float()
        network = blaze_face()
        boxes, scores, rolls = [], [], []
        with torch.inference_mode():
            for square, (places, found, roll) in zip(squares, map(network, (batch / 127.5 - 1).split(1)), strict=True):
                left, top, right, _ = square
                kept = found[0] >= self.score
                boxes.append(places[0, kept] * (right - left) + torch.tensor([left, top, left, top]))
                scores.append(found[0, kept])
                rolls.append(roll[0, kept])
        faces = merged(torch.cat(boxes), torch.cat(scores), torch.cat(rolls))
        return [FoundHead(head_around(face, image.shape[:2]), score, roll) for face, score, roll in faces]


class FrontalCascade(Detector):
    """Frontal faces of at least 60 pixels in an image reduced to 512, by scikit-image's LBP cascade.

    A face that is also found in the mirror image has score 1, any other 0.5.

    Example:
        >>> FrontalCascade().find(np.zeros((90, 160, 3), np.uint8))
        []
    """

    SIZE, SMALLEST = 512, 60

    def find(self, image: np.ndarray) -> list[FoundHead]:
        shrunk = Image.fromarray(image)
        shrunk.thumbnail((self.SIZE, self.SIZE))
        if min(shrunk.size) < self.SMALLEST:
            return []
        pixels = np.asarray(shrunk)
        faces = self._detect(pixels)
        mirrored = [
            (shrunk.width - x - side, y, side, side)
            for x, y, side, _ in (self._detect(pixels[:, ::-1]) if faces else [])
        ]
        scale = image.shape[1] / shrunk.width
        heads = []
        for face in faces:
            x, y, width, height = (value * scale for value in face)
            score = 1.0 if any(overlap(face, other) > 0.5 for other in mirrored) else 0.5
            heads.append(FoundHead(widened((x, y, width, height), image.shape[:2]), score))
        return sorted(heads, key=lambda head: (head.score, head.box[2]), reverse=True)

    def _detect(self, pixels: np.ndarray) -> list[Box]:
        """Return the faces in (H, W, 3) uint8, brow to mouth."""
        found = cascade().detect_multi_scale(
            np.ascontiguousarray(pixels),
            scale_factor=1.2,
            step_ratio=1,
            min_size=(self.SMALLEST, self.SMALLEST),
            max_size=(self.SIZE, self.SIZE),
        )
        return [(face["c"], face["r"], face["width"], face["height"]) for face in found]


@cache
def blaze_face() -> BlazeNetwork:
    """Return the network with MediaPipe's weights, in eval mode."""
    network = BlazeNetwork().eval()
    with as_file(files("zoo_plugins") / "weights" / "blazeface.safetensors") as path:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network


@cache
def cascade() -> Any:
    """Return scikit-image's cascade of frontal faces."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def squares_of(width: int, height: int, smallest: float) -> list[tuple[int, int, int, int]]:
    """Return squares left, top, right, bottom that cover an image at several sizes; the first contains all of it.

    Example:
        >>> squares_of(100, 50, smallest=1.0)
        [(0, -25, 100, 75)]
        >>> len(squares_of(100, 50, smallest=0.5))
        4
    """
    side = max(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    squares = [(left, top, left + side, top + side)]
    side = round(side * 0.5)
    while side >= smallest * max(width, height) - 1 and side >= 16:
        for row in starts(height, side):
            squares += [(column, row, column + side, row + side) for column in starts(width, side)]
        side = round(side * 0.5)
    return squares


def starts(extent: int, side: int) -> list[int]:
    """Return where squares of a side begin so that neighbours overlap by at least half and all is covered."""
    if side >= extent:
        return [(extent - side) // 2]
    count = -(-2 * (extent - side) // side) + 1
    return [round(step * (extent - side) / (count - 1)) for step in range(count)]


def merged(boxes: Tensor, scores: Tensor, rolls: Tensor) -> list[tuple[Box, float, float]]:
    """Return one box for each face: the mean, weighted by score, of those that overlap; highest score first.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        scores, rolls: (N,).

    Returns:
        x, y, width, height of each, its highest score and the roll that belongs to it.
    """
    left = scores.argsort(descending=True)
    faces = []
    while len(left):
        alike = box_iou(boxes[left[:1]], boxes[left])[0] > SAME_FACE
        group = left[alike]
        weights = scores[group] / scores[group].sum()
        x, y, right, bottom = (boxes[group] * weights[:, None]).sum(0).tolist()
        faces.append(((x, y, right - x, bottom - y), float(scores[left[0]]), float(rolls[left[0]])))
        left = left[~alike]
    return faces


def head_around(face: Box, image: tuple[int, ...]) -> Box:
    """Return the box of the head around a face, within the image."""
    return widened(face, image, FACE_MARGINS)
