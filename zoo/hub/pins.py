"""What a file must be: the checksum that its publisher names, or else the one that the first pull pinned.

Pins are the only record of what an upstream file was, so they stay when pulled files are removed.
"""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import NamedTuple

from zoo.core.cache import cache_directory
from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.hub.catalogue import Entry


class Content(NamedTuple):
    """What is in a file, or should be.

    Args:
        size: in bytes, None if nobody says.
        sha256: 64 hexadecimal digits, None if nobody says.
        said_by: who says so, for messages.
    """

    size: int | None
    sha256: str | None
    said_by: str


def expected(entry: Entry, anew: bool = False) -> Content:
    """What the file of an entry must be, as far as it is known; `anew` leaves its pin out.

    Raises:
        ZooError: its pin is damaged.
    """
    published = Content(entry.size, entry.sha256, "published in the catalogue")
    path = pin_file(entry)
    if published.sha256 is not None or anew or not path.is_file():
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
    """Record what the first pull of an entry gave."""
    record = {
        "source": entry.source.address,
        "size": content.size,
        "sha256": content.sha256,
        "date": date.today().isoformat(),
    }
    with replacing(pin_file(entry)) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def pin_file(entry: Entry) -> Path:
    """Where the pin of an entry is kept."""
    return weights_directory() / "pins" / f"{folder_name(entry.name)}.json"


def measured(path: Path) -> Content:
    """What is in a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Content(path.stat().st_size, digest, "found")


def difference(found: Content, wanted: Content) -> str | None:
    """How a file differs from what it must be, as the end of a sentence; None if it does not."""
    if wanted.size is not None and found.size != wanted.size:
        return f"{found.size:,} bytes, {wanted.size:,} are {wanted.said_by}"
    if wanted.sha256 is not None and found.sha256 != wanted.sha256:
        return f"sha256 {found.sha256}, {wanted.sha256} is {wanted.said_by}"
    return None


def weights_directory() -> Path:
    """Where pulled files and pins are."""
    return cache_directory() / "weights"


def folder_name(name: str) -> str:
    """The name of an entry as that of a folder; revisions may have slashes."""
    return name.replace("/", "%2F")
