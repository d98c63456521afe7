"""Error maps: estimates of where the coarse alpha is wrong, which is where patches are refined.

`PredictedError` is BackgroundMattingV2's own; the others are its ablations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import PATCH, Coarse, ErrorMap, resize
from zoo_plugins.losses.matting import sobel


class PredictedError(ErrorMap):
    """The decoder's error channel, trained to be |coarse alpha − true alpha| (paper, section 3.1).

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> PredictedError()(coarse, *torch.rand(2, 1, 3, 8, 8)).max().item()
        0.25
    """

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        return coarse.error


class AlphaUncertainty(ErrorMap):
    """4·α·(1 − α): largest where the coarse alpha is undecided; needs no error channel.

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> AlphaUncertainty()(coarse, *torch.rand(2, 1, 3, 8, 8)).max().item()
        0.75
    """

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        return 4 * coarse.alpha * (1 - coarse.alpha)


class BackgroundDifference(ErrorMap):
    """| min(1, difference / scale) − alpha |, with the mean over channels of |source − background| at the coarse size.

    It is large where the image differs from the background but alpha is low, and the other way round.

    Args:
        scale: the mean difference of two colours (in [0, 1]) that counts as certainly foreground.

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> BackgroundDifference()(coarse, *torch.zeros(2, 1, 3, 8, 8)).max().item()
        0.25
    """

    needs_background = True

    def __init__(self, scale: float = 0.25) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"BackgroundDifference(scale={scale}): expected a scale above 0.")
        self.scale = scale

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        assert background is not None
        difference = (source - background).abs().mean(1, keepdim=True)
        difference = resize(difference, (coarse.alpha.shape[-2], coarse.alpha.shape[-1]))
        return ((difference / self.scale).clamp(max=1) - coarse.alpha).abs()


class EdgeError(ErrorMap):
    """The gradient of the source image, which refines its edges and needs no error channel.

    It is the magnitude of the Sobel gradient of the mean of the three channels, averaged over each patch.

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> EdgeError()(coarse, *torch.ones(2, 1, 3, 8, 8)).tolist()
        [[[[0.0, 0.0], [0.0, 0.0]]]]
    """

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        gradient = sobel(source.mean(1, keepdim=True)).square().sum(1, keepdim=True).sqrt()
        return F.avg_pool2d(gradient, PATCH, ceil_mode=True)


class OracleError(ErrorMap):
    """The true error, the mean of |coarse alpha − true alpha| over each patch: the upper bound for any map.

    It reads the true alpha, so it only works at test time.

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> OracleError().eval()(coarse, *torch.rand(2, 1, 3, 8, 8), torch.ones(1, 1, 8, 8)).shape
        torch.Size([1, 1, 2, 2])
    """

    needs_target = True

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        if self.training:
            raise ValueError(
                "OracleError reads the true alpha and cannot train; train with PredictedError and use OracleError "
                "with `zoo test`."
            )
        if target is None:
            raise ValueError(
                "OracleError needs the true alpha: call the network with target=alpha, or choose PredictedError."
            )
        error = (resize(coarse.alpha, (target.shape[-2], target.shape[-1])) - target).abs()
        # A bilinear resize to the patches would read four of a patch's sixteen pixels, and miss hair.
        return F.avg_pool2d(error, PATCH, ceil_mode=True)


class NoError(ErrorMap):
    """Ones everywhere, for selectors that do not rank by error (RandomPatches, GridPatches, AllPatches).

    Example:
        >>> coarse = Coarse(*(torch.full((1, channels, 2, 2), 0.25) for channels in (1, 3, 1, 32)))
        >>> NoError()(coarse, *torch.rand(2, 1, 3, 8, 8)).min().item()
        1.0
    """

    informative = False

    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        return torch.ones_like(coarse.alpha)
