"""The LightningModule of background matting: the network with its losses, metrics and pictures."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchvision.transforms.functional import center_crop

from zoo.core.errors import ZooError
from zoo.core.parts import Backbone, LossTerm
from zoo.core.spec import build
from zoo.matting.base_scale import fitting_scale, trained_side
from zoo.matting.compose import composite, to_float
from zoo.matting.metrics import matting_metrics
from zoo.matting.net import ForegroundKind, MattingNetwork
from zoo.matting.official_weights import fit_inputs, to_network
from zoo.matting.parts import PATCH, Context, ErrorMap, Guide, MattingBatch, MattingOutput, PatchSelector, Refiner
from zoo.matting.perturbation import Perturbation, perturb
from zoo.matting.pictures import log_sheet, result_tiles
from zoo.matting.prediction import save_prediction
from zoo.media.images import cover
from zoo.media.run import left_out
from zoo.training.data import DataModule, samples_of
from zoo.training.hooks import largest_difference
from zoo.training.module import OptimizerFactory, Schedule, TrainingModule

SHEET_SAMPLES = 6
"""Number of validation samples in a contact sheet."""


class BackgroundMatting(TrainingModule):
    """BackgroundMattingV2 and its ablations.

    The first training stage is `refiner: NoRefiner` with `base_scale: 1`; the second the joint network, started with
    `checkpoint` from the first.

    Args:
        backbone: features at strides 2, 4, 8 and 16.
        error_map: where the coarse alpha is likely wrong.
        selector: which patches are refined.
        refiner: how they are refined.
        losses: loss terms by name; each is listed here, none is implied.
        learning_rates: for `backbone`, `aspp` (the context), `decoder` and `refiner`.
        schedule: of the learning rates, `constant` (official) or `cosine`, falling to 0 over the training.
        optimizer: class of the optimizer, with its arguments; null for Adam (official).
        foreground: `residual` predicts foreground − source (paper), `direct` the foreground itself.
        base_scale: size of the base network's input relative to the image.
        metrics: the preset that validation and test report, see `zoo.matting.metrics`.
        context: between backbone and decoder; null for `ASPP` (official).
        decoder_width: the decoder's layers have 1/2, 1/4 and 3/16 of it in channels (official 256: 128, 64 and 48).
        similarity: report PSNR and SSIM of alpha and composite, too.
        frozen: parts that training leaves as they are, by the names of the learning rates, such as `[backbone]`.
        checkpoint: weights to start from, ours or official ones; a part that the file does not hold starts fresh.
        guide: rough mask of the foreground for the base network; null for `NoGuide` (official).
        captured_background: false leaves the background out of base network and refiner.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bgmv2_mobilenetv2").eval()
        >>> with torch.no_grad():
        ...     model(*torch.rand(2, 1, 3, 64, 64)).alpha.shape
        torch.Size([1, 1, 64, 64])
    """

    network: MattingNetwork
    monitor = "validation/sad"
    hub_task = "image-segmentation"

    def __init__(
        self,
        backbone: Backbone,
        error_map: ErrorMap,
        selector: PatchSelector,
        refiner: Refiner,
        losses: dict[str, LossTerm],
        learning_rates: dict[str, float],
        schedule: Schedule = "constant",
        optimizer: OptimizerFactory | None = None,
        foreground: ForegroundKind = "residual",
        base_scale: float = 0.25,
        metrics: Literal["bgmv2", "rvm", "mmagic"] = "bgmv2",
        context: Context | None = None,
        decoder_width: int = 256,
        similarity: bool = False,
        frozen: list[str] | None = None,
        checkpoint: str | None = None,
        guide: Guide | None = None,
        captured_background: bool = True,
    ) -> None:
        parts = (backbone, error_map, selector, refiner)
        network = MattingNetwork(*parts, foreground, base_scale, context, decoder_width, guide, captured_background)
        super().__init__(
            network,
            losses,
            learning_rates,
            output=MattingOutput,
            batch=MattingBatch,
            schedule=schedule,
            optimizer=optimizer,
            frozen=frozen or (),
            checkpoint=checkpoint,
        )
        self.metrics, self.similarity = metrics, similarity
        self.validation_metrics = matting_metrics(metrics, "validation/", similarity)
        self.test_metrics = nn.ModuleDict()
        self._sheet: list[tuple[MattingBatch, MattingOutput]] = []

    def convert_state_dict(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        own = self.network.state_dict()
        renamed = to_network(super().convert_state_dict(state), own.keys())
        fitting = fit_inputs(renamed, own, 3 + 3 * self.network.captured_background + self.network.guide.channels)
        if any(value.shape != renamed[key].shape for key, value in fitting.items()):
            rank_zero_info("The weights are of a network with other inputs; what it has no weights for begins at 0.")
        return fitting

    def compute(self, batch: MattingBatch) -> MattingOutput:
        return self.network(batch.source, batch.background, batch.alpha, batch.hint)

    def input_names(self) -> tuple[str, ...]:
        return self.network.inputs

    def example(self, height: int, width: int) -> tuple[Tensor, ...]:
        images = [torch.zeros(1, channels, height, width) for channels in (3, 3, 1, 1)]
        # The true alpha is for an error map that reads it. Where a guide needs no hint, its own work counts.
        return tuple(images if self.network.guide.needs_hint else images[:3])

    def drawn_example(self, height: int, width: int) -> tuple[Tensor, ...]:
        """Return a rendered person before a room, and the room as a camera captured it."""
        # By its name and not imported: a trained network does not depend on how this image is rendered.
        arguments = {"split": "test", "count": 1, "backgrounds": 1, "size": min(height, width), "people": 1.0}
        dataset = build({"class_path": "SyntheticMattes", "init_args": arguments})
        background = cover(to_float(dataset.background(0)), height, width)
        foreground, alpha = (center_crop(to_float(image), [height, width]) for image in dataset.matte(0)[:2])
        source = composite(foreground, alpha, background)
        images = source[None], perturb(background, Perturbation(), seed=0)[None], alpha[None]
        return (*images, alpha[None]) if self.network.guide.needs_hint else images

    size_step = PATCH

    def fit_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        side = trained_side(self.record) if self.record is not None else None
        if size is None and side is not None and self.record is not None:
            whole = round(side / self.record["model"]["init_args"]["base_scale"])
            size = (whole, whole)
        height, width = super().fit_size(size)
        if side is not None:
            self.network.set_base_scale(fitting_scale(self.network, height, width, side))
        return height, width

    def output_differences(
        self, inputs: tuple[Tensor, ...], expected: Mapping[str, Tensor], got: Mapping[str, Tensor]
    ) -> dict[str, float]:
        """Compare refined patches by the sum of their scores, since any of equally high scores may be refined.

        Alpha and foreground are compared where both outputs refined a patch, or neither.
        """
        differences = super().output_differences(inputs, expected, got)
        refined = expected["refined"], got["refined"]
        if refined[0].shape != refined[1].shape or not (refined[0] != refined[1]).any():
            return differences
        scores: list[Tensor] = []
        hook = self.network.selector.register_forward_hook(lambda part, error, score: scores.append(score))
        try:
            self.network(**dict(zip(self.input_names(), inputs, strict=True)))
        finally:
            hook.remove()
        sums = [(scores[0] * each).sum((1, 2, 3)) for each in refined]
        both = (refined[0] == refined[1]).repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
        for name in ("alpha", "foreground"):
            alike = both[..., : expected[name].shape[-2], : expected[name].shape[-1]]
            differences[name] = largest_difference(expected[name] * alike, got[name] * alike)
        return differences | {"refined": largest_difference(*sums)}

    def metric_names(self, data: DataModule) -> set[str]:
        sets = [f"test/{name}" for name in getattr(data, "test", {})]
        sets += ["validation"] if getattr(data, "validation", None) is not None else []
        return {
            f"{where}/{name}" for where in sets for name in matting_metrics(self.metrics, similarity=self.similarity)
        }

    def on_fit_start(self) -> None:
        if self.network.error_map.needs_target:
            raise ValueError(
                f"{type(self.network.error_map).__name__} reads the true alpha and cannot train: "
                "train with another error map and use it with `zoo test`."
            )
        validation = getattr(getattr(self.trainer, "datamodule", None), "validation", None)
        if self.network.guide.needs_hint and validation is not None and not getattr(validation, "hint", True):
            raise ValueError(
                f"{type(self.network.guide).__name__} needs a hint, and the validation set has none: add "
                "data.validation.hint, such as {guide: {class_path: AlphaGuide}}."
            )

    # Validation and test

    def validation_step(self, batch: MattingBatch, batch_idx: int) -> None:
        output = self.compute(batch)
        update(self.validation_metrics, batch, output)
        if self.losses and known_foreground(batch) is not None:
            total, _ = self.loss(output, batch)
            self.log("validation/loss", total, batch_size=len(batch.alpha), sync_dist=True)
        self.log_dict(measured_of(self.validation_metrics, batch))
        self._add_to_sheet(batch, output)

    def on_validation_epoch_end(self) -> None:
        directory = self.trainer.log_dir  # asked for in every process: it is broadcast
        if self._sheet and self.trainer.is_global_zero and not self.trainer.sanity_checking:
            log_sheet(self._sheet, directory, self.trainer.loggers, f"epoch_{self.current_epoch:04d}", self.global_step)
        self._sheet.clear()

    def on_validation_start(self) -> None:
        if (validation := getattr(getattr(self.trainer, "datamodule", None), "validation", None)) is not None:
            self._check_backgrounds({"data.validation": validation})

    def _check_backgrounds(self, sets: Mapping[str, Any]) -> None:
        """Raise ZooError for a set of photographs without their backgrounds, where the network needs them."""
        for name, settings in sets.items():
            dataset: Any = getattr(settings, "dataset", None)
            if (
                self.network.captured_background
                and getattr(dataset, "finished", False)
                and not dataset.background_count
            ):
                raise ZooError(
                    f"{name} has photographs without captured backgrounds, which this network needs: give "
                    f"--{name}.dataset.backgrounds=FOLDER, or weights without (captured_background: false)."
                )

    def on_test_start(self) -> None:
        sets = getattr(getattr(self.trainer, "datamodule", None), "test", {})
        self._check_backgrounds({f"data.test.{name}": settings for name, settings in sets.items()})
        names = list(getattr(getattr(self.trainer, "datamodule", None), "test", {})) or ["data"]
        template = matting_metrics(self.metrics, similarity=self.similarity)
        self.test_metrics = nn.ModuleDict({name: template.clone(prefix=f"test/{name}/") for name in names}).to(
            self.device
        )

    def test_step(self, batch: MattingBatch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        metrics = list(self.test_metrics.values())[dataloader_idx]
        assert isinstance(metrics, MetricCollection)
        output = self.compute(batch)
        measured = measure_samples(metrics, batch, output)
        self.log_dict(measured_of(metrics, batch), add_dataloader_idx=False)
        return {"samples": measured, "output": output}

    def test_tiles(
        self, batch: MattingBatch, output: MattingOutput, count: int, side: int
    ) -> list[dict[str, np.ndarray]]:
        return result_tiles(samples_of(batch, slice(count)), samples_of(output, slice(count)), side)

    # Prediction

    def predict_step(self, batch: MattingBatch | ValueError, batch_idx: int) -> MattingOutput | ValueError:
        return batch if isinstance(batch, ValueError) else self.network(batch.source, batch.background, hint=batch.hint)

    def on_predict_start(self) -> None:
        self._unpredicted: list[ValueError] = []
        settings = getattr(getattr(self.trainer, "datamodule", None), "predict", None)
        if settings is not None and settings.background is None and self.network.captured_background:
            raise ValueError(
                "this network needs the captured background: give --data.predict.background=PICTURE_OR_FOLDER."
            )
        self._results = None if settings is None else settings.results()

    def on_predict_batch_end(self, outputs: Any, batch: MattingBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        if isinstance(outputs, ValueError):
            self._unpredicted.append(outputs)
        elif self._results is not None:
            save_prediction(self._results, batch, outputs)

    def on_predict_end(self) -> None:
        if self._unpredicted:
            count: Any = self.trainer.num_predict_batches
            raise left_out(self._unpredicted, sum(count), self._results and self._results.folder)

    def _add_to_sheet(self, batch: MattingBatch, output: MattingOutput) -> None:
        room = SHEET_SAMPLES - sum(len(record.alpha) for record, _ in self._sheet)
        if room > 0:
            self._sheet.append((samples_of(batch, slice(room)), samples_of(output, slice(room))))


@torch.no_grad()
def measure_samples(metrics: MetricCollection, batch: MattingBatch, output: MattingOutput) -> list[dict[str, float]]:
    """Add a batch to the metrics, and return the values of each sample alone, by the metric's own name."""
    measured = []
    for index in range(len(batch.alpha)):
        one, result = (samples_of(record, slice(index, index + 1)) for record in (batch, output))
        known = known_foreground(one)
        values = metrics(result.alpha, one.alpha, None if known is None else result.foreground, known, one.trimap)
        measured.append({name.rpartition("/")[2]: value.item() for name, value in values.items()})
    return measured


@torch.no_grad()
def update(metrics: MetricCollection, batch: MattingBatch, output: MattingOutput) -> None:
    """Add a batch to the metrics."""
    known = known_foreground(batch)
    metrics.update(output.alpha, batch.alpha, None if known is None else output.foreground, known, batch.trimap)


OF_FOREGROUND = ("/foreground_mse", "/composite_psnr", "/composite_ssim")
"""Endings of the names of metrics that need a true foreground."""


def measured_of(metrics: MetricCollection, batch: MattingBatch) -> dict[str, Any]:
    """Return the metrics that a set like this batch is measured by: without a true foreground none is of it."""
    known = known_foreground(batch) is not None
    return {name: metric for name, metric in metrics.items() if known or not name.endswith(OF_FOREGROUND)}


def known_foreground(batch: MattingBatch) -> Tensor | None:
    """Return the true foreground of a batch, None where it is not known."""
    return None if batch.foreground.isnan().any() else batch.foreground
