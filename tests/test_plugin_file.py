"""`--plugin FILE`: every command sees a part that is in no distribution."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
import zoo.cli
from zoo.core.errors import ZooError
from zoo.core.plugin_files import load_plugin_files
from zoo.core.registry import get_slot
from zoo.core.slot import PluginError
from zoo.study.file import Study
from zoo.weights.checkpoint import describe

STUDY = """
base: tiny.yaml
baseline: by error
metrics: {test/one/sad: lower}
rows: {by error: {}, mine: {changes: {model.selector: Mine}}}
plugins: [tiny.py]
"""


@pytest.fixture
def mine(tiny, selector_source) -> Path:
    """A file with one selector, beside the tiny data set and configuration."""
    file = tiny.folder / "mine.py"
    file.write_text(selector_source("Mine"))
    return file


@pytest.mark.parametrize(
    "words",
    [("list", "selectors"), ("list", "selectors", "--json"), ("show", "Mine")],
    ids=" ".join,
)
@pytest.mark.parametrize("where", [0, 1, None])
def test_it_may_stand_anywhere_in_a_command_line(
    command: Callable, mine: Path, words: tuple[str, ...], where: int | None
) -> None:
    before, after = words[:where], words[where:] if where is not None else ()
    given = [f"--plugin={mine}"] if where == 1 else ["--plugin", mine]
    outcome = command(*before, *given, *after)
    assert outcome.code == 0, outcome.err
    assert "Mine" in outcome.out
    assert str(mine) in outcome.out


@pytest.mark.parametrize("words", [["--help"], ["list", "--help"], ["study", "plan", "--help"], ["fit", "--help"]])
def test_every_help_mentions_it(command: Callable, words: list[str]) -> None:
    assert zoo.cli.ANYWHERE in " ".join(command(*words).out.split())


def test_doctor_looks_at_it_too(command: Callable, mine: Path, selector_source) -> None:
    mine.write_text(selector_source("TopK"))
    outcome = command("doctor", "--plugin", mine)
    assert outcome.code == 1
    assert f"'TopK' is provided by ablation-zoo {zoo.__version__} and {mine}" in outcome.out + outcome.err


def test_a_checkpoint_made_with_it_asks_for_the_file(command: Callable, tiny, mine: Path) -> None:
    given = (*tiny.options, "--plugin", mine, "--model.selector=Mine")
    outcome = command("fit", *given, "--trainer.max_steps=1")
    assert outcome.code == 0, outcome.err
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    assert command("test", "--plugin", tiny.plugin, "--plugin", mine, "--ckpt_path", checkpoint).code == 0
    assert "class_path: Mine\n" in Path("runs/tiny/version_0/config.yaml").read_text()


def test_without_the_file_it_is_named(command: Callable, tiny, fitted: Path) -> None:
    # In a process of its own nothing would be registered; here what other tests registered is taken away.
    get_slot("datasets").from_files.clear()
    outcome = command("test", "--ckpt_path", fitted / "checkpoints" / "last.ckpt")
    assert outcome.code == 1
    assert "was made with 'Tiny' of " in outcome.complaint
    assert "tiny.py: no plugin named 'Tiny' is registered here" in outcome.complaint
    assert outcome.complaint.endswith("give its file with --plugin, or zoo.register its class.")


def test_a_study_hands_it_on_to_whoever_carries_out_its_runs(
    command: Callable, tiny, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(study: Study) -> None:
        raise ZooError(", ".join(map(str, study.plugins)))  # what each run's job.json will name

    monkeypatch.setattr("zoo.study.plan.planner.make_plan", stop)
    Path("one.yaml").write_text(STUDY)
    outcome = command("study", "plan", "one.yaml", "--plugin", "mine.py", "--plugin", "tiny.py")
    assert outcome.complaint == f"zoo study: {tiny.plugin}, {mine}"


def test_a_file_is_read_once_however_it_is_named(tiny) -> None:
    log = Path("log.txt")
    tiny.plugin.write_text(tiny.plugin.read_text() + f"\nopen({str(log.resolve())!r}, 'a').write('read ')\n")
    load_plugin_files(["tiny.py", str(tiny.plugin)])
    load_plugin_files([str(tiny.plugin)])
    assert log.read_text() == "read "


def test_two_files_with_one_class_are_ambiguous(tiny) -> None:
    other = tiny.folder / "other" / "tiny.py"
    other.parent.mkdir()
    other.write_text(tiny.plugin.read_text())
    with pytest.raises(PluginError, match=rf"'Tiny' is provided by {tiny.plugin} and {other}: .* none is preferred"):
        load_plugin_files([str(tiny.plugin), str(other)])


@pytest.mark.parametrize("name", ["my-part.py", "my part.py", "part.v2.py", "2nd.py", "größe.py", "part"])
def test_a_file_may_have_any_name(command: Callable, tiny, selector_source, name: str) -> None:
    Path(name).write_text(selector_source("Mine"))
    words = (*tiny.options, "--plugin", name, "--model.selector=Mine", "--print_config")
    outcome = command("fit", *words)
    assert outcome.code == 0, outcome.err
    assert "class_path: Mine" in outcome.out


def test_a_class_that_lacks_a_method_is_listed_as_broken(command: Callable, selector_source, tiny) -> None:
    lacking = "\n\nclass Lacking(PatchSelector):\n    pass\n"
    Path("two.py").write_text(selector_source("Mine") + lacking)
    listed = command("list", "selectors", "--plugin", "two.py")
    assert listed.code == 0
    (line,) = [line for line in listed.out.splitlines() if "Lacking" in line]
    assert line.endswith("two.py   (broken: Lacking does not implement forward, which zoo.selectors asks for)")
    shown = command("show", "Lacking", "--plugin", "two.py")
    assert shown.code == 1
    assert "Lacking does not implement forward" in shown.complaint


def test_a_class_of_a_session_is_registered_by_one_call(selector_source, tmp_path: Path) -> None:
    session: dict[str, Any] = {"__name__": "__main__"}
    for _ in range(2):  # as a cell of a notebook that is run again
        exec(selector_source("Mine"), session)
        assert zoo.register(session["Mine"]) is session["Mine"]
    assert get_slot("selectors").get("Mine") is session["Mine"]
    backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
    model = zoo.create_model("bgmv2_mobilenetv2", selector="Mine", backbone=backbone)
    with pytest.warns(UserWarning, match=r"the checkpoint needs Mine, of this Python session alone: .*zoo\.register"):
        entry = describe(model, None)
    torch.save({"zoo": entry, "state_dict": model.state_dict()}, tmp_path / "mine.ckpt")
    get_slot("selectors").forget("Mine")
    with pytest.raises(ZooError, match=r"made with 'Mine' of a Python session, by zoo\.register: no plugin named"):
        zoo.load(tmp_path / "mine.ckpt")
    with pytest.raises(PluginError, match="derives from a part"):
        zoo.register(int)


def test_list_says_where_it_comes_from(command: Callable, mine: Path) -> None:
    listed = json.loads(command("list", "selectors", "--json", "--plugin", mine).out)["selectors"]
    (entry,) = [entry for entry in listed if entry["name"] == "Mine"]
    assert entry["file"] == str(mine)
