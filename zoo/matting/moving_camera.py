"""The background of a clip whose camera moves: as each frame shows it.

A hand-held or slowly turning camera sees the background from another side in every frame. Each frame is aligned with
the background as the frame before saw it, so that the movement between two frames is small and errors do not add up.
The background may be a panorama, which shows more than a frame.
"""

from collections.abc import Sequence

import numpy as np
from skimage.transform import ProjectiveTransform, warp

from zoo.matting.alignment import (
    ALIGNMENT_SIDE,
    MIN_INLIERS,
    align_background,
    fit_homography,
    is_plausible,
    matching_corners,
)
from zoo.media.images import to_uint8

STILL = 0.5
"""Pixels by which a camera may seem to move while it stands still."""


class MovingCamera:
    """A background seen by a camera that moves.

    Args:
        background: (H, W, 3), uint8 or float.
        view: the homography from the pixels of the first frame to those of the background; by default they are the
            same.

    Example:
        >>> place = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
        >>> camera = MovingCamera(place, ProjectiveTransform(np.array([[1, 0, 40], [0, 1, 0], [0, 0, 1.0]])))
        >>> bool((camera.seen_in(place[:, 40:88]) == place[:, 40:88]).all())
        True
    """

    def __init__(self, background: np.ndarray, view: ProjectiveTransform | None = None) -> None:
        self.background = background
        self.view = ProjectiveTransform() if view is None else view

    def seen_in(self, frame: np.ndarray) -> np.ndarray:
        """Return the background as the next frame (h, w, 3) shows it; what it does not hold is taken from the frame."""
        step = align_background(frame, self._seen(frame.shape[:2])[0], STILL)
        if step.homography is not None:
            self.view = ProjectiveTransform(self.view.params @ step.homography.params)
        seen, held = self._seen(frame.shape[:2])
        return np.where(held, seen, frame if seen.dtype == np.uint8 else frame / np.float32(255))

    def _seen(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the background by the present view, and where it holds something, (h, w, 1) bool."""
        held = warp(np.ones(self.background.shape[:2]), self.view, output_shape=size, order=1) > 0.999
        seen = warp(self.background, self.view, output_shape=size, order=1)
        return (to_uint8(seen) if self.background.dtype == np.uint8 else seen.astype(np.float32)), held[..., None]


def camera_moves(frames: Sequence[np.ndarray]) -> bool:
    """Return whether the camera of some frame has moved since the first.

    Example:
        >>> camera_moves([np.zeros((64, 64, 3), np.uint8)] * 2)
        False
    """
    return any(align_background(frames[0], frame, STILL).homography is not None for frame in frames[1:])


def view_of(frame: np.ndarray, panorama: np.ndarray) -> ProjectiveTransform | None:
    """Return the homography from a frame to a panorama of the same scale that shows it, or None where it does not.

    Example:
        >>> plain = np.zeros((64, 64, 3), np.uint8)
        >>> view_of(plain, plain) is None
        True
    """
    corners = matching_corners(to_uint8(frame), to_uint8(panorama), same_scale=True)
    if len(corners) < MIN_INLIERS:
        return None
    homography, agree = fit_homography(corners, tolerance=1.5 * max(1.0, max(frame.shape) / ALIGNMENT_SIDE))
    if homography is None or agree.sum() < MIN_INLIERS:
        return None
    place = np.median(corners[agree, 1] - corners[agree, 0], axis=0)
    here = ProjectiveTransform(np.array([[1, 0, -place[0]], [0, 1, -place[1]], [0, 0, 1]]) @ homography.params)
    return homography if is_plausible(here, frame.shape, frame.shape) else None


def views_from(middle: int, frames: Sequence[np.ndarray]) -> list[ProjectiveTransform | None]:
    """Return for each frame the homography from the middle one to it; None for a frame that fits nowhere.

    A frame that shows too little of what the middle one shows is aligned with its neighbour on the way there.

    Example:
        >>> [view.params.tolist() == np.eye(3).tolist() for view in views_from(0, [np.zeros((9, 9, 3), np.uint8)])]
        [True]
    """
    views = {middle: ProjectiveTransform()}
    for others in (range(middle - 1, -1, -1), range(middle + 1, len(frames))):
        neighbour = middle
        for index in others:
            for near in dict.fromkeys((middle, neighbour)):
                step = align_background(frames[near], frames[index], STILL)
                if step.moved is None:
                    continue
                matrix = np.eye(3) if step.homography is None else step.homography.params
                views[index] = ProjectiveTransform(matrix @ views[near].params)
                neighbour = index
                break
    return [views.get(index) for index in range(len(frames))]
