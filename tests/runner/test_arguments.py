"""Expansion of checkpoints, named models, plugin files and shipped configurations for the parser."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import zoo
from zoo.runner.arguments import expanded, pairs


def settings(words: list[str]) -> list[dict]:
    """The content of every `--config` in a command line."""
    return [yaml.safe_load(Path(value).read_text()) for option, value in pairwise(words) if option == "--config"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--a", "1"], [("--a", "1")]),
        (["--a=1"], [("--a", "1")]),
        (["--a=b=c"], [("--a", "b=c")]),
        (["--a=", "--b"], [("--a", ""), ("--b", None)]),
        (["--flag", "--a", "1"], [("--flag", None), ("--a", "1")]),
        (["-c", "x.yaml"], [("-c", "x.yaml")]),
        ([], []),
    ],
)
def test_options_are_paired_with_their_values(words: list[str], expected: list) -> None:
    assert list(pairs(words)) == expected


def test_a_checkpoint_s_settings_come_first(fitted: Path, tiny) -> None:
    zoo.load_plugin(tiny.plugin)
    path = str(fitted / "checkpoints" / "last.ckpt")
    for given in (["--ckpt_path", path], [f"--ckpt_path={path}"]):
        with expanded("validate", ["--config", str(tiny.config), *given]) as ready:
            first, second = settings(ready)
            assert ready[0] == "--config"
            assert first["model"]["class_path"] == "zoo.matting.module.BackgroundMatting"
            assert "selector" not in first["model"]["init_args"]  # the configuration chooses another
            assert second["trainer"] == yaml.safe_load(tiny.config.read_text())["trainer"]


def test_training_settings_are_taken_from_a_checkpoint_to_resume_only(fitted: Path, tiny) -> None:
    zoo.load_plugin(tiny.plugin)
    words = ["--ckpt_path", str(fitted / "checkpoints" / "last.ckpt")]
    with expanded("fit", words) as ready:
        assert settings(ready)[0]["trainer"]["max_epochs"] == 2
        assert settings(ready)[0]["seed_everything"] == 3
    with expanded("validate", words) as ready:
        assert "max_epochs" not in settings(ready)[0]["trainer"]
        assert "precision" in settings(ready)[0]["trainer"]


def test_a_run_with_published_weights_has_their_name() -> None:
    for weights in ("bgmv2_mobilenetv2-synthetic", "dad3dnet_facemesh-synthetic"):
        with expanded("test", ["--ckpt_path", weights]) as ready:
            assert settings(ready)[0]["name"] == weights


def test_temporary_files_are_gone_afterwards(fitted: Path, tiny) -> None:
    with expanded("fit", ["--model=bgmv2_resnet50"]) as ready:
        path = Path(ready[1])
        assert path.is_file()
    assert not path.exists()


def test_a_named_model_becomes_its_settings_in_its_place() -> None:
    for given in (["--model=bgmv2_mobilenetv2"], ["--model", "bgmv2_mobilenetv2"]):
        with expanded("fit", ["--name", "x", *given, "--model.base_scale=0.5"]) as ready:
            assert ready[0] == "--name=x"
            assert ready[-1] == "--model.base_scale=0.5"
            (model,) = settings(ready)
            assert model["model"]["init_args"]["backbone"]["init_args"]["name"] == "mobilenetv2_100"


def test_a_class_given_as_model_is_left_to_the_parser() -> None:
    with expanded("fit", ["--model=BackgroundMatting"]) as ready:
        assert ready == ["--model=zoo.matting.module.BackgroundMatting"]


def test_a_value_that_looks_like_an_option_stays_with_its_own() -> None:
    with expanded("fit", ["--model.base_scale=-1e-3"]) as ready:
        assert ready == ["--model.base_scale=-1e-3"]
