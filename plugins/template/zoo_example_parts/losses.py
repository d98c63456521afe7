"""A loss term that compares mattes at several scales."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.parts import LossTerm
from zoo.matting.parts import MattingBatch, MattingOutput, resize


class LaplacianPyramid(LossTerm):
    """Σ 2^s · mean |L_s(α) − L_s(α*)| over the levels s = 0, 1, … of the Laplacian pyramids of both mattes.

    Coarse levels measure regions, fine levels edges (Hou and Liu, "Context-Aware Image Matting for Simultaneous
    Foreground and Alpha Estimation", ICCV 2019, equation 2; also in RVM and FBA).

    Args:
        levels: of the pyramid; smaller images have fewer.
        weight: of the term in the sum.

    Example:
        >>> LaplacianPyramid(levels=3).spec
        {'class_path': 'LaplacianPyramid', 'init_args': {'levels': 3, 'weight': 1.0}}
    """

    api_version = 1
    reads = frozenset({"alpha"})
    targets = frozenset({"alpha"})

    def __init__(self, levels: int = 5, weight: float = 1.0) -> None:
        super().__init__(weight)
        if levels < 1:
            raise ValueError(f"LaplacianPyramid(levels={levels}): expected at least 1.")
        self.levels = levels

    def forward(self, output: MattingOutput, batch: MattingBatch) -> Tensor:
        # A pyramid is linear in the image: the pyramid of the difference is the difference of the pyramids.
        details = laplacian_pyramid(output.alpha - batch.alpha, self.levels)
        return torch.stack([2**level * detail.abs().mean() for level, detail in enumerate(details)]).sum()


def laplacian_pyramid(image: Tensor, levels: int) -> list[Tensor]:
    """Return the levels of the Laplacian pyramid of (B, 1, H, W), finest first; fewer than `levels` for small images.

    Example:
        >>> [tuple(level.shape) for level in laplacian_pyramid(torch.rand(1, 1, 8, 8), levels=2)]
        [(1, 1, 8, 8), (1, 1, 4, 4)]
    """
    details: list[Tensor] = []
    while len(details) < levels and min(image.shape[-2:]) > 1:
        smaller = blur(image)[..., ::2, ::2]
        details.append(image - resize(smaller, (image.shape[-2], image.shape[-1])))
        image = smaller
    return details or [image]


def blur(image: Tensor) -> Tensor:
    """Return the image blurred by a 5×5 binomial filter, with replicated borders.

    Example:
        >>> blur(torch.ones(1, 1, 1, 2))
        tensor([[[[1., 1.]]]])
    """
    row = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = torch.outer(row, row)[None, None]
    return F.conv2d(F.pad(image, (2, 2, 2, 2), mode="replicate"), kernel)
