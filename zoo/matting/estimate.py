"""Estimate of a clip's background from its frames: what is seen where the person has moved away.

Frames are aligned to the middle one, people are left out by the mask of `PersonGuide`, and the median of what remains
is the background. What is never seen is painted from its surroundings. Where the camera turned, the background is a
panorama of all frames.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from skimage.transform import ProjectiveTransform, warp
from torch import Tensor

from zoo.core.spec import build
from zoo.matting.moving_camera import camera_moves, views_from
from zoo.matting.parts import resize
from zoo.media.images import MediaError, to_tensor, to_uint8
from zoo.media.videos import VideoEndsEarly, read_frames, read_video_info

FRAMES = 24
"""Frames that a background is estimated from, fewer where they would take more than `MEMORY`."""
MEMORY = 600e6
"""Bytes."""
PERSON = 0.1
"""Value of the person's mask from which a pixel is left out."""
MARGIN = 10
"""Pixels of the mask, which has 256 a side, by which the person is enlarged, for what is carried and for shadows."""
HIDDEN = 0.6
"""Fraction of the person's area that may be hidden in all frames."""
TURNED = 0.1
"""Fraction of a frame's width or height from which a camera does not only shake."""
WIDEST = 4
"""Size of the largest background, in frames."""
ROWS = 64
"""Rows whose medians are computed at once."""


class Estimate(NamedTuple):
    """An estimated background."""

    background: np.ndarray
    """(H, W, 3) uint8, as the camera stood in the middle of the clip; larger than a frame where the camera turned."""
    unseen: float
    """Fraction of its pixels that a person hides in every frame."""
    frames: int
    """The number of frames that it is made of."""


def estimate_background(path: Path, decoder: str | None = None) -> Estimate:
    """Estimate the background of a video in which the person moves before a camera that stands still, shakes or turns.

    Args:
        path: the video.
        decoder: see `read_frames`.

    Raises:
        MediaError: the video cannot be read, or the person does not move enough.
    """
    info = read_video_info(path)
    count = int(max(5, min(FRAMES, MEMORY / (3 * info.height * info.width))))
    step = max(1, (info.frame_count or count) // count)
    frames: list[np.ndarray] = []
    with suppress(VideoEndsEarly):  # reported when the frames are matted
        frames += (frame.pixels for number, frame in enumerate(read_frames(path, decoder)) if number % step == 0)
    guide: Any = build({"class_path": "PersonGuide"})
    people = [person_mask(guide, frame) for frame in frames]
    background, hides = background_of(frames, people)
    hidden, covered = float(hides.mean()), float(np.mean([mask.mean() for mask in people]))
    if hidden > HIDDEN * covered and hidden > 0.01:
        raise MediaError(
            f"the person in {path} hardly moves: {hidden / covered:.0%} of what is hidden in a frame is hidden in all, "
            "so the background cannot be estimated; give BACKGROUND, an image of the place without the person, or a "
            "model that needs none."
        )
    return Estimate(background, hidden, len(frames))


def background_of(frames: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the background, and which of its pixels a person hides in every frame that has them, (H, W) bool.

    It has the size of a frame, as the camera stood in the middle of the clip, or more where the camera turned.

    Args:
        frames: (H, W, 3) uint8.
        people: (H, W) bool, where a person hides the background.

    Raises:
        MediaError: the camera turned too far.

    Example:
        >>> frames = [np.full((8, 8, 3), value, np.uint8) for value in (10, 10, 200)]
        >>> masks = [np.zeros((8, 8), bool)] * 2 + [np.ones((8, 8), bool)]
        >>> background, hidden = background_of(frames, masks)
        >>> background.max(), hidden.any()
        (np.uint8(10), np.False_)
    """
    aligned = list(aligned_frames(frames, people))
    seen = np.any([visible for _, visible, _ in aligned], axis=0)
    held = np.any([held for _, _, held in aligned], axis=0)
    medians = []
    for first in range(0, len(seen), ROWS):
        rows = slice(first, first + ROWS)
        stack = torch.stack([
            torch.from_numpy(frame[rows]).float().masked_fill(~torch.from_numpy(visible[rows])[..., None], torch.nan)
            for frame, visible, _ in aligned
        ])  # fmt: skip
        medians.append(stack.nanmedian(0).values.nan_to_num())
    image = torch.cat(medians).permute(2, 0, 1) / 255
    return to_uint8(painted(image[None], torch.from_numpy(seen)[None, None])[0]), held & ~seen


def aligned_frames(
    frames: Sequence[np.ndarray], people: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each frame as the camera stood in the middle of the clip, where it shows the background, and what it holds.

    The camera stands still if it did in five frames.
    """
    # without the people, whose corners a camera that follows them would keep in place
    empty = [np.where(person[..., None], 0, frame) for frame, person in zip(frames, people, strict=True)]
    middle = len(frames) // 2
    probes = [0, middle - 1, 2 * len(frames) // 7, 5 * len(frames) // 7, len(frames) - 1]
    if not camera_moves([empty[middle], *(empty[index] for index in probes)]):
        yield from ((frame, ~person, np.ones_like(person)) for frame, person in zip(frames, people, strict=True))
        return
    views = views_from(middle, empty)
    size, corner = canvas(views, frames[0].shape[:2])
    for frame, person, view in zip(frames, people, views, strict=True):
        if view is not None:
            place = ProjectiveTransform(view.params @ corner)
            shown, visible, held = (
                warp(image.astype(np.float32), place, output_shape=size)
                for image in (frame, ~person, np.ones_like(person))
            )
            yield to_uint8(shown / 255), visible > 0.999, held > 0.999


def canvas(views: Sequence[ProjectiveTransform | None], size: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Return height and width of an image that holds all views, and the matrix from its pixels to the middle frame's.

    A hand-held camera, which moves by less than `TURNED` of a frame, keeps the size of a frame.

    Raises:
        MediaError: it would be larger than `WIDEST` frames.

    Example:
        >>> turned = ProjectiveTransform(np.array([[1, 0, -60], [0, 1, 0], [0, 0, 1.0]]))
        >>> canvas([ProjectiveTransform(), turned], (90, 160))[0]
        (90, 220)
    """
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    reached = np.concatenate([view.inverse(corners) for view in views if view is not None])
    low, high = reached.min(0), reached.max(0)
    if (np.concatenate([-low / (width, height), high / (width, height) - 1]) < TURNED).all():
        return size, np.eye(3)
    low, high = np.minimum(low, 0), np.maximum(high, (width, height))
    across, down = np.ceil((high - low).round(3)).astype(int)
    if across * down > WIDEST * height * width:
        raise MediaError(
            f"the camera turns so far that its background would have {across}×{down} pixels, {across / width:.1f} by "
            f"{down / height:.1f} frames; expected at most {WIDEST} frames in all: cut the clip into parts."
        )
    return (int(down), int(across)), np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])


def person_mask(guide: Any, frame: np.ndarray) -> np.ndarray:
    """Return where a person, with a margin, hides the background: (H, W) bool."""
    with torch.inference_mode():
        mask = F.max_pool2d(guide(to_tensor(frame)[None]), 2 * MARGIN + 1, 1, MARGIN)
        return (resize(mask, frame.shape[:2]) > PERSON)[0, 0].numpy()


def painted(image: Tensor, known: Tensor) -> Tensor:
    """Fill an image (1, 3, H, W) where it is not known (1, 1, H, W) with the colours around, from ever smaller copies.

    Example:
        >>> painted(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[True, False]]]])).flatten().tolist()
        [1.0, 1.0]
    """
    if known.all() or max(image.shape[-2:]) == 1:
        return image
    weight = F.avg_pool2d(known.float(), 2, ceil_mode=True)
    smaller = F.avg_pool2d(image * known, 2, ceil_mode=True) / weight.clamp(min=1e-6)
    enlarged = resize(painted(smaller, weight > 0), (image.shape[-2], image.shape[-1]))
    return torch.where(known, image, enlarged)
