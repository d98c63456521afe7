"""Download one file from a web server: resumed after a cut, and never mixed from two versions.

The bytes received so far lie in a partial file. Next to it, `….version` holds the server's name of that version (ETag,
or the time of modification). The rest is requested only for the same version. A server that does not support ranges, or
has another version by now, sends the whole file, and the download starts again.
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
"""Function that is called with the bytes received so far and the total, None where it is unknown."""

ATTEMPTS = 5
"""Attempts in one call; after an attempt that received nothing there is no other."""

TIMEOUTS = (15, 60)
"""Seconds to wait for a connection and for the next bytes."""

CHUNK = 1 << 14
"""Bytes that are written at a time; an incomplete chunk before a cut is lost."""


class WrongSizeError(ZooError):
    """The server's file has another size than expected."""

    def __init__(self, address: str, size: int, expected: int) -> None:
        super().__init__(f"{address} has {size:,} bytes, expected {expected:,}.")
        self.size = size


class CutError(ZooError):
    """The connection ended before the file did; another attempt may resume."""


def download(address: str, partial: Path, size: int | None, report: Report) -> None:
    """Download a file, resuming from the content of `partial`.

    Args:
        address: http or https.
        partial: the file to write. After an error it stays, so that the next call can resume.
        size: in bytes, if it is known beforehand.
        report: called with the progress.

    Raises:
        ZooError: no connection, a response that is no file, another size, no room on the disk.
    """
    for attempt in range(ATTEMPTS):
        before = received_bytes(partial)
        try:
            attempt_download(address, partial, size, report)
        except CutError:
            if attempt == ATTEMPTS - 1 or received_bytes(partial) <= before:
                raise
        else:
            version_file(partial).unlink(missing_ok=True)
            return


def attempt_download(address: str, partial: Path, size: int | None, report: Report) -> None:
    """Send one request, for the whole file or its missing rest; CutError when the connection ended early."""
    import requests
    from urllib3.exceptions import HTTPError

    headers = request_headers(partial)
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUTS) as response:
            check_redirects(address, response)
            if response.status_code != 416 or "Range" not in headers:
                check_response(address, response)
                receive(address, response, partial, size, report)
                return
    except (requests.RequestException, HTTPError) as error:
        received = received_bytes(partial)
        kept = f"; {received:,} bytes are kept, pull again to go on" if received else ""
        raise CutError(
            f"{urlsplit(address).hostname} could not be reached, or the connection was cut ({reason(error)}){kept}: "
            "check the network."
        ) from error
    # The server has nothing left to send: the file was complete, or it is shorter by now. Start again.
    partial.unlink()
    attempt_download(address, partial, size, report)


def request_headers(partial: Path) -> dict[str, str]:
    """Return the headers that request the rest of the file, if it is still the version that `partial` began with."""
    headers = {"Accept-Encoding": "identity", "User-Agent": f"ablation-zoo/{version('ablation-zoo')}"}
    received = received_bytes(partial)
    if received and version_file(partial).is_file():
        headers |= {"Range": f"bytes={received}-", "If-Range": version_file(partial).read_text(encoding="utf-8")}
    return headers


def check_redirects(address: str, response: "Response") -> None:
    """Raise ZooError when an encrypted address led to one that is not."""
    visited = [*(hop.url for hop in response.history), response.url]
    if address.startswith("https:") and (open_one := next((url for url in visited if url.startswith("http:")), None)):
        raise ZooError(f"{address} redirects to {open_one}, which is not encrypted; nothing was taken from there.")


def check_response(address: str, response: "Response") -> None:
    """Raise ZooError when the response is not a file."""
    if response.status_code not in (200, 206):
        raise ZooError(
            f"{address} cannot be had: the server answers {response.status_code} {response.reason}".rstrip() + "."
        )
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise ZooError(
            f"{address} is a web page and not a file (a login, or a warning before the download?): get the file with a "
            "browser and pass it with --from FILE."
        )


def receive(address: str, response: "Response", partial: Path, size: int | None, report: Report) -> None:
    """Append the response to the partial file, or begin a new one."""
    start = first_byte(response)
    if start not in (0, received_bytes(partial)):
        raise ZooError(f"{address} cannot be resumed: the server sent from byte {start:,}, which nobody asked for.")
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() and "Content-Encoding" not in response.headers else None
    if total is None and size is None and "Transfer-Encoding" not in response.headers:
        raise ZooError(
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


def first_byte(response: "Response") -> int:
    """Return the position in the file of the first byte of a response; -1 where it is not stated."""
    if response.status_code == 200:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def begin(partial: Path, response: "Response") -> None:
    """Begin a partial file, and note its version; a weak ETag names none."""
    partial.unlink(missing_ok=True)
    version_file(partial).unlink(missing_ok=True)
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    if version:
        version_file(partial).write_text(version, encoding="utf-8")


def check_room(partial: Path, size: int) -> None:
    """Raise ZooError when the disk has no room for so many bytes."""
    free = shutil.disk_usage(partial.parent).free
    if size > free:
        raise ZooError(
            f"{partial.parent} has room for {free:,} bytes, {size:,} are needed: make room, or set ZOO_CACHE to a "
            "folder on another disk."
        )


def version_file(partial: Path) -> Path:
    """Return the path of the file with the version of a partial file."""
    return partial.with_name(f"{partial.name}.version")


def received_bytes(partial: Path) -> int:
    """Return how many bytes a partial file has."""
    return partial.stat().st_size if partial.is_file() else 0


def reason(error: BaseException) -> str:
    """Return the innermost cause of a network error, which the library wraps in several layers."""
    innermost = error
    for _ in range(8):
        inner = next((arg for arg in innermost.args if isinstance(arg, BaseException)), None)
        inner = inner or getattr(innermost, "reason", None)
        if not isinstance(inner, BaseException):
            break
        innermost = inner
    text = re.sub(r"\[Errno -?\d+\] ", "", str(innermost).rpartition(": ")[2])
    return text or type(innermost).__name__
