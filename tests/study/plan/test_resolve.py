"""Settings changed by dotted keys."""

import json
from typing import Any

import pytest

from zoo.core.errors import ZooError
from zoo.study.plan import resolve
from zoo.study.plan.resolve import Resolver, changed

SETTINGS = {
    "model": {
        "class_path": "Net",
        "init_args": {
            "selector": {"class_path": "TopK", "init_args": {"patches": 20, "fixed_count": False}},
            "rates": {"backbone": 0.1, "head": 0.2},
        },
    },
    "trainer": {"max_epochs": 2, "callbacks": None},
}


def selector(settings):
    return settings["model"]["init_args"]["selector"]


def test_a_class_replaces_the_slot_with_all_its_arguments() -> None:
    assert selector(changed(SETTINGS, {"model.selector": "Random"})) == {"class_path": "Random"}
    part = {"class_path": "Random", "init_args": {"seed": 1}}
    assert selector(changed(SETTINGS, {"model.selector": part})) == part


def test_arguments_may_follow_their_class() -> None:
    result = changed(SETTINGS, {"model.selector": "Random", "model.selector.patches": 3})
    assert selector(result) == {"class_path": "Random", "init_args": {"patches": 3}}


def test_one_value_is_changed_alone_and_the_original_not_at_all() -> None:
    result = changed(SETTINGS, {"model.rates.head": 0.5, "trainer.max_epochs": 9})
    assert result["model"]["init_args"]["rates"] == {"backbone": 0.1, "head": 0.5}
    assert result["trainer"]["max_epochs"] == 9
    assert SETTINGS["trainer"]["max_epochs"] == 2


def test_a_key_through_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="leads through 'max_epochs', which is 2"):
        changed(SETTINGS, {"trainer.max_epochs.more": 1})


def test_an_argument_of_a_part_that_is_not_there_is_refused() -> None:
    losses = {"losses": {"alpha": {"class_path": "AlphaL1"}, "error": {"class_path": "ErrorMSE"}}}
    with pytest.raises(ValueError, match=r"leads through 'alfa', which is not there; did you mean alpha\?"):
        changed(losses, {"losses.alfa.weight": 0})


def test_a_new_entry_may_begin_with_a_part() -> None:
    sets = {"test": {"still": {"dataset": {"class_path": "Mattes"}, "batch_size": 1}}}
    result = changed(sets, {"test.moved.dataset": {"class_path": "Mattes"}, "test.moved.disturbance.shift": 2})
    assert result["test"]["moved"] == {"dataset": {"class_path": "Mattes"}, "disturbance": {"shift": 2}}
    assert result["test"]["still"] == sets["test"]["still"]


@pytest.fixture(scope="module")
def resolver() -> Resolver:
    """The parser of `zoo fit`."""
    return Resolver()


@pytest.fixture(scope="module")
def start(resolver: Resolver) -> dict[str, Any]:
    """Resolved settings of the quickstart."""
    return resolver.files(["matting/quickstart"])


@pytest.mark.parametrize(
    "changes",
    [
        {"model.selector": "TopK"},
        {"model.selector": {"class_path": "RandomPatches", "init_args": {"patches": 3}}},
        {"model.base_scale": 1},
        {"model.losses.alpha.weight": 0, "model.losses.more": "AlphaMSE"},
        {"model.optimizer": "AdamW"},
        {"data.augmentations": {}},
        {"data.order": ["synthetic"], "data.train.more.dataset": "SyntheticMattes"},
        {"data.test.more": {"dataset": {"class_path": "SyntheticMattes"}, "disturbance": {"shift": 1}}},
    ],
    ids=str,
)
def test_parsing_what_changed_gives_what_parsing_everything_gives(
    resolver: Resolver, start: dict[str, Any], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = changed(start, changes)
    expected = json.dumps(resolver.settings(settings))
    monkeypatch.setattr(resolve, "parse", None)
    assert json.dumps(resolver.settings(settings, start)) == expected


@pytest.mark.parametrize(
    "changes", [{"trainer.max_epochs": 3}, {"name": "other"}, {"model.base_scale": 1, "trainer.max_steps": 5}], ids=str
)
def test_other_changes_are_parsed_with_everything(resolver: Resolver, start: dict[str, Any], changes: dict) -> None:
    settings = changed(start, changes)
    assert resolver.settings(settings, start) == resolver.settings(settings)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model.selector": "TopKay"}, "no patch selector named 'TopKay'"),
        ({"model.selectr": "TopK"}, "BackgroundMatting has no argument 'selectr'"),
        ({"model.similarity": 1}, "model.similarity got '1', expected true or false"),
        ({"model.selector": None}, "needs a value for selector"),
    ],
)
def test_an_error_in_a_change_is_that_of_the_whole_parser(
    resolver: Resolver, start: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ZooError, match=expected):
        resolver.settings(changed(start, changes), start)
