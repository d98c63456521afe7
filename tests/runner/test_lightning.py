"""Fit, validate and test from the command line: who wins over whom, what a run leaves behind and never destroys."""

import csv
import gc
import json
import re
import resource
import shutil
import signal
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Union

import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from zoo_plugins.selectors import RandomPatches

import zoo
from zoo.core.plugin_files import load_plugin
from zoo.runner.lightning import STRICT, ZooCLI, ZooParser
from zoo.training.module import TrainingModule

NAN_LOSS = '''
"""A loss term that breaks after a while."""

import torch

from zoo.core.parts import LossTerm


class BreaksLater(LossTerm):
    """Fine for two steps, then not a number."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.steps = 0

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def forward(self, output, batch):
        self.steps += output.alpha.requires_grad
        return output.alpha.mean() * (float("nan") if self.steps > 2 else 1.0)


class RaisesInside(LossTerm):
    """Gives a library something it cannot digest."""

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def forward(self, output, batch):
        import json

        json.loads("{")
        return output.alpha.mean()


class Disagrees(LossTerm):
    """Says what is wrong."""

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        if weight > 1:
            raise ValueError(f"Disagrees(weight={weight:g}): expected a weight of at most 1.")

    def forward(self, output, batch):
        return output.alpha.mean()
'''


def registered_only(value: Any) -> bool:
    """Whether no class of ours is named by an import path."""
    if isinstance(value, dict):
        path = value.get("class_path", "")
        return not path.startswith(("zoo", "zoo_plugins")) and all(registered_only(item) for item in value.values())
    return all(registered_only(item) for item in value) if isinstance(value, list) else True


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def last_value(run: Path, name: str) -> float:
    return [float(row[name]) for row in metrics(run) if row.get(name)][-1]


class TestRunDirectory:
    def test_its_metrics_tell_how_long_the_network_waited_for_data(self, fitted: Path) -> None:
        assert 0 < last_value(fitted, "train/waiting_for_data") <= 1

    def test_it_holds_what_a_run_leaves_behind(self, fitted: Path) -> None:
        found = {str(path.relative_to(fitted)) for path in fitted.rglob("*") if path.is_file()}
        binary = {
            "checkpoints/last.ckpt",
            "checkpoints/best.ckpt",
            "pictures/epoch_0000.png",
            "pictures/epoch_0001.png",
        }
        assert found == {"config.yaml", "environment.json", "metrics.csv"} | binary

    def test_nothing_else_is_written_into_the_working_directory(self, fitted: Path) -> None:
        folder = fitted.parents[2]
        assert {path.name for path in folder.iterdir()} <= {"runs", "tiny.py", "tiny.yaml", "__pycache__"}

    def test_config_holds_every_setting_under_registered_names(self, fitted: Path) -> None:
        config = yaml.safe_load((fitted / "config.yaml").read_text())
        assert config["model"]["class_path"] == "BackgroundMatting"
        selector = {"class_path": "TopK", "init_args": {"patches": 20, "fixed_count": False}}
        assert config["model"]["init_args"]["selector"] == selector
        dataset = {"class_path": "Tiny", "init_args": {"count": 4, "size": 64}}
        assert config["data"]["init_args"]["train"]["squares"]["dataset"] == dataset
        assert config["seed_everything"] == 3
        assert config["trainer"]["max_epochs"] == 2
        assert registered_only(config)

    def test_environment_says_what_results_depend_on(self, fitted: Path) -> None:
        environment = json.loads((fitted / "environment.json").read_text())
        assert environment["versions"]["torch"] == version("torch")
        assert {"python", "lightning", "timm", "ablation-zoo"} <= set(environment["versions"])
        assert any(owner.startswith("ablation-zoo ") for owner in environment["plugins"])
        assert any(owner.endswith("tiny.py") for owner in environment["plugins"])
        assert {"command", "platform", "device", "commit"} <= set(environment)

    def test_metrics_hold_losses_and_validation(self, fitted: Path) -> None:
        names = set(metrics(fitted)[0])
        validation = {"validation/loss", "validation/sad", "validation/mse"}
        assert {"train/loss", "train/alpha", "train/error", "epoch", "step"} | validation <= names

    def test_pictures_can_be_looked_at(self, fitted: Path) -> None:
        picture = Image.open(fitted / "pictures" / "epoch_0001.png")
        assert picture.width > 500
        assert picture.height > 200

    def test_config_runs_again(self, fitted: Path, tiny, command) -> None:
        outcome = command("fit", "--plugin", tiny.plugin, "--config", fitted / "config.yaml", "--trainer.max_epochs=1")
        assert outcome.code == 0, outcome.err
        run = Path("runs/tiny/version_0")
        again, first = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (run, fitted))
        assert again["model"] == first["model"]
        assert metrics(run)[0]["train/loss"] == metrics(fitted)[0]["train/loss"], "same settings and seed"

    def test_another_run_gets_a_directory_of_its_own(self, tiny, command) -> None:
        quick = ("--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0", "--trainer.max_epochs=1")
        words = (*quick, "--trainer.enable_checkpointing=false", "--name=mine", "--runs=elsewhere")
        for _ in range(2):
            assert command("fit", *tiny.options, *words).code == 0
        assert sorted(path.name for path in Path("elsewhere/mine").iterdir()) == ["version_0", "version_1"]
        assert all((path / "metrics.csv").is_file() for path in Path("elsewhere/mine").iterdir())


class TestCheckpointAlone:
    def test_validate_reproduces_the_fit(self, fitted: Path, tiny, command) -> None:
        outcome = command("validate", "--ckpt_path", fitted / "checkpoints" / "last.ckpt", "--plugin", tiny.plugin)
        assert outcome.code == 0, outcome.err
        run = Path("runs/tiny/version_0")
        for key in ("sad", "mse", "mad", "grad", "foreground_mse", "loss"):
            name = f"validation/{key}"
            assert last_value(run, name) == pytest.approx(last_value(fitted, name), abs=1e-6), name

    def test_validate_reproduces_a_limited_validation(self, tiny, command) -> None:
        settings = ("--trainer.limit_val_batches=1", "--data.validation.batch_size=1", "--trainer.max_epochs=1")
        assert command("fit", *tiny.options, *settings).code == 0
        path = "runs/tiny/version_0/checkpoints/last.ckpt"
        assert command("validate", "--ckpt_path", path, "--plugin", tiny.plugin).code == 0
        first, second = (last_value(Path(f"runs/tiny/version_{run}"), "validation/sad") for run in (0, 1))
        assert second == pytest.approx(first, abs=1e-6)

    def test_test_runs_the_test_sets(self, fitted: Path, tiny, command) -> None:
        outcome = command("test", f"--ckpt_path={fitted / 'checkpoints' / 'best.ckpt'}", "--plugin", tiny.plugin)
        assert outcome.code == 0, outcome.err
        assert "test/one/sad" in outcome.out
        assert last_value(Path("runs/tiny/version_0"), "test/one/sad") > 0

    def test_fit_goes_on_where_it_was(self, fitted: Path, tiny, command) -> None:
        outcome = command(
            "fit", "--ckpt_path", fitted / "checkpoints" / "last.ckpt", "--plugin", tiny.plugin,
            "--trainer.max_epochs=3",
            "--trainer.enable_progress_bar=false", "--trainer.num_sanity_val_steps=0", "--trainer.log_every_n_steps=1",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        rows = metrics(Path("runs/tiny/version_0"))
        assert {row["epoch"] for row in rows} == {"2"}
        assert min(int(row["step"]) for row in rows) == 4


class TestResuming:
    def test_a_finished_run_has_nothing_left_to_do_and_leaves_no_directory(self, fitted: Path, tiny, command) -> None:
        last = fitted / "checkpoints" / "last.ckpt"
        outcome = command("fit", "--ckpt_path", last, "--plugin", tiny.plugin)
        assert outcome.code == 0, outcome.err
        assert f"Nothing is left to do: {last} has 2 epochs, and --trainer.max_epochs is 2" in outcome.out
        assert not Path("runs").exists()

    def test_a_truncated_checkpoint_is_replaced_by_the_newest_readable_one(self, fitted: Path, tiny, command) -> None:
        folder = Path(shutil.copytree(fitted / "checkpoints", "copied"))
        (folder / "last.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:9000])
        (folder / ".last.0123abcd.ckpt").write_bytes(b"left by a killed process")
        words = ("--plugin", tiny.plugin, "--trainer.max_epochs=3", "--trainer.limit_train_batches=1")
        outcome = command("fit", "--ckpt_path", folder / "last.ckpt", *words)
        assert outcome.code == 0, outcome.err
        assert not list(folder.glob(".*"))
        assert "copied/last.ckpt is not a readable checkpoint" in outcome.out
        assert "Resuming from copied/best.ckpt instead." in outcome.out
        assert zoo.load("runs/tiny/version_0/checkpoints/last.ckpt")
        assert command("test", "--ckpt_path", folder / "last.ckpt", "--plugin", tiny.plugin).code == 1

    def test_a_full_disk_leaves_the_checkpoint_before_and_says_which_file(self, tiny, command) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        try:
            outcome = command("fit", *tiny.options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert outcome.code == 1
        assert "runs/tiny/version_0/checkpoints/last.ckpt cannot be written (File too large): make" in outcome.complaint
        assert not list(Path("runs/tiny/version_0/checkpoints").iterdir())

    def test_it_keeps_the_trainer_s_settings_and_the_folder_of_runs(self, tiny, command) -> None:
        stopper = {"class_path": "EarlyStopping", "init_args": {"monitor": "train/loss", "patience": 9}}
        own = ("--runs=mine", f"--trainer.callbacks={[stopper]}", "--trainer.log_every_n_steps=2")
        limits = ("--trainer.limit_train_batches=2", "--trainer.limit_val_batches=0")
        assert command("fit", *tiny.options, *own, *limits, "--trainer.max_epochs=1").code == 0
        last = "mine/tiny/version_0/checkpoints/last.ckpt"
        words = ("--plugin", tiny.plugin, "--trainer.max_epochs=2", "--trainer.num_sanity_val_steps=1")
        assert command("fit", "--ckpt_path", last, *words).code == 0
        first, second = (yaml.safe_load(Path(f"mine/tiny/version_{run}/config.yaml").read_text()) for run in (0, 1))
        assert first["trainer"]["callbacks"][0]["init_args"]["patience"] == 9
        changed = {key for key, value in second["trainer"].items() if value != first["trainer"][key]}
        assert changed == {
            "max_epochs",
            "num_sanity_val_steps",
            "precision",
        }  # the last is null before Lightning sets it

    def test_it_imports_nothing_that_a_file_names(self, fitted: Path, tiny, parsed) -> None:
        run = Path(shutil.copytree(fitted, "copied"))
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["trainer"]["callbacks"] = [{"class_path": "antigravity.Callback"}]
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        words = ("--plugin", tiny.plugin, "--trainer.max_epochs=3")
        assert parsed("fit", "--ckpt_path", run / "checkpoints/last.ckpt", *words)["trainer"]["callbacks"] is None
        assert "antigravity" not in sys.modules

    def test_ctrl_c_in_the_first_validation_leaves_a_checkpoint(
        self, fitted: Path, tiny, command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = signal.getsignal(signal.SIGINT)
        with monkeypatch.context() as patch:
            patch.setattr(TrainingModule, "on_validation_epoch_start", interrupted, raising=False)
            outcome = command("fit", *tiny.options)
        assert outcome.code == 130
        assert outcome.complaint == "zoo fit: interrupted."
        assert signal.getsignal(signal.SIGINT) is before
        last = Path("runs/tiny/version_0/checkpoints/last.ckpt")
        assert command("fit", "--ckpt_path", last, "--plugin", tiny.plugin).code == 0
        whole, resumed = (
            torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
            for run in (fitted, Path("runs/tiny/version_1"))
        )
        assert all(torch.equal(whole[key], value) for key, value in resumed.items())


def interrupted(module: TrainingModule) -> None:
    raise KeyboardInterrupt


class TestRefusedBeforeTraining:
    def refused(self, tiny, command, *words: str) -> str:
        outcome = command("fit", *tiny.options, *words)
        assert outcome.code == 1
        assert not Path("runs").exists()
        return outcome.complaint

    def test_plateau_without_a_validation(self, tiny, command) -> None:
        for without in ("--data.validation=null", "--trainer.limit_val_batches=0"):
            complaint = self.refused(tiny, command, "--model.schedule=plateau", without)
            assert "lowers the learning rates by validation/sad, and there is no validation" in complaint

    def test_a_folder_of_runs_that_cannot_be_written(self, tiny, command) -> None:
        Path("file").touch()
        outcome = command("fit", *tiny.options, "--runs=file")
        assert outcome.code == 2
        assert "file is a file, so there is no place for the run: give another --runs" in outcome.complaint

    def test_a_callback_that_monitors_what_nothing_logs(self, tiny, command) -> None:
        stopper = {"class_path": "EarlyStopping", "init_args": {"monitor": "val_sad"}}
        complaint = self.refused(tiny, command, f"--trainer.callbacks={[stopper]}")
        assert "EarlyStopping monitors 'val_sad'; did you mean validation/sad?" in complaint


def test_plateau_waits_for_validations_that_are_not_after_every_epoch(tiny, command) -> None:
    words = ("--model.schedule=plateau", "--trainer.check_val_every_n_epoch=2", "--trainer.limit_train_batches=1")
    assert command("fit", *tiny.options, *words).code == 0
    rates = [row["learning_rate/decoder"] for row in metrics(Path("runs/tiny/version_0"))]
    assert [float(rate) for rate in rates if rate] == pytest.approx([1e-3, 1e-3])


class Limited:
    """A class with a limit, a fraction or a whole number, in the order in which `typing` may keep a union."""

    def __init__(self, limit: Union[float, int, None] = None) -> None:  # noqa: UP007
        self.limit = limit


@pytest.mark.parametrize("given", ["1", "1.0", "0.5"])
def test_a_whole_number_stays_one_whatever_was_imported_before(given: str) -> None:
    parser = ZooParser(**STRICT)
    parser.add_class_arguments(Limited, "own")
    parser.add_subclass_arguments(Limited, "nested")
    nested = f"--nested={json.dumps({'class_path': f'{__name__}.Limited', 'init_args': {'limit': json.loads(given)}})}"
    settings = parser.parse_args([f"--own.limit={given}", nested])
    assert [repr(settings.own.limit), repr(settings.nested.init_args.limit)] == [given, given]


def test_results_are_printed_with_whole_names_and_the_next_command(fitted: Path, tiny, command) -> None:
    sets = yaml.safe_load(tiny.config.read_text())["data"]["init_args"]["test"]
    name = "another_set_with_a_name_that_is_rather_long_for_a_table"
    settings = f"--data.test={json.dumps(sets | {name: sets['one']})}"
    words = ("--ckpt_path", fitted / "checkpoints/last.ckpt", "--plugin", tiny.plugin)
    outcome = command("test", *words, settings)
    assert outcome.code == 0, outcome.err
    assert f"test/{name}/sad  " in outcome.out
    assert outcome.out.rstrip().endswith(f"metrics.csv. Next: zoo export {words[1]} --format safetensors")
    assert "callbacks" not in outcome.err + outcome.out
    outcome = command("fit", *words, "--trainer.max_epochs=3", "--trainer.limit_train_batches=1")
    assert "The run is in runs/tiny/version_1. Next: zoo test --ckpt_path runs/tiny/version_1/" in outcome.out
    assert "dirpath" not in outcome.err + outcome.out


@pytest.fixture
def parsed(command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The settings that a command line comes to, without anything being built."""
    seen: list[ZooCLI] = []
    monkeypatch.setattr(LightningCLI, "instantiate_classes", lambda cli: seen.append(cli))
    monkeypatch.setattr(LightningCLI, "_run_subcommand", lambda cli, name: None)

    def run(*words: object) -> dict[str, Any]:
        outcome = command(*words)
        assert outcome.code == 0, outcome.err
        return seen[-1].config[seen[-1].subcommand].as_dict()

    return run


class TestSeveralRunsInOneProcess:
    """They share a parser."""

    def test_the_settings_of_one_are_not_those_of_the_next(self, tiny, parsed) -> None:
        before = parsed("fit", *tiny.options)
        parsed("fit", *tiny.options, "--model.selector.patches=7", "--trainer.max_epochs=9", "--name=other")
        after = parsed("fit", *tiny.options)
        assert after | {"config": None} == before | {"config": None}

    def test_the_network_of_one_is_gone_before_the_next(self, tiny, command, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[weakref.ref] = []
        monkeypatch.setattr(LightningCLI, "_run_subcommand", lambda cli, name: seen.append(weakref.ref(cli.model)))
        assert command("fit", *tiny.options).code == 0
        gc.collect()
        assert seen[0]() is None


class TestPrecedence:
    """Checkpoint < YAML < command line."""

    def test_a_configuration_wins_over_the_checkpoint(self, fitted: Path, tiny, parsed) -> None:
        Path("more.yaml").write_text("model: {init_args: {base_scale: 0.25}}\ntrainer: {max_epochs: 9}\n")
        checkpoint = ("--plugin", tiny.plugin, "--ckpt_path", fitted / "checkpoints" / "last.ckpt")
        for words in ((*checkpoint, "--config", "more.yaml"), ("--config", "more.yaml", *checkpoint)):
            settings = parsed("fit", *words)
            assert settings["model"]["init_args"]["base_scale"] == 0.25
            assert settings["trainer"]["max_epochs"] == 9
            assert settings["model"]["init_args"]["selector"]["init_args"]["patches"] == 20, (
                "the rest is the checkpoint's"
            )

    @pytest.mark.parametrize("command_name", ["fit", "validate", "test"])
    def test_the_command_line_wins_over_both(self, fitted: Path, tiny, parsed, command_name: str) -> None:
        Path("more.yaml").write_text("model: {init_args: {base_scale: 0.25, selector: {init_args: {patches: 3}}}}\n")
        settings = parsed(
            command_name, "--config", "more.yaml", "--model.base_scale=0.125", "--plugin", tiny.plugin,
            "--ckpt_path", fitted / "checkpoints" / "last.ckpt", "--model.losses.alpha.weight=0.5",
            "--trainer.max_epochs=3",
        )  # fmt: skip
        assert settings["model"]["init_args"]["base_scale"] == 0.125
        assert settings["model"]["init_args"]["selector"]["init_args"]["patches"] == 3
        assert settings["model"]["init_args"]["losses"]["alpha"]["init_args"]["weight"] == 0.5

    def test_another_backbone_on_the_command_line_is_obeyed(self, fitted: Path, tiny, parsed) -> None:
        path = fitted / "checkpoints" / "last.ckpt"
        words = ("--model.backbone.name=mobilenetv2_100", "--trainer.max_epochs=3")
        settings = parsed("fit", "--plugin", tiny.plugin, "--ckpt_path", path, *words)
        assert settings["model"]["init_args"]["backbone"]["init_args"]["name"] == "mobilenetv2_100"

    def test_a_fit_that_resumes_obeys_the_command_line(self, fitted: Path, tiny, command) -> None:
        path = fitted / "checkpoints" / "last.ckpt"
        outcome = command(
            "fit", "--plugin", tiny.plugin, "--ckpt_path", path,
            "--trainer.max_epochs=3", "--trainer.num_sanity_val_steps=0",
            "--model.losses.alpha.weight=0.25", "--model.selector=RandomPatches", "--trainer.limit_train_batches=1",
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
        resumed = zoo.load("runs/tiny/version_0/checkpoints/last.ckpt")
        assert resumed.losses["alpha"].weight == 0.25
        assert resumed.network.selector.spec == RandomPatches().spec

    def test_the_private_hook_of_lightning_still_exists(self) -> None:
        # Lightning would otherwise read the checkpoint's settings again, last, and beat the command line.
        assert callable(LightningCLI._parse_ckpt_path)
        assert "_parse_ckpt_path" in LightningCLI.__init__.__code__.co_names
        assert "_parse_ckpt_path" in vars(ZooCLI)

    def test_a_named_model_is_completed_by_the_command_line(self, tiny, parsed) -> None:
        options = ("--model=bgmv2_mobilenetv2", "--model.selector.patches=7", "--model.losses.gradient.weight=0")
        settings = parsed("fit", *tiny.options, *options)
        model = settings["model"]["init_args"]
        assert model["backbone"]["init_args"]["name"] == "mobilenetv2_100"
        assert model["base_scale"] == 0.25
        assert model["selector"]["init_args"]["patches"] == 7
        coarse = {"coarse_alpha", "coarse_gradient", "coarse_foreground"}
        assert set(model["losses"]) == {"alpha", "gradient", "foreground", "error"} | coarse
        assert model["losses"]["gradient"]["init_args"]["weight"] == 0

    @pytest.mark.parametrize("given", ["null", "~", "None"])
    def test_null_is_null_however_deep_it_is_given(self, tiny, parsed, given: str) -> None:
        settings = yaml.safe_load(tiny.config.read_text())
        settings["data"]["init_args"]["train"]["squares"]["crop"] = [32, 48]
        tiny.config.write_text(yaml.safe_dump(settings, sort_keys=False))
        before = parsed("fit", *tiny.options)["data"]["init_args"]
        assert before["train"]["squares"]["crop"] == [32, 48]
        words = (f"--data.train.squares.crop={given}", f"--data.validation={given}")
        after = parsed("fit", *tiny.options, *words)["data"]["init_args"]
        assert after["train"]["squares"] == before["train"]["squares"] | {"crop": None}
        assert after["validation"] is None

    def test_the_issue_s_own_line_works_as_typed(self, tiny, parsed) -> None:
        selector = ("--model.selector=RandomPatches", "--model.selector.patches=1000")
        model = parsed("fit", *tiny.options, "--model.backbone.name=mobilenetv2_100", *selector)["model"]["init_args"]
        assert model["backbone"]["init_args"]["name"] == "mobilenetv2_100"
        assert model["selector"]["class_path"].endswith("RandomPatches")
        assert model["selector"]["init_args"]["patches"] == 1000

    def test_a_shipped_configuration_is_found_anywhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert parsed("fit", "--config", "matting/quickstart")["model"]["class_path"].endswith("BackgroundMatting")


class TestFailures:
    @pytest.fixture
    def losses(self, tiny) -> tuple[object, ...]:
        """Options that use the tiny configuration with misbehaving losses at hand."""
        Path("losses.py").write_text(NAN_LOSS)
        return (*tiny.options, "--plugin", "losses.py")

    def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(self, losses, command) -> None:
        outcome = command("fit", *losses, "--model.losses.alpha=BreaksLater")
        assert outcome.code == 1
        assert outcome.complaint.startswith(
            "zoo fit: the loss is not finite at step 2 (alpha=nan); the last checkpoint is intact: "
        )
        assert "Traceback" not in outcome.err
        checkpoint = Path("runs/tiny/version_0/checkpoints/last.ckpt")
        assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
        assert all(torch.isfinite(value).all() for value in zoo.load(str(checkpoint)).state_dict().values())
        assert metrics(Path("runs/tiny/version_0"))

    def test_what_a_part_says_is_wrong_is_one_sentence(self, losses, command) -> None:
        spec = '{"class_path": "Disagrees", "init_args": {"weight": 3}}'
        outcome = command("fit", *losses, f"--model.losses.alpha={spec}")
        assert outcome.code == 1
        assert outcome.complaint == "zoo fit: Disagrees(weight=3): expected a weight of at most 1."
        assert "Traceback" not in outcome.err

    def test_parts_that_do_not_go_together_are_one_sentence(self, tiny, command) -> None:
        outcome = command("fit", *tiny.options, "--model.error_map=NoError")
        assert outcome.code == 1
        assert (
            outcome.complaint
            == "zoo fit: TopK ranks patches by error, and NoError has none: choose RandomPatches or AllPatches."
        )
        assert "Traceback" not in outcome.err

    def test_an_error_inside_a_library_shows_where_it_happened(self, losses, command) -> None:
        outcome = command("fit", *losses, "--model.losses.alpha=RaisesInside")
        assert outcome.code == 1
        assert "JSONDecodeError" in Path("runs/tiny/version_0/error.txt").read_text()
        assert "JSONDecodeError" in outcome.err
        assert re.search(r"It was raised in RaisesInside \(.*\.py\)\. The traceback is in", outcome.complaint)

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (OSError(28, "No space left on device"), "the disk of the run, or a temporary folder"),
            (
                RuntimeError("unable to write to file </torch_1> in shared memory"),
                "--data.workers=0",
            ),
            (RuntimeError("DataLoader worker is killed by signal: Bus error."), "docker run --shm-size=8g"),
        ],
    )
    def test_a_full_disk_or_shared_memory_says_what_to_do(
        self, tiny, command, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
    ) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(TrainingModule, "on_train_epoch_start", full)
        outcome = command("fit", *tiny.options)
        assert outcome.code == 1
        assert sentence in outcome.complaint
        assert "Traceback" not in outcome.err

    def test_our_own_errors_show_it_when_asked(self, tiny, command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZOO_TRACEBACK", "1")
        assert "Traceback" in command("fit", *tiny.options, "--model.error_map=NoError").err

    def test_a_device_that_is_not_there_is_one_sentence(self, tiny, command) -> None:
        if torch.cuda.is_available():
            pytest.skip("this machine has one")
        outcome = command("fit", *tiny.options, "--trainer.accelerator=gpu")
        assert outcome.code == 2
        assert outcome.complaint.startswith("zoo fit: No supported gpu backend found!")
        assert "Traceback" not in outcome.err

    def test_another_architecture_cannot_be_resumed(self, fitted: Path, tiny, command) -> None:
        path = fitted / "checkpoints" / "last.ckpt"
        options = ("--model.backbone.name=mobilenetv2_075", "--trainer.max_epochs=3")
        outcome = command("fit", "--plugin", tiny.plugin, "--ckpt_path", path, *options)
        assert outcome.code != 0
        assert "last.ckpt" in outcome.complaint
        assert "expected" in outcome.complaint
        assert len(outcome.complaint) < 800


class TestPrintConfig:
    """`--print_config` prints a configuration that leads back to the same run, and exits."""

    @pytest.mark.parametrize("option", ["--print_config", "--print_config=skip_null"])
    def test_the_printed_configuration_leads_to_the_same_run(self, tiny, command, option: str) -> None:
        change = ("--model.selector=RandomPatches", "--model.selector.patches=7")
        printed = command("fit", *tiny.options, *change, option)
        assert printed.code == 0, printed.err
        assert not Path("runs").exists()
        Path("printed.yaml").write_text(printed.out)
        short = ("--trainer.max_steps=0", "--trainer.limit_val_batches=0")
        for options in ((*tiny.options, *change), ("--plugin", str(tiny.plugin), "--config", "printed.yaml")):
            assert command("fit", *options, *short).code == 0
        first, second = (
            yaml.safe_load(Path(f"runs/tiny/version_{number}/config.yaml").read_text()) for number in (0, 1)
        )
        assert first == second
        assert first["model"]["init_args"]["selector"]["class_path"] == "RandomPatches"

    def test_an_unknown_flag_is_refused(self, tiny, command) -> None:
        outcome = command("fit", *tiny.options, "--print_config=everything")
        assert (outcome.code, outcome.complaint) == (
            2,
            "zoo fit: --print_config=everything: expected --print_config or --print_config=skip_null.",
        )


def test_stateful_callbacks_of_the_user_s_live_beside_ours(tiny, command) -> None:
    callbacks = """[
        {class_path: ModelCheckpoint, init_args: {save_top_k: -1, filename: 'mine-{epoch}'}},
        {class_path: ModelCheckpoint, init_args: {filename: last, dirpath: others, every_n_epochs: 2}},
        {class_path: EarlyStopping, init_args: {monitor: train/loss, patience: 9}},
        {class_path: EarlyStopping, init_args: {monitor: validation/sad, patience: 9}},
        {class_path: Timer, init_args: {duration: '01:00:00:00'}},
        {class_path: LearningRateMonitor}]"""
    outcome = command("fit", *tiny.options, f"--trainer.callbacks={callbacks}")
    assert outcome.code == 0, outcome.err
    files = {path.name for path in Path("runs/tiny/version_0/checkpoints").iterdir()}
    assert files == {"last.ckpt", "best.ckpt", "mine-epoch=0.ckpt", "mine-epoch=1.ckpt"}
    file = Path("runs/tiny/version_0/checkpoints/last.ckpt")
    kinds = Counter(key.partition("{")[0] for key in torch.load(file, weights_only=True)["callbacks"])
    assert (kinds["EarlyStopping"], kinds["Timer"]) == (2, 1), kinds
    resumed = ("--ckpt_path", file, "--trainer.max_epochs=3")
    outcome = command("fit", *tiny.options, f"--trainer.callbacks={callbacks}", *resumed)
    assert outcome.code == 0, outcome.err


def test_measuring_untrained_weights_says_so(tiny, fitted: Path, command) -> None:
    untrained = command("test", *tiny.options)
    assert untrained.code == 0, untrained.err
    assert "No checkpoint is given (--ckpt_path or --model.checkpoint): the network's weights are unt" in untrained.out
    trained = command("test", "--plugin", tiny.plugin, "--ckpt_path", fitted)  # the folder of a run
    assert trained.code == 0, trained.err
    assert "No checkpoint is given" not in trained.out


def test_the_folder_of_a_run_stands_for_its_last_checkpoint(tiny, fitted: Path) -> None:
    load_plugin(str(tiny.plugin))
    assert zoo.load(fitted).spec == zoo.load(fitted / "checkpoints" / "last.ckpt").spec


@pytest.mark.parametrize("emulated", [True, False])
def test_emulation_of_bfloat16_is_reported(tiny, command, monkeypatch: pytest.MonkeyPatch, emulated) -> None:
    monkeypatch.setattr("zoo.runner.lightning.emulates_bfloat16", lambda device: emulated and device.type == "cpu")
    outcome = command("test", *tiny.options, "--trainer.precision=bf16-mixed")
    assert outcome.code == 0, outcome.err
    assert ("--trainer.precision=32-true is faster" in outcome.out) is emulated
