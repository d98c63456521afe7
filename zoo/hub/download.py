"""One file from a web server: resumed where it was cut, and never mixed of two versions.

What has arrived lies in a partial file. Beside it, `….version` holds what the server called that version (ETag, or when
it was modified); the rest is asked for only if it is still the same. A server that does not know ranges, or has another
version by now, sends the whole file, and we start anew.
"""

import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo.core.errors import ZooError

if TYPE_CHECKING:
    from requests import Response

Report = Callable[[int, int | None], None]
"""Told how many bytes have arrived, and of how many if that is known."""

ATTEMPTS = 5
"""How often one call goes on after a cut; only as long as each attempt brought something."""

TIMEOUTS = (15, 60)
"""Seconds to wait for a connection, and for the next bytes."""

CHUNK = 1 << 14
"""Bytes that are written at a time; of the last one before a cut nothing is kept."""


class DownloadError(ZooError):
    """A file could not be had; the message is one sentence for the user."""


class WrongSizeError(DownloadError):
    """The server's file is not of the size that it should have."""

    def __init__(self, address: str, size: int, expected: int) -> None:
        super().__init__(f"{address} has {size:,} bytes, expected {expected:,}.")
        self.size = size


class CutError(DownloadError):
    """The connection ended before the file did; another attempt may go on."""


def download(address: str, partial: Path, size: int | None, report: Report) -> None:
    """Download a file, going on from what is in `partial` already.

    Args:
        address: http or https.
        partial: where it lands. After an error what has arrived stays, for the next call to go on from.
        size: in bytes, if it is known beforehand.
        report: told how much has arrived.

    Raises:
        DownloadError: no connection, an answer that is no file, another size, no room.
    """
    for attempt in range(ATTEMPTS):
        before = arrived(partial)
        try:
            attempt_download(address, partial, size, report)
        except CutError:
            if attempt == ATTEMPTS - 1 or arrived(partial) <= before:
                raise
        else:
            version_file(partial).unlink(missing_ok=True)
            return


def attempt_download(address: str, partial: Path, size: int | None, report: Report) -> None:
    """One request, for the whole file or what is missing of it; CutError when the connection ended early."""
    import requests
    from urllib3.exceptions import HTTPError

    headers = wanted(partial)
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUTS) as response:
            check_redirects(address, response)
            if response.status_code != 416 or "Range" not in headers:
                check_answer(address, response)
                receive(address, response, partial, size, report)
                return
    except (requests.RequestException, HTTPError) as error:
        kept = f"; {arrived(partial):,} bytes are kept, pull again to go on" if arrived(partial) else ""
        raise CutError(
            f"{urlsplit(address).hostname} could not be reached, or the connection was cut ({reason(error)}){kept}: "
            "check the network."
        ) from error
    # Nothing is left to send: the file was whole already, or is shorter by now. Which of both nobody knows.
    partial.unlink()
    attempt_download(address, partial, size, report)


def wanted(partial: Path) -> dict[str, str]:
    """The request's headers: the rest of the file if it is still the version that `partial` began with."""
    headers = {"Accept-Encoding": "identity", "User-Agent": f"ablation-zoo/{version('ablation-zoo')}"}
    if arrived(partial) and version_file(partial).is_file():
        began_with = version_file(partial).read_text(encoding="utf-8")
        headers |= {"Range": f"bytes={arrived(partial)}-", "If-Range": began_with}
    return headers


def check_redirects(address: str, response: "Response") -> None:
    """DownloadError when an encrypted address led to one that is not."""
    visited = [*(hop.url for hop in response.history), response.url]
    if address.startswith("https:") and (open_one := next((url for url in visited if url.startswith("http:")), None)):
        raise DownloadError(f"{address} redirects to {open_one}, which is not encrypted; nothing was taken from there.")


def check_answer(address: str, response: "Response") -> None:
    """DownloadError when the answer is not a file."""
    if response.status_code not in (200, 206):
        raise DownloadError(
            f"{address} cannot be had: the server answers {response.status_code} {response.reason}".rstrip() + "."
        )
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise DownloadError(
            f"{address} is a web page and not a file (a login, or a warning before the download?): get the file with a "
            "browser and pass it with --from FILE."
        )


def receive(address: str, response: "Response", partial: Path, size: int | None, report: Report) -> None:
    """Write the answer's content behind what is there, or as a new file."""
    start = resumed_at(response)
    if start not in (0, arrived(partial)):
        raise DownloadError(
            f"{address} cannot be resumed: the server sent from byte {start:,}, which nobody asked for."
        )
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
    if total is None and size is None and "Transfer-Encoding" not in response.headers:
        raise DownloadError(
            f"{address} cannot be trusted to arrive whole: neither the server nor the catalogue says how large it is."
        )
    if size is not None and total not in (None, size):
        raise WrongSizeError(address, total or 0, size)
    check_room(partial, (total or 0) - start)
    if start == 0:
        begin(partial, response)
    done = start
    with partial.open("ab") as file:
        report(done, total or size)
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            done += len(chunk)
            report(done, total or size)
            if size is not None and done > size:
                raise WrongSizeError(address, done, size)
    if total is not None and done < total:
        raise CutError(f"{address}: the connection ended after {done:,} of {total:,} bytes; pull again to go on.")


def resumed_at(response: "Response") -> int:
    """The first byte that an answer holds."""
    if response.status_code == 200:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def begin(partial: Path, response: "Response") -> None:
    """An empty partial file, with the version that is going to be in it; a weak ETag names none."""
    partial.unlink(missing_ok=True)
    version_file(partial).unlink(missing_ok=True)
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    if version:
        version_file(partial).write_text(version, encoding="utf-8")


def check_room(partial: Path, size: int) -> None:
    """DownloadError when the disk has no room for so many bytes."""
    free = shutil.disk_usage(partial.parent).free
    if size > free:
        raise DownloadError(
            f"{partial.parent} has room for {free:,} bytes, {size:,} are needed: make room, or set ZOO_CACHE to a "
            "folder on another disk."
        )


def version_file(partial: Path) -> Path:
    """Where the version of a partial file is kept."""
    return partial.with_name(f"{partial.name}.version")


def arrived(partial: Path) -> int:
    """How many bytes are in a partial file."""
    return partial.stat().st_size if partial.is_file() else 0


def reason(error: BaseException) -> str:
    """The innermost cause of a network error: what surrounds it are the layers of the library."""
    innermost = error
    for _ in range(8):
        inner = next((arg for arg in innermost.args if isinstance(arg, BaseException)), None)
        inner = inner or getattr(innermost, "reason", None)
        if not isinstance(inner, BaseException):
            break
        innermost = inner
    text = re.sub(r"\[Errno -?\d+\] ", "", str(innermost).rpartition(": ")[2])
    return text or type(innermost).__name__
