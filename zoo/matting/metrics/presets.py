"""Named sets of metrics, one for each evaluation program, since every program defines them differently."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from zoo.matting.metrics.base import Region, quantise, region_mask
from zoo.matting.metrics.connectivity import DOUBLE_PRECISION_CUTOFFS, SINGLE_PRECISION_CUTOFFS, ConnectivityError
from zoo.matting.metrics.gradient import GradientError
from zoo.matting.metrics.pixels import MAD, MSE, SAD, ForegroundMSE
from zoo.matting.metrics.similarity import Similarity, psnr, ssim

PresetName = Literal["bgmv2", "rvm", "mmagic"]


@dataclass(frozen=True)
class Preset:
    """The region, the connectivity thresholds and the units of one evaluation program.

    Example:
        >>> PRESETS["rvm"].region, list(PRESETS["rvm"].metrics())
        ('image', ['sad', 'mad', 'mse', 'grad', 'conn', 'foreground_mse'])
    """

    region: Region
    cutoffs: tuple[int, ...]
    sad: float
    mad: float
    mse: float
    grad: float
    conn: float
    foreground_mse: float

    def metrics(self) -> dict[str, Metric | MetricCollection]:
        """Return new metrics by key."""
        return {
            "sad": SAD(self.region, self.sad),
            "mad": MAD(self.region, self.mad),
            "mse": MSE(self.region, self.mse),
            "grad": GradientError(self.region, self.grad),
            "conn": ConnectivityError(self.region, self.conn, self.cutoffs),
            "foreground_mse": ForegroundMSE(self.foreground_mse),
        }


PRESETS: dict[str, Preset] = {
    "bgmv2": Preset(
        "unknown", SINGLE_PRECISION_CUTOFFS, sad=1e-3, mad=1e3, mse=1e3, grad=1.0, conn=1.0, foreground_mse=1e3
    ),
    "rvm": Preset(
        "image", SINGLE_PRECISION_CUTOFFS, sad=1e-3, mad=1e3, mse=1e3, grad=1e-3, conn=1e-3, foreground_mse=1e3
    ),
    "mmagic": Preset(
        "unknown", DOUBLE_PRECISION_CUTOFFS, sad=1e-3, mad=1.0, mse=1.0, grad=1e-3, conn=1e-3, foreground_mse=1.0
    ),
}


def similarity_metrics() -> dict[str, Metric | MetricCollection]:
    """Return new PSNR and SSIM, of alpha and of the composite, by key."""
    functions = {"psnr": psnr, "ssim": ssim}
    return {
        **{name: Similarity(each) for name, each in functions.items()},
        **{f"composite_{name}": Similarity(each, of_composite=True) for name, each in functions.items()},
    }


class MattingMetrics(MetricCollection):
    """The metrics of one preset, updated together: levels and unknown region are computed once for all of them.

    A metric that had nothing to measure (`foreground_mse` without foregrounds; `mad` and `mse` where every unknown
    region is empty) is left out of the results, never 0.

    Example:
        >>> import torch
        >>> metrics = MattingMetrics(PRESETS["rvm"])
        >>> metrics.update(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
        >>> metrics.compute()["mad"]
        tensor(1000.)
    """

    def __init__(self, preset: Preset, prefix: str | None = None, similarity: bool = False) -> None:
        # No compute groups: torchmetrics would merge metrics whose first values are equal (all 0 for a perfect batch),
        # and from then on update only one of them.
        metrics = preset.metrics() | (similarity_metrics() if similarity else {})
        super().__init__(metrics, prefix=prefix, compute_groups=False)
        self.preset = preset

    def update(  # type: ignore[override]
        self,
        alpha: Tensor,
        target_alpha: Tensor,
        foreground: Tensor | None = None,
        target_foreground: Tensor | None = None,
        trimap: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            alpha, target_alpha: (B, 1, H, W), float in [0, 1] (of any precision) or uint8.
            foreground, target_foreground: (B, 3, H, W) straight colours, both or neither.
            trimap: (B, 1, H, W), 0, 0.5, 1, or bool, the unknown region; made from target_alpha where the preset needs
                one and none is given.

        Raises:
            ValueError: shapes do not fit, values are NaN or outside [0, 1], or only one of the foregrounds is given.
        """
        super().update(**self._levels(alpha, target_alpha, foreground, target_foreground, trimap))

    def forward(self, *batch: Tensor | None, **named: Tensor | None) -> dict[str, Any]:
        """Add a batch and return its own results; arguments as in `update`."""
        return _measured(super().forward(**self._levels(*batch, **named)))  # type: ignore[arg-type]

    def compute(self) -> dict[str, Any]:
        """Return the mean of each metric over all images so far, in the preset's unit.

        Raises:
            ValueError: there was nothing to measure at all.
        """
        results = _measured(super().compute())
        if not results:
            raise ValueError("no image was measured: call update with at least one before compute.")
        return results

    def _levels(
        self,
        alpha: Tensor,
        target_alpha: Tensor,
        foreground: Tensor | None = None,
        target_foreground: Tensor | None = None,
        trimap: Tensor | None = None,
    ) -> dict[str, Tensor | None]:
        """Return the arguments as levels, and the unknown region."""
        foregrounds = {"foreground": foreground, "target_foreground": target_foreground}
        target_levels = quantise(target_alpha, "target_alpha")
        return {
            "alpha": quantise(alpha),
            "target_alpha": target_levels,
            **{name: None if image is None else quantise(image, name) for name, image in foregrounds.items()},
            "trimap": region_mask("unknown", target_levels, trimap) if self.preset.region == "unknown" else None,
        }


def matting_metrics(
    preset: PresetName = "bgmv2", prefix: str | None = None, similarity: bool = False
) -> MattingMetrics:
    """Return the metrics `sad mad mse grad conn foreground_mse` as one evaluation program defines them.

    | preset   | measured over  | SAD     | MAD   | MSE, foreground MSE | Grad, Conn | thresholds of Conn |
    |----------|----------------|---------|-------|---------------------|------------|--------------------|
    | `bgmv2`  | unknown region | / 1000  | × 10³ | × 10³               | raw        | single precision   |
    | `rvm`    | whole image    | / 1000  | × 10³ | × 10³               | / 1000     | single precision   |
    | `mmagic` | unknown region | / 1000  | raw   | raw                 | / 1000     | double precision   |

    `bgmv2` is the MATLAB of Xu et al. as BackgroundMattingV2 runs it, `rvm` Robust Video Matting's low-resolution
    evaluation, `mmagic` OpenMMLab's. In all of them the foreground is measured where α* > 0, inputs are 8-bit levels,
    and results are means over images. Metrics that a program lacks (MAD in the first and the last, SAD in the second, a
    foreground in the last) are measured by the same rules.

    Two differences from the programs: an image whose unknown region is empty adds 0 to SAD, Grad and Conn and is left
    out of MAD and MSE (`bgmv2`'s mean would become NaN, mmagic counts an MSE of 0). mmagic refuses a prediction that is
    not 0 and 1 where the trimap is; here it is accepted.

    Args:
        preset: `bgmv2`, `rvm` or `mmagic`.
        prefix: put before each key (`val/`).
        similarity: add `psnr` and `ssim` of alpha, and `composite_psnr` and `composite_ssim` of foreground and alpha
            composited over one green. They are torchmetrics', over the whole image in every preset; higher is better.

    Raises:
        ValueError: no such preset.

    Example:
        >>> import torch
        >>> alpha = torch.rand(1, 1, 16, 16)
        >>> matting_metrics("rvm", prefix="val/")(alpha, alpha)["val/sad"]
        tensor(0.)
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r}: expected one of {', '.join(get_args(PresetName))}.")
    return MattingMetrics(PRESETS[preset], prefix, similarity)


def _measured(results: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.items() if not value.isnan()}
