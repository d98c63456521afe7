"""Pulling weights: a name becomes a file on this machine that is what it should be.

A file lies in the cache, `weights/NAME/FILE`, under its own name only when it is whole and checked; it is checked again
each time that it is asked for. One process at a time pulls a name, the others wait and find it there. Without network,
everything that has been pulled works.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.core.slots import nearest
from zoo.hub.catalogue import Entry, all_entries, find_entry, knows
from zoo.hub.download import Report, WrongSizeError, version_file
from zoo.hub.pins import Content, difference, expected, folder_name, measured, pin, weights_directory
from zoo.hub.sources import fetch, in_place


class LicenceError(ZooError):
    """The licence has to be accepted first."""


def pull(
    name: str,
    *,
    accept_licence: bool = False,
    accept_change: bool = False,
    offline: bool | None = None,
    file: str | Path | None = None,
) -> Path:
    """The file with the weights of this name; downloaded if it is not here yet, and checked in any case.

    Args:
        name: `MODEL-WEIGHTS`, `MODEL` for its default weights, either with `@REVISION` where the source has revisions.
        accept_licence: accept a licence that forbids commercial use; without it such weights are not downloaded.
        accept_change: take an upstream file that is not the one that was pinned at the first pull, and pin it instead.
        offline: ask no network; None does as the environment variable ZOO_OFFLINE says.
        file: take this file, got in another way, instead of downloading it.

    Raises:
        ZooError: no such name, or one that two catalogues claim.
        LicenceError: the licence is not accepted.
        ZooError: the file is not what it should be; offline and not here; the cache cannot be written.
        DownloadError: no connection, or no such file there.
    """
    entry = find_entry(name)
    try:
        if (path := located(entry)) is not None:
            return checked_in_place(entry, path, accept_change)
        if file is None and not accept_change and (path := kept(entry)) is not None:
            return path
        if file is None and is_offline(offline):
            raise ZooError(
                f"{entry.name} has not been pulled yet and this is offline: pull it once with a network, or give its "
                f"file with `zoo pull {entry.name} --from FILE`."
            )
        if entry.licence.non_commercial and not accept_licence:
            raise LicenceError(
                f"{entry.name} is published under {entry.licence}: read the licence and accept it with "
                f"`zoo pull {entry.name} --accept-licence`, in Python zoo.pull('{entry.name}', accept_licence=True)."
            )
        with locked(entry.name):
            if file is None and not accept_change and (path := kept(entry)) is not None:
                return path  # another process was faster
            wanted = expected(entry, anew=accept_change)
            return downloaded(entry, wanted) if file is None else taken(entry, wanted, Path(file))
    except OSError as error:
        raise ZooError(
            f"{entry.name}: {error.filename or weights_directory()} cannot be read or written "
            f"({error.strerror or error}): check its permissions and the room on its disk, or set ZOO_CACHE to another "
            "folder."
        ) from error


def catalogued(source: str) -> Entry | None:
    """What the catalogue says of a name; None for a file, which comes first, and for what it does not know.

    Raises:
        ZooError: two catalogues claim the name; or it is no file, and nearly a name.
    """
    if Path(source).is_file():
        return None
    if knows(source):
        return find_entry(source)
    hint = nearest(source, list(all_entries()), listed=False) if "/" not in source else "."
    if hint != ".":
        raise ZooError(f"there is no file {source}, nor are there weights of that name{hint}")
    return None


def weights_file(source: str) -> str:
    """The file that a path or, where there is no such file, a catalogue name stands for; pulled if need be. Whether a
    file is there at all is for its reader to say.

    Raises:
        ZooError, ZooError, DownloadError: as `catalogued` and `pull`.
    """
    entry = catalogued(source)
    if entry is None:
        return source
    path = pull(source)
    if entry.note:
        say(f"{entry.name}: {entry.note}")
    return str(path)


def located(entry: Entry) -> Path | None:
    """Where the file of an entry lies without being pulled; None if it has to be."""
    try:
        return in_place(entry.source)
    except ValueError as error:
        raise ZooError(f"{entry.name} ({entry.catalogue}) cannot be used: {error}.") from error


def checked_in_place(entry: Entry, path: Path, anew: bool) -> Path:
    """The path of a file that is used where it lies, once it is known to be the right one."""
    if not path.is_file():
        raise ZooError(f"{entry.name} should lie at {path}, but there is no such file.")
    wanted, found = expected(entry, anew), measured(path)
    if problem := difference(found, wanted):
        raise ZooError(f"{path} is not {entry.name}: it has {problem}. {advice(entry)}")
    if wanted.sha256 is None:
        pinned(entry, found)
    return path


def cached_file(entry: Entry) -> Path:
    """Where the file of an entry is once it has been pulled."""
    return weights_directory() / folder_name(entry.name) / entry.source.file_name


def kept(entry: Entry) -> Path | None:
    """The file of an entry if it has been pulled already; ZooError if it was changed since."""
    path, wanted = cached_file(entry), expected(entry)
    if not path.is_file() or wanted.sha256 is None:  # nobody knows any more what that file should be
        return None
    if problem := difference(measured(path), wanted):
        raise ZooError(
            f"{path} was altered since it was pulled: it has {problem}; `zoo pull --remove {entry.name}`, then pull it "
            "again."
        )
    return path


def downloaded(entry: Entry, wanted: Content) -> Path:
    """Download the file of an entry into the cache, and check it."""
    path = cached_file(entry)
    partial = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"{entry.name}: licence {entry.licence}; from {entry.source.address}")
    try:
        with progress(entry) as report:
            fetch(entry.source, partial, wanted.size, report)
        problem = difference(found := measured(partial), wanted)
    except WrongSizeError as error:
        problem = difference(Content(error.size, None, "found"), wanted)
    if problem is not None:
        partial.unlink(missing_ok=True)
        version_file(partial).unlink(missing_ok=True)
        raise ZooError(
            f"{entry.source.address} is not what it should be and was not kept: it has {problem}. {advice(entry)}"
        )
    if wanted.sha256 is None:
        pinned(entry, found)
    os.replace(partial, path)
    return path


def taken(entry: Entry, wanted: Content, file: Path) -> Path:
    """Copy a file that was got in another way into the cache, and check it."""
    if not file.is_file():
        raise ZooError(f"--from {file}: there is no such file.")
    path = cached_file(entry)
    with replacing(path) as temporary:
        shutil.copyfile(file, temporary)
        found = measured(temporary)
        if problem := difference(found, wanted):
            raise ZooError(f"{file} is not {entry.name}: it has {problem}. {advice(entry)}")
        if wanted.sha256 is None:
            pinned(entry, found)
    return path


def pinned(entry: Entry, found: Content) -> None:
    """Pin what the first pull gave, and say so."""
    pin(entry, found)
    say(
        f"{entry.name}: no checksum is published for this file; pinned what came, {found.size:,} bytes with sha256 "
        f"{found.sha256}: from now on nothing else is taken for it."
    )


def advice(entry: Entry) -> str:
    """What to do about a file that is not the right one."""
    if entry.sha256 is not None:
        return f"Pull again; if that does not help, tell whoever provides the catalogue {entry.catalogue}."
    return "If you know why the file has changed, and trust this one, pull it with --accept-change."


def is_offline(given: bool | None = None) -> bool:
    """Whether the network is left alone."""
    return os.environ.get("ZOO_OFFLINE", "") not in ("", "0") if given is None else given


def remove(name: str) -> Path:
    """Remove what was pulled under a name; its pin stays. Returns the folder that is gone.

    Raises:
        ZooError: nothing was pulled under it, or it is being pulled now.
    """
    folder = weights_directory() / folder_name(name)
    if not is_pulled(folder) and knows(name):
        folder = weights_directory() / folder_name(find_entry(name).name)
    if not is_pulled(folder):
        known = [path.name for path in pulled()]
        raise ZooError(f"nothing is pulled under the name {name}{nearest(name, known)}")
    with locked(folder.name, wait=False):
        shutil.rmtree(folder)
    return folder


def pulled() -> list[Path]:
    """The folder of each name that something was pulled under, parts of files as well."""
    directory = weights_directory()
    return sorted(path for path in directory.iterdir() if is_pulled(path)) if directory.is_dir() else []


def is_pulled(folder: Path) -> bool:
    """Whether this is a folder of pulled weights: their names have a hyphen."""
    return "-" in folder.name and folder.is_dir() and any(folder.iterdir())


@contextmanager
def locked(name: str, wait: bool = True) -> Iterator[None]:
    """Alone with a name: another process that pulls it is waited for."""
    from filelock import FileLock, Timeout

    weights_directory().mkdir(parents=True, exist_ok=True)
    lock = FileLock(weights_directory() / f"{folder_name(name)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise ZooError(f"{name} is being pulled by another process: wait for it.") from None
        say(f"{name} is being pulled by another process; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def progress(entry: Entry) -> Iterator[Report]:
    """A bar of how much has arrived, where there is a terminal; the libraries of other sources show their own."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    shown = console.is_terminal and entry.source.scheme in ("https", "http")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown) as bar:
        task = bar.add_task(entry.name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def say(message: str) -> None:
    """A line for whoever waits."""
    print(message, file=sys.stderr, flush=True)
