"""Check of a folder of mattes: which datasets read it, and every fault of every file.

`find_layouts` looks for *layouts* without opening files: a layout is a part of the folder that one dataset reads, such
as `train` with `fgr/` and `pha/` in it. `list_files` and `inspect` then fill one `Report` a layout.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from zoo.matting.folders import Pair, counted, index_clips, looks_premultiplied, pair_by_name, require_same_size
from zoo.media import videos
from zoo.media.folders import find_images, split_files
from zoo.media.frame_index import FrameReader, find_videos
from zoo.media.images import EXTENSIONS, MediaError, Mode, read_image

FOREGROUNDS = ("fgr", "fg", "foreground", "foregrounds")
"""Names of folders of foregrounds, the usual name first; upper and lower case alike. So for the next four."""
ALPHAS = ("pha", "alpha", "alphas", "matte", "mattes", "mask", "masks")
PHOTOGRAPHS = ("image", "images", "photographs", "photos", "original", "original_image")
BACKGROUNDS = ("bgr", "bg", "background", "backgrounds")
SPLITS = ("train", "training", "validation", "valid", "val", "test")

COMPRESSED_GREY = 8  # largest mean difference of the channels of a compressed grey video, of 255

Reader = Literal["MatteFolder", "VideoMattes", "CutoutFolder", "PhotographFolder"]


class Layout(NamedTuple):
    """A part of the folder that one dataset reads."""

    reader: Reader
    root: Path
    foregrounds: str | None = None
    alphas: str | None = None
    backgrounds: Path | None = None
    premultiplied: bool = False

    @property
    def spec(self) -> dict[str, Any]:
        """Spec of the dataset, without the arguments that have their default value."""
        if self.reader == "PhotographFolder":
            folders = {"photographs": self.foregrounds, "alphas": self.alphas}
            defaults = {"photographs": PHOTOGRAPHS[0], "alphas": ALPHAS[1]}
            named = {key: folder for key, folder in folders.items() if folder != defaults[key]}
            behind = {"backgrounds": str(self.backgrounds.resolve())} if self.backgrounds else {}
            return {"class_path": self.reader, "init_args": {"root": str(self.root)} | named | behind}
        arguments: dict[str, Any] = {
            "root": str(self.root),
            "backgrounds": str(self.backgrounds or "PATH/TO/BACKGROUNDS"),
        }
        if self.foregrounds not in (None, FOREGROUNDS[0]):
            arguments["foregrounds"] = str(self.foregrounds)
        if self.alphas not in (None, ALPHAS[0]):
            arguments["alphas"] = str(self.alphas)
        if self.premultiplied:
            arguments["premultiplied"] = True
        return {"class_path": self.reader, "init_args": arguments}


class Inspection(NamedTuple):
    """Result of opening one item."""

    name: str
    problems: Sequence[str] = ()
    size: tuple[int, int] | None = None
    has_16_bits: bool = False
    frames: int = 0
    premultiplied: bool | None = None


@dataclass
class Report:
    """State of one layout, or of a folder of backgrounds (`layout` is None)."""

    root: Path
    layout: Layout | None = None
    items: int = 0  # usable mattes, clips or backgrounds
    frames: int = 0  # of all usable clips
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (height, width) → number of items
    with_16_bits: list[str] = field(default_factory=list)  # no fault, these are read as fractions
    premultiplied: list[str] = field(default_factory=list)  # mattes whose colours look multiplied by alpha
    straight: int = 0  # the number of those that do not
    problems: list[str] = field(default_factory=list)
    tasks: list[Callable[[], Inspection]] = field(default_factory=list)  # one opens one item


class Findings(NamedTuple):
    """The layouts of a folder, its folders of backgrounds, and problems of their arrangement."""

    layouts: list[Layout]
    backgrounds: list[Path]
    problems: list[str]


def find_layouts(folder: Path) -> Findings:
    """Search for fgr/ and pha/ side by side, at any depth; where there are none, for cut-outs.

    Raises:
        MediaError: there is no such folder.

    Example:
        >>> from tempfile import mkdtemp
        >>> root = Path(mkdtemp())
        >>> (root / "train/fgr").mkdir(parents=True), (root / "train/pha").mkdir()
        (None, None)
        >>> [(layout.reader, layout.root.name) for layout in find_layouts(root).layouts]
        [('MatteFolder', 'train')]
    """
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder; expected one with mattes or heads in it: check the path.")
    findings = Findings([], [], [])
    named = folder.resolve()  # `.` has no name
    if _named(named, BACKGROUNDS):
        return findings._replace(backgrounds=[folder])
    if _named(named, FOREGROUNDS + ALPHAS) and all(
        _first_named(_subfolders(named.parent), names) for names in (FOREGROUNDS, ALPHAS)
    ):
        findings.problems.append(f"{folder} is one of two folders that belong together: check {named.parent} instead.")
        return findings
    _search_pairs(folder, findings)
    if not findings.layouts and not findings.problems:
        if not findings.backgrounds:
            findings.backgrounds.extend(_photographs(folder))
        _search_cutouts(folder, findings)
    if not findings.layouts and not findings.problems:
        findings.problems.append(
            f"{folder} holds no mattes; expected fgr/ and pha/ with pictures or videos of matching names, or RGBA "
            "cut-outs: see `zoo data synth` for an example."
        )
    return findings._replace(
        layouts=[_with_backgrounds(layout, folder, findings.backgrounds) for layout in findings.layouts]
    )


def list_files(root: Path, layout: Layout | None) -> Report:
    """List the files of a layout, or of a folder of backgrounds, and match their names; `inspect` opens them.

    Example:
        >>> list_files(Path("no such folder"), None).problems
        ['no such folder is not a folder; expected a folder of images: check the path.']
    """
    report = Report(root, layout)
    try:
        if layout is None or layout.reader == "CutoutFolder":
            mode: Mode = "RGB" if layout is None else "RGBA"
            report.tasks = [partial(_inspect_images, str(file), [(file, mode)]) for file in find_images(root)]
        else:
            videos = layout.reader == "VideoMattes"
            find, inspect_pair = (find_videos, _inspect_clip) if videos else (find_images, _inspect_pair)
            left, right = root / str(layout.foregrounds), root / str(layout.alphas)
            pairing = pair_by_name(left, right, find(left), find(right))
            repeated = f"several files have this name in {left} or {right}; expected one: remove the others."
            ending = "with any ending."
            report.problems += [f"{name}: {repeated}" for name in pairing.repeated]
            report.problems += [
                f"{left / name} has no alpha; expected {right / name} {ending}" for name in pairing.without_alpha
            ]
            report.problems += [
                f"{right / name} has no foreground; expected {left / name} {ending}"
                for name in pairing.without_foreground
            ]
            if layout.reader == "PhotographFolder":
                inspect_pair = _inspect_photograph
            report.tasks = [partial(inspect_pair, pair) for pair in pairing.pairs]
    except MediaError as error:
        report.problems.append(str(error))
    return report


def inspect(report: Report) -> Iterator[Inspection]:
    """Open the listed files and fill in the report; yield each result, so that a progress bar can advance.

    Example:
        >>> from tempfile import mkdtemp
        >>> from zoo.media.images import write_image
        >>> report = list_files(write_image(Path(mkdtemp()) / "a.png", np.zeros((2, 3), np.uint8)).parent, None)
        >>> [inspection.size for inspection in inspect(report)], report.items
        ([(2, 3)], 1)
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for inspection in pool.map(lambda task: task(), report.tasks):
            report.problems += inspection.problems
            if not inspection.problems:
                report.items += 1
                report.frames += inspection.frames
            if inspection.size is not None:
                report.sizes[inspection.size] += 1
            if inspection.has_16_bits:
                report.with_16_bits.append(inspection.name)
            if inspection.premultiplied:
                report.premultiplied.append(inspection.name)
            report.straight += inspection.premultiplied is False
            yield inspection
    if report.layout and len(report.premultiplied) > 9 * report.straight:
        report.layout = report.layout._replace(premultiplied=True)


def _search_pairs(folder: Path, findings: Findings) -> None:
    """Add the pairs of folders at and below this folder, and the folders of backgrounds met on the way."""
    children = _subfolders(folder)
    left, right = (_first_named(children, names) for names in (FOREGROUNDS, ALPHAS))
    if left and right:
        clips = split_files(left, videos.EXTENSIONS)[0] and not split_files(left, EXTENSIONS)[0]
        findings.layouts.append(Layout("VideoMattes" if clips else "MatteFolder", folder, left.name, right.name))
    elif right and (whole := _first_named(children, PHOTOGRAPHS)):
        findings.layouts.append(Layout("PhotographFolder", folder, whole.name, right.name))
        left = whole
    elif present := left or right:
        missing = "alphas (pha)" if left else "foregrounds (fgr)"
        findings.problems.append(
            f"{folder} has {present.name}/ but no folder of {missing}; expected the two side by side."
        )
    for child in children:
        if _named(child, BACKGROUNDS):
            findings.backgrounds.append(child)
        elif child not in (left, right):
            _search_pairs(child, findings)


def _search_cutouts(folder: Path, findings: Findings) -> None:
    """Add the cut-outs at and below this folder; descend into a folder that also holds splits or backgrounds."""
    children = [child for child in _subfolders(folder) if child not in findings.backgrounds]
    has_splits = any(_named(child, SPLITS) for child in children)
    if not has_splits and not any(background.is_relative_to(folder) for background in findings.backgrounds):
        if split_files(folder, EXTENSIONS)[0]:
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


def _photographs(folder: Path) -> list[Path]:
    """Return the subfolders of JPEG files only, which have no alpha, where other subfolders hold other images."""
    endings = {
        child: {path.suffix.lower() for path in split_files(child, EXTENSIONS)[0]} for child in _subfolders(folder)
    }
    photographs = [child for child, found in endings.items() if found and found <= {".jpg", ".jpeg"}]
    return photographs if len(photographs) < sum(map(bool, endings.values())) else []


def _with_backgrounds(layout: Layout, top: Path, backgrounds: list[Path]) -> Layout:
    """Return the layout with the nearest folder of backgrounds: in its root, or next to it or one of its parents."""
    for parent in (layout.root, *layout.root.parents):
        near = [background for background in backgrounds if background.parent == parent]
        if near:
            own = near[0] / layout.root.name  # backgrounds may have splits too
            return layout._replace(backgrounds=own if own.is_dir() else near[0])
        if parent == top:
            break
    return layout


def _inspect_images(name: str, files: Sequence[tuple[Path, Mode]], pair: Pair | None = None) -> Inspection:
    """Read the files of one item; check the alpha of an RGBA or grey image, and the sizes of a pair."""
    images, problems, alpha_problems = [], [], []
    for file, mode in files:
        try:
            image = read_image(file, mode)
        except MediaError as error:
            problems.append(str(error))
            continue
        images.append(image)
        if mode != "RGB":
            alpha_problems += _alpha_problems(file, image if mode == "L" else image[:, :, 3])
    if pair and len(images) == 2:
        try:
            require_same_size(pair, *images)
        except MediaError as error:
            problems.append(str(error))
    size = (images[0].shape[0], images[0].shape[1]) if images else None
    premultiplied = None
    if not problems and pair:
        premultiplied = looks_premultiplied(*images)
    elif not problems and images[0].ndim == 3 and images[0].shape[2] == 4:
        premultiplied = looks_premultiplied(images[0][:, :, :3], images[0][:, :, 3])
    has_16_bits = any(image.dtype != np.uint8 for image in images)
    return Inspection(name, problems + alpha_problems, size, has_16_bits, premultiplied=premultiplied)


def _inspect_pair(pair: Pair) -> Inspection:
    return _inspect_images(pair.name, [(pair.foreground, "RGB"), (pair.alpha, "L")], pair)


def _inspect_photograph(pair: Pair) -> Inspection:
    return _inspect_pair(pair)._replace(premultiplied=None)


def _inspect_clip(pair: Pair) -> Inspection:
    """Count the frames of both videos and check the first, the middle and the last."""
    try:
        indices = index_clips(pair)
        frames = len(indices[0].timestamps)
        with FrameReader(pair.foreground, indices[0]) as foregrounds, FrameReader(pair.alpha, indices[1]) as alphas:
            samples = [(foregrounds.read(number), alphas.read(number)) for number in (0, frames // 2, frames - 1)]
        for foreground, alpha in samples:
            require_same_size(pair, foreground, alpha)
    except MediaError as error:
        return Inspection(pair.name, [str(error)])
    sampled = np.stack([alpha for _, alpha in samples])
    problems = _alpha_problems(pair.alpha, sampled)
    if (sampled.max(-1).astype(int) - sampled.min(-1)).mean() > COMPRESSED_GREY:
        problems = [
            f"{pair.alpha} is coloured; expected a grey video of the alpha: check that foregrounds and alphas are not "
            "exchanged."
        ]
    height, width = samples[0][0].shape[:2]
    return Inspection(pair.name, problems, (height, width), frames=frames)


def _alpha_problems(file: Path, alpha: np.ndarray) -> list[str]:
    """Return one sentence about an alpha without content; none when it is usable."""
    opaque = 255 if alpha.dtype == np.uint8 else 1
    if not alpha.any():
        return [f"{file} is 0 everywhere; expected some foreground in the alpha: remove the matte or export it again."]
    if (alpha == opaque).all():
        return [f"{file} is 1 everywhere; expected some background in the alpha: remove the matte or export it again."]
    if alpha.max() == 1 and opaque == 255:
        return [f"{file} has no value above 1 of 255; expected 255 where opaque: multiply the alpha by 255."]
    return []


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _named(folder: Path, names: tuple[str, ...]) -> bool:
    return folder.name.lower() in names


def _first_named(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    ranked = sorted((names.index(folder.name.lower()), folder) for folder in folders if _named(folder, names))
    return ranked[0][1] if ranked else None
