"""Mattes in folders: matching files by name, reading pairs, and writing any dataset in the official layout.

A *pair* is a foreground and an alpha of one name. The *name* of a file is its path below its folder without the ending,
so that `fgr/anna/01.jpg` and `pha/anna/01.png` belong together. No file is opened before a pair is read, and nothing
here imports torch.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zoo.core.files import write_text
from zoo.media.frame_index import FrameIndex, index_frames
from zoo.media.images import MediaError, read_image, write_image
from zoo.media.progress import tracked

if TYPE_CHECKING:
    from zoo.matting.parts import MattingDataset

SHOWN = 3  # names that a sentence lists before it stops
KINDS = ("fgr", "pha", "bgr")  # the folders of a split: straight foregrounds, alphas, backgrounds
FILE = "{:04d}.png"
README = """{name}: mattes written by the Ablation Zoo (`zoo data synth`).

<split>/fgr  straight (not premultiplied) foregrounds, RGB
<split>/pha  alphas, grey, 255 is opaque
<split>/bgr  backgrounds, RGB

{notice}
"""


class Pair(NamedTuple):
    """A foreground and its alpha.

    Example:
        >>> Pair("anna/01", Path("fgr/anna/01.jpg"), Path("pha/anna/01.png")).name
        'anna/01'
    """

    name: str
    foreground: Path
    alpha: Path


class Pairing(NamedTuple):
    """Result of matching the files of two folders by name; all lists are sorted."""

    pairs: list[Pair]
    without_alpha: list[str]  # names that only the foregrounds have
    without_foreground: list[str]  # names that only the alphas have
    repeated: list[str]  # names that two files of one folder have (`a.jpg` and `a.png`); they are in no pair


def pair_by_name(
    foregrounds: Path, alphas: Path, foreground_files: Iterable[Path], alpha_files: Iterable[Path]
) -> Pairing:
    """Match files by their paths below `foregrounds` and `alphas`, without the endings.

    Example:
        >>> pairing = pair_by_name(Path("f"), Path("a"), [Path("f/1.jpg"), Path("f/2.jpg")], [Path("a/1.png")])
        >>> [pair.name for pair in pairing.pairs], pairing.without_alpha
        (['1'], ['2'])
    """
    left, right = _by_name(foregrounds, foreground_files), _by_name(alphas, alpha_files)
    repeated = {name for side in (left, right) for name, files in side.items() if len(files) > 1}
    pairs = [Pair(name, left[name][0], right[name][0]) for name in sorted(left.keys() & right.keys() - repeated)]
    return Pairing(pairs, sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys()), sorted(repeated))


def find_pairs(
    root: Path, foregrounds: str, alphas: str, find: Callable[[Path], list[Path]], argument: str = "foregrounds"
) -> list[Pair]:
    """Return the pairs of a dataset, sorted by name.

    Args:
        root: the dataset's folder.
        foregrounds, alphas: the two subfolders' names (absolute paths work too).
        find: lists the files of a folder and raises MediaError where there are none: `find_images`, `find_videos`.
        argument: the dataset's own name for `foregrounds`.

    Raises:
        MediaError: a folder is missing or empty, or the names do not match; up to three of them are listed.

    Example:
        >>> from tempfile import mkdtemp
        >>> from zoo.media.folders import find_images
        >>> root = Path(mkdtemp())
        >>> for kind in ("fgr", "pha"):
        ...     _ = write_image(root / kind / "a.png", np.zeros((2, 2, 3), np.uint8))
        >>> [pair.name for pair in find_pairs(root, "fgr", "pha", find_images)]
        ['a']
    """
    left, right = root / foregrounds, root / alphas
    if not root.is_dir():
        raise MediaError(
            f"{root} is not a folder; expected one with {foregrounds}/ and {alphas}/ in it: check the path."
        )
    for folder, name in ((left, argument), (right, "alphas")):
        if not folder.is_dir():
            raise MediaError(
                f"{folder} is not a folder; expected the {name} in it: "
                f"check the path, or name the subfolder with the argument {name}."
            )
    pairing = pair_by_name(left, right, find(left), find(right))
    problem = mismatch(pairing, left, right)
    if problem:
        raise MediaError(problem)
    return pairing.pairs


def mismatch(pairing: Pairing, foregrounds: Path, alphas: Path) -> str | None:
    """Return one sentence about names that do not match, or None when all do.

    Example:
        >>> mismatch(Pairing([], ["a"], [], []), Path("fgr"), Path("pha"))[:60]
        'fgr and pha do not match: 1 foreground without alpha (a); ex'
    """
    faults = [
        f"{counted(len(names), word)} {fault} ({listed(names)})"
        for names, word, fault in (
            (pairing.repeated, "name", "of several files"),
            (pairing.without_alpha, "foreground", "without alpha"),
            (pairing.without_foreground, "alpha", "without foreground"),
        )
        if names
    ]
    if not faults:
        return None
    return (
        f"{foregrounds} and {alphas} do not match: {', '.join(faults)}; expected one alpha for each foreground, "
        "at the same path and of the same name but for the ending: add, rename or remove the files."
    )


def listed(names: list[str]) -> str:
    """Return the first three names, and dots where there are more.

    Example:
        >>> listed(["a", "b", "c", "d"])
        'a, b, c, …'
    """
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def counted(count: int, word: str) -> str:
    """Return a number with its word in the singular or plural.

    Example:
        >>> counted(1, "alpha"), counted(2, "alpha")
        ('1 alpha', '2 alphas')
    """
    return f"{count} {word}" + ("" if count == 1 else "s")


def looks_premultiplied(foreground: np.ndarray, alpha: np.ndarray) -> bool | None:
    """Return whether no colour exceeds alpha where alpha is soft; None where too few pixels are soft.

    Args:
        foreground, alpha: (H, W, 3) and (H, W), each uint8 or float in [0, 1].

    Example:
        >>> alpha = np.full((16, 16), 100, np.uint8)
        >>> [looks_premultiplied(np.full((16, 16, 3), grey, np.uint8), alpha) for grey in (80, 200)]
        [True, False]
    """
    brightest, opacity = _as_float(foreground).max(axis=2), _as_float(alpha)
    soft = (opacity > 0.01) & (opacity < 0.8)
    if soft.sum() < 100:
        return None
    return bool((brightest[soft] <= opacity[soft] + 0.005).mean() > 0.995)


def straight(foreground: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return straight colours (H, W, 3) of premultiplied ones, of the same type; black where alpha is 0.

    Example:
        >>> straight(np.full((1, 1, 3), 50, np.uint8), np.full((1, 1), 102, np.uint8)).tolist()
        [[[125, 125, 125]]]
    """
    opacity = _as_float(alpha)[:, :, None]
    colours = np.clip(_as_float(foreground) / np.maximum(opacity, 1e-6), 0, 1) * (opacity > 0)
    return np.rint(colours * 255).astype(np.uint8) if foreground.dtype == np.uint8 else colours.astype(np.float32)


def _as_float(values: np.ndarray) -> np.ndarray:
    return values / np.float32(255) if values.dtype == np.uint8 else values


def read_pair(pair: Pair, premultiplied: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read straight foreground (H, W, 3) and alpha (H, W).

    Args:
        pair: of files.
        premultiplied: the file's colours are multiplied by alpha.

    Returns:
        Each uint8, or float32 in [0, 1] where its file holds 16 bits.

    Raises:
        MediaError: one of the files cannot be read, or the two differ in size.

    Example:
        >>> from tempfile import mkdtemp
        >>> paths = [Path(mkdtemp()) / name for name in ("fgr.png", "pha.png")]
        >>> pair = Pair("a", *(write_image(path, np.zeros((2, 3), np.uint8)) for path in paths))
        >>> [pixels.shape for pixels in read_pair(pair)]
        [(2, 3, 3), (2, 3)]
    """
    foreground, alpha = read_image(pair.foreground, "RGB"), read_image(pair.alpha, "L")
    require_same_size(pair, foreground, alpha)
    return straight(foreground, alpha) if premultiplied else foreground, alpha


def fingerprint(*files: Path) -> str:
    """Return paths, sizes and times of change of files: text that changes when they do.

    Raises:
        MediaError: one of them is not there.

    Example:
        >>> fingerprint(Path("nowhere.png"))
        Traceback (most recent call last):
        zoo.media.errors.MediaError: there is no file nowhere.png; expected a picture or video: check the path.
    """
    try:
        states = [(file.resolve(), file.stat()) for file in files]
    except FileNotFoundError as error:
        raise MediaError(f"there is no file {error.filename}; expected a picture or video: check the path.") from error
    return "\n".join(f"{file}: {state.st_size} bytes, {state.st_mtime_ns}" for file, state in states)


def index_clips(pair: Pair) -> tuple[FrameIndex, FrameIndex]:
    """Return the frame indices of a pair of videos.

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
    """Raise MediaError when a foreground and its alpha differ in height or width.

    Example:
        >>> pair = Pair("a", Path("fgr/a.png"), Path("pha/a.png"))
        >>> require_same_size(pair, np.zeros((2, 3, 3)), np.zeros((2, 3)))
    """
    if foreground.shape[:2] != alpha.shape[:2]:
        raise MediaError(
            f"{pair.foreground} is {dimensions(foreground.shape)} but {pair.alpha} is {dimensions(alpha.shape)}; "
            "expected one size for a foreground and its alpha: export both again at the same size."
        )


def dimensions(shape: tuple[int, ...]) -> str:
    """Return (height, width, …) as text, width first.

    Example:
        >>> dimensions((1080, 1920, 3))
        '1920×1080'
    """
    return f"{shape[1]}×{shape[0]}"


def write_mattes(directory: Path, datasets: Mapping[str, "MattingDataset"], counts: Mapping[str, int]) -> None:
    """Write datasets as `DIR/SPLIT/{fgr,pha,bgr}/0000.png` with progress bars; an interrupted run may be repeated.

    Each split has as many backgrounds as mattes, if its dataset has so many. A dataset may have a `notice`, lines about
    sources and licences, which go into `README.txt`.

    Args:
        directory: created if it is missing.
        datasets: by split.
        counts: how many mattes of each split, the first ones.

    Raises:
        MediaError: a folder holds other files.

    Example:
        >>> from tempfile import mkdtemp
        >>> from zoo.core.spec import build
        >>> arguments = {"count": 1, "backgrounds": 1, "size": 32, "cache": mkdtemp()}
        >>> root = Path(mkdtemp())
        >>> write_mattes(root, {"test": build({"class_path": "SyntheticMattes", "init_args": arguments})}, {"test": 1})
        >>> sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
        ['test/bgr/0000.png', 'test/fgr/0000.png', 'test/pha/0000.png']
    """
    for split in datasets:
        expected = {FILE.format(index) for index in range(counts[split])}
        for folder in (directory / split / kind for kind in KINDS):
            others = [path.name for path in folder.glob("[!.]*") if path.name not in expected]
            if others:
                raise MediaError(
                    f"{folder} holds {len(others)} other files, such as {others[0]}: choose an empty folder."
                )
    name = ", ".join(dict.fromkeys(type(dataset).__name__ for dataset in datasets.values()))
    notice = dict.fromkeys(line for dataset in datasets.values() for line in getattr(dataset, "notice", ()))
    write_text(directory / "README.txt", README.format(name=name, notice="\n".join(notice)))
    for split, dataset in datasets.items():
        count = counts[split]
        for index in tracked(range(count), count, f"Writing {split}", progress=True):
            folder, file_name = directory / split, FILE.format(index)
            matte = dataset.matte(index)
            write_image(folder / "fgr" / file_name, matte.foreground)
            write_image(folder / "pha" / file_name, matte.alpha)
            if index < dataset.background_count:
                write_image(folder / "bgr" / file_name, dataset.background(index))


def _by_name(folder: Path, files: Iterable[Path]) -> dict[str, list[Path]]:
    by_name: dict[str, list[Path]] = {}
    for file in files:
        by_name.setdefault(file.relative_to(folder).with_suffix("").as_posix(), []).append(file)
    return by_name
