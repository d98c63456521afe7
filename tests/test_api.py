"""The public Python names: listing, building and loading models."""

import ast
import importlib
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import zoo
from zoo.core.errors import ZooError
from zoo.core.slot import PluginError
from zoo.core.spec import build

BACKBONE = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}


def small(**replacements: object) -> torch.nn.Module:
    """A named model with a small backbone."""
    return zoo.create_model("bgmv2_mobilenetv2", **{"backbone": BACKBONE, **replacements})


def test_the_public_names_are_these() -> None:
    assert sorted(zoo.__all__) == zoo.__all__
    assert {"create_model", "list_models", "list_plugins", "load", "load_plugin", "pull", "register"} == set(
        zoo.__all__
    )
    assert all(hasattr(zoo, name) for name in zoo.__all__)
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'nothing'"):
        zoo.nothing  # noqa: B018


def test_the_version_is_the_same_everywhere() -> None:
    root = Path(__file__).parents[1]
    assert f'version = "{zoo.__version__}"' in (root / "pyproject.toml").read_text(encoding="utf-8")
    assert f"version: {zoo.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert version("ablation-zoo") == zoo.__version__, "repeat pip install -e ."


def test_the_usage_in_the_docstring_is_valid_python() -> None:
    usage = "\n".join(line.strip() for line in (zoo.__doc__ or "").splitlines() if line.startswith("    "))
    assert "create_model" in usage
    ast.parse(usage)


def test_models_are_listed_by_pattern() -> None:
    assert zoo.list_models("bgmv2*") == ["bgmv2_mobilenetv2", "bgmv2_resnet101", "bgmv2_resnet50"]
    assert zoo.list_models("*resnet50") == ["bgmv2_resnet50", "dad3dnet_resnet50"]
    assert zoo.list_models("nothing*") == []
    assert set(zoo.list_models("bgmv2*")) <= set(zoo.list_models())


def test_plugins_are_listed_by_slot() -> None:
    assert zoo.list_plugins("selectors") == [
        "AllPatches",
        "GridPatches",
        "NoPatches",
        "RandomPatches",
        "Threshold",
        "TopK",
    ]
    with pytest.raises(PluginError, match="no slot named 'nothing'"):
        zoo.list_plugins("nothing")


def test_a_created_model_is_in_training_mode_and_runs() -> None:
    model = small(base_scale=0.5)
    assert model.training
    out = model.eval()(torch.rand(1, 3, 40, 56), torch.rand(1, 3, 40, 56))
    assert out.alpha.shape == (1, 1, 40, 56)
    assert out.foreground.shape == (1, 3, 40, 56)


@pytest.mark.parametrize(
    "selector",
    ["RandomPatches", {"class_path": "RandomPatches"}, {"class_path": "RandomPatches", "init_args": {}}, "part"],
    ids=["name", "spec", "whole spec", "part"],
)
def test_a_slot_is_replaced_as_a_whole(selector: object) -> None:
    if selector == "part":
        selector = build({"class_path": "RandomPatches"})
    model = small(selector=selector)
    assert model.spec["init_args"]["selector"] == {
        "class_path": "RandomPatches",
        "init_args": {"patches": 5000, "seed": 0},
    }


def test_plain_arguments_and_dicts_of_parts_are_replaced_too() -> None:
    model = small(base_scale=0.125, losses={"only": {"class_path": "AlphaL1", "init_args": {"weight": 2.0}}})
    assert model.network.base_scale == 0.125
    assert model.losses["only"].weight == 2.0
    assert list(model.losses) == ["only"]


def test_creating_a_model_does_not_change_the_named_one() -> None:
    before = small().spec
    small(base_scale=0.5, selector="AllPatches")
    assert small().spec == before


def test_what_is_unknown_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no model named 'bgmv2_resnet5'; did you mean bgmv2_resnet50"):
        zoo.create_model("bgmv2_resnet5")
    with pytest.raises(ValueError, match="bgmv2_mobilenetv2 has no argument 'basescale'; did you mean base_scale"):
        small(basescale=0.5)
    with pytest.raises(PluginError, match="no plugin named 'Topk' is registered here; did you mean TopK"):
        small(selector="Topk")
    with pytest.raises(ZooError, match="there is no checkpoint at"):
        small(checkpoint=str(tmp_path / "nothing.ckpt"))


def test_a_checkpoint_s_weights_are_taken_over(fitted: Path) -> None:
    path = str(fitted / "checkpoints" / "last.ckpt")
    trained, warm, cold = zoo.load(path), small(checkpoint=path, base_scale=0.25), small(base_scale=0.25)
    assert warm.training
    assert not trained.training
    for key, value in trained.network.state_dict().items():
        assert torch.equal(warm.network.state_dict()[key], value)
    assert not torch.equal(cold.network.decoder.conv1.weight, warm.network.decoder.conv1.weight)


def test_a_part_that_a_checkpoint_knows_nothing_of_starts_fresh(fitted: Path, tmp_path: Path, caplog) -> None:
    content = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)
    base = {key: value for key, value in content["state_dict"].items() if not key.startswith("network.refiner.")}
    torch.save({"state_dict": base}, tmp_path / "base.ckpt")
    with caplog.at_level("INFO"):
        model = small(checkpoint=str(tmp_path / "base.ckpt"))
    assert torch.equal(model.network.decoder.conv1.weight, base["network.decoder.conv1.weight"])
    assert "base.ckpt has no weights for refiner: starting fresh there." in caplog.text
    del base["network.decoder.conv1.weight"]
    torch.save({"state_dict": base}, tmp_path / "damaged.ckpt")
    with pytest.raises(ZooError, match=r"damaged\.ckpt does not fit this model: missing decoder\.conv1\.weight"):
        small(checkpoint=str(tmp_path / "damaged.ckpt"))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("zoo", "list_models list_plugins pull load create_model"),
        ("zoo.matting.metrics", "matting_metrics"),
        ("zoo.heads.mesh", "HeadModel HeadParams"),
        (
            "zoo.heads.metrics",
            "zn_accuracy pose_error chamfer_to_ground_truth reprojection_nme now_error procrustes",
        ),
        ("zoo.matting.inference", "load_matting"),
        ("zoo.heads.inference", "predict_head"),
        ("zoo.cli", "main"),
        ("zoo.core.parts", "Backbone LossTerm Augmentation SampleSource"),
        ("zoo.matting.parts", "Coarse MattingOutput MattingBatch Context PatchSelector ErrorMap Refiner select"),
        ("zoo.heads.parts", "HeadOutput HeadBatch Fusion LandmarkBranch"),
    ],
)
def test_names_that_others_import_stay(module: str, names: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []
