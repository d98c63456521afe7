"""dtSSD: does a video's alpha change from frame to frame as the true one does?"""

from typing import Any

import torch
from torch import Tensor

from zoo.matting.metrics.base import MeanOverImages, check_pair, quantise


def temporal_difference(alpha: Tensor, target_alpha: Tensor) -> Tensor:
    """√ mean over pixels of ((αₜ − αₜ₋₁) − (α*ₜ − α*ₜ₋₁))², one value a pair of consecutive frames (T − 1,).

    Args:
        alpha, target_alpha: (T, 1, H, W), consecutive frames, float in [0, 1] or uint8.

    Source: dtSSD of Erofeev et al., Perceptually Motivated Benchmark for Video Matting (BMVC 2015), as Robust Video
    Matting computes it (× 10²).
    """
    error = quantise(alpha).int() - quantise(target_alpha, "target_alpha").int()
    squares = (error[1:] - error[:-1]).square().sum(dim=(1, 2, 3), dtype=torch.int64).float()
    return (squares / error[0].numel()).sqrt() / 255


class DtSSD(MeanOverImages):
    """The mean of `temporal_difference` over all pairs of consecutive frames of all clips, × 10² by default.

    A clip is added at once, `update(alpha, target_alpha)`, or in pieces of one frame or more,
    `update(alpha, target_alpha, clip="street")`: pieces that follow each other under one name belong together. Frames
    of different clips are never compared.

    (Robust Video Matting's script also averages a 0 for the first frame of each clip, which has no predecessor: its
    number for clips of T frames is this one times (T − 1) / T.)

    Args:
        scale: what the mean is multiplied by.
        kwargs: of `torchmetrics.Metric`.
    """

    full_state_update = True  # `update` reads the last frame, so a step's own value needs an update of its own

    def __init__(self, scale: float = 1e2, **kwargs: Any) -> None:
        super().__init__(scale, **kwargs)
        self._last: tuple[str, Tensor, Tensor] | None = None

    def update(self, alpha: Tensor, target_alpha: Tensor, clip: str | None = None) -> None:
        """Add a clip, or the next frames of one.

        Args:
            alpha, target_alpha: (T, 1, H, W) in the order of time, float in [0, 1] or uint8.
            clip: the clip's name when it comes in pieces; None: this is all of it.

        Raises:
            ValueError: shapes do not fit, or a whole clip has only one frame.
        """
        check_pair(alpha, target_alpha, "alpha", "target_alpha")
        if clip is None and len(alpha) < 2:
            raise ValueError(
                f"a clip of {len(alpha)} frame(s) has no change to measure: name it (clip=...) to add frame by frame."
            )
        alpha, target_alpha = quantise(alpha), quantise(target_alpha, "target_alpha")
        if clip is not None and self._last is not None and self._last[0] == clip:
            check_pair(self._last[1], alpha[:1], f"the last frame of '{clip}'", "the next one")
            alpha = torch.cat([self._last[1].to(alpha.device), alpha])
            target_alpha = torch.cat([self._last[2].to(alpha.device), target_alpha])
        self._last = None if clip is None else (clip, alpha[-1:], target_alpha[-1:])
        if len(alpha) > 1:
            self._add(temporal_difference(alpha, target_alpha))

    def reset(self) -> None:
        """Forget all clips, the last frame too."""
        super().reset()
        self._last = None
