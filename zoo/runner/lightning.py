"""`zoo fit`, `validate`, `test` and `predict`: LightningCLI with plugins, run directories and helpful errors.

A run lives in `runs/<name>/<version>/`: config.yaml (everything resolved, registered names only), environment.json,
metrics.csv, checkpoints/, pictures/.
"""

import argparse
import errno
import logging
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Union, get_args

from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.model_helpers import is_overridden

from zoo.core.errors import ZooError
from zoo.core.files import write_json, write_text, writing
from zoo.core.nested import class_names
from zoo.core.plain_yaml import from_yaml, to_yaml
from zoo.core.registry import find_class, load_plugins, slots
from zoo.measure.environment import environment
from zoo.measure.machine import emulates_bfloat16
from zoo.media.progress import shown, waiting
from zoo.runner.arguments import expanded
from zoo.runner.parser_errors import CommandLineError, raised_by_part, sentence
from zoo.runner.progress import RunProgress
from zoo.runner.values import MODE, imported
from zoo.runner.wandb import begin_wandb, prepare_wandb
from zoo.training.checks import check_monitors, check_schedule
from zoo.training.data import DataModule
from zoo.training.module import TrainingModule
from zoo.weights.files import CheckpointFiles
from zoo.weights.published import is_safetensors
from zoo.weights.reading import progress

STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False, "parser_mode": MODE}
"""Parser settings: errors are raised instead of printed, and a misspelt option never matches a longer one."""

PRINT = "--print_config"
"""The option that prints the resolved configuration instead of running."""

PARSERS: dict[tuple[type, str], dict[str, Any]] = {}
"""Cache of `ZooCLI.setup_parser`, by class and command. A parser finds plugins when it is used."""


def run_command(command: str, arguments: list[str]) -> None:
    """Run one of Lightning's commands.

    Raises:
        CommandLineError: an unknown option, value or name, with the nearest known ones, or an invalid setting of
            Lightning.
    """
    quiet()
    interrupt = signal.getsignal(signal.SIGINT)
    if any(option.endswith(("help", "-h")) for option in arguments):
        load_plugins()  # help lists the classes of every slot
    with expanded(command, arguments) as ready, wandb_finished():
        try:
            ZooCLI([command, *ready])
        except FinishedError as error:
            print(error)
        except SIGTERMException as error:
            print(f"zoo {command}: asked to end (SIGTERM).", file=sys.stderr)
            raise SystemExit(128 + signal.SIGTERM) from error
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning's way of ending after Ctrl-C
                signal.signal(signal.SIGINT, interrupt)  # which it ignores from then on
                raise KeyboardInterrupt from None
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            place = error.filename or f"the run, or a temporary folder ({tempfile.gettempdir()}),"
            raise ZooError(f"the disk of {place} is full: make room, then resume with --ckpt_path.") from error
        except RuntimeError as error:
            if not re.search("shared memory|Bus error", str(error)):
                raise
            raise ZooError(
                f"the processes that read data have no room in shared memory ({str(error).rstrip('.')}): give "
                "--data.workers=0, or a larger /dev/shm (docker run --shm-size=8g)."
            ) from error
        except argparse.ArgumentError as error:
            files = [Path(path) for option, path in pairwise(ready) if option == "--config"]
            settings = [from_yaml(file.read_text(encoding="utf-8")) for file in files]
            raise CommandLineError(sentence(command, str(error), settings)) from None
        except MisconfigurationException as error:
            raise CommandLineError(str(error)) from error


class ZooParser(LightningArgumentParser):
    """Parser that keeps whole numbers whole where a float is accepted as well.

    The parser tries the types of a union in their order, and `typing` caches unions without regard to their order: what
    another library has imported before would decide whether `--trainer.limit_train_batches=1` is one batch or all.
    """

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        action = super().add_argument(*args, **kwargs)
        types = get_args(getattr(action, "_typehint", None))  # which jsonargparse has made by now, with no other access
        if {int, float} <= set(filter(callable, types)):
            action._typehint = Union[tuple(sorted(types, key=lambda each: each is not int))]  # noqa: UP007
        return action


class FinishedError(Exception):
    """A run that is to be resumed has nothing left to do."""


@contextmanager
def wandb_finished() -> Iterator[None]:
    """Finish the W&B run after the block, so that the next command in this process starts another run."""
    failed = 1
    try:
        yield
        failed = 0
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish(exit_code=failed)


def quiet() -> None:
    """Suppress Lightning's advertisements and warnings that a user cannot act on."""
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*deprecated")
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    warnings.filterwarnings("ignore", message=r"Total length of `list` across ranks is zero")  # no validation
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # model.frozen asks for it
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(is_not_tip)


def is_not_tip(record: logging.LogRecord) -> bool:
    """Return whether a log message is not one of Lightning's advertisements."""
    return not record.getMessage().startswith(("💡 Tip", "Tip", "TPU available"))


class ZooCLI(LightningCLI):
    """LightningCLI for any training module and data module in the slots; the first argument is the command."""

    def __init__(self, args: list[str]) -> None:
        self.command = args[0]
        super().__init__(
            TrainingModule,
            DataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_callback=RunRecord,  # type: ignore[arg-type]  # any callback that takes parser and settings will do
            save_config_kwargs={"save_to_log_dir": False},
            load_from_checkpoint_support=False,  # parts remember their own arguments
            parser_class=ZooParser,
            parser_kwargs=dict.fromkeys(self.subcommands(), STRICT) | STRICT,
            args=args,
        )

    def setup_parser(self, *arguments: Any, **named: Any) -> None:
        """Make the parser once, since it takes a third of a second and a study runs many commands."""
        names = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")
        key = (type(self), self.command)
        if key not in PARSERS:
            super().setup_parser(*arguments, **named)
            PARSERS[key] = {name: getattr(self, name) for name in names}
        vars(self).update(PARSERS[key])

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # make one parser, not four
        return {self.command: LightningCLI.subcommands()[self.command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.usage = f"zoo {self.command} --config FILE [options]"
        parser.add_argument(
            "--name", type=str, default="run", help="name of the run; its directory is RUNS/NAME/version_N"
        )
        parser.add_argument("--runs", type=str, default="runs", help="folder of the run directories")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        # Use the command's own parser, since the top-level parser would parse everything twice.
        own = self._parser(self.command)
        printing = [word for word in args[1:] if word.partition("=")[0] == PRINT]
        settings = own.parse_args([word for word in args[1:] if word not in printing])
        check_registered(settings)
        if printing:
            print(to_yaml(printed(plain(own, settings), printing[-1].partition("=")[2])), end="")
            raise SystemExit(0)
        self.config = Namespace(subcommand=self.command, **{self.command: settings})

    def _parse_ckpt_path(self) -> None:
        """Do nothing: the checkpoint's settings are the first configuration file, so that the command line wins."""

    def before_instantiate_classes(self) -> None:
        settings = self.config[self.subcommand]
        if (
            self.subcommand != "fit"
            and not settings.get("ckpt_path")
            and not settings.model.init_args.get("checkpoint")
        ):
            print("No checkpoint is given (--ckpt_path or --model.checkpoint): the network's weights are untrained.")
        if self.subcommand == "fit" and settings.get("ckpt_path"):
            check_unfinished(settings.ckpt_path, settings.trainer)
        check_folder(Path(settings.runs, settings.name))
        # Saved before W&B's settings are completed, which belong to this run and not to its configuration.
        self.save_config_kwargs["settings"] = plain(self._parser(self.subcommand), settings)
        self.record = CSVLogger(settings.runs, settings.name)
        self.prints_results = settings.get("verbose", False)
        settings.verbose = False  # Lightning's table cuts names
        loggers = settings.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            if isinstance(logger, Namespace) and logger.class_path.endswith("WandbLogger"):
                # Make the run's directory before W&B writes into it, which would look like an older run.
                _ = self.record.experiment
                prepare_wandb(logger.init_args, settings.name, self.record.log_dir)

    def before_fit(self) -> None:
        """Check what would fail, or be ignored, after an epoch of training."""
        check_schedule(self.model, self.datamodule, self.trainer)
        check_monitors(self.model, self.datamodule, self.trainer)
        self.begin_records()

    def begin_records(self) -> None:
        """Make the run directory, and begin the W&B run if there is one; both may fail before anything is computed."""
        with writing(Path(self.record.log_dir), "choose another folder with --runs, or make room"):
            _ = self.record.experiment
        begin_wandb(self.trainer.loggers)
        bar = self.trainer.progress_bar_callback
        if isinstance(bar, RunProgress) and self.trainer.is_global_zero:
            bar.prepare()

    before_validate = before_test = before_predict = begin_records

    def after_fit(self) -> None:
        """Print where the run is, and the next command."""
        folder = Path(self.record.log_dir)
        files = [file for name in ("best", "last") if (file := folder / "checkpoints" / f"{name}.ckpt").is_file()]
        if files and self.trainer.is_global_zero:
            print(f"The run is in {folder}. Next: {self.following('fit').format(files[0])}")

    def following(self, command: str) -> str:
        """Return the command that follows another one, with {} for the checkpoint."""
        tests = is_overridden("test_step", self.model) and getattr(self.datamodule, "test", True)
        return "zoo test --ckpt_path {}" if command != "test" and tests else "zoo export {} --format safetensors"

    def after_validate(self) -> None:
        """Print the metrics with their whole names, and where they are."""
        if not self.prints_results or not self.trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        width = max(map(len, values), default=0)
        for name, value in sorted(values.items()):
            print(f"{name:<{width}}  {value:.6g}")
        file, checkpoint = Path(self.record.log_dir) / "metrics.csv", self.config[self.subcommand].get("ckpt_path")
        command = self.following(self.command).format(checkpoint)
        exported = self.command == "test" and is_safetensors(checkpoint or "")
        print(f"These are in {file}.{f' Next: {command}' if checkpoint and not exported else ''}")

    after_test = after_validate

    def after_predict(self) -> None:
        """Print where the run is; where its results are says the part that wrote them."""
        settings = getattr(self.datamodule, "predict", None)
        if self.trainer.is_global_zero and (output := getattr(settings, "output", None)):
            print(f"The results are in {output}.")

    def instantiate_classes(self) -> None:
        try:
            with waiting("Building the model and the data"):
                super().instantiate_classes()
        except ValueError as error:
            raise raised_by_part(error) from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        if self.command == "fit":
            self.model.check_trainable()
        settings = self._get(self.config_init, "trainer")
        loggers = settings["logger"]
        others = loggers if isinstance(loggers, list) else [] if loggers in (None, True, False) else [loggers]
        callbacks = settings["callbacks"] or []
        callbacks = [*callbacks] if isinstance(callbacks, list) else [callbacks]
        if settings["enable_checkpointing"] is not False:
            callbacks += checkpoint_callbacks(self.model, self.datamodule)
        if not any(isinstance(callback, ProgressBar) for callback in callbacks):
            if settings["enable_progress_bar"] is not False and shown():
                callbacks.append(RunProgress())
            else:
                kwargs["enable_progress_bar"] = False
        plugins = settings["plugins"] or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, CheckpointFiles()]
        if self.subcommand == "fit" and is_safetensors(self.config.fit.get("ckpt_path") or ""):
            print("A published file has no state of a training: this one begins at its first step, with its weights.")
        try:
            trainer = super().instantiate_trainer(logger=[self.record, *others], callbacks=callbacks, **kwargs)
        except ValueError as error:  # a setting of --trainer that only Lightning can judge
            raise CommandLineError(str(error)) from error
        if trainer.precision.startswith("bf16") and emulates_bfloat16(trainer.strategy.root_device):
            print("This processor has no AVX-512 and emulates bfloat16: --trainer.precision=32-true is faster.")
        return trainer


def check_unfinished(path: str, trainer: Namespace) -> None:
    """Raise FinishedError where the training in a checkpoint has all the epochs or steps that are asked for."""
    for unit, done in zip(("epochs", "steps"), progress(path), strict=True):
        limit = trainer[f"max_{unit}"]
        if limit is not None and 0 <= limit <= done:
            raise FinishedError(
                f"Nothing is left to do: {path} has {done} {unit}, and --trainer.max_{unit} is {limit}; a higher "
                "number continues the training."
            )


def check_folder(folder: Path) -> None:
    """Raise CommandLineError unless a folder can be made or written to; nothing is made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        problem = "cannot be written to" if there.is_dir() else "is a file"
        raise CommandLineError(f"{there} {problem}, so there is no place for the run: give another --runs or --name.")


class RunRecord(Callback):
    """Callback that writes config.yaml, environment.json and, after an error, error.txt into the run directory."""

    def __init__(
        self,
        parser: LightningArgumentParser,
        config: Namespace,
        settings: dict[str, Any],
        save_to_log_dir: bool = False,
    ) -> None:
        self.settings = settings
        self.written = False

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        directory = trainer.log_dir
        if self.written or directory is None or not trainer.is_global_zero:
            return
        self.written = True
        recorded = environment(self.settings["trainer"]["accelerator"])
        write_text(Path(directory) / "config.yaml", to_yaml(self.settings))
        write_json(Path(directory) / "environment.json", recorded)
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                logger.log_hyperparams({**self.settings, "environment": recorded})

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        if self.written and trainer.log_dir is not None and isinstance(exception, Exception):
            file = Path(trainer.log_dir) / "error.txt"
            with suppress(OSError):  # as on a full disk, which may be the error itself
                write_text(file, "".join(traceback.format_exception(exception)))
                exception.add_note(f"The traceback is in {file}.")


class RunCheckpoint(ModelCheckpoint):
    """Checkpoint of every run; a class of its own, since Lightning saves one state for each class and arguments."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore nothing: a resumed run has its own directory, whose best checkpoint is its own."""

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Save the epoch of which only the validation was cut short, as by Ctrl-C."""
        alone = isinstance(exception, KeyboardInterrupt) or trainer.world_size == 1  # saving needs all processes
        if self.monitor is None and trainer.validating and self.dirpath is not None and alone:
            trainer.save_checkpoint(Path(self.dirpath) / "last.ckpt")


def checkpoint_callbacks(model: TrainingModule, data: DataModule | None) -> list[Callback]:
    """Return the callbacks that write `last.ckpt` after every epoch and, with a validation set, `best.ckpt`."""
    callbacks: list[Callback] = [
        RunCheckpoint(filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    ]
    if getattr(data, "validation", None) is not None:
        callbacks.append(
            RunCheckpoint(filename="best", monitor=model.monitor, mode="min", enable_version_counter=False)
        )
    return callbacks


def plain(parser: ArgumentParser, settings: Namespace) -> dict[str, Any]:
    """Return parsed settings as plain data with registered names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated option, whose successor older versions lack
        text = parser.dump(settings, skip_none=False, format=MODE, skip_validation=True)
    return registered_names(from_yaml(text), names_by_class())


def printed(settings: dict[str, Any], flags: str) -> dict[str, Any]:
    """Return resolved settings as `--print_config` shows them: `--config` takes them back to the same run.

    Args:
        settings: as from `plain`.
        flags: separated by commas; `skip_null` leaves out what is null.

    Raises:
        CommandLineError: an unknown flag.
    """
    unknown = set(filter(None, flags.split(","))) - {"skip_null"}
    if unknown:
        raise CommandLineError(f"{PRINT}={flags}: expected {PRINT} or {PRINT}=skip_null.")
    settings = {key: value for key, value in settings.items() if key != "config"}
    return without_null(settings) if flags else settings


def without_null(value: Any) -> Any:
    """Return plain data without the keys whose value is null."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    return value


def registered_names(value: Any, known: Mapping[type, Collection[str]]) -> Any:
    """Return plain data with registered names for class paths; `known` as from `names_by_class`."""
    if isinstance(value, dict):
        replaced = {key: registered_names(item, known) for key, item in value.items()}
        path = replaced.get("class_path")
        if isinstance(path, str) and (name := path.rpartition(".")[2]) in known.get(imported(path), ()):
            replaced["class_path"] = name
        return replaced
    if isinstance(value, list):
        return [registered_names(item, known) for item in value]
    return value


def names_by_class() -> dict[type, set[str]]:
    """Return the registered names of all imported plugins by class."""
    names: dict[type, set[str]] = {}
    for slot in slots().values():
        if slot.base is not None:
            for name, cls in slot.classes().items():
                names.setdefault(cls, set()).add(name)
    return names


def check_registered(settings: Namespace) -> None:
    """Check that every class in the model and data is registered, so that it can be saved by name.

    Raises:
        CommandLineError: a class that is not registered.
        PluginError: a broken class or an ambiguous name.
    """
    paths = [(key, path) for key in ("model", "data") for path in class_names(settings.get(key))]
    if not {imported(path) for _, path in paths} <= names_by_class().keys():
        load_plugins()  # an import path may belong to a registered class
    known = names_by_class()
    for key, path in paths:
        if imported(path) in known:
            continue
        name = path.rpartition(".")[2]
        if any(name in slot.failures for slot in slots().values()):
            find_class(name)  # raises PluginError
        raise CommandLineError(
            f"{path} is used in {key} but not registered as a plugin: add an entry point for it, or give its file "
            "with --plugin."
        )
