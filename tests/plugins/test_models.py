"""Named models: plain data that lists every argument, and builds what its name says."""

import inspect
import json

import pytest

import zoo
from zoo.core.registry import find_class, get_slot
from zoo.matting.module import BackgroundMatting

NAMES = zoo.list_models("bgmv2*")


def arguments_of(cls: type) -> set[str]:
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return {one.name for one in parameters if one.kind is not one.VAR_POSITIONAL and one.kind is not one.VAR_KEYWORD}


def test_the_models_of_the_paper_are_there() -> None:
    assert NAMES == ["bgmv2_mobilenetv2", "bgmv2_resnet101", "bgmv2_resnet50"]


@pytest.mark.parametrize("name", NAMES)
def test_a_named_model_is_plain_data_that_lists_every_argument(name: str) -> None:
    spec = get_slot("models").get(name)
    assert json.loads(json.dumps(spec)) == spec
    assert spec["class_path"] == "BackgroundMatting"
    assert set(spec["init_args"]) == arguments_of(BackgroundMatting) - {"checkpoint"}
    slots = [spec["init_args"][slot] for slot in ("backbone", "error_map", "selector", "refiner")]
    for part in slots + list(spec["init_args"]["losses"].values()):
        assert set(part["init_args"]) == arguments_of(find_class(part["class_path"])), part["class_path"]


@pytest.mark.parametrize("name", NAMES)
def test_a_named_model_rebuilds_its_own_spec(name: str) -> None:
    import torch

    with torch.device("meta"):
        module = zoo.create_model(name)
    spec = get_slot("models").get(name)
    assert module.spec == {"class_path": "BackgroundMatting", "init_args": spec["init_args"] | {"checkpoint": None}}


def test_the_training_is_the_papers_joint_one() -> None:
    arguments = get_slot("models").get("bgmv2_resnet50")["init_args"]
    assert arguments["learning_rates"] == {"backbone": 5e-5, "aspp": 5e-5, "decoder": 1e-4, "refiner": 3e-4}
    assert list(arguments["losses"]) == [
        "alpha", "gradient", "foreground", "coarse_alpha", "coarse_gradient", "coarse_foreground", "error",
    ]  # fmt: skip
    for name, term in arguments["losses"].items():
        assert term["init_args"]["weight"] == 1.0
        if name != "error":
            assert term["init_args"]["at"] == ("coarse" if name.startswith("coarse_") else "full")
    assert arguments["losses"]["error"]["init_args"]["detach_target"] is True
    assert arguments["base_scale"] == 0.25
    assert arguments["selector"] == {"class_path": "TopK", "init_args": {"patches": 5000, "fixed_count": False}}


def test_named_models_share_nothing_that_could_be_changed() -> None:
    specs = [get_slot("models").get(name)["init_args"] for name in NAMES]
    assert len({id(spec["losses"]) for spec in specs}) == len(specs)
    before = json.dumps(specs)
    import torch

    with torch.device("meta"):
        zoo.create_model(NAMES[0], base_scale=0.125, selector="RandomPatches")
    assert json.dumps(specs) == before
