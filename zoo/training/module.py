"""LightningModule from which all tasks derive.

A network is built from its parts and knows nothing of training. A training module adds loss terms, one learning rate
per part, and logging. Its checkpoints are enough to rebuild it, and its data module, without any YAML. The hooks for
studies and exporters are in `zoo.training.hooks`.
"""

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.parts import LossTerm
from zoo.core.promises import check_output
from zoo.core.seeding import random_stream, run_seed
from zoo.core.spec import Part
from zoo.hub.pull import weights_file
from zoo.training.checks import check_learning_rates, check_losses
from zoo.training.hooks import ExportHooks, StudyHooks
from zoo.training.resuming import apply_settings
from zoo.training.sampling import ResumableLoader
from zoo.weights.checkpoint import describe, record
from zoo.weights.reading import read_weights, rebuild
from zoo.weights.state import check_fit, load_parts, network_weights, unwrapped
from zoo.weights.torchscript import is_torchscript, read_torchscript

Schedule = Literal["constant", "cosine", "plateau"]

OptimizerFactory = Callable[[Iterable, float], torch.optim.Optimizer]
"""A class of optimizer with its arguments, without parameters and learning rate, which the module gives it."""


class TrainingModule(StudyHooks, ExportHooks, Part, LightningModule):
    """LightningModule of a network that is built from parts.

    A subclass builds its network, passes it to this constructor, and implements `compute`.

    Args:
        network: pure torch; its direct children are the parts that have learning rates and can start fresh.
        losses: loss terms by name.
        learning_rates: learning rate for each child of the network that has parameters.
        optimizer: class of the optimizer, with its arguments; None for Adam.
        schedule: `constant`; `cosine` (all learning rates fall to 0 along half a cosine over `trainer.max_epochs`);
            or `plateau` (all are halved when `monitor` has not improved for 8 epochs, down to 1e-6).
        frozen: children of the network that `fit` leaves as they are: no gradient, batch norm in evaluation mode. Their
            learning rates are not used.
        output, batch: the record types that the loss terms may read.
        checkpoint: start from these weights (a warm start, not a resume: see `zoo fit --ckpt_path`).

    Raises:
        ValueError: a loss term reads a field that nothing produces, a learning rate is missing, or a name in
            `learning_rates` or `frozen` is no part's.

    Example:
        >>> import zoo
        >>> backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet"}}
        >>> module = zoo.create_model("bgmv2_mobilenetv2", backbone=backbone)
        >>> module.monitor, sorted(module.losses)[:3]
        ('validation/sad', ['alpha', 'coarse_alpha', 'coarse_foreground'])
    """

    network: nn.Module
    monitor: str
    """Name of the logged metric that chooses `best.ckpt`; lower is better."""

    hub_task: str | None = None
    """Task of the Hugging Face Hub that the cards of published models name, such as `image-segmentation`."""

    record: Mapping[str, Any] | None = None
    """The `zoo` entry of the checkpoint that this module was rebuilt from, see `zoo.weights.checkpoint`."""

    unusable_losses: str | None = None
    """A sentence about the loss terms of that checkpoint, where some could not be built and all were left out."""

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, LossTerm],
        learning_rates: Mapping[str, float],
        *,
        output: type,
        batch: type,
        schedule: Schedule = "constant",
        optimizer: OptimizerFactory | None = None,
        frozen: Collection[str] = (),
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        check_losses(losses, output, batch)
        self.output_type = output
        check_learning_rates(learning_rates, network, frozen)
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule={schedule!r}: expected one of {', '.join(get_args(Schedule))}.")
        # Convolutions are faster with channels last, on CPUs as on GPUs.
        self.network = network.to(memory_format=torch.channels_last)
        self.losses = nn.ModuleDict(losses)
        self.learning_rates = dict(learning_rates)
        self.schedule = schedule
        self.optimizer = optimizer or torch.optim.Adam
        self.frozen = frozenset(frozen)
        if checkpoint is not None:
            self.warm_start(checkpoint)

    @abstractmethod
    def compute(self, batch: Any) -> Any:
        """Return the network's output for a batch, with every field that loss terms and metrics read."""

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """Return `network(*inputs, **named)`."""
        return self.network(*inputs, **named)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        # Dropout and random selection take their random numbers from a stream of this step, so that a resumed run
        # repeats those of an uninterrupted one.
        with random_stream(run_seed(), "step", self.current_epoch, batch_idx, self.global_rank, device=self.device):
            output = self._computed(batch)
        total, terms = self.loss(output, batch)
        self.log_dict({f"train/{name}": value.detach() for name, value in terms.items()})
        self.log("train/loss", total.detach(), prog_bar=True)
        return total

    def _computed(self, batch: Any) -> Any:
        """Return `compute(batch)`; explain torch's error about a batch without variance for BatchNorm."""
        try:
            return self.compute(batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # torch has no error of its own for it
                raise
            raise ZooError(
                "a batch of one, of images so small that a single pixel of their deepest features is left, has no "
                "variance for BatchNorm to train with: raise --data.batch_size, or give larger images."
            ) from error

    def loss(self, output: Any, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the terms and each term unweighted, in float32 at any training precision.

        Raises:
            FloatingPointError: a term is not finite.
        """
        output, batch = in_float32(output), in_float32(batch)
        with torch.autocast(self.device.type, enabled=False):
            terms = {name: term(output, batch) for name, term in self.losses.items() if term.weight != 0}
            for name, value in terms.items():
                check_output(self.losses[name], value, [()], "the value of the term, a scalar ()")  # type: ignore[arg-type]
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

    def check_trainable(self) -> None:
        """Raise ZooError where there are no loss terms to train with."""
        if not self.losses:
            reason = self.unusable_losses or "the model has no loss terms, like that of a published file."
            raise ZooError(
                f"{reason} Training needs them: install or give what is missing, or other loss terms with --config or "
                "--model.losses, in Python with create_model(..., losses=...)."
            )

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self.check_trainable()
            for name in self.frozen:
                self.network.get_submodule(name).eval().requires_grad_(False)

    def teardown(self, stage: str) -> None:
        for name in self.frozen if stage == "fit" else ():
            self.network.get_submodule(name).requires_grad_(True)

    def configure_optimizers(self) -> Any:
        groups = [
            {"params": list(part.parameters()), "lr": self.learning_rates[name], "name": name}
            for name, part in self.network.named_children()
            if name not in self.frozen and any(True for _ in part.parameters())
        ]
        optimizer = self.optimizer(groups, 1e-3)  # the groups have learning rates of their own
        if self.schedule != "plateau":
            return optimizer
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=8, min_lr=1e-6)
        every = self.trainer.check_val_every_n_epoch or 1
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": self.monitor, "frequency": every},
        }

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.schedule == "cosine":
            self._follow_cosine(batch_idx)
        groups = self.trainer.optimizers[0].param_groups
        self.log_dict({f"learning_rate/{group.get('name', index)}": group["lr"] for index, group in enumerate(groups)})

    def _follow_cosine(self, batch_idx: int) -> None:
        # Computed from the progress of training instead of a scheduler's own count: this needs no state, and the
        # stages of a curriculum may differ in length.
        epochs = self.trainer.max_epochs
        if epochs is None or epochs <= 0:
            raise ValueError(
                "schedule=cosine needs to know when training ends: give --trainer.max_epochs, or schedule=constant."
            )
        done = (self.current_epoch + batch_idx / self.trainer.num_training_batches) / epochs
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.learning_rates[group["name"]] * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def on_train_start(self) -> None:
        self.on_train_epoch_start()  # Lightning does not call it when training resumes inside an epoch

    def on_train_epoch_start(self) -> None:
        self._epoch_began = self._batch_ended = time.monotonic()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._batch_ended = time.monotonic()

    def on_train_epoch_end(self) -> None:
        """Log the fraction of the epoch's training time that was spent waiting for data."""
        loader = self.trainer.train_dataloader
        seconds = self._batch_ended - self._epoch_began  # without the validation that follows
        if isinstance(loader, ResumableLoader) and seconds > 0:
            self.log("train/waiting_for_data", min(1.0, loader.waited / seconds))

    # Checkpoints

    def warm_start(self, path: str) -> None:
        """Load the weights of a file or catalogue name.

        A part without any weights in the file starts fresh. Weights of a part that has none in this network are
        ignored. Both are reported.

        Raises:
            ZooError: any other mismatch.
        """
        path = weights_file(path)
        read = read_torchscript if is_torchscript(path) else read_weights
        state = self.convert_state_dict(read(path))
        fresh, ignored = load_parts(self.network, state, path)
        if fresh:
            rank_zero_info(f"{Path(path).name} has no weights for {', '.join(fresh)}: starting fresh there.")
        if ignored:
            rank_zero_info(f"{Path(path).name} has weights for {', '.join(ignored)}, unused here: ignoring them.")

    def convert_state_dict(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return weights under the network's own names; a task overrides this to convert official weights."""
        return network_weights(state)

    def identity(self) -> dict[str, Any]:
        """Return plain data that the record keeps besides the spec, such as the checksum of a file that it names."""
        return {}

    def check_identity(self, record: Mapping[str, Any], path: str) -> None:
        """Raise ZooError when the record of the checkpoint at `path` disagrees with this module's `identity`."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.pop("hyper_parameters", None)
        checkpoint["zoo"] = describe(self, self.trainer)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        path = str(self.trainer.ckpt_path)
        entry = record(checkpoint, path)
        self.check_identity(entry, path)
        checkpoint["state_dict"] = unwrapped(checkpoint["state_dict"])
        check_fit(self, checkpoint["state_dict"], path)
        self.strict_loading = False  # the check is strict but for loss terms
        if self.trainer.state.fn == TrainerFn.FITTING:
            apply_settings(checkpoint, entry, self)
        else:
            checkpoint["callbacks"] = {}  # those of training, which no evaluation needs

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, **_: Any) -> Self:  # type: ignore[override]
        """Return the module that a checkpoint describes, with its weights, in training mode."""
        module = rebuild(str(checkpoint_path))
        if not isinstance(module, cls):
            raise ZooError(f"{checkpoint_path} holds a {type(module).__name__}, expected a {cls.__name__}.")
        return module


def in_float32(record: Any) -> Any:
    """Return the record with its half-precision tensors as float32."""
    values = (value.float() if isinstance(value, Tensor) and value.is_floating_point() else value for value in record)
    return type(record)(*values)
