"""`zoo show`: arguments, defaults, documentation, distribution and licence of one plugin."""

import json
from dataclasses import fields

import pytest
import yaml

from zoo.core.registry import slots
from zoo.study.file import Study

STRIPES = """
from zoo.matting.parts import PatchSelector


class Stripes(PatchSelector):
    '''Every other row.'''

    def __init__(self, rows: int, *, mode: str | None = None) -> None:
        super().__init__()

    def forward(self, error):
        return error
"""


def test_a_part_is_shown_with_its_arguments_and_origin(command) -> None:
    outcome = command("show", "TopK")
    assert outcome.code == 0
    first, second, *rest = outcome.out.splitlines()
    assert first.startswith("TopK  (zoo.selectors, ablation-zoo ")
    assert first.endswith("licence Apache-2.0)")
    assert second == "zoo_plugins.selectors:TopK"
    assert "The patches of largest error" in outcome.out
    assert rest[-2:] == ["  patches: int = 5000", "  fixed_count: bool = False"]


def test_required_arguments_are_marked(command) -> None:
    out = command("show", "TimmBackbone").out
    assert "  name: str (required)" in out
    assert "  output_stride: int = 16" in out


def test_a_part_without_arguments_has_none(command) -> None:
    assert command("show", "AllPatches").out.splitlines()[-2:] == ["Arguments:", "  none"]


def test_a_named_model_is_shown_as_the_settings_it_stands_for(command) -> None:
    outcome = command("show", "bgmv2_resnet50")
    assert "(zoo.models, ablation-zoo " in outcome.out
    spec = yaml.safe_load(outcome.out.partition("\n\n")[2])
    assert spec["class_path"] == "BackgroundMatting"
    assert spec["init_args"]["backbone"]["init_args"]["name"] == "resnet50"


def test_the_module_behind_the_models_is_shown_too(command) -> None:
    out = command("show", "BackgroundMatting").out
    assert "  base_scale: float = 0.25" in out
    assert "  foreground: Literal['residual', 'direct'] = 'residual'" in out


@pytest.mark.parametrize("name", ["selectors", "PatchSelector"])
def test_a_slot_is_shown_with_its_contract(command, name: str) -> None:
    out = command("show", name).out
    assert out.startswith("selectors  (zoo.selectors, patch selector, version 1)\nfrom zoo.matting.parts import PatchS")
    assert "  patches: int | None = None\n  uses_error = False\n" in out
    assert "  forward(self, error: torch.Tensor) -> torch.Tensor (required)\n      Return a score of the shape" in out
    assert ">>> class Squared(PatchSelector):" in out
    assert "Plugins: AllPatches, " in out


def test_every_slot_is_shown(command) -> None:
    for name, slot in slots().items():
        assert f"(zoo.{name}, {slot.word}, " in command("show", name).out
    assert "  channels: list[int]\n" in command("show", "Backbone").out
    assert "__len__(self) -> int (required)" in command("show", "datasets").out


def test_the_vocabulary_has_every_part_with_documented_arguments(command) -> None:
    outcome = command("show", "--slots", "--json")
    assert outcome.code == 0
    vocabulary = json.loads(outcome.out)
    assert list(vocabulary["slots"]) == list(slots())
    selectors = vocabulary["slots"]["selectors"]["parts"]
    assert list(selectors) == slots()["selectors"].names()
    assert selectors["GridPatches"]["arguments"]["patches"] == {
        "type": "int",
        "default": 5000,
        "documentation": "the most patches that are refined in an image.",
    }
    assert vocabulary["metrics"]["matting"]["psnr"] == {"higher_is_better": True}
    assert vocabulary["metrics"]["heads"]["rmse"]["unit"] == "mm"
    undocumented = [
        f"{part}.{name}"
        for slot, entry in vocabulary["slots"].items()
        if slot != "optimizers" and isinstance(entry["parts"], dict)  # torch documents in its own form
        for part, described in entry["parts"].items()
        for name, argument in described["arguments"].items()
        if not argument["documentation"]
    ]
    assert undocumented == []


@pytest.mark.parametrize("arguments", [(), ("TopK", "--slots")])
def test_show_takes_a_name_or_slots(command, arguments: tuple[str, ...]) -> None:
    outcome = command("show", *arguments)
    assert outcome.code == 1
    assert outcome.err == "zoo show: expected a name, or --slots.\n"


def test_the_keys_of_a_study_file_are_shown(command) -> None:
    derived = {"file", "profile", "factorial", "excluded", "counts", "most_seeds"}
    keys = {field.name for field in fields(Study)} - derived | {"grid", "profiles", "design", "exclude"}
    shown = command("show", "study").out
    assert {line.split()[0] for line in shown.splitlines()[1:] if not line.startswith(" " * 4)} == keys
    assert "zoo show study" in command("study", "--help").out


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT\n", "MIT"),
        ("License: BSD\n", "BSD"),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("", "not declared"),
    ],
)
def test_a_stranger_s_part_is_shown_like_ours(command, install, metadata: str, licence: str) -> None:
    install(
        "stripes-selector",
        "2.3",
        {"zoo.selectors": {"Stripes": "stripes_plugin:Stripes"}},
        {"stripes_plugin": STRIPES},
        metadata,
    )
    out = command("show", "Stripes").out
    assert out.splitlines()[0] == f"Stripes  (zoo.selectors, stripes-selector 2.3, licence {licence})"
    assert "Every other row." in out
    assert out.splitlines()[-2:] == ["  rows: int (required)", "  mode: str | None = None"]


def test_a_part_of_a_plugin_file_is_shown(command, tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(STRIPES)
    outcome = command("show", "Stripes", "--plugin", file)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == f"Stripes  (zoo.selectors, {file}, licence not declared)"


def test_a_broken_part_is_answered_with_its_owner_and_reason(command, install) -> None:
    install(
        "broken-selector",
        "0.9",
        {"zoo.selectors": {"Broken": "broken_plugin:Broken"}},
        {"broken_plugin": "import missing_module_x"},
    )
    outcome = command("show", "Broken")
    assert outcome.code == 1
    assert outcome.complaint == (
        "zoo show: 'Broken' is installed (broken-selector 0.9) but failed to load: "
        "ModuleNotFoundError: No module named 'missing_module_x'"
    )


def test_an_ambiguous_name_is_answered_with_all_its_owners(command, install) -> None:
    install("other-topk", "1.0", {"zoo.selectors": {"TopK": "other_topk:TopK"}})
    complaint = command("show", "TopK").complaint
    assert "ablation-zoo" in complaint
    assert "other-topk 1.0" in complaint
