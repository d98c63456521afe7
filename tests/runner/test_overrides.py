"""Choosing a class replaces the slot, at every door: options, configuration files, Python and studies."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import zoo
from zoo.core.registry import get_slot
from zoo.runner.overrides import Source, as_source, as_words, replace_slots
from zoo.runner.values import read_value
from zoo.study.plan.resolve import Resolver

RANDOM = {"class_path": "RandomPatches", "init_args": {"patches": 77, "seed": 5}}
TOP_K = {"class_path": "TopK", "init_args": {"patches": 5000, "fixed_count": False}}
"""TopK with its own defaults."""


@pytest.fixture
def selector(tiny, command, tmp_path: Path):
    """Runs `zoo fit` over a configuration with 77 `RandomPatches`; returns the resolved selector."""
    settings = yaml.safe_load(tiny.config.read_text())
    settings["model"]["init_args"]["selector"] = RANDOM
    tiny.config.write_text(yaml.safe_dump(settings))

    def resolve(*options: str) -> dict[str, Any]:
        outcome = command("fit", *tiny.options, "--trainer.max_steps=0", "--trainer.limit_val_batches=0", *options)
        assert outcome.code == 0, outcome.err
        newest = max(Path("runs/tiny").iterdir(), key=lambda run: int(run.name.partition("_")[2]))
        return yaml.safe_load((newest / "config.yaml").read_text())["model"]["init_args"]["selector"]

    return resolve


class TestChoosingAClass:
    def test_an_option_with_a_name(self, selector) -> None:
        assert selector("--model.selector=TopK") == TOP_K

    def test_an_option_with_a_spec(self, selector) -> None:
        assert selector('--model.selector={"class_path": "TopK"}') == TOP_K

    def test_an_option_with_the_class_path(self, selector) -> None:
        assert selector("--model.selector.class_path=TopK") == TOP_K

    def test_an_argument_after_the_class_is_kept(self, selector) -> None:
        assert selector("--model.selector=TopK", "--model.selector.patches=3")["init_args"]["patches"] == 3

    def test_an_argument_before_the_class_is_replaced(self, selector) -> None:
        assert selector("--model.selector.patches=3", "--model.selector=TopK") == TOP_K

    @pytest.mark.parametrize("spec", ["TopK", {"class_path": "TopK"}, {"class_path": "TopK", "init_args": {}}])
    def test_a_second_configuration(self, selector, tmp_path: Path, spec: Any) -> None:
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(yaml.safe_dump({"model": {"init_args": {"selector": spec}}}))
        assert selector("--config", str(overlay)) == TOP_K

    def test_a_second_configuration_that_repeats_the_module_changes_only_what_it_gives(
        self, selector, tmp_path: Path
    ) -> None:
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(
            yaml.safe_dump({"model": {"class_path": "BackgroundMatting", "init_args": {"base_scale": 0.25}}})
        )
        assert selector("--config", str(overlay)) == RANDOM

    def test_the_same_class_begins_from_its_defaults_too(self, selector) -> None:
        assert selector("--model.selector=RandomPatches")["init_args"]["patches"] != 77

    def test_python(self) -> None:
        model = zoo.create_model("bgmv2_mobilenetv2", selector=RANDOM, backbone=small_backbone())
        assert model.spec["init_args"]["selector"] == RANDOM
        assert (
            zoo.create_model("bgmv2_mobilenetv2", selector="TopK", backbone=small_backbone()).spec["init_args"][
                "selector"
            ]
            == TOP_K
        )

    def test_the_configurations_of_a_study(self, selector, tiny, tmp_path: Path) -> None:
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(yaml.safe_dump({"model": {"init_args": {"selector": "TopK"}}}))
        resolved = Resolver([tiny.plugin]).files([str(tiny.config), str(overlay)])
        assert resolved["model"]["init_args"]["selector"] == TOP_K

    def test_changing_an_argument_changes_that_argument(self, selector) -> None:
        assert selector("--model.selector.seed=6")["init_args"] == {"patches": 77, "seed": 6}


def small_backbone() -> dict[str, Any]:
    """The spec of a backbone that is made in a moment."""
    return {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}


def words(*typed: str, file: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    """Return the rest of a configuration, and the options, after replacing."""
    below = Source((), file or {}, "--config", None)
    sources = [below, *(as_source(*word.split("=", 1), read_value) for word in typed)]
    replace_slots(sources)
    return below.settings, [word for source in sources[1:] for word in as_words(source)]


def test_a_slot_inside_a_dict_of_parts_is_replaced_alone() -> None:
    losses = {"alpha": {"class_path": "A", "init_args": {"weight": 2}}, "error": {"class_path": "B"}}
    left, _ = words("--model.losses.alpha=C", file={"model": {"class_path": "M", "init_args": {"losses": losses}}})
    assert left["model"]["init_args"]["losses"] == {"error": {"class_path": "B"}}


def test_another_module_replaces_the_whole_model() -> None:
    left, options = words("--model.width=3", "--model=Other", file={"model": {"class_path": "M"}, "name": "mine"})
    assert (left, options) == ({"name": "mine"}, ["--model=Other"])


def test_values_that_are_no_classes_are_left_as_typed() -> None:
    typed = ["--trainer.max_epochs=3", "--model.rate=1e-3", "--x=null", "--trainer.callbacks+=Mine"]
    assert words(*typed) == ({}, typed)


def test_only_named_plugins_are_imported(install, tiny, command) -> None:
    install("broken-selector", "0.9", {"zoo.selectors": {"Broken": "broken_plugin:Broken"}}, {"broken_plugin": "1 / 0"})
    outcome = command("fit", *tiny.options, "--model.selector=RandomPatches", "--print_config")
    assert outcome.code == 0, outcome.err
    assert get_slot("selectors").failures == {}, "a plugin that nobody named was imported"
