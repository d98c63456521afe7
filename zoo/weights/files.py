"""How Lightning writes and reads the checkpoints of a run: atomically; published files are read too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch
import torch
from filelock import FileLock, Timeout
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from zoo.core.files import replacing, writing
from zoo.weights import published


class CheckpointFiles(TorchCheckpointIO):
    """Writer that replaces a checkpoint only by a complete one, and reader that accepts published files.

    Lightning's own writes to the folder for temporary files first, and copies where that is on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint next to its final name, wait for the disk, rename it.

        Raises:
            ZooError: it cannot be written, as on a full disk; the file that was there before is intact.
        """
        if "://" in str(path):  # of a remote file system
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        advice = "make room, then resume with --ckpt_path from the last complete checkpoint"
        path = Path(path)
        with writing(path, advice), saving(path.parent), replacing(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None
            file.flush()
            os.fsync(file.fileno())

    def load_checkpoint(self, path: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return the content of a checkpoint; of a published file, its weights at the start of training."""
        if not published.is_safetensors(path):
            return super().load_checkpoint(path, *arguments, **named)
        start = {"epoch": 0, "global_step": 0, "optimizer_states": [], "lr_schedulers": []}
        return published.read(str(path)) | start | {"pytorch-lightning_version": lightning.pytorch.__version__}


def remove_unfinished(folder: Path) -> None:
    """Remove the checkpoints in a folder that a killed process was writing, unless a living one writes there."""
    if left := list(folder.glob(".*.ckpt")):
        with suppress(Timeout, OSError), saving(folder, timeout=0):
            for path in left:
                path.unlink(missing_ok=True)


@contextmanager
def saving(folder: Path, timeout: float = -1) -> Iterator[None]:
    """Lock the checkpoints in a folder, which is made if it does not exist, while the block runs.

    Raises:
        Timeout: another process has had them locked for this many seconds; −1 waits for ever.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".saving.lock"
    with FileLock(lock, timeout=timeout):
        try:
            yield
        finally:
            with suppress(OSError):  # some systems keep files that are open
                lock.unlink()
