"""A patch selector that lets training see more than the worst patches."""

import torch
from torch import Tensor

from zoo.matting.parts import PatchSelector


class MixedPatches(PatchSelector):
    """The patches of largest error, and in training some at random: PointRend's selection, on the grid of patches.

    A refiner that only ever sees the worst patches does not learn what to do with the others. In training a share of
    the patches are those of largest error, and the rest are drawn uniformly among all others; in evaluation all are
    those of largest error (Kirillov, Wu, He, Girshick, "PointRend: Image Segmentation as Rendering", CVPR 2020,
    section 3.1, where the share is β = 0.75).

    Args:
        patches: the most patches that are refined in an image.
        share: of them that are chosen by error in training, in [0, 1].
    """

    api_version = 1
    uses_error = True

    def __init__(self, patches: int = 5000, share: float = 0.75) -> None:
        super().__init__()
        if patches < 0 or not 0 <= share <= 1:
            raise ValueError(f"MixedPatches(patches={patches}, share={share}): expected patches ≥ 0, share in [0, 1].")
        self.patches: int = patches
        self.share = share

    def forward(self, error: Tensor) -> Tensor:
        if not self.training:
            return error
        drawn = 1 - torch.rand_like(error, dtype=torch.float32).flatten(1)  # above 0, so that any may be refined
        worst = error.flatten(1).topk(min(round(self.share * self.patches), drawn.shape[1]), dim=1).indices
        return drawn.scatter_add(1, worst, torch.ones_like(drawn)).view_as(error)
