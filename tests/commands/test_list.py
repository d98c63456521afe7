"""`zoo list`: every plugin with who provides it."""

import json

import pytest

import zoo
from zoo.core.registry import slots


@pytest.fixture
def two_owners(install) -> None:
    for owner in ("stripes-a", "stripes-b"):
        install(owner, "1.0", {"zoo.selectors": {"Stripes": f"{owner.replace('-', '_')}:Stripes"}})


def test_every_slot_and_plugin_is_listed(command) -> None:
    outcome = command("list")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines[:-2] if not line.startswith(" ")] == list(slots())
    assert any(line.split() == ["TopK", "ablation-zoo", zoo.__version__] for line in lines)


def test_one_slot_is_listed(command) -> None:
    lines = command("list", "selectors").out.splitlines()
    assert lines[0].split() == ["selectors", "zoo.matting.parts.PatchSelector"]
    assert lines[-1].startswith("`zoo show selectors` says what a part of that slot must do")
    assert [line.split()[0] for line in lines[1:-2]] == [
        "AllPatches",
        "GridPatches",
        "NoPatches",
        "RandomPatches",
        "Threshold",
        "TopK",
    ]


def test_json_says_the_same_for_programs(command) -> None:
    outcome = command("list", "--json")
    listed = json.loads(outcome.out)
    assert list(listed) == list(slots())
    assert outcome.err == ""
    (topk,) = [plugin for plugin in listed["selectors"] if plugin["name"] == "TopK"]
    assert topk["target"] == "zoo_plugins.selectors:TopK"
    assert topk["distribution"] == "ablation-zoo"
    assert topk["version"]
    assert list(json.loads(command("list", "models", "--json").out)) == ["models"]


def test_a_stranger_s_plugin_is_listed_with_its_distribution(command, install) -> None:
    install("stripes-selector", "2.3", {"zoo.selectors": {"Stripes": "stripes_plugin:Stripes"}})
    assert "Stripes                stripes-selector 2.3\n" in command("list", "selectors").out


def test_a_plugin_that_cannot_be_imported_is_listed_all_the_same(command, install) -> None:
    install("broken-selector", "0.9", {"zoo.selectors": {"Broken": "broken_plugin:Broken"}}, {"broken_plugin": "1 / 0"})
    outcome = command("list", "selectors")
    assert (outcome.code, outcome.err) == (0, "")
    assert "broken-selector 0.9" in outcome.out


def test_an_ambiguous_plugin_is_marked_with_all_its_owners(command, two_owners) -> None:
    (line,) = [line for line in command("list", "selectors").out.splitlines() if "Stripes" in line]
    assert "stripes-a 1.0" in line
    assert "stripes-b 1.0" in line
    assert "ambiguous: see zoo doctor" in line
    assert (
        len(
            [plugin for plugin in json.loads(command("list", "--json").out)["selectors"] if plugin["name"] == "Stripes"]
        )
        == 2
    )
