"""Addresses: taken apart, kept within bounds, found without importing anything, fetched by the library that knows."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo
from zoo.core.errors import ZooError
from zoo.hub.sources import fetch, local_path, package_file, parse_source


def nothing(done: int, total: int | None) -> None:
    """Hear how much has arrived."""


@pytest.mark.parametrize(
    ("address", "holder", "file", "revision"),
    [
        ("https://a.org/v1/x.pth?download=1", "", "/v1/x.pth", None),
        ("http://127.0.0.1:80/x.pth", "", "/x.pth", None),
        ("hf://ann/mattes/small/x.safetensors", "ann/mattes", "small/x.safetensors", None),
        ("hf://ann/mattes/x.safetensors@refs/pr/1", "ann/mattes", "x.safetensors", "refs/pr/1"),
        ("wandb://lab/mattes/run/last.ckpt@v3", "lab/mattes/run", "last.ckpt", "v3"),
        ("package://lab_weights/data/x.ckpt", "lab_weights", "data/x.ckpt", None),
        ("file:///data/x.ckpt", "", "/data/x.ckpt", None),
    ],
)
def test_an_address_is_taken_apart(address: str, holder: str, file: str, revision: str | None) -> None:
    source = parse_source(address)
    assert (source.address, source.holder, source.file, source.revision) == (address, holder, file, revision)
    assert source.file_name == file.rpartition("/")[2]


@pytest.mark.parametrize(
    "address",
    [
        "x.pth",
        "ftp://a.org/x.pth",
        "https://a.org/",
        "https:///x.pth",
        "https://user:secret@a.org/x.pth",
        "https://a.org/a/../x.pth",
        "https://a.org/a/%2e%2e/x.pth",
        "https://a.org/..%5Cx.pth",
        "hf://x.pth",
        "hf://ann/mattes/../x.pth",
        "hf://ann/mattes/x.pth@",
        "hf://../../x.pth",
        "hf://ann/mattes/x.pth@../../main",
        "wandb://lab/x.pth",
        "wandb://../../../x.pth",
        "package://../../x.ckpt",
        f"https://a.org/{'x' * 300}.pth",
        "package://lab_weights/../x.ckpt",
        "package://lab_weights",
        "file://x.ckpt",
        "file:///data/../x.ckpt",
        "file:///data/.hidden",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no source; expected "):
        parse_source(address)


def test_repositories_and_artifacts_have_revisions() -> None:
    assert parse_source("hf://ann/mattes/x.pth@v1").at("v2").address == "hf://ann/mattes/x.pth@v2"
    assert parse_source("wandb://lab/mattes/run/x.ckpt").at("v2").revision == "v2"
    with pytest.raises(ValueError, match="has no revisions"):
        parse_source("https://a.org/x.pth").at("v2")


def test_a_bundled_file_is_found_without_importing_its_package(catalogue, tmp_path: Path) -> None:
    catalogue({})
    path = local_path(parse_source("package://lab_weights/catalogue.yaml"))
    assert path == tmp_path / "site-packages" / "lab_weights" / "catalogue.yaml"
    assert "lab_weights" not in sys.modules
    assert package_file("zoo_plugins.assets", "open_head.md").is_file()
    for package in ("missing_package_x", "this", "this.that"):  # a module is no package
        with pytest.raises(ValueError, match="there is no package '"):
            package_file(package, "x")
    assert "this" not in sys.modules


def test_a_local_file_is_used_where_it_lies() -> None:
    assert local_path(parse_source("file:///data/x.ckpt")) == Path("/data/x.ckpt")
    assert local_path(parse_source("https://a.org/x.ckpt")) is None


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The test's server as the Hugging Face Hub, with an empty cache."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    return server


COMMIT = "0" * 40


def test_the_hub_s_own_library_fetches_from_the_hub(hub, page, tmp_path) -> None:
    content = b"weights" * 1000
    headers = {"X-Repo-Commit": COMMIT, "ETag": '"abc"'}
    hub.pages["/ann/mattes/resolve/v1/small/x.ckpt"] = page(content, headers=headers)
    hub.pages[f"/ann/mattes/resolve/{COMMIT}/small/x.ckpt"] = page(content, headers=headers)
    partial = tmp_path / "x.ckpt.part"
    fetch(parse_source("hf://ann/mattes/small/x.ckpt@v1"), partial, None, nothing)
    assert partial.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("x.")] == ["x.ckpt.part"]
    with pytest.raises(ZooError, match=r"hf://ann/mattes/y\.ckpt@v1 could not be had from the Hugging Face Hub \("):
        fetch(parse_source("hf://ann/mattes/y.ckpt@v1"), partial, None, nothing)


def test_a_pushed_model_is_loaded_from_its_repository(hub, page, monkeypatch) -> None:
    name = "dad3dnet_facemesh-synthetic"
    content = zoo.pull(name).read_bytes()
    siblings = [{"rfilename": f"{name}.safetensors"}, {"rfilename": "README.md"}]
    about = {"id": "ann/heads", "sha": COMMIT, "siblings": siblings}
    hub.pages["/api/models/ann/heads"] = page(json.dumps(about).encode(), headers={"Content-Type": "application/json"})
    headers = {"X-Repo-Commit": COMMIT, "ETag": '"abc"'}
    for revision in ("main", COMMIT):
        hub.pages[f"/ann/heads/resolve/{revision}/{name}.safetensors"] = page(content, headers=headers)
    assert type(zoo.load("hf://ann/heads")).__name__ == "HeadAlignment"
    hub.pages.clear()
    with pytest.raises(ZooError, match="ZOO_OFFLINE=1 uses what was pulled before"):
        zoo.pull("hf://ann/heads")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for address in ("hf://ann/heads", f"hf://ann/heads/{name}.safetensors"):
        assert zoo.pull(address).read_bytes() == content
    with pytest.raises(ZooError, match=r"hf://ann/others .*: pull it once with a network"):
        zoo.pull("hf://ann/others")


def test_a_repository_with_several_files_asks_which(hub, page) -> None:
    siblings = [{"rfilename": "a.safetensors"}, {"rfilename": "b.safetensors"}]
    about = {"id": "ann/mattes", "sha": COMMIT, "siblings": siblings}
    hub.pages["/api/models/ann/mattes"] = page(json.dumps(about).encode(), headers={"Content-Type": "application/json"})
    with pytest.raises(
        ZooError, match=r"has 2 .*: name the file, hf://ann/mattes/a\.safetensors, hf://ann/mattes/b\.s"
    ):
        zoo.pull("hf://ann/mattes")
    with pytest.raises(ZooError, match="expected hf://OWNER/REPO"):
        zoo.pull("hf://ann")
    with pytest.raises(ZooError, match="are for names of the catalogue"):
        zoo.pull("hf://ann/mattes", file="x.safetensors")


def test_without_a_network_the_hub_is_given_up_before_the_download_would_try_and_try(tmp_path, monkeypatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    closed = "http://127.0.0.1:1"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, closed)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *given, **named: pytest.fail("began a download"))
    with pytest.raises(ZooError, match=r"hf://ann/mattes/x\.ckpt could not be had from the Hugging Face Hub \(.+\)"):
        fetch(parse_source("hf://ann/mattes/x.ckpt"), tmp_path / "x.ckpt.part", None, nothing)


def test_an_artifact_is_fetched_by_wandb(tmp_path, monkeypatch) -> None:
    import wandb

    def api() -> SimpleNamespace:
        return SimpleNamespace(artifact=artifact)

    def artifact(name: str) -> SimpleNamespace:
        return SimpleNamespace(get_entry=lambda file: SimpleNamespace(download=lambda root: write(name, file, root)))

    def write(name: str, file: str, root: str) -> str:
        path = Path(root) / file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(name))
        return str(path)

    monkeypatch.setattr(wandb, "Api", api)
    partial = tmp_path / "last.ckpt.part"
    for address, name in {"@v3": "lab/mattes/run:v3", "": "lab/mattes/run:latest"}.items():
        fetch(parse_source(f"wandb://lab/mattes/run/last.ckpt{address}"), partial, None, nothing)
        assert json.loads(partial.read_text()) == name
    monkeypatch.setattr(wandb, "Api", lambda: 1 / 0)
    with pytest.raises(ZooError, match=r"could not be had from W&B \(division by zero\)"):
        fetch(parse_source("wandb://lab/mattes/run/last.ckpt"), partial, None, nothing)
