"""PSNR and SSIM of alpha and of the composite over one colour, as torchmetrics computes them, over the whole image."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from zoo.matting.metrics.base import MeanOverImages, check_pair, quantise

COLOUR = (120 / 255, 1.0, 155 / 255)
"""Colour of the composite: the green of Robust Video Matting's results, far from skin, hair and cloth."""
HIGHEST_PSNR = 100.0
"""dB, the value of a perfect image, whose PSNR would be infinite."""
SSIM_WINDOW = 11
"""Side in pixels of SSIM's window; a smaller image has nothing to measure."""


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in dB, at most `HIGHEST_PSNR`: (B, C, H, W) → (B,).

    Args:
        prediction, target: floats in [0, 1].

    Example:
        >>> psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1))
        tensor([20.])
    """
    ratios = peak_signal_noise_ratio(prediction, target, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return ratios.clamp(max=HIGHEST_PSNR)


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the structural similarity of each image, at most 1: (B, C, H, W) → (B,), NaN for images below 11×11.

    Args:
        prediction, target: floats in [0, 1].

    Example:
        >>> image = torch.rand(2, 1, 16, 16)
        >>> ssim(image, image)
        tensor([1., 1.])
    """
    if min(target.shape[-2:]) < SSIM_WINDOW:
        return target.new_full((len(target),), torch.nan)
    values = structural_similarity_index_measure(prediction, target, data_range=1.0, reduction="none")
    assert isinstance(values, Tensor)
    return values.view(len(target))


class Similarity(MeanOverImages):
    """Mean over images of PSNR (dB) or SSIM of alpha, or of the composite of foreground and alpha over one green.

    Args:
        function: `psnr` or `ssim`.
        of_composite: compare composites instead of alphas; without foregrounds nothing is measured.
        kwargs: of `torchmetrics.Metric`.

    Example:
        >>> Similarity(psnr)(torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), 0.2))
        tensor(13.9794)
    """

    higher_is_better = True

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], of_composite: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function, self.of_composite = function, of_composite

    def update(
        self,
        alpha: Tensor,
        target_alpha: Tensor,
        foreground: Tensor | None = None,
        target_foreground: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            alpha, target_alpha: (B, 1, H, W), float in [0, 1] or uint8.
            foreground, target_foreground: (B, 3, H, W) straight colours, both or neither.
        """
        check_pair(alpha, target_alpha, "alpha", "target_alpha")
        images = [quantise(alpha).float() / 255, quantise(target_alpha, "target_alpha").float() / 255]
        if self.of_composite:
            if foreground is None or target_foreground is None:
                return
            check_pair(foreground, target_foreground, "foreground", "target_foreground", channels=3)
            colour = images[0].new_tensor(COLOUR).view(3, 1, 1)
            colours = (quantise(foreground, "foreground"), quantise(target_foreground, "target_foreground"))
            images = [
                torch.lerp(colour, each.float() / 255, image) for each, image in zip(colours, images, strict=True)
            ]
        self._add(self.function(*images))
