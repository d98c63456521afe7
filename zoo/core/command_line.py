"""`zoo fit`, `validate`, `test` and `predict`: LightningCLI with plugins, run directories and errors that say what to do.

A run lives in `runs/<name>/<version>/`: config.yaml (everything resolved, registered names only), environment.json, metrics.csv, checkpoints/, pictures/.
"""

import argparse
import inspect
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from zoo.core import run
from zoo.core.arguments import expanded, pairs
from zoo.core.registry import SLOTS, PluginError, find_class, load_plugins, nearest
from zoo.core.training import DataModule, TrainingModule


STRICT = {"exit_on_error": False, "allow_abbrev": False}
"""Parser settings: errors are raised rather than printed under a wall of usage, and a misspelt option is never taken for a longer one."""


class CommandLineError(ValueError):
    """A command line that cannot be understood; the message is one sentence for the user."""


def run_command(command: str, arguments: list[str]) -> None:
    """Run one of Lightning's commands.

    Raises:
        CommandLineError: an unknown option, value or name, with the nearest known ones.
    """
    quiet()
    load_plugins()
    with expanded(command, arguments) as ready:
        try:
            ZooCLI([command, *ready])
        except argparse.ArgumentError as error:
            raise CommandLineError(sentence(str(error))) from None


def quiet() -> None:
    """Leave out what Lightning prints that helps nobody here: advertisements, and a deprecation inside Lightning itself."""
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*deprecated")
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda record: "Tip" not in record.getMessage()[:5])


class ZooCLI(LightningCLI):
    """LightningCLI for any training module and data module in the slots."""

    def __init__(self, args: list[str]) -> None:
        self.given = args
        super().__init__(
            TrainingModule,
            DataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_callback=RunRecord,
            save_config_kwargs={"save_to_log_dir": False},
            parser_kwargs={name: STRICT for name in self.subcommands()} | STRICT,
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="name of the run; its directory is RUNS/NAME/version_N")
        parser.add_argument("--runs", type=str, default="runs", help="where run directories are")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)
        check_registered(self.config[self.config.subcommand])
        for message in carried_over(parser, args, self.config):
            print(message)

    def _parse_ckpt_path(self) -> None:
        """Off: the checkpoint's settings came first, as a configuration file, so that the command line wins over them."""

    def before_instantiate_classes(self) -> None:
        settings = self.config[self.subcommand]
        self.record = CSVLogger(settings.runs, settings.name)
        loggers = settings.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            if isinstance(logger, Namespace) and logger.class_path.endswith("WandbLogger"):
                run.prepare_wandb(logger.init_args, settings.name, self.record.log_dir)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer")
        loggers = settings["logger"]
        others = loggers if isinstance(loggers, list) else [] if loggers in (None, True, False) else [loggers]
        callbacks = settings["callbacks"] or []
        callbacks = [*callbacks] if isinstance(callbacks, list) else [callbacks]
        if settings["enable_checkpointing"] is not False:
            callbacks += checkpoint_callbacks(self.model, self.datamodule)
        return super().instantiate_trainer(logger=[self.record, *others], callbacks=callbacks, **kwargs)


class RunRecord(Callback):
    """Writes config.yaml and environment.json into the run directory, and hands both to the loggers."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, save_to_log_dir: bool = False) -> None:
        self.settings = registered_names(yaml.safe_load(parser.dump(config, skip_none=False, format="yaml")))
        self.written = False

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        directory = trainer.log_dir
        if self.written or directory is None or not trainer.is_global_zero:
            return
        self.written = True
        environment = run.environment()
        run.write_text(Path(directory) / "config.yaml", yaml.safe_dump(self.settings, sort_keys=False))
        run.write_json(Path(directory) / "environment.json", environment)
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                logger.log_hyperparams({**self.settings, "environment": environment})


def checkpoint_callbacks(model: TrainingModule, data: DataModule | None) -> list[Callback]:
    """`last.ckpt` after every epoch, and `best.ckpt` by the module's monitored metric where there is a validation set."""
    callbacks: list[Callback] = [ModelCheckpoint(filename="last", enable_version_counter=False)]
    if getattr(data, "validation", None) is not None:
        callbacks.append(ModelCheckpoint(filename="best", monitor=model.monitor, mode="min", enable_version_counter=False))
    return callbacks


def registered_names(value: Any) -> Any:
    """Plain data with every class path of a registered class replaced by its name."""
    if isinstance(value, dict):
        replaced = {key: registered_names(item) for key, item in value.items()}
        if isinstance(path := replaced.get("class_path"), str) and path.rpartition(".")[2] in _by_path().get(path, ()):
            replaced["class_path"] = path.rpartition(".")[2]
        return replaced
    if isinstance(value, list):
        return [registered_names(item) for item in value]
    return value


def _by_path() -> dict[str, set[str]]:
    """Import path → registered names, of every plugin that loaded."""
    found: dict[str, set[str]] = {}
    for slot in SLOTS.values():
        if slot.base is not None:
            for name, cls in slot.load_all().items():
                found.setdefault(f"{cls.__module__}.{cls.__qualname__}", set()).add(name)
    return found


def check_registered(settings: Namespace) -> None:
    """CommandLineError when the model or data hold a class that no slot has: it could not be saved by name."""
    known = _by_path()
    for key in ("model", "data"):
        for path in class_paths(settings.get(key)):
            if path not in known:
                raise CommandLineError(
                    f"{path} is used in {key} but not registered as a plugin: add an entry point for it, or give its file with --plugin."
                )


def class_paths(value: Any) -> list[str]:
    """Every class_path in parsed settings."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        own = [value["class_path"]] if isinstance(value.get("class_path"), str) else []
        return own + [path for item in value.values() for path in class_paths(item)]
    if isinstance(value, list):
        return [path for item in value for path in class_paths(item)]
    return []


def carried_over(parser: LightningArgumentParser, args: list[str], config: Namespace) -> list[str]:
    """Messages about arguments that a newly chosen class inherits from the one it replaces, a hidden confound of ablations.

    jsonargparse keeps arguments of equal names when the class of a slot changes.
    """
    command, given = args[0], list(pairs(args[1:]))
    chosen = [option[2:] for option, value in given if re.fullmatch(r"--(model|data)\.[\w.]+", option) and value and value[:1].isupper()]
    configs = [item for option, value in given if option in ("--config", "-c") and value for item in (option, value)]
    if not chosen or not configs:
        return []
    before = parser.parse_args([command, *configs])[command]
    after = config[command]
    messages = []
    for slot in chosen:
        old, new = find_slot(before, slot), find_slot(after, slot)
        if old is None or new is None or old.class_path == new.class_path:
            continue
        spoken = {option.removeprefix(f"--{slot}.") for option, _ in given}
        kept = [
            f"{name}={value}"
            for name, value in vars(new.get("init_args") or Namespace()).items()
            if name in vars(old.get("init_args") or Namespace()) and name not in spoken and value == old.init_args[name]
        ]
        if kept:
            messages.append(f"{slot}: {new.class_path.rpartition('.')[2]} keeps {', '.join(kept)} from {old.class_path.rpartition('.')[2]}.")
    return messages


def find_slot(settings: Namespace, path: str) -> Namespace | None:
    """The settings of one slot, addressed as on the command line (`model.selector`)."""
    value: Any = settings
    for key in path.split("."):
        if isinstance(value, Namespace) and "init_args" in value:
            value = value.init_args
        value = value.get(key) if isinstance(value, Namespace | dict) else None
    return value if isinstance(value, Namespace) and "class_path" in value else None


def sentence(message: str) -> str:
    """One sentence out of the parser's message: what was not understood, where, and the nearest known names."""
    message = " ".join(message.split())
    owner = class_name(re.findall(r"Problem with given class_path '([\w.]+)'", message))
    if option := re.search(r"Option '([\w.]+)' is not accepted", message):
        return unknown_argument(owner, option[1])
    if name := re.search(r"(?:Expected a dot import path string|Unable to import (?:module|class)?):? ?'?([\w.]+)", message):
        return unknown_class(name[1])
    wrong = re.findall(r"Parser key \"([\w.]+)\": (Expected .*?)\. Got value: (.*?)(?: - |$)", message)
    if wrong:
        key, expected, got = wrong[-1]
        expected = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", expected[0].lower() + expected[1:])
        return f"{f'{owner}: ' if owner else ''}{key} got '{got}', {expected}."
    if unrecognized := re.search(r"[Uu]nrecognized arguments: (--[\w.]+)", message):
        return f"there is no option {unrecognized[1]}{nearest(unrecognized[1], options(), listed=False)} `--help` lists them all."
    return message[:600]


def options() -> list[str]:
    """The top-level and trainer options of Lightning's commands."""
    own = ["--config", "--name", "--runs", "--seed_everything", "--model", "--data", "--ckpt_path", "--plugin"]
    return own + [f"--trainer.{name}" for name in inspect.signature(Trainer.__init__).parameters if name != "self"]


def class_name(paths: list[str]) -> str:
    """The name of the innermost class that the parser was busy with."""
    return paths[-1].rpartition(".")[2] if paths else ""


def unknown_argument(owner: str, argument: str) -> str:
    """The sentence about an argument that a plugin does not have."""
    try:
        known = [name for name in inspect.signature(find_class(owner).__init__).parameters if name not in ("self", "args", "kwargs")]  # type: ignore[misc]
    except PluginError:
        known = []
    return f"{owner} has no argument '{argument}'{nearest(argument, known)}"


def unknown_class(name: str) -> str:
    """The sentence about a class that is not known, or not usable."""
    for slot in SLOTS.values():
        if name in slot.failures:
            try:
                slot.get(name)
            except PluginError as error:
                return str(error)
    known = [known for slot in SLOTS.values() if slot.base is not None for known in slot.names()]
    return f"there is no plugin named '{name}'{nearest(name, known, listed=False)} `zoo list` shows what there is."
