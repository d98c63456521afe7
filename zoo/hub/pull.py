"""Pull weights: download, check and cache the file that a name stands for.

A file lies in the cache as `weights/NAME/FILE` only when it is complete and checked, and it is checked again on each
use. One process at a time pulls a name; the others wait and use its file. Pulled weights work without a network.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.core.slot import nearest
from zoo.hub import checksums
from zoo.hub.catalogue import Entry, all_entries, find_entry, is_known
from zoo.hub.checksums import weights_directory
from zoo.hub.download import Report, WrongSizeError, version_file
from zoo.hub.sources import fetch, from_repository, local_path


class LicenceError(ZooError):
    """The user has to accept the licence first."""


def pull(
    name: str,
    *,
    accept_licence: bool = False,
    accept_change: bool = False,
    offline: bool | None = None,
    file: str | Path | None = None,
) -> Path:
    """Return the file with the weights of this name, downloaded if necessary and checked in any case.

    Args:
        name: `MODEL-WEIGHTS`, `MODEL` for its default weights, either with `@REVISION` where the source has revisions;
            or `hf://OWNER/REPO`, whose file stays in the cache of huggingface_hub.
        accept_licence: accept a licence that forbids commercial use; otherwise such weights are not downloaded.
        accept_change: accept an upstream file that differs from the one pinned at the first pull, and pin it instead.
        offline: use no network; None reads the environment variable ZOO_OFFLINE.
        file: copy this file, obtained in another way, instead of downloading.

    Raises:
        LicenceError: the licence is not accepted.
        ZooError: unknown or ambiguous name; unexpected content; offline and not cached; no connection; no such file;
            the cache cannot be written.
    """
    if name.startswith("hf://"):
        if file is not None or accept_change:
            raise ZooError(f"{name}: --from and --accept-change are for names of the catalogue: leave them out.")
        return from_repository(name, is_offline(offline))
    entry = find_entry(name)
    try:
        if (path := usable_without_pull(entry)) is not None:
            return check_local(entry, path, accept_change)
        use_cache = file is None and not accept_change
        if use_cache and (path := cached(entry)) is not None:
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
            if use_cache and (path := cached(entry)) is not None:
                return path  # another process was faster
            expected = checksums.expected_content(entry, ignore_pin=accept_change)
            return download_to_cache(entry, expected) if file is None else copy_to_cache(entry, expected, Path(file))
    except OSError as error:
        raise ZooError(
            f"{entry.name}: {error.filename or weights_directory()} cannot be read or written "
            f"({error.strerror or error}): check its permissions and the room on its disk, or set ZOO_CACHE to another "
            "folder."
        ) from error


def catalogue_entry(source: str) -> Entry | None:
    """Return the catalogue entry of a name; None for a file, which takes precedence, and for an unknown name.

    Raises:
        ZooError: the name is ambiguous; or it is no file, and nearly a name.
    """
    if Path(source).is_file():
        return None
    if is_known(source):
        return find_entry(source)
    hint = nearest(source, list(all_entries()), listed=False) if "/" not in source else "."
    if hint != ".":
        raise ZooError(f"there is no file {source}, nor are there weights of that name{hint}")
    return None


def weights_file(source: str) -> str:
    """Return the file that a path, a catalogue name or `hf://OWNER/REPO` stands for; pull it if necessary.

    A path is returned as it is, even where there is no file: its reader reports that. The folder of a run stands for
    its `checkpoints/last.ckpt`.

    Raises:
        ZooError: as `catalogue_entry` and `pull`.
    """
    if source.startswith("hf://"):
        return str(pull(source))
    entry = catalogue_entry(source)
    if entry is None:
        last = os.path.join(source, "checkpoints", "last.ckpt")
        return last if os.path.isfile(last) else source  # unlike pathlib, no error for a name that cannot exist
    path = pull(source)
    if entry.note:
        say(f"{entry.name}: {entry.note}")
    return str(path)


def usable_without_pull(entry: Entry) -> Path | None:
    """Return the path of a file that is used without a copy; None if it has to be pulled."""
    try:
        return local_path(entry.source)
    except ValueError as error:
        raise ZooError(f"{entry.name} ({entry.catalogue}) cannot be used: {error}.") from error


def check_local(entry: Entry, path: Path, accept_change: bool) -> Path:
    """Return the path of a file that is used without a copy, after checking its content."""
    if not path.is_file():
        raise ZooError(f"{entry.name} should lie at {path}, but there is no such file.")
    check_content(
        entry,
        checksums.file_content(path),
        checksums.expected_content(entry, accept_change),
        f"{path} is not {entry.name}",
    )
    return path


def cached_file(entry: Entry) -> Path:
    """Return the path of the file of an entry in the cache."""
    return weights_directory() / checksums.folder_name(entry.name) / entry.source.file_name


def cached(entry: Entry) -> Path | None:
    """Return the file of an entry if it has been pulled already; ZooError if it was changed since."""
    path, expected = cached_file(entry), checksums.expected_content(entry)
    if not path.is_file() or expected.sha256 is None:  # without a checksum the file cannot be trusted
        return None
    if problem := checksums.content_difference(checksums.file_content(path), expected):
        raise ZooError(
            f"{path} was altered since it was pulled: it has {problem}; `zoo pull --remove {entry.name}`, then pull it "
            "again."
        )
    return path


def download_to_cache(entry: Entry, expected: checksums.Content) -> Path:
    """Download the file of an entry into the cache and return its path; keep nothing where it is not as expected."""
    path = cached_file(entry)
    partial = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"{entry.name}: licence {entry.licence}; from {entry.source.address}")
    try:
        with progress(entry) as report:
            fetch(entry.source, partial, expected.size, report)
        found = checksums.file_content(partial)
    except WrongSizeError as error:
        found = checksums.Content(error.size, None, "found")
    try:
        check_content(entry, found, expected, f"{entry.source.address} is not what it should be and was not kept")
    except ZooError:
        partial.unlink(missing_ok=True)
        version_file(partial).unlink(missing_ok=True)
        raise
    os.replace(partial, path)
    return path


def copy_to_cache(entry: Entry, expected: checksums.Content, file: Path) -> Path:
    """Copy a file from elsewhere into the cache and return its path; keep nothing where it is not as expected."""
    if not file.is_file():
        raise ZooError(f"--from {file}: there is no such file.")
    path = cached_file(entry)
    with replacing(path) as temporary:
        shutil.copyfile(file, temporary)
        check_content(entry, checksums.file_content(temporary), expected, f"{file} is not {entry.name}")
    return path


def check_content(entry: Entry, found: checksums.Content, expected: checksums.Content, complaint: str) -> None:
    """Raise ZooError, beginning with the complaint, for unexpected content; pin content whose checksum is unknown."""
    if problem := checksums.content_difference(found, expected):
        raise ZooError(f"{complaint}: it has {problem}. {advice(entry)}")
    if expected.sha256 is None:
        checksums.pin(entry, found)
        say(
            f"{entry.name}: no checksum is published for this file; pinned what came, {found.size:,} bytes with sha256 "
            f"{found.sha256}: from now on nothing else is taken for it."
        )


def advice(entry: Entry) -> str:
    """Return what to do about a file with unexpected content."""
    if entry.sha256 is not None:
        return f"Pull again; if that does not help, tell whoever provides the catalogue {entry.catalogue}."
    return "If you know why the file has changed, and trust this one, pull it with --accept-change."


def is_offline(choice: bool | None = None) -> bool:
    """Return whether the network is not used: as chosen, otherwise as ZOO_OFFLINE says."""
    return os.environ.get("ZOO_OFFLINE", "") not in ("", "0") if choice is None else choice


def remove(name: str) -> Path:
    """Remove the pulled files of a name and return their former folder. The pin stays.

    Raises:
        ZooError: nothing is pulled under the name, or it is being pulled now.
    """
    folder = weights_directory() / checksums.folder_name(name)
    if not is_pulled(folder) and is_known(name):
        folder = weights_directory() / checksums.folder_name(find_entry(name).name)
    if not is_pulled(folder):
        raise ZooError(f"nothing is pulled under the name {name}{nearest(name, [path.name for path in pulled()])}")
    with locked(folder.name, wait=False):
        shutil.rmtree(folder)
    return folder


def pulled() -> list[Path]:
    """Return the folder of each pulled name, also where only a part of the file has arrived."""
    directory = weights_directory()
    return sorted(path for path in directory.iterdir() if is_pulled(path)) if directory.is_dir() else []


def is_pulled(folder: Path) -> bool:
    """Return whether this is a folder of pulled weights, whose names have a hyphen."""
    return "-" in folder.name and folder.is_dir() and any(folder.iterdir())


@contextmanager
def locked(name: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a name in the block; wait for another process that pulls it, or raise ZooError."""
    from filelock import FileLock, Timeout

    weights_directory().mkdir(parents=True, exist_ok=True)
    lock = FileLock(weights_directory() / f"{checksums.folder_name(name)}.lock")
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
    """Show a progress bar at a terminal, except for libraries that show their own."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from zoo.media.progress import live

    own = entry.source.scheme not in ("https", "http")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with live(*columns, TimeRemainingColumn(), disable=own) as bar:
        task = bar.add_task(entry.name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def say(message: str) -> None:
    """Print a message to the user on standard error."""
    print(message, file=sys.stderr, flush=True)
