"""Files of a folder and its subfolders: those of a kind, and the names of all others, so that none is lost silently."""

import warnings
from collections.abc import Collection
from pathlib import Path

from zoo.media.images import EXTENSIONS, MediaError, MediaWarning

SHOWN = 20
"""Names that a message lists before it stops."""


def find_images(folder: str | Path, skip: Collection[Path] = ()) -> list[Path]:
    """Return the images in a folder and its subfolders, sorted by path, without hidden ones.

    Warns of all other files. Folders in `skip` are not searched.

    Raises:
        MediaError: the folder is missing or holds no image.
    """
    return find_files(Path(folder), EXTENSIONS, "image", skip)


def find_files(folder: Path, endings: Collection[str], kind: str, skip: Collection[Path] = ()) -> list[Path]:
    """Return the files with one of these endings as `find_images` does; `kind` names them in messages."""
    chosen, others = split_files(folder, endings, kind, skip)
    if not chosen:
        raise MediaError(
            f"{folder} holds no {kind}; expected at least one file ending in one of {' '.join(sorted(endings))}: check "
            f"the path.{f' It holds {_names(folder, others)}.' if others else ''}"
        )
    if others:
        count = "1 file that is" if len(others) == 1 else f"{len(others)} files that are"
        warnings.warn(
            f"{folder} holds {count} no {kind} and left out: {_names(folder, others)}.", MediaWarning, stacklevel=3
        )
    return chosen


def split_files(
    folder: Path, endings: Collection[str], kind: str = "image", skip: Collection[Path] = ()
) -> tuple[list[Path], list[Path]]:
    """Return the files with one of these endings, and all others, sorted, without hidden ones.

    Raises:
        MediaError: the folder is missing.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> (folder / "a.png").touch(), (folder / "b.txt").touch()
        (None, None)
        >>> [[path.name for path in files] for files in split_files(folder, EXTENSIONS)]
        [['a.png'], ['b.txt']]
    """
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder; expected a folder of {kind}s: check the path.")
    skipped = {path.resolve() for path in skip} - {folder.resolve()}
    files: tuple[list[Path], list[Path]] = [], []
    for path in sorted(folder.rglob("*")):
        hidden = any(part[0] == "." for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and not (skipped and skipped & {*path.resolve().parents}):
            files[path.suffix.lower() not in endings].append(path)
    return files


def _names(folder: Path, files: list[Path]) -> str:
    return listing([path.relative_to(folder).as_posix() for path in files])


def listing(names: list[str]) -> str:
    """Return names with commas, up to `SHOWN` of them and the number of all others.

    Example:
        >>> listing(["a", "b"])
        'a, b'
    """
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
