"""What a run writes besides Lightning's own files, and that W&B just works, with or without a key."""

import builtins
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonargparse import Namespace

from zoo.core.files import write_json, write_text
from zoo.measure.environment import environment
from zoo.media.images import read_image
from zoo.runner import wandb as runner_wandb


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody ever logged in to W&B, and nobody answers questions."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))

    def ask(*_: Any) -> None:
        raise AssertionError("W&B asked a question")

    monkeypatch.setattr(builtins, "input", ask)
    monkeypatch.setattr("getpass.getpass", ask)


def records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: protocol buffers in LevelDB's log format, 7 bytes and blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def contents(items: Any) -> dict[str, Any]:
    """Keys and values of a record's items."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def test_an_offline_run_needs_no_key_and_can_be_read_back(no_key, tiny, command, monkeypatch) -> None:
    import wandb

    monkeypatch.setattr(sys, "stdin", None)
    outcome = command("fit", *tiny.options, "--trainer.logger=WandbLogger", "--trainer.max_epochs=1")
    directory = Path("runs/tiny/version_0")
    assert outcome.code == 0, outcome.err
    assert "exists and is not empty" not in outcome.err
    assert "W&B: no API key found (`wandb login` once to log online), logging offline" in outcome.out
    assert wandb.run is None, "finished, so that the next run of this process is another one"
    (file,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    found = list(records(file))

    (started,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (started.project, started.display_name) == ("ablation-zoo", "tiny-version_0")

    config = {key: value for record in found for key, value in contents(record.config.update).items()}
    saved = yaml.safe_load((directory / "config.yaml").read_text())
    assert config["model"] == saved["model"]
    assert config["data"] == saved["data"]
    assert config["model"]["init_args"]["selector"]["class_path"] == "TopK"
    assert config["environment"]["versions"]["torch"]

    history = [contents(record.history.item) for record in found if record.WhichOneof("record_type") == "history"]
    assert [step["train/loss"] for step in history if "train/loss" in step]
    assert [step["validation/sad"] for step in history if "validation/sad" in step]

    pictures = [item.path for record in found for item in record.files.files if "validation/pictures" in item.path]
    assert pictures
    logged = read_image(file.parent / "files" / pictures[0])
    assert np.array_equal(logged, read_image(directory / "pictures" / "epoch_0000.png"))
    (captions,) = [step["validation/pictures.captions"] for step in history if "validation/pictures.captions" in step]
    assert "alpha | error map | refined cells | composite" in captions[0]
    assert [record.exit.exit_code for record in found if record.WhichOneof("record_type") == "exit"] == [0]

    files = {path.name for path in directory.iterdir()}
    assert files == {"config.yaml", "environment.json", "metrics.csv", "checkpoints", "pictures", "wandb"}
    assert {path.name for path in Path.cwd().iterdir()} <= {"runs", "tiny.py", "tiny.yaml", "home", "__pycache__"}


@pytest.mark.parametrize("logger", ["--trainer.logger=false", "--trainer.logger=true", "--trainer.logger=CSVLogger"])
def test_csv_is_there_without_another_logger(tiny, command, logger: str) -> None:
    extra = ["--trainer.logger.save_dir=mine"] if logger.endswith("CSVLogger") else []
    outcome = command("fit", *tiny.options, logger, *extra, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1")
    assert outcome.code == 0, outcome.err
    assert Path("runs/tiny/version_0/metrics.csv").is_file()
    assert not Path("lightning_logs").exists()


class TestPrepareWandb:
    def settings(self, **given: Any) -> Namespace:
        return Namespace(**({"name": None, "save_dir": ".", "project": "lightning_logs", "offline": False} | given))

    def test_it_fills_in_what_was_not_given(self, no_key, tmp_path: Path) -> None:
        settings = self.settings()
        runner_wandb.prepare_wandb(settings, "tiny", str(tmp_path / "version_3"))
        assert (settings.name, settings.project, settings.offline) == ("tiny-version_3", "ablation-zoo", True)
        assert settings.save_dir == str(tmp_path / "version_3")

    def test_it_leaves_what_was_given(self, no_key, tmp_path: Path) -> None:
        settings = self.settings(name="mine", project="ours", save_dir="elsewhere")
        runner_wandb.prepare_wandb(settings, "tiny", str(tmp_path))
        assert (settings.name, settings.project, settings.save_dir) == ("mine", "ours", "elsewhere")

    @pytest.mark.parametrize("origin", ["WANDB_API_KEY", "netrc", "WANDB_MODE"])
    def test_it_stays_online_where_that_can_be(
        self, no_key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str
    ) -> None:
        if origin == "netrc":
            Path(os.environ["HOME"]).mkdir()
            Path(os.environ["NETRC"]).write_text("machine api.wandb.ai\n  login user\n  password secret\n")
        else:
            monkeypatch.setenv(origin, {"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "disabled"}[origin])
        monkeypatch.setattr(runner_wandb, "reachable", lambda: True)
        settings = self.settings()
        runner_wandb.prepare_wandb(settings, "tiny", str(tmp_path))
        assert settings.offline is False

    def test_another_machine_s_password_is_no_key(self, no_key) -> None:
        Path(os.environ["HOME"]).mkdir()
        Path(os.environ["NETRC"]).write_text("machine example.org\n  login user\n  password secret\n")
        assert not runner_wandb.has_wandb_key()


class TestWriting:
    def test_a_file_appears_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "deep" / "config.yaml"
        write_text(file, "a: ä\n")
        assert file.read_text(encoding="utf-8") == "a: ä\n"

        def fail(*_: Any) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_text(file, "b")
        assert file.read_text(encoding="utf-8") == "a: ä\n"

    def test_json_is_readable_again(self, tmp_path: Path) -> None:
        write_json(tmp_path / "x.json", {"a": [1, None]})
        assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1, None]}


def test_the_environment_is_plain_data() -> None:
    assert json.loads(json.dumps(environment())) == environment()
