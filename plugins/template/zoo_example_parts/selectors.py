"""A patch selector that trains the refiner on more than the worst patches."""

import torch
from torch import Tensor

from zoo.matting.parts import PatchSelector


class MixedPatches(PatchSelector):
    """The patches of largest error, and in training some at random: PointRend's selection, on the grid of patches.

    A refiner that is trained only on the worst patches does not learn to refine others. In training a fraction of the
    patches have the largest error, and the rest are sampled uniformly from all others. In evaluation all have the
    largest error (Kirillov, Wu, He, Girshick, "PointRend: Image Segmentation as Rendering", CVPR 2020, section 3.1,
    where the fraction is β = 0.75).

    Args:
        patches: the largest number of refined patches in an image.
        share: the fraction of them that is chosen by error in training, in [0, 1].

    Example:
        >>> selector = MixedPatches(patches=2).eval()
        >>> selector(torch.tensor([[[[0.1, 0.9]]]]))
        tensor([[[[0.1000, 0.9000]]]])
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
        random = 1 - torch.rand_like(error, dtype=torch.float32).flatten(1)  # above 0: patches with score 0 are skipped
        worst = error.flatten(1).topk(min(round(self.share * self.patches), random.shape[1]), dim=1).indices
        return random.scatter_add(1, worst, torch.ones_like(random)).view_as(error)
