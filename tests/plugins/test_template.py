"""The template of a distribution: its parts keep their contracts, and as a wheel it is installed, used and removed."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "plugins" / "template"
PROJECT = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def template(install, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The template as if it were installed."""
    monkeypatch.syspath_prepend(str(TEMPLATE))
    install(PROJECT["name"], PROJECT["version"], PROJECT["entry-points"])
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "zoo_example_parts"]:
        del sys.modules[name]


def its_tests() -> ModuleType:
    """The template's own tests."""
    loader = SourceFileLoader("template_contracts", str(TEMPLATE / "tests" / "test_contracts.py"))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", ["MixedPatches", "LaplacianPyramid"])
def test_its_own_tests_pass(template: None, part: str) -> None:
    contract = getattr(its_tests(), f"Test{part}")
    tests = [name for name in dir(contract) if name.startswith("test_")]
    assert len(tests) > 8
    for name in tests:
        getattr(contract(), name)()


def test_a_laplacian_pyramid_has_each_detail_in_the_level_of_its_size(template: None) -> None:
    losses = importlib.import_module("zoo_example_parts.losses")
    wave = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 1, 32, 32)
    flat = torch.ones(1, 1, 32, 32)
    assert len(losses.laplacian_pyramid(wave, 5)) == 5
    assert len(losses.laplacian_pyramid(wave[..., :4, :4], 5)) == 2
    fine, *coarse = (detail.abs().mean().item() for detail in losses.laplacian_pyramid(wave, 3))
    assert fine > 10 * max(coarse), "a fine wave is in the finest level"
    step = (torch.arange(32.0) >= 16).float().expand(1, 1, 32, 32)
    assert torch.stack([d.abs().mean() for d in losses.laplacian_pyramid(step, 3)]).min() > 0.01, "an edge is in all"
    assert max(detail.abs().max().item() for detail in losses.laplacian_pyramid(flat, 3)) < 1e-6


def test_it_is_not_in_our_own_wheel() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["only-include"]
    assert not [path for path in included if TEMPLATE.is_relative_to(ROOT / path)]


STUDY = """
base: tiny.yaml
baseline: by error
noise_floor: false
metrics: {test/one/sad: lower}
rows:
  by error: {}
  mixed: {changes: {model.selector: {class_path: MixedPatches, init_args: {patches: 8}}}}
plugins: [tiny.py]
"""


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """An environment of its own, which borrows what is installed here; runs a module of it and gives the outcome."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    borrowed = [path for path in sys.path if path.endswith("-packages")]
    (site / "borrowed.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in borrowed))

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        surroundings = os.environ | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        line = [str(word) for word in (python, *words)]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=surroundings)

    return run


COMMANDS = """
import json, sys, zoo.cli
for words in json.loads(sys.argv[1]):
    print("===", flush=True)
    code = zoo.cli.main(words)
    print("ended with", code, flush=True)
"""
"""Carries out several commands of ours in one process, since each imports torch for seconds."""


@pytest.mark.slow
def test_as_a_wheel_it_is_installed_used_and_removed(tiny, environment) -> None:
    pytest.importorskip("hatchling", reason="builds the wheel")

    def pip(*words: object) -> None:
        outcome = environment("-m", "pip", *words)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    def zoo(*commands: tuple[object, ...]) -> tuple[list[str], str]:
        """What each command printed, and what all wrote to the error stream."""
        outcome = environment("-c", COMMANDS, json.dumps([[str(word) for word in words] for words in commands]))
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return outcome.stdout.split("===\n")[1:], outcome.stderr

    parts = ("--model.selector=MixedPatches", "--model.selector.patches=8", "--model.losses.alpha=LaplacianPyramid")
    checkpoint = "runs/tiny/version_0/checkpoints/last.ckpt"
    test = ("test", "--plugin", tiny.plugin, "--ckpt_path", checkpoint)
    (tiny.folder / "mixed.yaml").write_text(STUDY)

    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "wheels", TEMPLATE)
    (wheel,) = (tiny.folder / "wheels").glob("*.whl")
    pip("install", "-q", "--no-deps", wheel)
    said, errors = zoo(
        ("list", "selectors"),
        ("show", "MixedPatches"),
        ("fit", "--model=BackgroundMatting", "--model.selector.help=MixedPatches"),
        ("doctor",),
        ("study", "plan", "mixed.yaml"),
        ("fit", *tiny.options, *parts, "--trainer.max_steps=1"),
        test,
    )
    listed, shown, helped, checked, planned, _, tested = said
    assert all(text.endswith("ended with 0\n") for text in said if text is not checked), [*said, errors]
    assert "MixedPatches           zoo-example-parts 0.1.0" in listed
    assert "(zoo.selectors, zoo-example-parts 0.1.0, licence Apache-2.0)" in shown
    assert "share: float = 0.75" in shown
    assert "--selector.share" in helped
    assert "PROBLEM" not in checked
    assert "MixedPatches" in planned
    assert "test/one/sad" in tested

    pip("uninstall", "-q", "-y", "zoo-example-parts")
    (said,), errors = zoo(test)
    assert said.endswith("ended with 1\n")
    assert " of zoo-example-parts 0.1.0: it is not installed; pip install zoo-example-parts" in errors
    assert "Traceback" not in errors
