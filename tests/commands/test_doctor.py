"""`zoo doctor`: what is wrong with the installation, and whose fault it is."""

import json
from pathlib import Path

import pytest

from zoo.commands import doctor
from zoo.measure.machine import installed

TRIED = doctor.tried

pytestmark = pytest.mark.usefixtures("same_process")


def problems(command) -> list[str]:
    """The problems that are reported; the exit code agrees with them."""
    outcome = command("doctor")
    found = [line.removeprefix("PROBLEM: ") for line in outcome.out.splitlines() if line.startswith("PROBLEM: ")]
    assert outcome.code == (1 if found else 0), outcome.err
    assert f"{len(found) or 'no'} problem" in outcome.out.splitlines()[-1]
    return found


def test_versions_and_devices_are_shown(command) -> None:
    lines = command("doctor").out.splitlines()
    assert lines[0].startswith("python 3.")
    for package in ("torch", "numba", "libigl", "trimesh"):
        assert any(line.startswith(f"{package} ") and line[-1].isdigit() for line in lines), package
    assert any(line.startswith("av ") and line.endswith("(extra [video])") for line in lines)
    assert any(line.startswith("devices: cpu (") for line in lines)


def test_a_missing_package_is_said_to_be_missing() -> None:
    assert installed("a-package-that-is-not-there") == "not installed"


def test_an_ambiguous_name_is_a_problem(command, install, selector_source) -> None:
    install(
        "other-topk", "1.0", {"zoo.selectors": {"TopK": "other_topk:TopK"}}, {"other_topk": selector_source("TopK")}
    )
    (found,) = [problem for problem in problems(command) if "TopK" in problem]
    assert "the patch selector 'TopK' is provided by " in found
    assert "other-topk 1.0" in found
    assert "ablation-zoo" in found


def test_a_broken_catalogue_and_equal_names_of_weights_are_problems(command, catalogue) -> None:
    catalogue({"mine-v1": {"source": "https://a.org/x.ckpt"}}, "lab")
    catalogue({"mine-v1": {"source": "https://a.org/x.ckpt"}}, "club")
    catalogue({"mine-v2": {}}, "broken")
    equal, broken = problems(command)
    assert "'broken' is installed (broken-weights 1.0) but failed to load" in broken
    assert "'mine-v2' lacks source" in broken
    assert "'mine-v1' stands for mine-v1 (club of club-weights 1.0) and mine-v1 (lab of lab-weights 1.0)" in equal


def test_a_name_in_two_slots_is_a_problem(command, install, selector_source) -> None:
    install(
        "shadow",
        "1.0",
        {"zoo.selectors": {"AlphaL1": "shadow_plugin:AlphaL1"}},
        {"shadow_plugin": selector_source("AlphaL1")},
    )
    (found,) = [problem for problem in problems(command) if "AlphaL1" in problem]
    assert "zoo.losses (ablation-zoo " in found
    assert "zoo.selectors (shadow 1.0)" in found


@pytest.fixture
def checkout(install, tmp_path: Path) -> Path:
    """An editable install of a checkout whose pyproject.toml has moved on since."""
    source = tmp_path / "checkout of mine"
    source.mkdir()
    declared = '[project]\nname = "ablation-zoo"\n[project.entry-points."zoo.selectors"]\n'
    declared += 'TopK = "zoo_plugins.selectors:TopK"\n'
    (source / "pyproject.toml").write_text(
        declared + 'Threshold = "zoo_plugins.elsewhere:Threshold"\nNewer = "zoo_plugins.selectors:Newer"\n'
    )
    known = {
        "TopK": "zoo_plugins.selectors:TopK",
        "Threshold": "zoo_plugins.selectors:Threshold",
        "AllPatches": "zoo_plugins.selectors:AllPatches",
    }
    install("ablation-zoo", "9.9", {"zoo.selectors": known})
    link = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (tmp_path / "site-packages" / "ablation_zoo-9.9.dist-info" / "direct_url.json").write_text(json.dumps(link))
    return source


def test_entry_points_that_the_installed_metadata_does_not_know_are_problems(command, checkout: Path) -> None:
    found = [problem for problem in problems(command) if "pyproject.toml" in problem]
    assert found == [
        f"pyproject.toml and the installed metadata differ in {name} (zoo.selectors): "
        f"run `pip install -e .` in {checkout}."
        for name in ("AllPatches", "Newer", "Threshold")
    ]


def test_an_install_that_is_not_editable_cannot_be_stale(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "site-packages" / "ablation_zoo-9.9.dist-info" / "direct_url.json"
    link.write_text(json.dumps({"url": "https://example.org/x.whl", "archive_info": {}}))
    assert list(doctor.stale_metadata()) == []
    link.unlink()
    assert list(doctor.stale_metadata()) == []


def test_a_plugin_that_blocks_or_ends_the_process_is_named_and_the_rest_is_tried(
    install, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "Raises": "class Stop(BaseException): ...\nraise Stop('now')",
        "Ends": "import os\nos._exit(0)",
        "Blocks": "import time\nprint('[]')\ntime.sleep(60)",
    }
    for name, source in sources.items():
        module = f"odd_{name.lower()}"
        install(f"{name.lower()}-part", "1.0", {"zoo.selectors": {name: f"{module}:{name}"}}, {module: source})
    monkeypatch.setattr(doctor, "LIMIT", 2)
    assert list(TRIED([("selectors", name) for name in sources])) == [
        "'Raises' is installed (raises-part 1.0) but failed to load: Stop: now",
        "'Ends' of ends-part 1.0 ended the process that imported it: correct or uninstall it.",
        "'Blocks' of blocks-part 1.0 was not imported within 2 seconds: correct or uninstall it.",
    ]


def test_an_argument_without_a_type_is_a_problem(command, install) -> None:
    source = "from zoo.matting.parts import PatchSelector\n\n\nclass Untyped(PatchSelector):\n"
    source += "    def __init__(self, rows, columns: int = 1):\n        super().__init__()\n\n"
    source += "    def forward(self, error):\n        return error\n"
    install("untyped", "1.0", {"zoo.selectors": {"Untyped": "untyped_part:Untyped"}}, {"untyped_part": source})
    (found,) = [problem for problem in problems(command) if "Untyped" in problem]
    assert found.startswith("'Untyped' of untyped 1.0 gives no type for rows: give each argument")


def test_the_metadata_of_any_checkout_may_be_stale(command, install, tmp_path: Path) -> None:
    source = tmp_path / "stripes"
    source.mkdir()
    (source / "pyproject.toml").write_text('[project.entry-points."zoo.selectors"]\nStripes = "stripes:Stripes"')
    install("stripes", "1.0", {})
    link = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (tmp_path / "site-packages" / "stripes-1.0.dist-info" / "direct_url.json").write_text(json.dumps(link))
    (found,) = [problem for problem in problems(command) if "Stripes" in problem]
    assert found.endswith(f"differ in Stripes (zoo.selectors): run `pip install -e .` in {source}.")
