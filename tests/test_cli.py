"""`zoo` itself: which command runs, what it returns, and that nothing heavy is imported before it is needed."""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import zoo.cli
from zoo.cli import COMMANDS, LIGHTNING

LIGHT = """
import json, sys
counts = [len(sys.modules)]
import zoo
counts.append(len(sys.modules))
import zoo.cli
codes = [zoo.cli.main(["list"])]
counts.append(len(sys.modules))
assert zoo.list_models() and zoo.list_plugins("selectors")
words = (["list", "selectors", "--json"], ["--version"], ["--help"], ["fit", "--help"], ["nonsense"])
codes += [zoo.cli.main(arguments) for arguments in words]
names = sorted({name.split(".")[0] for name in sys.modules})
print("MODULES", json.dumps([counts, names]), file=sys.stderr)
assert codes == [0, 0, 0, 0, 0, 2], codes
"""


def test_listing_and_helping_import_neither_torch_nor_a_plugin() -> None:
    """`zoo list` has 0.4 s, so it is counted what is imported beside the interpreter's own: numpy would be too much."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    (bare, with_zoo, listed), names = json.loads(done.stderr.partition("MODULES")[2])
    assert with_zoo - bare < 120
    assert listed - bare < 150
    imported = set(names)
    heavy = "torch lightning torchmetrics torchvision timm wandb jsonargparse numpy scipy skimage PIL yaml rich"
    assert not imported & {*heavy.split(), "zoo_plugins"}


PULLING = """
import json, os, sys
import zoo, zoo.cli
codes = [zoo.cli.main(words) for words in (["pull", "--list"], ["pull", "bgmv2_resnet50", "--offline"])]
codes.append(zoo.cli.main(["show", "bgmv2_resnet50-official"]))
print("MODULES", json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
assert codes == [0, 1, 0], codes
"""


def test_pulling_imports_neither_torch_nor_a_plugin(tmp_path: Path) -> None:
    environment = os.environ | {"ZOO_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PULLING], capture_output=True, text=True, check=True, env=environment)
    imported = set(json.loads(done.stderr.partition("MODULES")[2]))
    heavy = "torch lightning timm wandb huggingface_hub jsonargparse scipy zoo_plugins"
    assert not imported & set(heavy.split())


HELPING = """
import json, sys
import lightning.pytorch.cli, torch
before = set(sys.modules)
import zoo.cli
assert zoo.cli.main(["fit", "--help-all"]) == 0
added = sorted(set(sys.modules) - before)
import zoo.heads.render, zoo.matting.metrics, zoo_plugins.synthetic.heads.rendering  # numba compiles them when called
names = {name.split(".")[0] for name in sys.modules}
print("MODULES", json.dumps([added, sorted(names)]), file=sys.stderr)
"""


def test_explaining_fit_imports_little_beside_torch_and_lightning() -> None:
    """All plugins are imported for it, so none of them may bring a heavy library along that it needs only later. What
    Lightning brings itself (torchmetrics, torchvision, matplotlib, parts of scipy) costs nothing more.
    """
    done = subprocess.run([sys.executable, "-c", HELPING], capture_output=True, text=True, check=True)
    added, imported = json.loads(done.stderr.partition("MODULES")[2])
    others = [name for name in added if name.split(".")[0] not in ("zoo", "zoo_plugins")]
    assert len(others) < 80, others
    assert len(added) - len(others) < 300
    heavy = "timm segmentation_models_pytorch huggingface_hub wandb numba skimage igl trimesh av ray submitit onnx"
    assert not set(imported) & {*heavy.split(), "pandas"}


CLOSED_PIPE = """
import os, zoo.cli
reading, writing = os.pipe()
os.dup2(writing, 1)
os.close(reading)
zoo.cli.run()
"""


NO_POLL = """
import select
del select.epoll, select.poll  # as where they do not exist
"""


@pytest.mark.parametrize(("system", "words"), [("", ["list", "--json"]), (NO_POLL, ["--help"])])
def test_a_reader_that_has_seen_enough_is_no_error(system: str, words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", system + CLOSED_PIPE, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


CLOSED_OUTPUT = """
import os, sys
os.close(1)
sys.stdout = None  # as Python sets it at its start
import zoo.cli
zoo.cli.run()
"""


def test_a_closed_standard_output_is_no_error() -> None:
    done = subprocess.run([sys.executable, "-c", CLOSED_OUTPUT, "list", "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_of_ascii_gets_question_marks(tmp_path: Path) -> None:
    for kind, mode in (("fgr", "RGB"), ("pha", "L")):
        (tmp_path / kind).mkdir()
        Image.linear_gradient("L").convert(mode).save(tmp_path / kind / "a.png")
    check = [sys.executable, "-c", "import zoo.cli; zoo.cli.run()", "data", "check", tmp_path]
    done = subprocess.run(check, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "256?256" in done.stdout


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(command, words: list[str]) -> None:
    outcome = command(*words)
    assert outcome.code == 0
    for name in (*LIGHTNING, *COMMANDS):
        assert f"\n  {name} " in outcome.out


def test_every_command_is_a_file_and_every_file_a_command() -> None:
    files = {file.stem for file in (Path(zoo.cli.__file__).parent / "commands").glob("*.py")} - {"__init__"}
    assert files == {name.replace(" ", "_") for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command, name: str) -> None:
    outcome = command(*name.split(), "--help")
    assert outcome.code == 0
    assert f"usage: zoo {name}" in outcome.out


def test_a_lightning_command_explains_itself(command) -> None:
    outcome = command("fit", "--help")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "usage: zoo fit --config FILE [options]"
    assert len(lines) < 60
    assert "--trainer.max_epochs" in outcome.out
    assert "--trainer.gradient_clip_val" not in outcome.out


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("show TopK", "arguments"),
        ("show selectors", "parts"),
        ("show bgmv2_resnet50-official", "ledger"),
        ("data check mattes", "settings"),
    ],
)
def test_json_is_one_value_for_scripts(
    command, words: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, mode in (("fgr", "RGB"), ("pha", "L")):
        Path("mattes", kind).mkdir(parents=True)
        Image.linear_gradient("L").convert(mode).save(f"mattes/{kind}/a.png")
    outcome = command(*words.split(), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert key in json.loads(outcome.out)


def test_rare_options_are_shown_on_request(command) -> None:
    short, whole = command("matte", "--help").out, command("matte", "--help-all").out
    assert "--despill" not in short
    assert "--despill" in whole
    outcome = command("fit", "--help-all")
    assert (outcome.code, "--trainer.gradient_clip_val" in outcome.out) == (0, True)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("--config=matting/quickstart", "--model.help"), "usage: zoo --model.backbone BACKBONE --model.error_map"),
        (("--model=dad3dnet_resnet50", "--model.help"), "usage: zoo --model.backbone BACKBONE --model.fusion"),
        (("--model.selector.help", "--config=matting/quickstart"), "usage: zoo [--selector.threshold THRESHOLD]"),
        (("--config=matting/quickstart", "--model.selector.help=TopK"), "usage: zoo [--selector.patches PATCHES]"),
    ],
)
def test_help_is_about_the_chosen_class(command, words: tuple[str, ...], first: str) -> None:
    outcome = command("fit", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(first)


def test_help_without_a_class_says_what_to_give(command) -> None:
    outcome = command("fit", "--model.help")
    assert outcome.code == 2
    assert outcome.complaint.startswith(
        "zoo fit: --model.help needs a class, --model.help=CLASS (such as BackgroundMatting, HeadAlignment), or"
    )


OPTIMIZED = """
import zoo.cli
commands = ("list", "show TopK", "show selectors", "study --help", "fit --help", "matte --help", "--help")
codes = [zoo.cli.main(words.split()) for words in commands]
assert not any(codes) or exit(f"{codes}")
"""


def test_help_needs_no_docstrings() -> None:
    environment = os.environ | {"PYTHONOPTIMIZE": "2"}
    done = subprocess.run([sys.executable, "-c", OPTIMIZED], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_the_distribution_s(command) -> None:
    outcome = command("--version")
    assert (outcome.code, outcome.out) == (0, f"ablation-zoo {zoo.__version__}\n")


def test_the_script_takes_the_process_s_words_and_exits(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", "--version"])
    with pytest.raises(SystemExit) as caught:
        zoo.cli.run()
    assert caught.value.code == 0
    assert zoo.cli.main() == 0
    assert capsys.readouterr().out.count("ablation-zoo") == 2


def test_an_unknown_command_is_answered_with_the_nearest(command) -> None:
    outcome = command("fitt")
    assert outcome.code == 2
    assert outcome.complaint.startswith("zoo: there is no command 'fitt'; did you mean fit")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["list", "--josn"], 2, "zoo list: unrecognized arguments: --josn; `zoo list --help` explains it."),
        (["list", "--js"], 2, "zoo list: unrecognized arguments: --js; `zoo list --help` explains it."),
        (["show"], 1, "zoo show: expected a name, or --slots."),
        (["list", "selectorz"], 1, "zoo list: no slot named 'selectorz'; did you mean selectors or detectors? Kn"),
        (["show", "Topk"], 1, "zoo show: no plugin named 'Topk' is registered here; did you mean TopK? Install "),
        (["show", "TopK", "--plugin", "nowhere.py"], 1, "zoo show: --plugin nowhere.py: there is no such file."),
        (["fit", "--plugin", "nowhere.py"], 1, "zoo fit: --plugin nowhere.py: there is no such file."),
        (["fit", "--plugin"], 1, "zoo fit: --plugin"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_one_sentence(command, words: list[str], code: int, complaint: str) -> None:
    outcome = command(*words)
    assert outcome.code == code
    assert outcome.complaint.startswith(complaint)
    assert len(outcome.err.strip().splitlines()) == 1
    assert outcome.out == ""


def test_an_interrupted_command_says_so(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo.cli, "run_lightning", interrupt)
    outcome = command("fit")
    assert (outcome.code, outcome.complaint) == (130, "zoo fit: interrupted.")


def test_a_mistake_in_a_part_s_code_is_one_sentence(tiny, command, install, selector_source, monkeypatch) -> None:
    install(
        "mistaken",
        "1.0",
        {"zoo.selectors": {"Mistaken": "mistaken:Mistaken"}},
        {"mistaken": selector_source("Mistaken", "{}['rows']")},
    )
    words = ("fit", *tiny.options, "--model.selector=Mistaken")
    outcome = command(*words)
    assert outcome.code == 1
    sentence = r"zoo fit: KeyError: 'rows'\. It was raised in Mistaken \(.*mistaken\.py\)\. ZOO_TRACEBACK=1 shows .*"
    assert re.fullmatch(sentence, outcome.complaint)
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("ZOO_TRACEBACK", "1")
    assert "{}['rows']" in command(*words).err


def test_a_mistake_in_training_is_one_sentence_and_its_traceback_is_in_the_run(tiny, command, selector_source) -> None:
    Path("late.py").write_text(selector_source("Late").replace("return error", "return {}['rows']"))
    outcome = command("fit", *tiny.options, "--plugin=late.py", "--model.selector=Late")
    assert outcome.code == 1
    file = Path("runs/tiny/version_0/error.txt")
    assert outcome.complaint == (
        f"zoo fit: KeyError: 'rows'. It was raised in Late (late.py). The traceback is in {file}."
    )
    assert "Traceback" not in outcome.err
    assert "return {}['rows']" in file.read_text()


LOST_PARTS = """
from zoo.matting.parts import MattingAugmentation, MattingDataset


class LostChange(MattingAugmentation):
    phase = "canvas"

    def forward(self, batch, random):
        return {}["rows"]


class LostData(MattingDataset):
    background_count = 5

    def __init__(self, count: int = 8, size: int = 64) -> None:
        pass

    def __len__(self):
        return 8

    def matte(self, index):
        return {}["rows"]

    background = matte
"""


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("--data.augmentations={lost: {class_path: LostChange}}", "LostChange"),
        ("--data.train.squares.dataset=LostData", "LostData"),
    ],
)
def test_a_mistake_in_a_worker_names_the_part_too(tiny, command, option: str, part: str) -> None:
    Path("lost.py").write_text(LOST_PARTS)
    outcome = command("fit", *tiny.options, "--plugin=lost.py", option, "--data.workers=1")
    assert outcome.code == 1
    file = Path("runs/tiny/version_0/error.txt")
    assert outcome.complaint == (
        f"zoo fit: KeyError: 'rows'. It was raised in {part} (lost.py). The traceback is in {file}."
    )
    assert 'return {}["rows"]' in file.read_text()


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--data.batch_size=0", "zoo fit: batch_size should be a positive integer value, but got batch_size=0"),
        ("--trainer.logger=MLFlowLogger", "zoo fit: Problem with given class_path 'lightning.pytorch.loggers.MLFlowL"),
        ("--model.checkpoint=code.pkl", "zoo fit: code.pkl is not a readable checkpoint"),
        ("--model.backbone.checkpoint=code.pkl", "zoo fit: code.pkl is not a readable checkpoint"),
        ("--model.backbone.name=inception_v3", "zoo fit: timm cannot make 'inception_v3' with features and output_st"),
        ("--runs=tiny.py", "zoo fit: {}/tiny.py is a file, so there is no place for the run: give another --runs"),
    ],
)
def test_an_error_of_a_library_is_one_sentence(tiny, command, option: str, complaint: str) -> None:
    class Code:
        def __reduce__(self) -> tuple:
            return print, ("executed",)

    Path("code.pkl").write_bytes(pickle.dumps(Code()))
    outcome = command("fit", *tiny.options, option)
    assert outcome.code in (1, 2)
    assert outcome.complaint.startswith(complaint.format(Path.cwd()))
    assert "Traceback" not in outcome.err
    assert "executed" not in outcome.out


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--config=tiny.yaml", "--runs=disk/runs"),
        ("study", "run", "study.yaml", "--runs=disk/studies"),
        ("export", "{checkpoint}", "--format=safetensors", "-o", "disk/new/a.safetensors"),
        ("matte", "me.png", "empty.png", "--model={checkpoint}", "--device=cpu", "-o", "disk/out"),
        ("data", "synth", "matting", "--train=1", "--validation=1", "--size=32", "--test=1", "--out=disk/new"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_read_only_disk_is_one_sentence(tiny, small, command, monkeypatch: pytest.MonkeyPatch, words) -> None:
    """Also where the tests run as root, whom no permission stops."""
    make = os.mkdir

    def refuse(path: Any, *arguments: Any, **named: Any) -> None:
        if "disk" in Path(path).parts:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        make(path, *arguments, **named)

    Path("disk").mkdir()
    monkeypatch.setattr(os, "mkdir", refuse)
    for angle, name in ((0, "me.png"), (90, "empty.png")):
        Image.linear_gradient("L").resize((64, 64)).rotate(angle).convert("RGB").save(name)
    Path("study.yaml").write_text("base: tiny.yaml\nmetrics: {test/one/sad: lower}\nbaseline: only\nrows: {only: {}}\n")
    plugins = (f"--plugin={tiny.plugin}", f"--plugin={small.plugin}")
    outcome = command(*(word.format(checkpoint=small.checkpoint) for word in words), *plugins)
    assert outcome.code == 1, outcome.err
    assert re.search(r"cannot be written( to)? \(Read-only file system\): .+\.$", outcome.complaint), outcome.complaint
    assert "Traceback" not in outcome.err


def test_a_stranger_s_part_is_believed_like_ours(tiny, command, install, selector_source) -> None:
    source = selector_source("Picky", "raise ValueError(f'Picky(rows={rows}): expected rows ≥ 1.')")
    install("picky-selector", "1.0", {"zoo.selectors": {"Picky": "picky_plugin:Picky"}}, {"picky_plugin": source})
    outcome = command("fit", *tiny.options, "--model.selector=Picky")
    assert outcome.code == 1
    assert outcome.complaint == "zoo fit: Picky(rows=0): expected rows ≥ 1."
    assert "Traceback" not in outcome.err


def test_a_broken_plugin_does_not_disturb_who_does_not_ask_for_it(tiny, command, install) -> None:
    install("broken-selector", "0.9", {"zoo.selectors": {"Broken": "broken_plugin:Broken"}}, {"broken_plugin": "1 / 0"})
    quick = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0")
    outcome = command("fit", *tiny.options, *quick)
    assert outcome.code == 0, outcome.err
    assert command("list").code == 0


def test_the_environment_is_left_alone_by_listing(command) -> None:
    before = dict(os.environ)
    command("list")
    assert dict(os.environ) == before
