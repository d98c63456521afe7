"""Settings changed by dotted keys."""

import pytest

from zoo.study.plan.resolve import changed

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
