"""Downloads: resumed where they were cut, never mixed of two versions, and refused in one sentence."""

import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.core.errors import ZooError
from zoo.hub.download import CutError, WrongSizeError, check_redirects, download

CONTENT = os.urandom(200_000)
OTHER = os.urandom(200_000)


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "weights.part"


def get(server, partial: Path, size: int | None = None) -> list[int]:
    """Download `/weights`; returns how much had arrived, time after time."""
    reported: list[int] = []
    download(f"{server.address}/weights", partial, size, lambda done, total: reported.append(done))
    return reported


def test_a_file_arrives_whole_and_leaves_nothing_else(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT)
    reported = get(server, partial)
    assert partial.read_bytes() == CONTENT
    assert reported[0] == 0
    assert reported == sorted(reported)
    assert reported[-1] == len(CONTENT)
    assert [path.name for path in partial.parent.iterdir()] == ["weights.part"]


def test_a_cut_connection_is_taken_up_again_where_it_was_cut(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, cuts=[100_000, 30_000])
    get(server, partial)
    assert partial.read_bytes() == CONTENT
    first, second, third = (asked for _, asked in server.asked)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 100_000
    assert int(third.removeprefix("bytes=").rstrip("-")) <= 130_000
    assert second != third


def test_the_next_call_goes_on_where_the_last_one_gave_up(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, cuts=[100_000, 0])
    with pytest.raises(
        CutError, match=r"127\.0\.0\.1 could not be reached, or the connection was cut .* bytes are kept"
    ):
        get(server, partial)
    kept = partial.stat().st_size
    assert 0 < kept <= 100_000
    get(server, partial)
    assert partial.read_bytes() == CONTENT
    assert server.asked[-1] == ("/weights", f"bytes={kept}-")


def test_without_ranges_it_starts_anew(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, ranges=False, cuts=[100_000])
    get(server, partial)
    assert partial.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_file_that_changed_meanwhile_is_not_mixed_with_what_it_was(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, cuts=[100_000, 0])
    with pytest.raises(CutError):
        get(server, partial)
    server.pages["/weights"] = page(OTHER, version='"2"')
    get(server, partial)
    assert server.asked[-1][1] is not None
    assert partial.read_bytes() == OTHER


@pytest.mark.parametrize("version", ["", 'W/"1"'], ids=["no version", "a weak one"])
def test_where_no_version_is_told_it_starts_anew(server, page, partial, version: str) -> None:
    server.pages["/weights"] = page(CONTENT, version=version, cuts=[100_000])
    get(server, partial)
    assert [asked for _, asked in server.asked] == [None, None]
    assert partial.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_fetched_anew(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT)
    partial.write_bytes(OTHER)
    partial.with_name("weights.part.version").write_text('"1"')
    get(server, partial)
    assert [asked for _, asked in server.asked] == ["bytes=200000-", None]
    assert partial.read_bytes() == CONTENT


def test_a_server_that_sends_another_part_is_refused(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, cuts=[100_000, 0])
    with pytest.raises(CutError):
        get(server, partial)
    before = partial.read_bytes()
    server.pages["/weights"].headers["Content-Range"] = "bytes 7-199999/200000"
    with pytest.raises(ZooError, match="the server sent from byte 7, which nobody asked for"):
        get(server, partial)
    assert partial.read_bytes() == before


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (503, {}, "cannot be had: the server answers 503"),
        (200, {"Content-Type": "text/html; charset=utf-8"}, "is a web page and not a file .* --from FILE"),
        (200, {"Content-Length": None}, "neither the server nor the catalogue says how large it is"),
    ],
)
def test_an_answer_that_is_no_file_is_refused(server, page, partial, status: int, headers, words: str) -> None:
    server.pages["/weights"] = page(CONTENT, status=status, headers=headers)
    with pytest.raises(ZooError, match=words) as raised:
        get(server, partial)
    assert "\n" not in str(raised.value)
    assert not partial.exists()


def test_what_is_not_there_is_not_found(server, partial) -> None:
    with pytest.raises(ZooError, match="/weights cannot be had: the server answers 404"):
        get(server, partial)


def test_another_size_is_refused_before_anything_is_taken(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT)
    with pytest.raises(WrongSizeError, match="has 200,000 bytes, expected 199,999"):
        get(server, partial, size=199_999)
    assert not partial.exists()


def test_a_server_that_does_not_stop_is_stopped(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT * 50, headers={"Content-Length": None})
    with pytest.raises(WrongSizeError, match="expected 1,000"):
        get(server, partial, size=1000)
    assert partial.stat().st_size < len(CONTENT)


def test_a_known_size_makes_up_for_an_untold_one(server, page, partial) -> None:
    server.pages["/weights"] = page(CONTENT, headers={"Content-Length": None})
    get(server, partial, size=len(CONTENT))
    assert partial.read_bytes() == CONTENT


def test_a_closed_port_is_one_sentence(partial) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        CutError, match=r"^127\.0\.0\.1 could not be reached.*\(Connection refused\): check the network\.$"
    ):
        download(f"http://127.0.0.1:{port}/weights", partial, None, lambda done, total: None)


def test_a_full_disk_is_found_out_first(server, page, partial, monkeypatch) -> None:
    server.pages["/weights"] = page(CONTENT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ZooError, match=r"has room for 1,000 bytes, 200,000 are needed: .*ZOO_CACHE"):
        get(server, partial)
    assert not partial.exists()


def test_an_encrypted_address_leads_to_encrypted_ones_only() -> None:
    hop = SimpleNamespace(url="https://a.org/x")
    check_redirects("https://a.org/x", SimpleNamespace(url="https://b.org/x", history=[hop]))
    check_redirects("http://a.org/x", SimpleNamespace(url="http://b.org/x", history=[]))
    with pytest.raises(ZooError, match=r"redirects to http://b.org/x, which is not encrypted"):
        check_redirects("https://a.org/x", SimpleNamespace(url="http://b.org/x", history=[hop]))
