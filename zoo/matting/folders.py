"""Mattes in folders: which file belongs to which.

A *pair* is a foreground and an alpha of one name. The *name* of a file is its path below its folder without the ending,
so that `fgr/anna/01.jpg` and `pha/anna/01.png` belong together. Nothing here looks into a file before a pair is read,
and nothing needs torch.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.media.frame_index import FrameIndex, index_frames
from zoo.media.images import MediaError, read_image

SHOWN = 3
"""How many names a sentence lists before it stops."""


class Pair(NamedTuple):
    """A foreground and its alpha."""

    name: str
    foreground: Path
    alpha: Path


class Pairing(NamedTuple):
    """How the files of two folders match by name; all lists are sorted."""

    pairs: list[Pair]
    without_alpha: list[str]
    """Names that only the foregrounds have."""
    without_foreground: list[str]
    """Names that only the alphas have."""
    repeated: list[str]
    """Names that two files of one folder have (`a.jpg` and `a.png`); they are in no pair."""


def pair_by_name(
    foregrounds: Path, alphas: Path, foreground_files: Iterable[Path], alpha_files: Iterable[Path]
) -> Pairing:
    """Match files by their path below `foregrounds` and `alphas`, endings aside."""
    left, right = _by_name(foregrounds, foreground_files), _by_name(alphas, alpha_files)
    repeated = {name for side in (left, right) for name, files in side.items() if len(files) > 1}
    pairs = [Pair(name, left[name][0], right[name][0]) for name in sorted(left.keys() & right.keys() - repeated)]
    return Pairing(pairs, sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys()), sorted(repeated))


def find_pairs(root: Path, foregrounds: str, alphas: str, find: Callable[[Path], list[Path]]) -> list[Pair]:
    """The pairs of a dataset, sorted by name.

    Args:
        root: the dataset's folder.
        foregrounds, alphas: the two subfolders' names (absolute paths work too).
        find: lists the files of a folder and raises MediaError where there are none: `find_images`, `find_videos`.

    Raises:
        MediaError: a folder is missing or empty, or the names do not match; up to three of them are listed.
    """
    left, right = root / foregrounds, root / alphas
    if not root.is_dir():
        raise MediaError(
            f"{root} is not a folder; expected one with {foregrounds}/ and {alphas}/ in it: check the path."
        )
    for folder, argument in ((left, "foregrounds"), (right, "alphas")):
        if not folder.is_dir():
            raise MediaError(
                f"{folder} is not a folder; expected the {argument} in it: "
                f"check the path, or name the subfolder with the argument {argument}."
            )
    pairing = pair_by_name(left, right, find(left), find(right))
    problem = mismatch(pairing, left, right)
    if problem:
        raise MediaError(problem)
    return pairing.pairs


def mismatch(pairing: Pairing, foregrounds: Path, alphas: Path) -> str | None:
    """One sentence about names that do not match, or None when all do."""
    faults = []
    if pairing.repeated:
        faults.append(f"{counted(len(pairing.repeated), 'name')} of several files ({listed(pairing.repeated)})")
    if pairing.without_alpha:
        faults.append(
            f"{counted(len(pairing.without_alpha), 'foreground')} without alpha ({listed(pairing.without_alpha)})"
        )
    if pairing.without_foreground:
        left_over = pairing.without_foreground
        faults.append(f"{counted(len(left_over), 'alpha')} without foreground ({listed(left_over)})")
    if not faults:
        return None
    return (
        f"{foregrounds} and {alphas} do not match: {', '.join(faults)}; expected one alpha for each foreground, "
        "at the same path and of the same name but for the ending: add, rename or remove the files."
    )


def listed(names: list[str]) -> str:
    """The first three names, and dots where there are more."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def counted(count: int, word: str) -> str:
    """`1 alpha`, `2 alphas`."""
    return f"{count} {word}" + ("" if count == 1 else "s")


def read_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Foreground (H, W, 3) and alpha (H, W), each uint8, or float32 in [0, 1] where its file holds 16 bits.

    Raises:
        MediaError: one of the files cannot be read, or the two differ in size.
    """
    foreground, alpha = read_image(pair.foreground, "RGB"), read_image(pair.alpha, "L")
    require_same_size(pair, foreground, alpha)
    return foreground, alpha


def fingerprint(*files: Path) -> str:
    """Where files are, their sizes and times of change: text that changes when they do.

    Raises:
        MediaError: one of them is not there.
    """
    try:
        states = [(file.resolve(), file.stat()) for file in files]
    except FileNotFoundError as error:
        raise MediaError(f"there is no file {error.filename}; expected a picture or video: check the path.") from error
    return "\n".join(f"{file}: {state.st_size} bytes, {state.st_mtime_ns}" for file, state in states)


def index_clips(pair: Pair) -> tuple[FrameIndex, FrameIndex]:
    """The frame indices of a pair of videos.

    Raises:
        MediaError: one of the files cannot be read, or the two differ in their number of frames.
    """
    foreground, alpha = index_frames(pair.foreground), index_frames(pair.alpha)
    if len(foreground.timestamps) != len(alpha.timestamps):
        raise MediaError(
            f"{pair.foreground} has {len(foreground.timestamps)} frames but {pair.alpha} has {len(alpha.timestamps)}; "
            "expected one alpha frame for each foreground frame: export both again, or remove the clip."
        )
    return foreground, alpha


def require_same_size(pair: Pair, foreground: np.ndarray, alpha: np.ndarray) -> None:
    """MediaError names both files and sizes when a foreground and an alpha differ in height or width."""
    if foreground.shape[:2] != alpha.shape[:2]:
        raise MediaError(
            f"{pair.foreground} is {dimensions(foreground.shape)} but {pair.alpha} is {dimensions(alpha.shape)}; "
            "expected one size for a foreground and its alpha: export both again at the same size."
        )


def dimensions(shape: tuple[int, ...]) -> str:
    """(height, width, …) as people say it, width first: `1920×1080`."""
    return f"{shape[1]}×{shape[0]}"


def _by_name(folder: Path, files: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(file.relative_to(folder).with_suffix("").as_posix(), []).append(file)
    return found
