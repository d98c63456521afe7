"""The slots of background matting, and the records that flow through it.

The *base* network looks at the source and the captured background at a reduced size (`base_scale`) and gives a *coarse*
result with an error channel. An *error map* says where the coarse alpha is likely wrong, a *patch selector* scores the
4×4-pixel cells ("patches") by it, and a
*refiner* computes the selected cells anew at full size. Data flows one way: batch → network → `MattingOutput`.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.parts import SampleSource
from zoo.core.spec import Part

PATCH = 4
"""Side of a patch in pixels of the full-size image."""


class Coarse(NamedTuple):
    """What the base network gives, all at (Hc, Wc)."""

    alpha: Tensor
    """(B, 1, Hc, Wc) in [0, 1]."""
    foreground: Tensor
    """(B, 3, Hc, Wc), not clamped: the residual foreground − source, or the foreground itself."""
    error: Tensor
    """(B, 1, Hc, Wc) in [0, 1], the decoder's own guess of its alpha's error."""
    hidden: Tensor
    """(B, 32, Hc, Wc) features for the refiner."""


class MattingOutput(NamedTuple):
    """What the network gives; H, W are those of the source."""

    alpha: Tensor
    """(B, 1, H, W) in [0, 1]."""
    foreground: Tensor
    """(B, 3, H, W) in [0, 1], straight, not premultiplied."""
    coarse_alpha: Tensor
    """(B, 1, Hc, Wc) in [0, 1]."""
    coarse_foreground: Tensor
    """(B, 3, Hc, Wc) in [0, 1]."""
    error: Tensor
    """(B, 1, Hc, Wc) in [0, 1], the decoder's own error channel, whatever map drove the selection."""
    refined: Tensor
    """(B, 1, ⌈H/4⌉, ⌈W/4⌉), 1 where a patch was refined, otherwise 0."""


class MattingBatch(NamedTuple):
    """What the data module gives: float RGB in [0, 1], NCHW."""

    source: Tensor
    """(B, 3, H, W) the picture to matte."""
    background: Tensor
    """(B, 3, H, W) the captured background: the same place without the foreground."""
    alpha: Tensor
    """(B, 1, H, W)."""
    foreground: Tensor
    """(B, 3, H, W) straight, not premultiplied; only meaningful where alpha > 0."""
    trimap: Tensor | None = None
    """(B, 1, H, W): 0 background, 0.5 unknown, 1 foreground."""
    name: list[str] | None = None
    """One name a sample."""
    seed: Tensor | None = None
    """(B,) integers: the stream that each sample's augmentations draw from."""


class Matte(NamedTuple):
    """A cut-out as a dataset yields it; tensors are float in [0, 1] or uint8."""

    foreground: Tensor
    """(3, H, W) straight, not premultiplied."""
    alpha: Tensor
    """(1, H, W)."""
    name: str


class MattingDataset(SampleSource):
    """A list of cut-outs and a list of backgrounds to set them in.

    Which background goes with which cut-out is not the dataset's business: the data module pairs them, anew in each
    epoch of training and always alike in validation and test. Both methods give the same tensors whenever they are
    called with the same index.
    """

    background_side: int | None = None
    """How many pixels the shorter side of a background needs, where that is known, as in training: a dataset may give
    smaller ones then, if it gets at them faster."""

    @abstractmethod
    def matte(self, index: int) -> Matte:
        """Cut-out number `index`, 0 ≤ index < len(self), at its own size."""

    def fingerprint(self, index: int) -> str | None:
        """What cut-out number `index` is read from, as text that changes when it does; None where it comes from no
        file. Those that have one can be kept on disk as they lie on a canvas.
        """
        return None

    @property
    @abstractmethod
    def background_count(self) -> int:
        """How many backgrounds there are, at least 1."""

    @abstractmethod
    def background(self, index: int) -> Tensor:
        """Background number `index`, 0 ≤ index < background_count: (3, H, W) of any size, float in [0, 1] or uint8."""


class ErrorMap(Part, nn.Module):
    """Says where the coarse result is likely wrong.

    `informative` is False for a map that ranks nothing; selectors that rank by error refuse it. `needs_target` is True
    for a map that reads the true alpha; it refuses training.
    """

    informative = True
    needs_target = False

    @abstractmethod
    def forward(self, coarse: Coarse, source: Tensor, background: Tensor, target: Tensor | None = None) -> Tensor:
        """A map (B, 1, h, w) ≥ 0 of any size; the network resizes it bilinearly to the grid of patches.

        Args:
            coarse: the base network's result.
            source, background: (B, 3, H, W), full size.
            target: (B, 1, H, W), the true alpha, where there is one.
        """


class PatchSelector(Part, nn.Module):
    """Scores patches.

    The refiner refines the patches whose score is above 0; where these are more than `patches`, only the `patches`
    highest of each image.
    """

    uses_error = False
    patches: int | None = None

    @abstractmethod
    def forward(self, error: Tensor) -> Tensor:
        """Error map on the grid of patches (B, 1, H/4, W/4) → a score of the same shape."""


class Refiner(Part, nn.Module):
    """Computes the selected patches anew at full size.

    A refiner whose `refines` is False only enlarges the coarse result: then any `base_scale` up to 1 works, no patch is
    selected, and sides need not be multiples of 4.
    """

    refines = True

    @abstractmethod
    def forward(
        self, source: Tensor, background: Tensor, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine the patches whose score is above 0, at most the `patches` highest of each image (None: no limit).

        Args:
            source, background: (B, 3, H, W); H and W are multiples of 4 (when it `refines`).
            coarse: the base network's result.
            score: (B, 1, ⌈H/4⌉, ⌈W/4⌉) from the selector.
            patches: an upper bound for each image.

        Returns:
            alpha (B, 1, H, W); the three foreground channels (B, 3, H, W), of the kind that `coarse.foreground` is;
            refined patches (B, 1, ⌈H/4⌉, ⌈W/4⌉), 0 or 1. Neither alpha nor foreground is clamped.
        """

    def alpha(
        self, source: Tensor, background: Tensor, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor]:
        """Alpha and refined patches, as `forward` gives them, for those who want no foreground; a refiner that saves
        work without it overrides this.
        """
        alpha, _, refined = self(source, background, coarse, score, patches)
        return alpha, refined


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize, corners not aligned, no antialias: the one resize of the whole network (official behaviour)."""
    if x.shape[1] == 3 and x.device.type == "cpu" and not torch.compiler.is_compiling():
        # Three channels torch would first copy into another order, and enlarge more slowly there than one by one.
        return resize(x.reshape(-1, 1, *x.shape[-2:]), size).view(*x.shape[:2], *size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
