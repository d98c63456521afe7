"""`zoo push`: a published file with its card, in a folder or on the hub, all of it or nothing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub.errors import LocalTokenNotFoundError

import zoo
from zoo.core.plugin_files import load_plugin_files
from zoo.weights import push as pushing


@pytest.fixture
def words(small, tmp_path: Path, monkeypatch) -> tuple[object, ...]:
    """What `zoo push` needs to know of the small checkpoint; the working directory is the test's folder."""
    monkeypatch.chdir(tmp_path)
    return "push", small.checkpoint, "--plugin", small.plugin


class FakeHub:
    """A hub in memory, at the boundary of huggingface_hub."""

    files: dict[str, dict[str, bytes]] = {}
    folder: Path
    error: Exception | None = None

    def create_repo(self, repository: str, exist_ok: bool) -> None:
        if self.error is not None:
            raise self.error
        self.files.setdefault(repository, {})

    def list_repo_files(self, repository: str) -> list[str]:
        return list(self.files[repository])

    def hf_hub_download(self, repository: str, name: str) -> str:
        (self.folder / "downloaded").write_bytes(self.files[repository][name])
        return str(self.folder / "downloaded")

    def create_commit(self, repository: str, operations: list[Any], commit_message: str) -> None:
        assert commit_message.startswith("Add ")
        self.files[repository] |= {each.path_in_repo: each.path_or_fileobj for each in operations}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> type[FakeHub]:
    class Hub(FakeHub):
        files: dict[str, dict[str, bytes]] = {}
        folder = tmp_path

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub


def test_a_folder_gets_the_file_its_card_and_a_page(words, small, command) -> None:
    Path("metrics.json").write_text('{"test/one/sad": 1.25}')
    card = ("--licence", "CC0-1.0", "--training-data", "squares | circles", "--metrics", "metrics.json")
    outcome = command(*words, "shared/models", "--name", "squares-1", "--half", *card)
    assert (outcome.code, outcome.err) == (0, "")
    folder = Path("shared/models")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "squares-1.json", "squares-1.safetensors"]
    content = (folder / "squares-1.safetensors").read_bytes()
    found = json.loads((folder / "squares-1.json").read_text())
    assert found["sha256"] == hashlib.sha256(content).hexdigest()
    assert (found["name"], found["file"], found["size"]) == ("squares-1", "squares-1.safetensors", len(content))
    assert (found["licence"], found["metrics"]) == ("CC0-1.0", {"test/one/sad": 1.25})
    assert found["model"]["class_path"] == "BackgroundMatting"
    assert "torch" in found["versions"]
    page = (folder / "README.md").read_text()
    model_card = huggingface_hub.ModelCard(page).data
    assert (model_card.license, model_card.library_name, model_card.pipeline_tag) == (
        "cc0-1.0", "ablation-zoo", "image-segmentation"
    )  # fmt: skip
    (result,) = model_card.eval_results
    assert (model_card.model_name, result.task_type, result.dataset_name) == (
        "squares-1",
        "image-segmentation",
        "Tiny, test set one",
    )
    assert (result.metric_type, result.metric_value, result.metric_name) == ("sad", 1.25, "test/one/sad")
    for said in (found["sha256"], "| training data | squares / circles |", "| test/one/sad | 1.25 |"):
        assert said in page
    load_plugin_files([str(small.plugin)])
    assert zoo.load(str(folder / "squares-1.safetensors")).network.base_scale == 0.5


def test_the_page_of_a_folder_has_all_of_its_models(words, command) -> None:
    assert command(*words, "models", "--licence", "MIT").code == 0
    Path("models/other.json").write_text("[1]")
    assert command(*words, "models", "--name", "again", "--licence", "CC0-1.0").code == 0
    assert command(*words, "models", "--name", "again", "--licence", "CC0-1.0").code == 0
    page = Path("models/README.md").read_text()
    assert page.count("# again") == page.count("# small") == 1
    assert "license:" not in page, "they have different ones"


def test_the_index_has_the_results_of_every_model() -> None:
    card = {"task": "image-segmentation", "licence": "my own, ask me", "test_data": {"people": "SyntheticMattes"}}
    one = card | {"name": "a", "metrics": {"test/people/sad": 1.0, "test_rvm/people/mad": 2.0, "lost": float("nan")}}
    other = card | {"name": "b", "metrics": {"nme": 3}}
    found = pushing.metadata([one, other, card | {"name": "c"}])
    assert found["license"] == "other"
    assert found["license_name"] == "my own, ask me"
    assert [entry["name"] for entry in found["model-index"]] == ["a", "b"]
    dataset = {"name": "SyntheticMattes, test set people", "type": "SyntheticMattes"}
    for entry, metrics in zip(
        found["model-index"],
        (
            [
                {"type": "sad", "value": 1.0, "name": "test/people/sad"},
                {"type": "mad", "value": 2.0, "name": "test_rvm/people/mad", "config": "rvm"},
            ],
            [{"type": "nme", "value": 3, "name": "nme"}],
        ),
        strict=True,
    ):
        (results,) = entry["results"]
        assert results["dataset"] == dataset
        assert [{key: metric[key] for key in metric if metric[key]} for metric in results["metrics"]] == metrics
    assert yaml.safe_load(yaml.safe_dump(found)) == found


def test_a_published_file_is_pushed_as_it_is(words, small, command) -> None:
    options = ("--format", "safetensors", "--half", "--licence", "MIT", "-o", "mine.safetensors")
    assert command("export", *words[1:], *options).code == 0
    assert command("push", "mine.safetensors", "models", "--plugin", small.plugin).code == 0
    assert Path("models/mine.safetensors").read_bytes() == Path("mine.safetensors").read_bytes()


def test_nothing_is_left_of_a_push_that_fails(words, command, monkeypatch) -> None:
    assert command(*words, "models").code == 0
    before = {path: path.read_bytes() for path in Path("models").iterdir()}
    whole = pushing.contents

    def failing(*given: Any) -> dict[str, Any]:
        return whole(*given) | {"small.safetensors": None}

    monkeypatch.setattr(pushing, "contents", failing)
    assert "TypeError" in command(*words, "models", "--licence", "MIT").err
    assert {path: path.read_bytes() for path in Path("models").iterdir()} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("models", "--name", "../escaped"), "'../escaped' is no name for a model"),
        (("hf://alone",), "hf://alone: expected hf://owner/repository"),
        (("hf://owner/repository/a/b",), "expected hf://owner/repository"),
        (("file",), "file cannot be written"),
        (("models", "--card", "missing.md"), "--card missing.md cannot be read as text"),
    ],
)
def test_bad_input_is_one_sentence(words, command, options: tuple[object, ...], said: str) -> None:
    Path("file").write_text("no folder")
    outcome = command(*words, *options)
    assert outcome.code == 1
    assert said in outcome.complaint
    assert len(outcome.err.splitlines()) == 1
    assert [path.name for path in Path().iterdir() if path.name != "site-packages"] == ["file"]


def test_a_repository_of_the_hub_gets_all_in_one_commit(words, hub: type[FakeHub], command) -> None:
    outcome = command(*words, "hf://someone/models/squares", "--licence", "MIT")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Wrote hf://someone/models/squares.safetensors." in outcome.out
    assert command(*words, "hf://someone/models").code == 0
    files = hub.files["someone/models"]
    assert sorted(files) == ["README.md", "small.json", "small.safetensors", "squares.json", "squares.safetensors"]
    card = json.loads(files["squares.json"])
    assert card["sha256"] == hashlib.sha256(files["squares.safetensors"]).hexdigest()
    page = files["README.md"].decode()
    assert "# squares" in page
    assert 'zoo.load("hf://someone/models/squares.safetensors")' in page


def test_a_hub_that_refuses_is_one_sentence(words, hub: type[FakeHub], command) -> None:
    hub.error = LocalTokenNotFoundError("Token is required, but no token found.\nMore pages.")
    outcome = command(*words, "hf://someone/models")
    assert outcome.code == 1
    assert (
        "hf://someone/models cannot be written: Token is required, but no token found; log in with" in outcome.complaint
    )
