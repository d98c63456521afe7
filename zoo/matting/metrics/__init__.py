"""Matting metrics: SAD, MAD, MSE, gradient and connectivity error, foreground MSE, dtSSD, PSNR and SSIM.

Each is a pure function, one value an image, and a thin `torchmetrics.Metric` that takes the mean over images; lower is
better for all but PSNR and SSIM. `matting_metrics` bundles those of one image as a named evaluation program defines
them, PSNR and SSIM on request.
"""

from zoo.matting.metrics.connectivity import ConnectivityError, connectivity_error
from zoo.matting.metrics.gradient import GradientError, gradient_error
from zoo.matting.metrics.pixels import (
    MAD,
    MSE,
    SAD,
    DtSSD,
    ForegroundMSE,
    foreground_mean_squared_difference,
    mean_absolute_difference,
    mean_squared_difference,
    sum_absolute_difference,
    temporal_difference,
)
from zoo.matting.metrics.presets import PRESETS, MattingMetrics, Preset, matting_metrics
from zoo.matting.metrics.similarity import Similarity, psnr, ssim

__all__ = [
    "MAD",
    "MSE",
    "PRESETS",
    "SAD",
    "ConnectivityError",
    "DtSSD",
    "ForegroundMSE",
    "GradientError",
    "MattingMetrics",
    "Preset",
    "Similarity",
    "connectivity_error",
    "foreground_mean_squared_difference",
    "gradient_error",
    "matting_metrics",
    "mean_absolute_difference",
    "mean_squared_difference",
    "psnr",
    "ssim",
    "sum_absolute_difference",
    "temporal_difference",
]
