"""Loss terms of background matting (paper, section 3.3; official train_base.py and train_refine.py).

`at="full"` compares the full-size result with the target; `at="coarse"` the coarse one with the target resized to its
size (bilinear, corners not aligned, no antialias).
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.parts import LossTerm
from zoo.matting.parts import MattingBatch, MattingOutput, resize

Size = Literal["full", "coarse"]


class AlphaL1(LossTerm):
    """mean |α − α*|.

    Args:
        at: which alpha, the full-size or the coarse one.
        weight: of the term in the sum.
    """

    def __init__(self, at: Size = "full", weight: float = 1.0) -> None:
        super().__init__(weight)
        self.at = checked_size(at, "AlphaL1")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({alpha_field(self.at)})

    @property
    def targets(self) -> frozenset[str]:
        return frozenset({"alpha"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = getattr(output, alpha_field(self.at))
        return F.l1_loss(alpha, like(batch.alpha, alpha))


class GradientL1(LossTerm):
    """mean |S(α) − S(α*)| with S the magnitude of the Sobel gradient.

    Args:
        at: which alpha, the full-size or the coarse one.
        weight: of the term in the sum.
    """

    def __init__(self, at: Size = "full", weight: float = 1.0) -> None:
        super().__init__(weight)
        self.at = checked_size(at, "GradientL1")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({alpha_field(self.at)})

    @property
    def targets(self) -> frozenset[str]:
        return frozenset({"alpha"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = getattr(output, alpha_field(self.at))
        return F.l1_loss(sobel_magnitude(alpha), sobel_magnitude(like(batch.alpha, alpha)))


class ForegroundL1(LossTerm):
    """mean |m·(F − F*)| with m = [α* > 0], the mean over all pixels and channels; at the coarse size, m is taken after
    the resize.

    Args:
        at: which foreground, the full-size or the coarse one.
        weight: of the term in the sum.
    """

    def __init__(self, at: Size = "full", weight: float = 1.0) -> None:
        super().__init__(weight)
        self.at = checked_size(at, "ForegroundL1")

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"foreground" if self.at == "full" else "coarse_foreground"})

    @property
    def targets(self) -> frozenset[str]:
        return frozenset({"alpha", "foreground"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        foreground = output.foreground if self.at == "full" else output.coarse_foreground
        mask = like(batch.alpha, foreground) != 0
        return F.l1_loss(foreground * mask, like(batch.foreground, foreground) * mask)


class ErrorMSE(LossTerm):
    """mean (e − |α − α*|)²: trains the error channel e; it and the coarse alpha α are first resized to the target's
    size.

    Args:
        detach_target: keep the term from moving alpha. The official base training detaches, its joint training does not
            (official issue 196).
        weight: of the term in the sum.
    """

    def __init__(self, detach_target: bool = True, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.detach_target = detach_target

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"error", "coarse_alpha"})

    @property
    def targets(self) -> frozenset[str]:
        return frozenset({"alpha"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = output.coarse_alpha.detach() if self.detach_target else output.coarse_alpha
        true_error = (like(alpha, batch.alpha) - batch.alpha).abs()
        return F.mse_loss(like(output.error, batch.alpha), true_error)


def alpha_field(at: Size) -> str:
    """The output field with the alpha of this size."""
    return "alpha" if at == "full" else "coarse_alpha"


def like(image: Tensor, reference: Tensor) -> Tensor:
    """The image at the reference's height and width."""
    size = (reference.shape[-2], reference.shape[-1])
    return image if image.shape[-2:] == size else resize(image, size)


def sobel_magnitude(image: Tensor) -> Tensor:
    """√(gx² + gy² + 1e-6) of (B, 1, H, W), with the 3×3 Sobel kernels divided by 8 and replicated borders."""
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    gradient = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), torch.stack([kernel, kernel.T]).unsqueeze(1))
    return (gradient.square().sum(1, keepdim=True) + 1e-6).sqrt()


def checked_size(at: str, owner: str) -> Size:
    """`at` itself, or a ValueError that says what was expected."""
    if at not in get_args(Size):
        raise ValueError(f"{owner}(at={at!r}): expected 'full' or 'coarse'.")
    return at  # type: ignore[return-value]
