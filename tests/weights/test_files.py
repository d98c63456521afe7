"""Checkpoints are replaced only by complete ones, wherever temporary files lie."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.weights.files import CheckpointFiles, remove_unfinished

WRITE = """
import sys, torch
from zoo.weights.files import CheckpointFiles
content = {"state_dict": {"weight": torch.full((5_000_000,), 2.0)}}
print("ready", flush=True)
while True:
    CheckpointFiles().save_checkpoint(content, sys.argv[1])
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Make a folder for temporary files, on another file system than the test's where there is one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder)


def test_killing_a_process_while_it_saves_leaves_a_complete_checkpoint(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "run" / "last.ckpt"
    CheckpointFiles().save_checkpoint({"state_dict": {"weight": torch.ones(5_000_000)}}, path)
    whole = path.stat().st_size
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", WRITE, path], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while not any(0 < size(file) < whole for file in path.parent.glob(".last.*")):
            time.sleep(0)
        process.send_signal(signal.SIGKILL)
    weights = torch.load(path, weights_only=True)["state_dict"]["weight"]
    assert weights.unique().tolist() in ([1.0], [2.0])
    assert not list(temporary.iterdir())
    assert list(path.parent.glob(".last.*"))
    remove_unfinished(path.parent)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_is_being_written_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def resumed_meanwhile(content: Any, file: Any) -> None:
        save(content, file)
        remove_unfinished(tmp_path)

    monkeypatch.setattr(torch, "save", resumed_meanwhile)
    CheckpointFiles().save_checkpoint({"state_dict": {}}, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").is_file()


def size(file: Path) -> int:
    """Return the size of a file that may be gone."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
