"""What the LightningModules of all tasks share.

A network is built from its parts and knows nothing of training; a training module adds loss terms, one learning rate a
part, and logging. What it writes into a checkpoint is enough to rebuild it, and its data, without any YAML.
"""

import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.parts import LossTerm
from zoo.core.seeding import random_stream, run_seed
from zoo.core.slots import nearest
from zoo.core.spec import Part
from zoo.hub.pull import weights_file
from zoo.training.data import DataModule
from zoo.training.sampling import ResumableLoader
from zoo.weights.checkpoint import read_weights, rebuild
from zoo.weights.record import describe, record
from zoo.weights.state import check_fit, load_parts, network_weights
from zoo.weights.torchscript import is_torchscript, read_torchscript

Schedule = Literal["constant", "cosine", "plateau"]


class TrainingModule(Part, LightningModule):
    """A network with its training.

    A subclass makes its network, hands it over with the rest, and implements `compute`:

        super().__init__(network, losses, learning_rates, output=MattingOutput, batch=MattingBatch,
        checkpoint=checkpoint)

    Args:
        network: pure torch; its direct children are the parts that learning rates and warm starts speak of.
        losses: loss terms by name.
        learning_rates: Adam's learning rate for each child of the network that has parameters.
        schedule: `constant`; `cosine`, all learning rates fall to 0 along half a cosine over `trainer.max_epochs`; or
            `plateau`, all are halved when `monitor` has not improved for 8 epochs, down to 1e-6.
        output, batch: the record types that the loss terms may read.
        checkpoint: start from these weights (a warm start, not a resume: see `zoo fit --ckpt_path`).

    Raises:
        ValueError: a loss term reads a field that nothing produces, a learning rate is missing or names no part.
    """

    network: nn.Module
    monitor: str
    """The logged metric, lower is better, by which `best.ckpt` is chosen."""

    record: Mapping[str, Any] | None = None
    """What the checkpoint says that this module was rebuilt from, see `zoo.weights.checkpoint`."""

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, LossTerm],
        learning_rates: Mapping[str, float],
        *,
        output: type,
        batch: type,
        schedule: Schedule = "constant",
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        check_losses(losses, output, batch)
        check_learning_rates(learning_rates, network)
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule={schedule!r}: expected one of {', '.join(get_args(Schedule))}.")
        # Convolutions are faster with the channels innermost, on CPUs as on GPUs.
        self.network = network.to(memory_format=torch.channels_last)
        self.losses = nn.ModuleDict(losses)
        self.learning_rates = dict(learning_rates)
        self.schedule = schedule
        if checkpoint is not None:
            self.warm_start(checkpoint)

    @abstractmethod
    def compute(self, batch: Any) -> Any:
        """The network's output for a batch, everything that loss terms and metrics read in it."""

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """The network's forward."""
        return self.network(*inputs, **named)

    # What studies ask

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Inputs of `forward` for one picture of this size, on torch's current default device."""
        raise NotImplementedError(f"{type(self).__name__} cannot be studied: it does not implement example.")

    def drawn_example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """As `example`, on the CPU, with a drawn picture: how long a network takes may depend on what it sees."""
        return self.example(height, width)

    def metric_names(self, data: DataModule) -> set[str]:
        """The names of all metrics that validation and test log for this data: `validation/sad`, `test/one/sad`.

        For intervals over images, `test_step` also returns `{"samples": [{"sad": value}, …]}`, one a sample.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be studied: it does not implement metric_names.")

    def test_tiles(self, batch: Any, output: Any, count: int, side: int) -> list[dict[str, np.ndarray]]:
        """What a report shows of the first `count` samples of a test batch: named tiles, uint8 (h, w, 3), no side
        longer than `side`. The last is this network's own result, those before it are the same for every network.

        It is asked for the `output` that `test_step` returns, `{"output": output, …}`; nothing is shown by default.
        """
        return []

    # What exporting asks

    size_step = 1
    """Sides of pictures are multiples of this many pixels in an exported network of dynamic size."""
    square = False
    """Whether pictures are square."""

    def fit_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        """Make the network ready for pictures of one size.

        Args:
            size: height and width; None for pictures as it was trained on.

        Returns:
            Height and width.

        Raises:
            ValueError: a size that it cannot take, or none is known.
        """
        if size is None:
            raise ValueError(f"{type(self).__name__} does not say which size it was trained on: give one with --size.")
        return size

    def output_differences(
        self, inputs: tuple[Tensor, ...], expected: Mapping[str, Tensor], got: Mapping[str, Tensor]
    ) -> dict[str, float]:
        """How far an exported network's outputs `got` are from the `expected` ones: the largest difference by output,
        relative to numbers above 1.
        """
        return {name: largest_difference(value, got[name]) for name, value in expected.items()}

    # Training

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        # Dropout and random selection draw from a stream of this step's own, so that a resumed run draws what the
        # uninterrupted one did.
        with random_stream(run_seed(), "step", self.current_epoch, batch_idx, self.global_rank, device=self.device):
            output = self._computed(batch)
        total, terms = self.loss(output, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def _computed(self, batch: Any) -> Any:
        """The network's output for a training batch; ValueError for one that BatchNorm can make nothing of."""
        try:
            return self.compute(batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # torch has no error of its own for it
                raise
            raise ValueError(
                "a batch of one, of pictures so small that a single pixel of their deepest features is left, has no "
                "variance for BatchNorm to train with: raise --data.batch_size, or give larger pictures."
            ) from error

    def loss(self, output: Any, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the terms, and each term unweighted; in float32 whatever the training precision.

        Raises:
            FloatingPointError: a term is not finite.
        """
        output, batch = in_float32(output), in_float32(batch)
        with torch.autocast(self.device.type, enabled=False):
            terms = {name: term(output, batch) for name, term in self.losses.items() if term.weight != 0}
        total = torch.stack([self.losses[name].weight * value for name, value in terms.items()]).sum()
        if not math.isfinite(total.item()):
            broken = ", ".join(
                f"{name}={value.item():g}" for name, value in terms.items() if not math.isfinite(value.item())
            )
            raise FloatingPointError(
                f"the loss is not finite at step {self.global_step} ({broken or f'sum={total.item():g}'}); the last "
                "checkpoint is intact: "
                "lower the learning rates, clip gradients (--trainer.gradient_clip_val=1) or train with "
                "--trainer.precision=32."
            )
        return total, terms

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": list(part.parameters()), "lr": self.learning_rates[name], "name": name}
            for name, part in self.network.named_children()
            if any(True for _ in part.parameters())
        ]
        optimizer = torch.optim.Adam(groups)
        if self.schedule != "plateau":
            return optimizer
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=8, min_lr=1e-6)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": self.monitor}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.schedule != "cosine":
            return
        # Set from the place in training rather than by a scheduler's own count: it needs no state, and stages of a
        # curriculum may differ in length.
        epochs = self.trainer.max_epochs
        if epochs is None or epochs <= 0:
            raise ValueError(
                "schedule=cosine needs to know when training ends: give --trainer.max_epochs, or schedule=constant."
            )
        done = (self.current_epoch + batch_idx / self.trainer.num_training_batches) / epochs
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rates[group["name"]] * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def on_train_start(self) -> None:
        self.on_train_epoch_start()  # which is not called where a cut epoch goes on

    def on_train_epoch_start(self) -> None:
        self._epoch_began = self._batch_ended = time.monotonic()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._batch_ended = time.monotonic()

    def on_train_epoch_end(self) -> None:
        """Log for which share of the epoch's training the network had to wait for data."""
        loader = self.trainer.train_dataloader
        seconds = self._batch_ended - self._epoch_began  # validation comes after
        if isinstance(loader, ResumableLoader) and seconds > 0:
            self.log("train/waiting_for_data", min(1.0, loader.waited / seconds))

    # Checkpoints

    def warm_start(self, path: str) -> None:
        """Take the weights of a file or of a catalogue name; a part whose weights are all missing in it starts fresh,
        with a message.

        Raises:
            ZooError: any other mismatch.
        """
        path = weights_file(path)
        read = read_torchscript if is_torchscript(path) else read_weights
        state = self.convert_state_dict(read(path))
        fresh = load_parts(self.network, state, path)
        if fresh:
            rank_zero_info(f"{Path(path).name} has no weights for {', '.join(fresh)}: starting fresh there.")

    def convert_state_dict(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of another origin, renamed to the network's; a task that knows official weights overrides this."""
        return network_weights(state)

    def identity(self) -> dict[str, Any]:
        """Plain data that a checkpoint's record keeps besides the spec: what the weights only make sense with, such as
        the sum of a file that the spec names.
        """
        return {}

    def check_identity(self, record: Mapping[str, Any], path: str) -> None:
        """ZooError when the record of the checkpoint at `path` disagrees with this module's `identity`."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.pop("hyper_parameters", None)
        checkpoint["zoo"] = describe(self, self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        path = str(self.trainer.ckpt_path)
        self.check_identity(record(checkpoint, path), path)
        check_fit(self, checkpoint["state_dict"], path)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, **_: Any) -> Self:  # type: ignore[override]
        """The module that a checkpoint describes, with its weights; what `zoo.load` returns, but in training mode."""
        module = rebuild(str(checkpoint_path))
        if not isinstance(module, cls):
            raise ZooError(f"{checkpoint_path} holds a {type(module).__name__}, expected a {cls.__name__}.")
        return module


def largest_difference(expected: Tensor, got: Tensor) -> float:
    """The largest difference of two tensors, relative to numbers above 1; infinite where shapes or NaNs differ."""
    if expected.shape != got.shape:
        return math.inf
    expected, got = expected.double(), got.double()
    off = (expected - got).abs() / expected.abs().clamp(min=1)
    return off.max().nan_to_num(math.inf).item() if off.numel() else 0.0


def check_losses(losses: Mapping[str, LossTerm], output: type, batch: type) -> None:
    """ValueError unless every term finds what it reads and some term has a weight: none may silently never run."""
    produced, given = set(output._fields), set(batch._fields)  # type: ignore[attr-defined]
    for name, term in losses.items():
        if not name.isidentifier() or hasattr(nn.Module, name):
            raise ValueError(
                f"the loss term '{name}' needs another name: expected one word that torch.nn.Module has no use for "
                "itself."
            )
        for wanted, there, place in ((term.reads, produced, "output"), (term.targets, given, "batch")):
            if missing := sorted(wanted - there):
                raise ValueError(
                    f"the loss term '{name}' ({type(term).__name__}) reads {', '.join(missing)}, which the {place} "
                    "does not have; "
                    f"it has {', '.join(sorted(there))}."
                )
    if not any(term.weight != 0 for term in losses.values()):
        raise ValueError("losses: expected at least one loss term with a weight other than 0.")


def check_learning_rates(learning_rates: Mapping[str, float], network: nn.Module) -> None:
    """ValueError unless every child with parameters has a learning rate, and every learning rate a child."""
    children = dict(network.named_children())
    for name in learning_rates:
        if name not in children:
            raise ValueError(
                f"learning_rates names '{name}', which is no part of the network{nearest(name, list(children))}"
            )
    for name, part in children.items():
        if name not in learning_rates and any(True for _ in part.parameters()):
            raise ValueError(f"learning_rates has none for '{name}': add learning_rates.{name}, for example 1e-4.")


def in_float32(record: Any) -> Any:
    """The record with its half-precision tensors as float32."""
    values = (value.float() if isinstance(value, Tensor) and value.is_floating_point() else value for value in record)
    return type(record)(*values)
