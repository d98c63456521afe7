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


class _TermAtSize(LossTerm):
    """A loss term that reads one field, at full or at coarse size.

    Args:
        at: `full` or `coarse`.
        weight: of the term in the sum.
    """

    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def __init__(self, at: Size = "full", weight: float = 1.0) -> None:
        super().__init__(weight)
        if at not in get_args(Size):
            raise ValueError(f"{type(self).__name__}(at={at!r}): expected 'full' or 'coarse'.")
        self.at = at
        if at == "coarse":
            self.reads = frozenset(f"coarse_{name}" for name in self.reads)

    def prediction(self, output: MattingOutput) -> Tensor:
        """Return the field at the size of the term."""
        (name,) = self.reads
        return getattr(output, name)


class AlphaL1(_TermAtSize):
    """mean |α − α*|.

    Args:
        at: which alpha, the `full`-size or the `coarse` one.
        weight: of the term in the sum.

    Example:
        >>> alpha, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha)
        >>> AlphaL1()(output, MattingBatch(image, image, alpha + 0.5, image)).item()
        0.5
    """

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = self.prediction(output)
        return F.l1_loss(alpha, like(batch.alpha, alpha))


class AlphaMSE(_TermAtSize):
    """mean (α − α*)².

    Args:
        at: which alpha, the `full`-size or the `coarse` one.
        weight: of the term in the sum.

    Example:
        >>> alpha, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha)
        >>> AlphaMSE()(output, MattingBatch(image, image, alpha + 0.5, image)).item()
        0.25
    """

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = self.prediction(output)
        return F.mse_loss(alpha, like(batch.alpha, alpha))


class GradientL1(_TermAtSize):
    """mean |S(α) − S(α*)| with S the magnitude of the Sobel gradient.

    Args:
        at: which alpha, the `full`-size or the `coarse` one.
        weight: of the term in the sum.

    Example:
        >>> alpha, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha)
        >>> GradientL1()(output, MattingBatch(image, image, alpha + 0.5, image)).item()
        0.0
    """

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = self.prediction(output)
        return F.l1_loss(sobel_magnitude(alpha), sobel_magnitude(like(batch.alpha, alpha)))


class ForegroundL1(_TermAtSize):
    """mean |m·(F − F*)| with m = [α* > 0], the mean over all pixels and channels; at the coarse size, m is taken after
    the resize.

    Args:
        at: which foreground, the `full`-size or the `coarse` one.
        weight: of the term in the sum.

    Example:
        >>> alpha, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha, alpha)
        >>> ForegroundL1("coarse")(output, MattingBatch(image, image, alpha + 1, image + 0.25)).item()
        0.25
    """

    reads = frozenset({"foreground"})
    targets = frozenset({"alpha", "foreground"})

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        foreground = self.prediction(output)
        mask = like(batch.alpha, foreground) != 0
        return F.l1_loss(foreground * mask, like(batch.foreground, foreground) * mask)


class ErrorMSE(LossTerm):
    """mean (e − |α − α*|)²: trains the error channel e; it and the coarse alpha α are first resized to the target's
    size.

    Args:
        detach_target: keep the term from moving alpha. The official base training detaches, its joint training does not
            (official issue 196).
        weight: of the term in the sum.

    Example:
        >>> alpha, image = torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4)
        >>> output = MattingOutput(alpha, image, alpha, image, alpha + 0.5, alpha)
        >>> ErrorMSE()(output, MattingBatch(image, image, alpha, image)).item()
        0.25
    """

    reads = frozenset({"error", "coarse_alpha"})
    targets = frozenset({"alpha"})

    def __init__(self, detach_target: bool = True, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.detach_target = detach_target

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        alpha = output.coarse_alpha.detach() if self.detach_target else output.coarse_alpha
        true_error = (like(alpha, batch.alpha) - batch.alpha).abs()
        return F.mse_loss(like(output.error, batch.alpha), true_error)


def like(image: Tensor, reference: Tensor) -> Tensor:
    """Resize the image to the reference's height and width."""
    size = (reference.shape[-2], reference.shape[-1])
    return image if image.shape[-2:] == size else resize(image, size)


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return √(gx² + gy² + 1e-6) of (B, 1, H, W), see `sobel`.

    Example:
        >>> sobel_magnitude(torch.ones(1, 1, 4, 4)).max() < 0.0011
        tensor(True)
    """
    return (sobel(image).square().sum(1, keepdim=True) + 1e-6).sqrt()


def sobel(image: Tensor) -> Tensor:
    """Return gx and gy of (B, 1, H, W) as (B, 2, H, W): 3×3 Sobel kernels divided by 8, borders replicated.

    Example:
        >>> sobel(torch.tensor([[[[0.0, 1.0, 2.0]]]])).flatten().tolist()
        [0.5, 1.0, 0.5, 0.0, 0.0, 0.0]
    """
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), torch.stack([kernel, kernel.T]).unsqueeze(1))
