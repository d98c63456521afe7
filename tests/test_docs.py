"""README and docs: every command exists with its options, every Python block runs, every link leads to a file."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from PIL import Image

from benchmarks import real
from benchmarks.__main__ import make_parser
from zoo import cli
from zoo.core.errors import ZooError
from zoo.hub.catalogue import read_entry
from zoo.runner.configs import shipped
from zoo.runner.help import Parser

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "AGENTS.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
]
FENCE = re.compile(r"^```(.+?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIGHTNING_OPTION = re.compile(r"--(config|ckpt_path|name|(model|data|trainer)[\w.]*)(=.*)?$")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


BLOCKS = [
    Block(path.name if path.parent == ROOT else f"{path.parent.name}/{path.name}", language, text)
    for path in PAGES
    for language, text in FENCE.findall(path.read_text(encoding="utf-8"))
]


FILES = {
    name[1]: block.text for block in reversed(BLOCKS) if (name := re.match(r"# ([\w.]+\.(?:py|yaml))\n", block.text))
}
"""Files that the pages show, by name; of two with one name the first, which is the README's."""


def write_files() -> None:
    """Write the files that the pages show into the working directory."""
    for name, text in FILES.items():
        Path(name).write_text(text)


def commands() -> list[tuple[str, str]]:
    """Return every command line of the pages, with the page that it is on."""
    lines = [
        (block.page, line.strip())
        for block in BLOCKS
        if block.language == "console"
        for line in re.sub(r"\\\n\s*", "", block.text).splitlines()
    ]
    return sorted({(page, line) for page, line in lines if line.startswith(("zoo ", "python -m "))})


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda text: text)
def test_command_exists(page: str, line: str) -> None:
    program, *words = shlex.split(line.replace("…", "X"), comments=True)
    if program == "python":
        if words[1] == "benchmarks":
            (real.make_parser() if words[2] == "real" else make_parser()).parse_args(words[2 + (words[2] == "real") :])
        else:
            assert (ROOT / f"{words[1].replace('.', '/')}.py").is_file() or words[1] == "pytest"
        return
    words, _ = cli.without_plugins(words)
    name = " ".join(words[:2]) if " ".join(words[:2]) in cli.COMMANDS else words[0]
    rest = words[len(name.split()) :]
    if name in cli.LIGHTNING and "denoise.yaml" in rest:
        return  # see the test of the whole task
    if name in cli.LIGHTNING:
        options = [word for word in rest if word.startswith("--")]
        assert all(LIGHTNING_OPTION.match(option) for option in options), options
        configs = [after for before, after in itertools.pairwise(rest) if before == "--config"]
        assert all(config in FILES or shipped(config).is_file() for config in configs), configs
        return
    parser = Parser(exit_on_error=False, allow_abbrev=False)
    cli.command_module(name).add_arguments(parser)
    try:
        unknown = parser.parse_known_args(rest)[1]
    except SystemExit as exit_:
        pytest.fail(f"{line} on {page} ends with {exit_.code}")
    assert all(option.startswith(("--engine.", "--dataset.")) for option in unknown), unknown


@pytest.mark.slow
def test_training_commands_are_parsed(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: object) -> None:
        raise ZooError("parsed")

    monkeypatch.setattr("zoo.runner.lightning.ZooCLI.instantiate_classes", stop)
    monkeypatch.chdir(tmp_path)
    write_files()
    lines = {
        line.partition(" #")[0] for _, line in commands() if line.startswith("zoo fit") and "ckpt_path" not in line
    }
    for line in sorted(lines):
        if "denoise.yaml" not in line:
            assert command(*shlex.split(line)[1:]).complaint == "zoo fit: parsed", line


OFFLINE = re.compile(
    r"zoo (list(?! filters)|show (?!ConvFilter|--slots)|pull --list|"
    r"(head IMAGE -o heads|matte IMAGE( BACKGROUND)? -o mattes)$)"
)
"""Commands that need nothing but the package, an image and a background."""


def test_commands_run_offline(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    write_files()
    for name, angle in {"IMAGE": 0, "BACKGROUND": 90}.items():
        with Path(name).open("wb") as file:
            Image.linear_gradient("L").resize((64, 64)).rotate(angle).convert("RGB").save(file, "PNG")
    lines = {line.partition(" #")[0].strip() for _, line in commands()}
    lines = {line for line in lines if OFFLINE.match(line)}
    assert len(lines) > 8
    for line in sorted(lines):
        done = command(*shlex.split(line)[1:])
        assert (done.code, "Traceback" in done.err) == (0, False), f"{line}: {done.complaint}"


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.language == "python"}))
def test_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    write_files()
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in BLOCKS:
        if block.page == page and block.language == "python":
            exec(compile(block.text, page, "exec"), namespace)
    sys.modules.pop("centre", None)
    for contract in (value for name, value in namespace.items() if name.startswith("Test")):
        contract().test_is_registered_under_the_name_of_its_class()
        contract().test_is_rebuilt_from_its_spec()


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=lambda block: block.page)
def test_yaml_is_read(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


def test_the_plan_of_the_docs_is_imported(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS:
        if block.language == "json" and "ablated_part" in block.text:
            Path("plan.jsonl").write_text(block.text)
        elif block.text.startswith("# selection.map.yaml"):
            Path("selection.map.yaml").write_text(block.text)
    (line,) = [line for _, line in commands() if line.startswith("zoo study import plan.jsonl")]
    done = command(*shlex.split(line)[1:])
    assert done.code == 0, done.err
    assert "plan 1, learned: the zoo has no learned selector" in done.out
    assert "random patches" in Path("selection.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "shown"),
    [("selection.yaml", "CentrePatches"), ("swap.yaml", "RandomPatches"), ("components.yaml", "without gradient loss")],
)
def test_a_study_of_the_pages_can_be_planned(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files()
    done = command("study", "plan", file)
    assert done.code == 0, done.err
    assert shown in done.out


def test_the_catalogue_of_the_docs_is_read() -> None:
    for name, content in yaml.safe_load(FILES["catalogue.yaml"]).items():
        assert read_entry(name, content, "docs").source.scheme == "hf"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python notest"], ids=lambda block: block.page
)
def test_python_that_is_not_run_compiles(block: Block) -> None:
    compile(block.text, block.page, "exec")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=lambda block: block.page)
def test_toml_is_read(block: Block) -> None:
    assert tomllib.loads(block.text)


CARRY_OUT = """
import sys, zoo.cli
for words in (
    ["list", "filters"],
    ["show", "ConvFilter"],
    ["fit", "--config", "denoise.yaml", "--model.filter.width=16"],
    ["validate", "--ckpt_path", "runs/denoise/version_0/checkpoints/last.ckpt"],
    ["test", "--ckpt_path", "runs/denoise/version_0/checkpoints/last.ckpt"],
    ["study", "plan", "width.yaml"],
):
    assert zoo.cli.main(words) == 0, words
"""
"""In a process of its own, since the slots are found once in a process."""


@pytest.mark.slow
def test_the_task_of_the_contributing_guide_works(tmp_path: Path) -> None:
    for block in BLOCKS:
        name = re.match(r"# (zoo_denoise/\w+\.py|pyproject\.toml|denoise\.yaml|width\.yaml)\n", block.text)
        if name:
            file = tmp_path / name[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
    (tmp_path / "zoo_denoise" / "__init__.py").touch()
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    information = tmp_path / "zoo_denoise-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 0.1.0\n")
    groups = project["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in each.items()) for group, each in groups
    ]
    (information / "entry_points.txt").write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", CARRY_OUT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "ConvFilter             zoo-denoise 0.1.0" in done.stdout
    assert "validation/mse" in done.stdout
    assert "test/images/mse" in done.stdout
    assert "9 runs" in done.stdout + done.stderr


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)]*)\)", text):
        target, _, anchor = link.partition("#")
        if ":" in target:
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[^\s]*)?", target), f"{path.name} links to {link}"
            continue
        page = path.parent / target if target else path
        assert page.exists(), f"{path.name} links to {link}"
        assert not anchor or anchor in anchors(page), f"{path.name} links to {link}"


def test_the_site_s_navigation_has_every_page_of_the_docs() -> None:
    navigation = (ROOT / "tools/site/mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert {path.name for path in ROOT.glob("docs/*.md")} <= set(re.findall(r"[\w/]+\.md", navigation))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900
