"""Pulled weights: checked when they come and each time they are asked for, pinned where nobody publishes a checksum."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import zoo
from zoo.core.errors import ZooError
from zoo.hub.download import CutError
from zoo.hub.pull import LicenceError, remove, weights_file

CONTENT = os.urandom(100_000)
OTHER = os.urandom(100_000)


@pytest.fixture
def mine(server, page, catalogue, cache, checksum):
    """Publishes `mine-v1` at the server; arguments are more of its entry."""

    def publish(content: bytes = CONTENT, **entry: object) -> Path:
        server.pages["/mine.ckpt"] = page(content)
        catalogue({"mine-v1": {"source": f"{server.address}/mine.ckpt", "default": True} | entry})
        return cache / "mine-v1" / "mine.ckpt"

    return publish


def leftovers(cache: Path) -> list[str]:
    """Every file in the cache but locks, which stay."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_weights_are_pulled_once_and_checked_by_their_checksum(mine, server, cache, checksum, capsys) -> None:
    path = mine(sha256=checksum(CONTENT), size=len(CONTENT))
    assert zoo.pull("mine-v1") == path
    assert path.read_bytes() == CONTENT
    assert zoo.pull("mine") == path
    assert len(server.asked) == 1
    assert leftovers(cache) == ["mine.ckpt"]
    said = capsys.readouterr().err.splitlines()
    assert said == [f"mine-v1: licence MIT; from {server.address}/mine.ckpt"]


def test_a_cut_download_goes_on_at_the_next_pull(mine, server, cache, checksum) -> None:
    path = mine(sha256=checksum(CONTENT))
    server.pages["/mine.ckpt"].cuts = [50_000, 0]
    with pytest.raises(CutError, match="bytes are kept, pull again to go on"):
        zoo.pull("mine-v1")
    assert not path.exists()
    assert zoo.pull("mine-v1").read_bytes() == CONTENT
    assert server.asked[-1][1] is not None
    assert leftovers(cache) == ["mine.ckpt"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(OTHER, "it has sha256 [0-9a-f]{64}, [0-9a-f]{64} is published"), (CONTENT[:-1], "99,999 bytes, 100,000 are")],
    ids=["altered", "truncated"],
)
def test_a_file_that_is_not_the_published_one_is_not_kept(mine, cache, checksum, content, words: str) -> None:
    mine(content, sha256=checksum(CONTENT), size=len(CONTENT))
    with pytest.raises(ZooError, match=words) as raised:
        zoo.pull("mine-v1")
    assert "tell whoever provides the catalogue lab of lab-weights 1.0" in str(raised.value)
    assert leftovers(cache) == []


def test_a_truncated_file_is_found_by_its_checksum_alone(mine, cache, checksum) -> None:
    mine(CONTENT[:-1], sha256=checksum(CONTENT))
    with pytest.raises(ZooError, match="was not kept: it has sha256"):
        zoo.pull("mine-v1")
    assert leftovers(cache) == []


def test_a_file_that_was_altered_since_is_refused_until_it_is_pulled_again(mine, cache, checksum) -> None:
    path = mine(sha256=checksum(CONTENT))
    zoo.pull("mine-v1")
    path.write_bytes(OTHER)
    for ask in (zoo.pull, zoo.load):
        with pytest.raises(ZooError, match=r"mine\.ckpt was altered since .*`zoo pull --remove mine-v1`"):
            ask("mine-v1")
    remove("mine")
    assert zoo.pull("mine-v1").read_bytes() == CONTENT


def test_without_a_checksum_the_first_file_is_pinned(mine, server, page, cache, checksum, capsys) -> None:
    path = mine()
    zoo.pull("mine-v1")
    assert (
        f"no checksum is published for this file; pinned what came, 100,000 bytes with sha256 {checksum(CONTENT)}"
        in (capsys.readouterr().err)
    )
    zoo.pull("mine-v1")
    assert capsys.readouterr().err == ""
    path.write_bytes(OTHER)
    with pytest.raises(ZooError, match="is pinned at the first pull on 2"):
        zoo.pull("mine-v1")
    remove("mine-v1")  # and the pin stays
    for content in (OTHER, OTHER[:5000]):
        server.pages["/mine.ckpt"] = page(content)
        with pytest.raises(ZooError, match=r"pinned at the first pull .* trust this one, pull it with --accept-change"):
            zoo.pull("mine-v1")
        assert leftovers(cache) == ["mine-v1.json"]
    assert zoo.pull("mine-v1", accept_change=True).read_bytes() == OTHER[:5000]
    assert zoo.pull("mine-v1").read_bytes() == OTHER[:5000]


def test_a_pin_belongs_to_its_source(mine, server, page, catalogue) -> None:
    mine()
    zoo.pull("mine-v1")
    server.pages["/v2/mine.ckpt"] = page(OTHER)
    catalogue({"mine-v1": {"source": f"{server.address}/v2/mine.ckpt"}})
    assert zoo.pull("mine-v1").read_bytes() == OTHER


def test_a_damaged_pin_is_said_to_be(mine, cache) -> None:
    mine()
    zoo.pull("mine-v1")
    for text in ("{", "[]", '{"size": 3}'):
        (cache / "pins" / "mine-v1.json").write_text(text)
        with pytest.raises(ZooError, match=r"mine-v1\.json.* is damaged: remove it to pin anew"):
            zoo.pull("mine-v1")


def test_offline_is_enough_for_what_was_pulled(mine, server, monkeypatch) -> None:
    path = mine()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for options in ({}, {"offline": True}):
        with pytest.raises(ZooError, match="mine-v1 has not been pulled yet and this is offline"):
            zoo.pull("mine-v1", **options)
    assert zoo.pull("mine-v1", offline=False) == path
    asked = len(server.asked)
    assert zoo.pull("mine-v1") == path
    assert len(server.asked) == asked == 1


def test_no_network_is_one_sentence(mine, catalogue, cache) -> None:
    mine()
    catalogue({"mine-v1": {"source": "http://127.0.0.1:9/mine.ckpt"}})
    with pytest.raises(ZooError, match=r"^127\.0\.0\.1 could not be reached.*check the network\.$"):
        zoo.pull("mine-v1")
    assert leftovers(cache) == []


def test_a_licence_that_forbids_commercial_use_has_to_be_accepted(mine, server) -> None:
    path = mine(licence={"name": "CC BY-NC 4.0", "url": "https://a.org", "non_commercial": True})
    for ask in (zoo.pull, zoo.load):
        with pytest.raises(
            LicenceError, match=r"under CC BY-NC 4\.0 \(https://a\.org, non-commercial use only\): .*accept"
        ):
            ask("mine-v1")
    assert not server.asked
    assert zoo.pull("mine-v1", accept_licence=True) == path
    assert zoo.pull("mine-v1") == path  # asked for once, before the download


def test_a_file_from_elsewhere_is_checked_as_well(mine, server, cache, checksum, tmp_path) -> None:
    path = mine(sha256=checksum(CONTENT))
    (tmp_path / "got.ckpt").write_bytes(OTHER)
    with pytest.raises(ZooError, match=r"got\.ckpt is not mine-v1: it has sha256"):
        zoo.pull("mine-v1", file=tmp_path / "got.ckpt")
    assert leftovers(cache) == []
    (tmp_path / "got.ckpt").write_bytes(CONTENT)
    assert zoo.pull("mine-v1", file=tmp_path / "got.ckpt", offline=True) == path
    assert path.read_bytes() == CONTENT
    assert (tmp_path / "got.ckpt").exists()
    assert not server.asked
    with pytest.raises(ZooError, match=r"--from .*nothing\.ckpt: there is no such file"):
        zoo.pull("mine-v1", file=tmp_path / "nothing.ckpt")


def test_threads_that_pull_one_file_download_it_once(mine, server) -> None:
    path = mine()
    server.pages["/mine.ckpt"].seconds = 0.2
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(zoo.pull("mine-v1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [path] * 4
    assert len(server.asked) == 1


def test_processes_that_pull_one_file_download_it_once(mine, server, tmp_path) -> None:
    path = mine()
    server.pages["/mine.ckpt"].seconds = 0.7
    words = [sys.executable, "-c", "import zoo; print(zoo.pull('mine-v1'))"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site-packages")}
    pulls = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in pulls] == [str(path)] * 2
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_bundled_file_is_checked_where_it_lies(catalogue, cache, tmp_path, checksum) -> None:
    catalogue({"mine-v1": {"source": "package://lab_weights/mine.ckpt", "sha256": checksum(CONTENT)}})
    path = tmp_path / "site-packages" / "lab_weights" / "mine.ckpt"
    with pytest.raises(ZooError, match=r"mine-v1 should lie at .*mine\.ckpt, but there is no such file"):
        zoo.pull("mine-v1")
    path.write_bytes(CONTENT)
    assert zoo.pull("mine-v1", offline=True) == path
    path.write_bytes(OTHER)
    with pytest.raises(ZooError, match=r"mine\.ckpt is not mine-v1: it has sha256"):
        zoo.pull("mine-v1")
    assert "lab_weights" not in sys.modules
    assert not cache.exists()


def test_a_shared_file_is_pinned_where_it_lies(catalogue, cache, tmp_path) -> None:
    path = tmp_path / "shared.ckpt"
    path.write_bytes(CONTENT)
    catalogue(
        {"mine-v1": {"source": f"file://{path}"}, "mine-v2": {"source": "package://nowhere_x/a", "sha256": "0" * 64}}
    )
    assert zoo.pull("mine-v1") == path
    path.write_bytes(OTHER)
    with pytest.raises(ZooError, match=r"pinned at the first pull .* --accept-change"):
        zoo.pull("mine-v1")
    assert zoo.pull("mine-v1", accept_change=True) == zoo.pull("mine-v1") == path
    with pytest.raises(
        ZooError, match=r"mine-v2 \(lab of lab-weights 1\.0\) cannot be used: there is no package 'nowhere_x'"
    ):
        zoo.pull("mine-v2")


def test_a_cache_that_cannot_be_written_is_one_sentence(mine, monkeypatch, tmp_path) -> None:
    mine()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZooError, match=r"mine-v1: .* cannot be read or written \(Not a directory\): .* set ZOO_CACHE"):
        zoo.pull("mine-v1")


def test_a_file_comes_before_a_name(mine, tmp_path, monkeypatch) -> None:
    path = mine()
    assert weights_file("mine-v1") == str(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine-v1").write_bytes(OTHER)
    assert weights_file("mine-v1") == "mine-v1"
    assert weights_file("runs/nothing.ckpt") == "runs/nothing.ckpt"
    with pytest.raises(ZooError, match=r"no file mine-v3, nor are there weights of that name; did you mean mine-v1"):
        weights_file("mine-v3")
