"""Sizes and checksums of pulled files: as published, or else as pinned by the first pull.

A pin is the only record of the upstream file, so it stays when the pulled file is removed.
"""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import NamedTuple

from zoo.core.errors import ZooError
from zoo.core.files import cache_directory, write_json
from zoo.hub.catalogue import Entry


class Content(NamedTuple):
    """Size in bytes and checksum of a file, None where they are unknown, and their `origin` for messages."""

    size: int | None
    sha256: str | None
    origin: str


def expected_content(entry: Entry, ignore_pin: bool = False) -> Content:
    """Return the content that the file of an entry must have, as far as it is known.

    Raises:
        ZooError: its pin is damaged.
    """
    published = Content(entry.size, entry.sha256, "published in the catalogue")
    path = pin_file(entry)
    if published.sha256 is not None or ignore_pin or not path.is_file():
        return published
    try:
        pin = json.loads(path.read_text(encoding="utf-8"))
        content = Content(int(pin["size"]), str(pin["sha256"]), f"pinned at the first pull on {pin['date']}")
        source = pin["source"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ZooError(
            f"{path}, which says what {entry.name} was at its first pull, is damaged: remove it to pin anew."
        ) from error
    return content if source == entry.source.address else published


def pin(entry: Entry, content: Content) -> None:
    """Pin the content of the first pull of an entry."""
    today = date.today().isoformat()
    record = {"source": entry.source.address, "size": content.size, "sha256": content.sha256, "date": today}
    write_json(pin_file(entry), record)


def pin_file(entry: Entry) -> Path:
    """Return the path of the pin of an entry."""
    return weights_directory() / "pins" / f"{folder_name(entry.name)}.json"


def file_content(path: Path) -> Content:
    """Return the content of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Content(path.stat().st_size, digest, "found")


def content_difference(found: Content, expected: Content) -> str | None:
    """Return how a file differs from its expected content, as the end of a sentence; None if it does not."""
    if expected.size is not None and found.size != expected.size:
        return f"{found.size:,} bytes, {expected.size:,} are {expected.origin}"
    if expected.sha256 is not None and found.sha256 != expected.sha256:
        return f"sha256 {found.sha256}, {expected.sha256} is {expected.origin}"
    return None


def weights_directory() -> Path:
    """Return the folder of pulled files and pins."""
    return cache_directory() / "weights"


def folder_name(name: str) -> str:
    """Return the name of an entry as a folder name: a `/` in its revision becomes `%2F`."""
    return name.replace("/", "%2F")
