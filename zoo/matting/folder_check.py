"""What is wrong with a folder of mattes: every file is opened, and every fault is said.

First the *layouts* are found, without looking into files: a layout is a part of the folder that one dataset reads, such
as `train` with `fgr/` and `pha/` in it. Then each is inspected, which gives one *report* a layout.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from zoo.matting.folders import Pair, Pairing, counted, index_clips, pair_by_name, require_same_size
from zoo.media.frame_index import FrameReader, find_videos
from zoo.media.images import EXTENSIONS, MediaError, find_images, read_image

FOREGROUNDS = ("fgr", "fg", "foreground", "foregrounds")
"""What a folder of foregrounds is called, the usual name first; upper and lower case alike. So for the next two."""
ALPHAS = ("pha", "alpha", "alphas", "matte", "mattes")
BACKGROUNDS = ("bgr", "bg", "background", "backgrounds")
SPLITS = ("train", "training", "validation", "valid", "val", "test")

COMPRESSED_GREY = 8
"""How far the channels of a grey video may lie apart on average, of 255: what compression leaves."""

T = TypeVar("T")
Reader = Literal["MatteFolder", "VideoMattes", "CutoutFolder"]


class Layout(NamedTuple):
    """A part of the folder that one dataset reads."""

    reader: Reader
    root: Path
    foregrounds: str | None = None
    alphas: str | None = None
    backgrounds: Path | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """The dataset's name and arguments, those left out that have the usual value."""
        arguments = {"root": str(self.root), "backgrounds": str(self.backgrounds or "PATH/TO/BACKGROUNDS")}
        if self.foregrounds not in (None, FOREGROUNDS[0]):
            arguments["foregrounds"] = str(self.foregrounds)
        if self.alphas not in (None, ALPHAS[0]):
            arguments["alphas"] = str(self.alphas)
        return {"class_path": self.reader, "init_args": arguments}


@dataclass
class Report:
    """What was found in one layout, or in a folder of backgrounds (`layout` is None)."""

    root: Path
    layout: Layout | None = None
    items: int = 0
    """Usable mattes, clips or backgrounds."""
    frames: int = 0
    """Frames of all usable clips."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(height, width) → how many items have it."""
    with_16_bits: list[str] = field(default_factory=list)
    """Names of items that hold 16 bits a channel: no fault, they are read as fractions."""
    problems: list[str] = field(default_factory=list)


class Inspection(NamedTuple):
    """What opening one item gave."""

    name: str
    problems: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    has_16_bits: bool = False
    frames: int = 0


Task = Callable[[], Inspection]


class Findings(NamedTuple):
    """The layouts of a folder, its folders of backgrounds, and what is wrong with their arrangement."""

    layouts: list[Layout]
    backgrounds: list[Path]
    problems: list[str]


def find_layouts(folder: Path) -> Findings:
    """Look for fgr/ and pha/ side by side, at any depth; where there are none, for cut-outs.

    Raises:
        MediaError: there is no such folder.
    """
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder; expected one with mattes in it: check the path.")
    findings = Findings([], [], [])
    named = folder.resolve()  # `.` has no name
    if _named(named, BACKGROUNDS):
        return findings._replace(backgrounds=[folder])
    if _named(named, FOREGROUNDS + ALPHAS) and _is_one_of_two(named):
        findings.problems.append(f"{folder} is one of two folders that belong together: check {named.parent} instead.")
        return findings
    _search_pairs(folder, findings)
    if not findings.layouts and not findings.problems:
        _search_cutouts(folder, findings)
    if not findings.layouts and not findings.problems:
        findings.problems.append(
            f"{folder} holds no mattes; expected fgr/ and pha/ with pictures or videos of matching names, or RGBA "
            "cut-outs: see `zoo data synth` for an example."
        )
    return findings._replace(
        layouts=[_with_backgrounds(layout, folder, findings.backgrounds) for layout in findings.layouts]
    )


class Inspector:
    """Inspects the files of one layout or one folder of backgrounds.

    Making one lists the files and matches their names; `run` opens them.
    """

    def __init__(self, root: Path, layout: Layout | None) -> None:
        self.report = Report(root, layout)
        self._tasks: list[Task] = []
        try:
            self._list(root, layout)
        except MediaError as error:
            self.report.problems.append(str(error))

    def __len__(self) -> int:
        return len(self._tasks)

    def run(self) -> Iterator[Inspection]:
        """Open the files and fill in the report; yields what each gave, so that a progress bar can move."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for found in pool.map(lambda task: task(), self._tasks):
                self._add(found)
                yield found

    def _list(self, root: Path, layout: Layout | None) -> None:
        if layout is None:
            self._tasks = [partial(_inspect_background, file) for file in find_images(root)]
        elif layout.reader == "CutoutFolder":
            self._tasks = [partial(_inspect_cutout, file) for file in find_images(root)]
        else:
            find, inspect = (
                (find_images, _inspect_pair) if layout.reader == "MatteFolder" else (find_videos, _inspect_clip)
            )
            left, right = root / str(layout.foregrounds), root / str(layout.alphas)
            pairing = pair_by_name(left, right, find(left), find(right))
            self.report.problems += _name_problems(pairing, left, right)
            self._tasks = [partial(inspect, pair) for pair in pairing.pairs]

    def _add(self, found: Inspection) -> None:
        report = self.report
        report.problems += found.problems
        if not found.problems:
            report.items += 1
            report.frames += found.frames
        if found.size is not None:
            report.sizes[found.size] += 1
        if found.has_16_bits:
            report.with_16_bits.append(found.name)


def _search_pairs(folder: Path, findings: Findings) -> None:
    """Add the pairs of folders at and below this folder, and the folders of backgrounds met on the way."""
    children = _subfolders(folder)
    left, right = (_first_named(children, names) for names in (FOREGROUNDS, ALPHAS))
    if left and right:
        findings.layouts.append(_paired(folder, left, right))
    elif left or right:
        findings.problems.append(_alone(folder, left, right))
    for child in children:
        if _named(child, BACKGROUNDS):
            findings.backgrounds.append(child)
        elif child not in (left, right):
            _search_pairs(child, findings)


def _paired(root: Path, left: Path, right: Path) -> Layout:
    reader: Reader = "VideoMattes" if _holds(left, find_videos) and not _holds(left, find_images) else "MatteFolder"
    return Layout(reader, root, left.name, right.name)


def _alone(folder: Path, left: Path | None, right: Path | None) -> str:
    present, missing = (left, "alphas (pha)") if left else (right, "foregrounds (fgr)")
    return f"{folder} has {present.name if present else ''}/ but no folder of {missing}; expected the two side by side."


def _search_cutouts(folder: Path, findings: Findings) -> None:
    """Add the cut-outs at and below this folder; a folder that also holds splits or backgrounds is taken apart."""
    children = [child for child in _subfolders(folder) if not _named(child, BACKGROUNDS)]
    apart = any(_named(child, SPLITS) for child in children) or any(
        background.is_relative_to(folder) for background in findings.backgrounds
    )
    if not apart:
        if _holds(folder, find_images):
            findings.layouts.append(Layout("CutoutFolder", folder))
        return
    loose = [path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS and path.is_file()]
    if loose:
        findings.problems.append(
            f"{folder} holds {counted(len(loose), 'picture')} beside its subfolders; expected cut-outs in a folder of "
            "their own: move them into one."
        )
    for child in children:
        _search_cutouts(child, findings)


def _is_one_of_two(folder: Path) -> bool:
    beside = _subfolders(folder.parent)
    return all(_first_named(beside, names) for names in (FOREGROUNDS, ALPHAS))


def _with_backgrounds(layout: Layout, top: Path, backgrounds: list[Path]) -> Layout:
    """The layout with the nearest folder of backgrounds: in its root, or beside it or one of its parents."""
    for parent in (layout.root, *layout.root.parents):
        near = [background for background in backgrounds if background.parent == parent]
        if near:
            own = near[0] / layout.root.name  # backgrounds may have splits too
            return layout._replace(backgrounds=own if own.is_dir() else near[0])
        if parent == top:
            break
    return layout


def _name_problems(pairing: Pairing, left: Path, right: Path) -> Iterator[str]:
    for name in pairing.repeated:
        yield f"{name}: several files have this name in {left} or {right}; expected one: remove the others."
    for name in pairing.without_alpha:
        yield f"{left / name} has no alpha; expected {right / name} with any ending."
    for name in pairing.without_foreground:
        yield f"{right / name} has no foreground; expected {left / name} with any ending."


def _inspect_background(file: Path) -> Inspection:
    pixels, problems = _try(partial(read_image, file, "RGB"))
    return _inspected(str(file), problems, pixels)


def _inspect_cutout(file: Path) -> Inspection:
    pixels, problems = _try(partial(read_image, file, "RGBA"))
    if pixels is not None:
        problems += _alpha_problems(file, pixels[:, :, 3])
    return _inspected(str(file), problems, pixels)


def _inspect_pair(pair: Pair) -> Inspection:
    foreground, problems = _try(partial(read_image, pair.foreground, "RGB"))
    alpha, alpha_problems = _try(partial(read_image, pair.alpha, "L"))
    problems += alpha_problems
    if foreground is not None and alpha is not None:
        problems += _try(partial(require_same_size, pair, foreground, alpha))[1]
    if alpha is not None:
        problems += _alpha_problems(pair.alpha, alpha)
    return _inspected(pair.name, problems, foreground, alpha)


def _inspect_clip(pair: Pair) -> Inspection:
    """Counts the frames of both videos and looks at the first, the middle and the last."""
    clip, problems = _try(partial(_sample_clip, pair))
    if clip is None:
        return Inspection(pair.name, problems)
    foregrounds, alphas, frames = clip
    problems += _colour_problems(pair.alpha, alphas) or _alpha_problems(pair.alpha, alphas)
    return _inspected(pair.name, problems, foregrounds[0])._replace(frames=frames)


def _sample_clip(pair: Pair) -> tuple[np.ndarray, np.ndarray, int]:
    """Three frames of the foreground, the same three of the alpha, each (3, H, W, 3), and how many frames there are."""
    indices = index_clips(pair)
    frames = len(indices[0].timestamps)
    with FrameReader(pair.foreground, indices[0]) as foregrounds, FrameReader(pair.alpha, indices[1]) as alphas:
        samples = [(foregrounds.read(number), alphas.read(number)) for number in (0, frames // 2, frames - 1)]
    for foreground, alpha in samples:
        require_same_size(pair, foreground, alpha)
    return np.stack([foreground for foreground, _ in samples]), np.stack([alpha for _, alpha in samples]), frames


def _try(read: Callable[[], T]) -> tuple[T | None, tuple[str, ...]]:
    """What was read, or None and the sentence about why not."""
    try:
        return read(), ()
    except MediaError as error:
        return None, (str(error),)


def _inspected(name: str, problems: tuple[str, ...], *pictures: np.ndarray | None) -> Inspection:
    readable = [picture for picture in pictures if picture is not None]
    size = (readable[0].shape[0], readable[0].shape[1]) if readable else None
    return Inspection(name, problems, size, any(picture.dtype != np.uint8 for picture in readable))


def _alpha_problems(file: Path, alpha: np.ndarray) -> tuple[str, ...]:
    """One sentence about an alpha that says nothing; none when it is as it should be."""
    opaque = 255 if alpha.dtype == np.uint8 else 1
    if not alpha.any():
        return (f"{file} is 0 everywhere; expected some foreground in the alpha: remove the matte or export it again.",)
    if (alpha == opaque).all():
        return (f"{file} is 1 everywhere; expected some background in the alpha: remove the matte or export it again.",)
    if alpha.max() == 1 and opaque == 255:
        return (f"{file} has no value above 1 of 255; expected 255 where opaque: multiply the alpha by 255.",)
    return ()


def _colour_problems(file: Path, frames: np.ndarray) -> tuple[str, ...]:
    spread = (frames.max(-1).astype(int) - frames.min(-1)).mean()
    if spread <= COMPRESSED_GREY:
        return ()
    return (
        f"{file} is coloured; expected a grey video of the alpha: check that foregrounds and alphas are not exchanged.",
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _named(folder: Path, names: tuple[str, ...]) -> bool:
    return folder.name.lower() in names


def _first_named(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    ranked = sorted((names.index(folder.name.lower()), folder) for folder in folders if _named(folder, names))
    return ranked[0][1] if ranked else None


def _holds(folder: Path, find: Callable[[Path], list[Path]]) -> bool:
    try:
        return bool(find(folder))
    except MediaError:
        return False
