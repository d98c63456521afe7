"""Is the captured background the same place as the source, and can it be laid exactly over it?

*Alignment* finds the same corners in both pictures (ORB features, whose binary descriptors are compared by Hamming
distance, each the other's best match), fits the homography that most of them agree on (RANSAC) and warps the background
by it. It looks at reduced copies and warps the full picture once. Where too few corners agree, or no camera that was
meant to stand still moves so, the background is left as it is and a message says why. The *same place* is a place whose
texture is found again somewhere around whatever stands before it.

Pictures are uint8 RGB arrays (H, W, 3).
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import ORB, match_descriptors
from skimage.filters import gaussian
from skimage.measure import ransac
from skimage.transform import ProjectiveTransform, warp

from zoo.core.seeding import derive_seed

ALIGNMENT_SIDE = 800
"""Longer side, in pixels, of the copies in which corners are looked for."""
CORNERS = 1000
"""How many corners of each picture are described."""
LEAST_AGREEING = 20
"""4 matches always fit some homography; 20 that agree to within 1.5 pixels of the copy do not meet by chance."""
LARGEST_MOVE = 0.2
"""How far the homography may move a corner of the picture, as a share of the picture's diagonal."""

COMPARISON_SIDE, BLOCK, LARGEST_SHIFT = 192, 16, 4
"""Pixels, for the comparison of places: longer side of the copies, side of a block, shift that is tried."""
SAME_PLACE_SCORE = 0.07
"""Different photographs score up to 0.07, a place of which a person hides four fifths 0.1 and more."""


class Aligned(NamedTuple):
    """A background laid over its source."""

    background: np.ndarray
    """(H, W, 3) uint8: of the source's size when the alignment worked, otherwise the background as it was."""
    message: str | None
    """Why the background was left as it was; None when the alignment worked."""


def align_background(source: np.ndarray, background: np.ndarray) -> Aligned:
    """Warp the background so that it lies over the source; what it does not cover is filled from the source.

    The pictures may differ in size. The same pictures always give the same result.
    """
    found = _matching_corners(source, background)
    if len(found) < LEAST_AGREEING:
        return _left_as_it_was(background, f"only {len(found)} matching points were found, {LEAST_AGREEING} are needed")
    homography, agreeing = _fit_homography(found, tolerance=1.5 * max(1.0, max(background.shape) / ALIGNMENT_SIDE))
    if homography is None or agreeing < LEAST_AGREEING:
        return _left_as_it_was(
            background, f"only {agreeing} of {len(found)} matching points agree, {LEAST_AGREEING} are needed"
        )
    if not _is_plausible(homography, source.shape, background.shape):
        return _left_as_it_was(background, "what fits is no small movement of the camera")
    size = source.shape[:2]
    warped = np.rint(warp(background, homography, output_shape=size, order=1) * 255).astype(np.uint8)
    covered = warp(np.ones(background.shape[:2]), homography, output_shape=size, order=1) > 0.999
    if background.shape == source.shape and _mismatch(source, background) <= _mismatch(
        source[covered], warped[covered]
    ):
        return _left_as_it_was(background, "no movement of the camera fits better than none")
    return Aligned(np.where(covered[:, :, None], warped, source), None)


def is_same_place(source: np.ndarray, background: np.ndarray) -> bool:
    """Whether the background's texture (or, on plain walls, colour) is found again in part of the source."""
    return same_place_score(source, background) >= SAME_PLACE_SCORE


def same_place_score(source: np.ndarray, background: np.ndarray) -> float:
    """The share of the background's textured blocks that are found again in the source, 0–1.

    Blocks are compared by correlation after low frequencies are taken away, so exposure does not matter; a shift of the
    whole picture by up to 2 % of its longer side does not either. Where under a quarter of the blocks has texture, it
    is the share of pixels of about equal colour instead.
    """
    size = _whole_blocks(source.shape)
    source, background = (_reduced(picture, size) for picture in (source, background))
    fine_source, fine_background = (_without_low_frequencies(picture) for picture in (source, background))
    textured = _blocks(fine_background).std(axis=1) > 0.01
    if textured.mean() < 0.25:
        return float((np.abs(source - background).max(axis=2) < 0.12).mean())
    shifts = range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    shifted = (np.roll(fine_background, (down, right), axis=(0, 1)) for down in shifts for right in shifts)
    blocks = _blocks(fine_source)
    return float(max((_correlation(blocks, _blocks(other))[textured] > 0.6).mean() for other in shifted))


def _left_as_it_was(background: np.ndarray, reason: str) -> Aligned:
    return Aligned(background, f"the background was not aligned and is used as it is: {reason}.")


def _matching_corners(source: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(N, 2, 2): N corners, in the source and in the background, x and y in pixels of the full pictures."""
    scale = min(1.0, ALIGNMENT_SIDE / max(source.shape))
    size = (round(source.shape[0] * scale), round(source.shape[1] * scale))
    corners, descriptors = [], []
    for picture in (source, background):
        # one scale is enough for a camera that hardly moved, and finds the corners to a fraction of a pixel
        detector = ORB(n_keypoints=CORNERS, fast_threshold=0.03, n_scales=1)
        try:
            detector.detect_and_extract(rgb2gray(_reduced(picture, size)))
        except RuntimeError:  # what ORB raises where there is no corner at all
            return np.empty((0, 2, 2))
        assert detector.keypoints is not None
        stretch = np.array(picture.shape[1::-1]) / size[::-1]
        corners.append((detector.keypoints[:, ::-1] + 0.5) * stretch - 0.5)
        descriptors.append(detector.descriptors)
    pairs = match_descriptors(descriptors[0], descriptors[1], metric="hamming", cross_check=True)
    return np.stack([corners[0][pairs[:, 0]], corners[1][pairs[:, 1]]], axis=1)


def _fit_homography(corners: np.ndarray, tolerance: float) -> tuple[ProjectiveTransform | None, int]:
    """The homography from source to background that most matches agree on to so many pixels, and how many do."""
    homography, agreeing = ransac(
        (corners[:, 0], corners[:, 1]),
        ProjectiveTransform,
        min_samples=4,
        residual_threshold=tolerance,
        max_trials=2000,
        rng=derive_seed("align_background"),
    )
    return (None, 0) if agreeing is None else (homography, int(agreeing.sum()))


def _is_plausible(homography: ProjectiveTransform, source: tuple[int, ...], background: tuple[int, ...]) -> bool:
    """Whether no corner of the source is moved far and none is turned over, sizes being equal."""
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    moved = homography(unit * (source[1], source[0])) / (background[1], background[0])
    sides = np.roll(moved, -1, axis=0) - moved
    following = np.roll(sides, -1, axis=0)
    turns_one_way = (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all()
    return bool(turns_one_way and np.linalg.norm(moved - unit, axis=1).max() <= LARGEST_MOVE * np.sqrt(2))


def _mismatch(source: np.ndarray, background: np.ndarray) -> float:
    """Mean difference of the better half of the pixels, which leaves out what stands before the background."""
    difference = np.abs(source.astype(np.int16) - background).sum(axis=-1).ravel()
    return float(np.partition(difference, difference.size // 2)[: difference.size // 2].mean())


def _reduced(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(*size, 3) in [0, 1], averaged, not sampled."""
    reduced = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(reduced, np.float32) / 255


def _whole_blocks(shape: tuple[int, ...]) -> tuple[int, int]:
    """About `COMPARISON_SIDE` on the longer side, in whole blocks."""
    height, width = (max(1, round(side / max(shape[:2]) * COMPARISON_SIDE / BLOCK)) * BLOCK for side in shape[:2])
    return height, width


def _without_low_frequencies(picture: np.ndarray) -> np.ndarray:
    grey = rgb2gray(picture)
    return grey - gaussian(grey, 3)


def _blocks(grey: np.ndarray) -> np.ndarray:
    """(H, W) → (number of blocks, pixels of a block)."""
    height, width = grey.shape
    blocks = grey.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    return blocks.reshape(-1, BLOCK * BLOCK)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row of `a` with that of `b`, in [−1, 1]; 0 where one of them is constant."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return (a * b).mean(axis=1) / (a.std(axis=1) * b.std(axis=1) + 1e-6)
