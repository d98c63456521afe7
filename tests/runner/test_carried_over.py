"""Arguments that a new class keeps from the one it replaces are announced, in every form of override."""

from pathlib import Path

import pytest
from lightning.pytorch.cli import LightningCLI

KEPT = "model.selector: RandomPatches keeps patches=20 from TopK."


@pytest.fixture
def announced(tiny, command, monkeypatch: pytest.MonkeyPatch):
    """What `zoo fit` with the tiny configuration says before it builds anything."""
    monkeypatch.setattr(LightningCLI, "instantiate_classes", lambda cli: None)
    monkeypatch.setattr(LightningCLI, "_run_subcommand", lambda cli, name: None)

    def run(*words: str, base: tuple[str, ...] = tiny.options) -> list[str]:
        outcome = command("fit", *base, *words)
        assert outcome.code == 0, outcome.err
        return [line for line in outcome.out.splitlines() if "keeps" in line]

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["--model.selector=RandomPatches"],
        ["--model.selector", "RandomPatches"],
        ["--model.selector.class_path=RandomPatches"],
        ["--model.init_args.selector=RandomPatches"],
        ['--model.selector={"class_path": "RandomPatches"}'],
        ["--model.selector=RandomPatches", "--model.selector.seed=4"],
    ],
    ids=" ".join,
)
def test_it_is_announced(announced, words: list[str]) -> None:
    assert announced(*words) == [KEPT]


def test_it_is_announced_for_a_configuration_over_another(announced, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {class_path: BackgroundMatting, init_args: {selector: {class_path: RandomPatches}}}\n")
    assert announced("--config", str(overlay)) == [KEPT]


def test_it_is_announced_for_a_change_of_what_a_checkpoint_holds(announced, fitted: Path, tiny) -> None:
    base = ("--plugin", str(tiny.plugin), "--ckpt_path", str(fitted / "checkpoints" / "last.ckpt"))
    assert announced("--model.selector=RandomPatches", base=base) == [KEPT]


def test_it_is_announced_inside_a_dict_of_parts(announced, tiny) -> None:
    tiny.config.write_text(
        tiny.config.read_text().replace(
            "{class_path: AlphaL1}", "{class_path: AlphaL1, init_args: {at: coarse, weight: 2}}"
        )
    )
    message = "model.losses.alpha: GradientL1 keeps at=coarse, weight=2.0 from AlphaL1."
    assert announced("--model.losses.alpha=GradientL1") == [message]
    assert announced("--model.losses.alpha=GradientL1", "--model.losses.alpha.weight=2") == [
        message.replace(", weight=2.0", "")
    ]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--model.selector.patches=7"],
        ["--model.selector=TopK"],
        ["--model.selector=RandomPatches", "--model.selector.patches=20"],
        ["--model.selector=RandomPatches", "--model.selector.init_args.patches=20"],
        ['--model.selector={"class_path": "RandomPatches", "init_args": {"patches": 20}}'],
        ["--model.selector=Threshold"],
    ],
    ids=lambda words: " ".join(words) or "nothing changed",
)
def test_nothing_is_announced_where_nothing_was_inherited(announced, words: list[str]) -> None:
    assert announced(*words) == []


def test_an_argument_that_has_its_default_is_not_worth_a_word(announced, tiny) -> None:
    tiny.config.write_text(tiny.config.read_text().replace("patches: 20", "patches: 5000"))
    assert announced("--model.selector=RandomPatches") == []


def test_an_argument_that_the_second_configuration_gives_is_not_inherited(announced, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("model: {init_args: {selector: {class_path: RandomPatches, init_args: {patches: 20}}}}\n")
    assert announced("--config", str(overlay)) == []
