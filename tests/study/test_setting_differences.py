"""Settings compared by dotted keys."""

from typing import Any

from zoo.study.setting_differences import differences, unnamed


def settings(selector: dict[str, Any], epochs: int = 2, **more: Any) -> dict[str, Any]:
    model = {"class_path": "Net", "init_args": {"selector": selector, "rates": {"backbone": 0.1, "head": 0.2}}}
    return {"model": model, "trainer": {"max_epochs": epochs, "callbacks": None}, **more}


BEFORE = settings({"class_path": "TopK", "init_args": {"patches": 20, "fixed_count": False}})
AFTER = settings({"class_path": "Random"}, epochs=3)


def test_differences_are_keys_as_typed() -> None:
    assert [str(one) for one in differences(BEFORE, AFTER)] == [
        "model.selector: TopK → Random",
        "model.selector.patches: 20 → absent",
        "model.selector.fixed_count: False → absent",
        "trainer.max_epochs: 2 → 3",
    ]


def test_the_arguments_of_a_part_stand_together() -> None:
    rows = settings({"class_path": "Stripes", "init_args": {"rows": 3}}, epochs=3)
    assert [one.key for one in differences(BEFORE, rows)] == [
        "model.selector",
        "model.selector.rows",
        "model.selector.patches",
        "model.selector.fixed_count",
        "trainer.max_epochs",
    ]
    assert [one.key for one in differences(rows, BEFORE)][:2] == ["model.selector", "model.selector.patches"]


def test_what_is_equal_differs_in_nothing() -> None:
    assert differences(BEFORE, BEFORE) == []


def test_what_lies_under_no_named_key_is_found() -> None:
    assert [one.key for one in unnamed(BEFORE, AFTER, ["model.selector"])] == ["trainer.max_epochs"]
    assert unnamed(BEFORE, AFTER, ["model", "trainer.max_epochs"]) == []
    assert len(unnamed(BEFORE, AFTER, ["model.sel", "trainer.max"])) == 4


def test_the_defaults_of_a_new_entry_are_named_by_what_is_given_of_it() -> None:
    after = settings(BEFORE["model"]["init_args"]["selector"], data={"train": {"more": {"canvas": 64, "crop": None}}})
    after["model"]["init_args"]["rates"]["more"] = 1
    assert unnamed(BEFORE, after, ["data.train.more.canvas", "model.rates.more"]) == []
    assert [one.key for one in unnamed(BEFORE, after, ["model.rates.other", "data.train.more.canvas"])] == [
        "model.rates.more"
    ]
