"""LightningModule of 3D heads: the network with its head model, losses, metrics and figures."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.files import write_json
from zoo.core.parts import Backbone, LossTerm
from zoo.core.spec import build
from zoo.heads.gradient_coverage import outputs_without_gradient
from zoo.heads.measures import FAST, FULL
from zoo.heads.mesh import HeadModel
from zoo.heads.metrics import HeadMetrics, head_metrics
from zoo.heads.net import STRIDES, HeadNetwork
from zoo.heads.official_weights import to_network
from zoo.heads.parts import Fusion, HeadBatch, HeadLoss, HeadOutput, LandmarkBranch
from zoo.heads.pictures import log_sheet, result_tiles
from zoo.heads.rotation import matrix_from_6d
from zoo.training.data import DataModule, samples_of
from zoo.training.module import OptimizerFactory, Schedule, TrainingModule

SHEET_SAMPLES = 6
"""Validation samples on a contact sheet."""


class HeadAlignment(TrainingModule):
    """Training module of DAD-3DNet and its ablations.

    Args:
        backbone: features at strides 4, 8, 16 and 32.
        fusion: makes the pyramid and merges it and the heatmaps into the backbone.
        landmark_branch: predicts the 68 landmarks directly; `NoLandmarks` leaves them to the mesh.
        head_model: gives the parameters their meaning.
        losses: loss terms by name; none is implied.
        learning_rates: for `backbone`, `fusion`, `landmark_branch`, `shape_head` and `pose_head`.
        schedule: of the learning rates: `constant`; `plateau`, halved when validation NME stalls (official); or
            `cosine`, falling to 0 over the training.
        optimizer: class of the optimizer, with its arguments; null for Adam (official).
        image_size: side of the square crops, a multiple of 32; 256 officially.
        width: hidden units of the two regression heads.
        dropout: probability in the regression heads.
        frozen: parts that training leaves as they are, by the names of the learning rates, such as `[backbone]`.
        checkpoint: weights to start from, ours or official ones; a part that the file lacks starts fresh.

    Example:
        >>> import zoo
        >>> backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_efficientnet", "output_stride": 32}}
        >>> module = zoo.create_model("dad3dnet_resnet50", backbone=backbone, head_model="ProceduralHead")
        >>> module(torch.rand(2, 3, 64, 64)).vertices.shape
        torch.Size([2, 5023, 3])
    """

    network: HeadNetwork
    monitor = "validation/nme"
    hub_task = "keypoint-detection"

    def __init__(
        self,
        backbone: Backbone,
        fusion: Fusion,
        landmark_branch: LandmarkBranch,
        head_model: HeadModel,
        losses: dict[str, LossTerm],
        learning_rates: dict[str, float],
        schedule: Schedule = "constant",
        optimizer: OptimizerFactory | None = None,
        image_size: int = 256,
        width: int = 512,
        dropout: float = 0.3,
        frozen: list[str] | None = None,
        checkpoint: str | None = None,
    ) -> None:
        network = HeadNetwork(backbone, fusion, landmark_branch, head_model.sizes, width, dropout)
        super().__init__(
            network,
            losses,
            learning_rates,
            output=HeadOutput,
            batch=HeadBatch,
            schedule=schedule,
            optimizer=optimizer,
            frozen=frozen or (),
            checkpoint=checkpoint,
        )
        self.head_model = head_model
        self.image_size = image_size
        for term in losses.values():
            if isinstance(term, HeadLoss):
                term.build(head_model)
        self._check_branch()
        self.validation_metrics = head_metrics(head_model, prefix="validation/", preset="fast")
        self.test_metrics = nn.ModuleDict()
        self._sheet: list[tuple[HeadBatch, HeadOutput]] = []

    def convert_state_dict(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return to_network(super().convert_state_dict(state), self.network.state_dict().keys())

    def forward(self, *inputs: Tensor, **named: Tensor) -> HeadOutput:
        """Run the network on square crops (B, 3, S, S) in [0, 1] and compute the mesh."""
        return self.compute_mesh(self.network(*inputs, **named))

    def compute(self, batch: HeadBatch) -> HeadOutput:
        return self(batch.image)

    def compute_mesh(self, output: HeadOutput) -> HeadOutput:
        """Return the output with vertices, their projection and the rotation; called once per step."""
        with torch.autocast(self.device.type, enabled=False):
            params = self.head_model.split(output.params.float())
            vertices = self.head_model.vertices(params, rotated=False)
            return output._replace(
                vertices=vertices,
                projected=self.head_model.project(params, self.image_size, vertices),
                rotation=matrix_from_6d(params.rotation),
            )

    def identity(self) -> dict[str, Any]:
        head = self.head_model
        return {"head": {"name": head.name, "sha256": head.sha256 if head.read_from_file else None}}

    def check_identity(self, record: Mapping[str, Any], path: str) -> None:
        trained_with = record.get("head")
        if isinstance(trained_with, Mapping) and trained_with.get("sha256") not in (None, self.head_model.sha256):
            raise ZooError(
                f"{path} was trained with another version of the head model '{trained_with.get('name')}' than the "
                f"'{self.head_model.name}' found here, so its parameters would mean something else: give the file that "
                "it was trained with."
            )

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        if height != width:
            raise ValueError(f"a head network takes square crops, not {width}×{height}: give one side for both.")
        return (torch.zeros(1, 3, height, width),)

    def drawn_example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Return a rendered head."""
        (like,) = self.example(height, width)
        # Built by name, not imported: the core never imports a plugin.
        heads = build({"class_path": "SyntheticHeads", "init_args": {"split": "test", "count": 1, "size": height}})
        heads.build(copy.deepcopy(self.head_model.complete()).cpu())
        return (heads.picture(0).image[None].to(like) / 255,)

    square = True
    size_step = STRIDES[-1]

    def fit_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        height, width = size or (self.image_size, self.image_size)
        if height != width or height % self.size_step:
            raise ValueError(
                f"the size {height}×{width}: a head network takes square crops with sides that are multiples of "
                f"{self.size_step} pixels, for example {self.image_size}×{self.image_size}."
            )
        return height, width

    def metric_names(self, data: DataModule) -> set[str]:
        absent = set() if self.network.landmark_branch.gives_points else {"landmark_nme"}
        names = {"validation": {*FAST, "failure_rate"}} if getattr(data, "validation", None) is not None else {}
        for name, test_set in getattr(data, "test", {}).items():
            names[f"test/{name}"] = {*FULL, "failure_rate"}
            names[f"test/{name}"] |= {"now_median", "now_mean", "now_std"} if test_set.dataset.gives_neutral else set()
            names[f"test/{name}"] |= {"f_q", "f_q_auc"} if test_set.crops > 1 else set()
        return {f"{prefix}/{name}" for prefix, metrics in names.items() for name in metrics - absent}

    def on_fit_start(self) -> None:
        names = outputs_without_gradient(self.head_model, self.losses, self.network.landmark_branch)
        if names:
            rank_zero_warn(
                f"no loss term trains {', '.join(names)}: such an output depends on its initialisation alone, as do "
                "metrics that read it."
            )

    def validation_step(self, batch: HeadBatch, batch_idx: int) -> None:
        output = self.compute(batch)
        self.validation_metrics.update(output, batch)
        if self.losses:
            total, _ = self.loss(output, batch)
            self.log("validation/loss", total, batch_size=len(batch.image), sync_dist=True)
        missing = SHEET_SAMPLES - sum(len(stored.image) for stored, _ in self._sheet)
        if missing > 0:
            self._sheet.append((samples_of(batch, slice(missing)), samples_of(output, slice(missing))))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.validation_metrics.compute(), prog_bar=False)
        self.validation_metrics.reset()
        directory = self.trainer.log_dir  # read in every process, since it is broadcast
        if self._sheet and self.trainer.is_global_zero and not self.trainer.sanity_checking:
            name = f"epoch_{self.current_epoch:04d}"
            log_sheet(self._sheet, self.head_model, directory, self.trainer.loggers, name, self.global_step)
        self._sheet.clear()

    def on_test_start(self) -> None:
        names = list(getattr(getattr(self.trainer, "datamodule", None), "test", {})) or ["data"]
        self.test_metrics = nn.ModuleDict(
            {name: head_metrics(self.head_model, prefix=f"test/{name}/") for name in names}
        ).to(self.device)

    def test_step(self, batch: HeadBatch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        metrics: Any = list(self.test_metrics.values())[dataloader_idx]
        output = self.compute(batch)
        metrics.update(output, batch)
        return {"samples": metrics.latest, "output": output}

    def test_tiles(self, batch: HeadBatch, output: HeadOutput, count: int, side: int) -> list[dict[str, np.ndarray]]:
        return result_tiles(samples_of(batch, slice(count)), samples_of(output, slice(count)), self.head_model, side)

    def on_test_epoch_end(self) -> None:
        directory = self.trainer.log_dir  # read in every process, since it is broadcast
        for name, metrics in self.test_metrics.items():
            assert isinstance(metrics, HeadMetrics)
            self.log_dict(metrics.compute())
            rows = [row._asdict() for row in metrics.by_attribute()]
            if directory is not None and self.trainer.is_global_zero:
                write_json(Path(directory) / f"attributes_{name}.json", rows)

    def _check_branch(self) -> None:
        """Raise ValueError for a loss term on an output that the landmark branch does not have."""
        branch = self.network.landmark_branch
        absent = set() if branch.heatmap_count else {"heatmaps"}
        absent |= set() if branch.gives_points else {"landmarks"}
        for name, term in self.losses.items():
            missing = sorted(absent & term.reads)  # type: ignore[operator]
            if term.weight != 0 and missing:
                raise ValueError(
                    f"the loss term '{name}' ({type(term).__name__}) reads {', '.join(missing)}, which "
                    f"{type(branch).__name__} does not give: set --model.losses.{name}.weight=0 or choose another "
                    "landmark branch."
                )
