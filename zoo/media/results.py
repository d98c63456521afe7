"""What all commands that turn files into files do alike: results are named like their sources, and replace none."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from zoo.media.images import MediaError, find_images

Item = TypeVar("Item")


def name_in(path: Path, folder: Path) -> str:
    """What the results of a picture in the folder are called: its path there, without the ending."""
    return path.relative_to(folder).with_suffix("").as_posix()


def named_pictures(folder: Path, own: Iterable[Path] = ()) -> list[tuple[Path, str]]:
    """Every picture in the folder and its subfolders with the name of its results.

    Args:
        own: folders that results land in, which are left out where an earlier run made them inside `folder`.

    Raises:
        MediaError: no pictures, or two of one name.
    """
    left_out = {path.resolve() for path in own} - {folder.resolve()}
    found = [path for path in find_images(folder) if left_out.isdisjoint(path.resolve().parents)]
    names = [name_in(path, folder) for path in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise MediaError(
            f"{folder} holds two pictures named {min(twice)}; expected different names, since results are named so."
        )
    return list(zip(found, names, strict=True))


def refuse_overwriting(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """MediaError where a result would take the place of an input."""
    endangered = {path.resolve() for path in targets} & {path.resolve() for path in inputs}
    if endangered:
        raise MediaError(f"{min(endangered)} would be overwritten by a result; expected another output folder.")


def tracked(items: Iterable[Item], total: int | None, what: str, progress: bool) -> Iterator[Item]:
    """The items, with a progress bar on stderr."""
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task)
