"""Alignment of a captured background with its source, and a check that both show the same place.

*Alignment* matches corners of reduced copies of both images (ORB features, Hamming distance, mutual best matches), fits
a homography (RANSAC) and warps the background. Where too few corners agree, or the homography is no small movement of
the camera, the background is left unchanged and a message says why. Two images show the *same place* when enough
texture of the background is found in the source. Images are RGB arrays (H, W, 3).
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
from zoo.media.images import to_uint8

ALIGNMENT_SIDE = 800
"""Longer side in pixels of the copies in which corners are detected."""
CORNERS = 1000
"""Maximum number of corners of an image."""
MIN_INLIERS = 20
"""4 matches always fit some homography; 20 do not agree to within 1.5 pixels of the copy by chance."""
MAX_MOVE = 0.2
"""How far the homography may move a corner of the image, as a fraction of the image's diagonal."""

COMPARISON_SIDE, BLOCK, MAX_SHIFT = 192, 16, 4
"""Pixels, for the comparison of places: longer side of the copies, side of a block, maximum shift."""
SAME_PLACE_SCORE = 0.07
"""Different photographs score up to 0.07, a place that a person hides by four fifths at least 0.1."""


class Aligned(NamedTuple):
    """Background after alignment."""

    background: np.ndarray
    """(H, W, 3): of the source's size when the alignment worked, otherwise unchanged."""
    message: str | None
    """Why the background was left unchanged; None when the alignment worked."""
    moved: float | None = None
    """How far the camera moved, in pixels of the source: the median of the points that agree; None if too few do."""
    homography: ProjectiveTransform | None = None
    """From the source to the background that was warped; None where it was not."""


def align_background(source: np.ndarray, background: np.ndarray, unless_below: float = 0.0) -> Aligned:
    """Warp the background onto the source; pixels that it does not cover are taken from the source.

    The images may differ in size. The result is deterministic.

    Args:
        source, background: (H, W, 3), uint8 or float in sRGB.
        unless_below: leave the background as it is, without a message, where the camera moved by fewer pixels.

    Example:
        >>> plain = np.zeros((64, 64, 3), np.uint8)
        >>> align_background(plain, plain).message
        'the background was not aligned and is used as it is: only 0 matching points were found, 20 are needed.'
    """
    images, (source, background) = (source, background), (to_uint8(source), to_uint8(background))
    corners = matching_corners(source, background)
    if len(corners) < MIN_INLIERS:
        return _unchanged(images[1], f"only {len(corners)} matching points were found, {MIN_INLIERS} are needed")
    homography, agree = fit_homography(corners, tolerance=1.5 * max(1.0, max(background.shape) / ALIGNMENT_SIDE))
    if homography is None or agree.sum() < MIN_INLIERS:
        reason = f"only {agree.sum()} of {len(corners)} matching points agree, {MIN_INLIERS} are needed"
        return _unchanged(images[1], reason)
    if not is_plausible(homography, source.shape, background.shape):
        return _unchanged(images[1], "what fits is no small movement of the camera")
    size = source.shape[:2]
    scale = np.array(size[::-1]) / background.shape[1::-1]
    moved = float(np.median(np.linalg.norm(corners[agree, 0] - corners[agree, 1] * scale, axis=1)))
    if moved < unless_below:
        return Aligned(images[1], None, moved)
    exact = warp(images[1], homography, output_shape=size, order=1)
    warped = to_uint8(exact)
    covered = warp(np.ones(background.shape[:2]), homography, output_shape=size, order=1) > 0.999
    mismatch = _mismatch(source[covered], warped[covered])
    if background.shape == source.shape and _mismatch(source, background) <= mismatch:
        return _unchanged(images[1], "no movement of the camera fits better than none", moved)
    if images[0].dtype == np.uint8:
        return Aligned(np.where(covered[:, :, None], warped, source), None, moved, homography)
    return Aligned(np.where(covered[:, :, None], exact, images[0]).astype(np.float32), None, moved, homography)


def is_same_place(source: np.ndarray, background: np.ndarray) -> bool:
    """Return whether the background's texture (or, on plain walls, colour) is found in part of the source.

    Example:
        >>> is_same_place(np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8))
        False
    """
    return same_place_score(source, background) >= SAME_PLACE_SCORE


def same_place_score(source: np.ndarray, background: np.ndarray) -> float:
    """Return the fraction of the background's textured blocks that are found in the source.

    Blocks are compared by correlation without low frequencies, so neither exposure matters nor a shift of the whole
    image by up to 2 % of its longer side. Where under a quarter of the blocks has texture, the score is the fraction of
    pixels of about equal colour.

    Example:
        >>> image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        >>> same_place_score(image, image)
        1.0
    """
    size = _whole_blocks(source.shape)
    source, background = (_reduced(image, size) for image in (source, background))
    fine_source, fine_background = (_without_low_frequencies(image) for image in (source, background))
    textured = _blocks(fine_background).std(axis=1) > 0.01
    if textured.mean() < 0.25:
        return float((np.abs(source - background).max(axis=2) < 0.12).mean())
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    shifted = (np.roll(fine_background, (down, right), axis=(0, 1)) for down in shifts for right in shifts)
    blocks = _blocks(fine_source)
    return float(max((_correlation(blocks, _blocks(other))[textured] > 0.6).mean() for other in shifted))


def _unchanged(background: np.ndarray, reason: str, moved: float | None = None) -> Aligned:
    return Aligned(background, f"the background was not aligned and is used as it is: {reason}.", moved)


def matching_corners(source: np.ndarray, background: np.ndarray, same_scale: bool = False) -> np.ndarray:
    """Return (N, 2, 2): N corners, in the source and in the background, x and y in pixels of the full images.

    Both are reduced to one size before corners are found, or, with `same_scale`, by one factor: then the background may
    show more than the source.
    """
    scale = min(1.0, ALIGNMENT_SIDE / max(source.shape))
    corners, descriptors = [], []
    for image in (source, background):
        height, width = (image if same_scale else source).shape[:2]
        size = (round(height * scale), round(width * scale))
        count = round(CORNERS * max(1.0, height * width / (source.shape[0] * source.shape[1])))
        # one scale suffices for a camera that hardly moved, and locates corners to a fraction of a pixel
        detector = ORB(n_keypoints=count, fast_threshold=0.03, n_scales=1)
        try:
            detector.detect_and_extract(rgb2gray(_reduced(image, size)))
        except RuntimeError:  # raised without any corner
            return np.empty((0, 2, 2))
        assert detector.keypoints is not None
        if not len(detector.keypoints):  # all lie at the border
            return np.empty((0, 2, 2))
        stretch = np.array(image.shape[1::-1]) / size[::-1]
        corners.append((detector.keypoints[:, ::-1] + 0.5) * stretch - 0.5)
        descriptors.append(detector.descriptors)
    pairs = match_descriptors(descriptors[0], descriptors[1], metric="hamming", cross_check=True)
    return np.stack([corners[0][pairs[:, 0]], corners[1][pairs[:, 1]]], axis=1)


def fit_homography(corners: np.ndarray, tolerance: float) -> tuple[ProjectiveTransform | None, np.ndarray]:
    """Return the homography from source to background with which the most corners agree, and which do, (N,) bool."""
    homography, inliers = ransac(
        (corners[:, 0], corners[:, 1]),
        ProjectiveTransform,
        min_samples=4,
        residual_threshold=tolerance,
        max_trials=2000,
        rng=derive_seed("align_background"),
    )
    return (None, np.zeros(len(corners), bool)) if inliers is None else (homography, inliers)


def is_plausible(homography: ProjectiveTransform, source: tuple[int, ...], background: tuple[int, ...]) -> bool:
    """Return whether no corner of the source moves far and the image is not flipped, relative to the sizes."""
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    moved = homography(unit * (source[1], source[0])) / (background[1], background[0])
    sides = np.roll(moved, -1, axis=0) - moved
    following = np.roll(sides, -1, axis=0)
    convex = (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all()
    return bool(convex and np.linalg.norm(moved - unit, axis=1).max() <= MAX_MOVE * np.sqrt(2))


def _mismatch(source: np.ndarray, background: np.ndarray) -> float:
    """Return the mean difference of the better half of the pixels, which leaves out the foreground."""
    difference = np.abs(source.astype(np.int16) - background).sum(axis=-1).ravel()
    return float(np.partition(difference, difference.size // 2)[: difference.size // 2].mean())


def _reduced(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the image resized with antialias, (*size, 3) in [0, 1]."""
    reduced = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(reduced, np.float32) / 255


def _whole_blocks(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return a size of whole blocks, of about `COMPARISON_SIDE` on the longer side."""
    height, width = (max(1, round(side / max(shape[:2]) * COMPARISON_SIDE / BLOCK)) * BLOCK for side in shape[:2])
    return height, width


def _without_low_frequencies(image: np.ndarray) -> np.ndarray:
    grey = rgb2gray(image)
    return grey - gaussian(grey, 3)


def _blocks(grey: np.ndarray) -> np.ndarray:
    """(H, W) → (number of blocks, pixels of a block)."""
    height, width = grey.shape
    blocks = grey.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    return blocks.reshape(-1, BLOCK * BLOCK)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlation of each row of `a` with that of `b`, in [−1, 1]; 0 where one of them is constant."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return (a * b).mean(axis=1) / (a.std(axis=1) * b.std(axis=1) + 1e-6)
