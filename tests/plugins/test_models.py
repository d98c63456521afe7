"""Named models: the published settings, which nobody can change for others (see tests/testing for their contract)."""

import json

import zoo
from zoo.core.registry import get_slot

NAMES = zoo.list_models("bgmv2*")


def test_the_models_of_the_paper_are_there() -> None:
    assert NAMES == ["bgmv2_mobilenetv2", "bgmv2_resnet101", "bgmv2_resnet50"]


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
