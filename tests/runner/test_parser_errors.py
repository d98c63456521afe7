"""A command line that is not understood gets one sentence: what was given, what was expected, the nearest names."""

import re
from pathlib import Path

import pytest

from zoo.runner.parser_errors import sentence


def cases(table: str) -> list[tuple[str, str]]:
    """Return the pairs of input and first words of the message in a table."""
    return re.findall(r"^(\S.*?)\s+->  (.*)$", table, re.MULTILINE)


WRONG = """
--model.selector=Topk
    ->  model.selector: no patch selector named 'Topk'; did you mean TopK? Known: AllPatches, GridPatches,
--model.selector=os.system  ->  model.selector: no patch selector named 'os.system'. Known: AllPatches,
--model.selector=AlphaL1  ->  model.selector got 'AlphaL1', a loss term; expected a patch selector: AllPatches,
--model.selector=zoo.nothing.Here
    ->  model.selector got 'zoo.nothing.Here', which cannot be used: module 'zoo' has no attribute 'nothing'.
--model.backbone=resnet50
    ->  model.backbone: no backbone named 'resnet50'. Known: FaceMesh, TimmBackbone. TimmBackbone takes
--model.losses.alpha=TopK  ->  model.losses.alpha got 'TopK', a patch selector; expected a loss term: Adapt
--model.losses.alpha=AlphaL2
    ->  model.losses.alpha: no loss term named 'AlphaL2'; did you mean AlphaL1 or AlphaMSE? Known:
--data.train.squares.dataset=Tinny  ->  data.train.squares.dataset: no dataset named 'Tinny'; did you mean Tiny? Known:
--model=bgmv2_resnet51
    ->  model: no model named 'bgmv2_resnet51'; did you mean bgmv2_resnet50 or bgmv2_resnet101? Known:
--model=BackgroundMating  ->  model: no model named 'BackgroundMating'; did you mean BackgroundMatting? Known:
--data=MatingData  ->  data: no data module named 'MatingData'; did you mean MattingData or HeadData? Known:
--model.selector.patchs=3  ->  TopK has no argument 'patchs'; did you mean patches? Known: patches, fixed_count.
--model.fooground=both  ->  BackgroundMatting has no argument 'fooground'; did you mean foreground or frozen? Known:
--model.losses.alpha.weigth=1  ->  AlphaL1 has no argument 'weigth'; did you mean weight? Known: at, weight.
--data.train.squares.canvass=3
    ->  TrainingStage has no argument 'canvass'; did you mean canvas? Known: dataset, canvas,
--data.validation.disturbance.sevrity=3
    ->  Perturbation has no argument 'sevrity'; did you mean severity or shift? Known: shift,
--data.train.squares.dataset.cont=3  ->  Tiny has no argument 'cont'; did you mean count? Known: count, size.
--model.selector={"class_path": "RandomPatches", "init_args": {"patchs": 3}}
    ->  RandomPatches has no argument 'patchs'; did you mean patches?
--model.selektor.patches=3
    ->  BackgroundMatting has no argument 'selektor'; did you mean selector or schedule? Known: backbone,
--model.optimizer.lr=0.1  ->  each part has a learning rate of its own, the optimizer has none: --model.learning_rates.
--model.losses.alpa.weight=1
    ->  model.losses has no 'alpa'; did you mean alpha? Known: alpha, error. To add it, first give --model.losses.
--trainer.logger.save_dir=x  ->  trainer has no 'logger'. To add it, first give --trainer.logger=CLASS.
--model.selector.patches=abc  ->  model.selector.patches got 'abc', expected a whole number.
--model.selector.patches=1.5  ->  model.selector.patches got '1.5', expected a whole number.
--model.foreground=both  ->  model.foreground got 'both', expected residual or direct.
--model.losses.alpha.at=half  ->  model.losses.alpha.at got 'half', expected full or coarse.
--model.learning_rates=1e-4  ->  model.learning_rates got '1e-4', expected values by name, such as {NAME: VALUE}.
--model.learning_rates.refiner=fast  ->  model.learning_rates.refiner got 'fast', expected a number.
--data.train.squares.canvas=large  ->  data.train.squares.canvas got 'large', expected a whole number.
--data.validation.canvas=large  ->  data.validation.canvas got 'large', expected a whole number or null.
--data.validation.disturbance.severity=high  ->  data.validation.disturbance.severity got 'high', expected a number.
--trainer.max_epochs=x  ->  trainer.max_epochs got 'x', expected a whole number or null.
--trainer.limit_val_batches=abc  ->  trainer.limit_val_batches got 'abc', expected a whole number, a number or null.
--trainer.enable_progress_bar=maybe  ->  trainer.enable_progress_bar got 'maybe', expected true or false or null.
--trainer.precision=7  ->  trainer.precision got '7', expected 64, 32, 16,
--seed_everything=abc  ->  seed_everything got 'abc', expected true or false or a whole number.
--trainer.logger=WandbLoger
    ->  trainer.logger got 'WandbLoger', which is no class known here; did you mean WandbLogger or Logger?
--trainer.callbacks=EarlyStoping
    ->  trainer.callbacks got 'EarlyStoping', which is no class known here; did you mean EarlyStopping
--trainer.max_epoch=3
    ->  there is no option --trainer.max_epoch; did you mean --trainer.max_epochs or --trainer.min_epochs? `--help`
--traner.max_epochs=3  ->  there is no option --traner.max_epochs; did you mean --trainer.max_epochs
--confg=x.yaml  ->  there is no option --confg; did you mean --config
--mod=BackgroundMatting  ->  there is no option --mod; did you mean --model
training  ->  'training' is neither an option nor the value of one; options begin with --
--config=nothing.yaml  ->  there is no configuration nothing.yaml, neither a file nor a shipped one. Known: heads/dad
--config=matting/quikstart  ->  there is no configuration matting/quikstart, neither a file nor a shipped one; did you
--name  ->  --name needs a value.
--config  ->  --config needs a value.
--model.losses=null  ->  BackgroundMatting needs a value for losses.
--data.augmentations.flip=HorizontalFlip  ->  HorizontalFlip needs a value for side.
--trainer.accelerator=abacus  ->  You selected an invalid accelerator name: `accelerator='abacus'`.
"""


@pytest.mark.parametrize(("word", "expected"), cases(WRONG))
def test_a_wrong_word_gets_one_sentence(tiny, command, word: str, expected: str) -> None:
    outcome = command("fit", *tiny.options, word)
    assert outcome.code == 2
    assert outcome.complaint.startswith(f"zoo fit: {expected}")
    assert outcome.complaint.count(". ") <= 2, outcome.complaint
    assert len(outcome.complaint) < 400
    assert "usage" not in outcome.err + outcome.out
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["resnet50", "timm/resnet50.a1_in1k"])
def test_a_name_of_timm_in_place_of_a_class_gets_the_option_that_takes_it(tiny, command, name: str) -> None:
    complaint = command("fit", *tiny.options, f"--model.backbone={name}").complaint
    assert f"no backbone named '{name}'" in complaint
    assert complaint.endswith(f"TimmBackbone takes names of models: --model.backbone.name={name}.")


WRONG_FILES = """
model: {class_path: BackgroundMatting, init_args: {backbon: 3}}
    ->  BackgroundMatting has no argument 'backbon'; did you mean backbone? Known:
model: {class_path: BackgroundMatting, init_args: {selector: {class_path: TopKx}}}
    ->  model.selector: no patch selector named 'TopKx'; did you mean TopK?
model: {class_path: BackgroundMatting, init_args: {selector: {class_path: TopK, init_args: {patchs: 3}}}}
    ->  TopK has no argument 'patchs'; did you mean
modle: {class_path: BackgroundMatting}  ->  a configuration has the key 'modle'; did you mean model?
trainer: {max_epoch: 3}  ->  there is no option --trainer.max_epoch; did you mean --trainer.max_epochs
trainer: {max_epochs: x}  ->  trainer.max_epochs got 'x', expected a whole number or null.
trainer: [1  ->  a configuration is not YAML: while parsing a flow sequence in line 1, column 10
model: {class_path: BackgroundMatting, init_args: {losses: {alpa: {weight: 2}}}}
    ->  model.losses holds arguments of a part without its class; expected class_path with a registered name.
model: {class_path: BackgroundMatting, init_args: {selector: 3}}
    ->  model.selector got '3', expected a PatchSelector: class_path with a registered name, and its arguments in
hello  ->  a configuration holds 'hello', expected settings by name, such as trainer: {max_epochs: 3}.
"""


@pytest.mark.parametrize(("content", "expected"), cases(WRONG_FILES))
def test_a_wrong_configuration_gets_one_sentence(tiny, command, content: str, expected: str) -> None:
    Path("wrong.yaml").write_text(f"{content}\n")
    outcome = command("fit", *tiny.options, "--config", "wrong.yaml")
    assert outcome.code == 2
    assert outcome.complaint.startswith(f"zoo fit: {expected}")


def test_a_wrong_key_of_a_configuration_is_named_first(tiny, command) -> None:
    tiny.config.write_text(tiny.config.read_text().replace("model:", "modle:", 1))
    outcome = command("fit", *tiny.options, "--model.selector.patches=3")
    assert outcome.complaint.startswith("zoo fit: a configuration has the key 'modle'; did you mean model?")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["fit"],
            "nothing says which model and which data to use: give a configuration, for example --config matting/quick",
        ),
        (
            ["fit", "--model=bgmv2_resnet50"],
            "nothing says which data to use: give a configuration, for example --config matting/quickstart.",
        ),
        (
            ["validate"],
            "nothing says which model and which data to use: give --ckpt_path with a checkpoint, or a configuration, ",
        ),
        (
            ["fit", "--model.selector.patches=3"],
            "--model.selector.patches changes a model, but nothing says which: give a configuration, for example ",
        ),
        (
            ["fit", "--model.selector=TopK"],
            "--model.selector changes a model, but nothing says which: give a configuration, for example --config ",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_too_few_words_get_an_example(command, words: list[str], expected: str) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    assert outcome.complaint.startswith(f"zoo {words[0]}: {expected}")


def test_a_broken_plugin_is_answered_with_its_owner_and_reason(tiny, command, install) -> None:
    install(
        "broken-selector",
        "2.3",
        {"zoo.selectors": {"Broken": "broken_plugin:Broken"}},
        {"broken_plugin": "import missing_module_x"},
    )
    outcome = command("fit", *tiny.options, "--model.selector=Broken")
    assert outcome.code == 2
    assert outcome.complaint == (
        "zoo fit: model.selector: 'Broken' is installed (broken-selector 2.3) but failed to load: "
        "ModuleNotFoundError: No module named 'missing_module_x'"
    )


def test_an_ambiguous_plugin_is_answered_with_both_owners(tiny, command, install, selector_source) -> None:
    install(
        "other-topk", "1.0", {"zoo.selectors": {"TopK": "other_topk:TopK"}}, {"other_topk": selector_source("TopK")}
    )
    outcome = command("fit", *tiny.options)
    assert outcome.code != 0
    assert "ablation-zoo" in outcome.complaint
    assert "other-topk 1.0" in outcome.complaint
    assert not Path("runs").exists()


def test_a_class_that_is_not_registered_is_refused(tiny, command, monkeypatch, selector_source) -> None:
    monkeypatch.syspath_prepend(str(tiny.folder))
    Path("stray.py").write_text(selector_source("Stray"))
    outcome = command("fit", *tiny.options, "--model.selector=stray.Stray")
    assert outcome.code == 2
    assert outcome.complaint == (
        "zoo fit: stray.Stray is used in model but not registered as a plugin: "
        "add an entry point for it, or give its file with --plugin."
    )


def test_a_message_of_an_unknown_form_is_passed_on_in_one_line() -> None:
    assert sentence("fit", "Something\n  new happened") == "Something new happened."
    assert len(sentence("fit", "x" * 5000)) < 500
