"""Patch selectors: scores of the 4×4-pixel patches, of which `zoo.matting.parts.select` chooses those to refine."""

import torch
from torch import Tensor

from zoo.core.seeding import derive_seed
from zoo.matting.parts import PatchSelector


class TopK(PatchSelector):
    """The patches of largest error: BackgroundMattingV2's sampling mode, with k counted in patches as in the paper.

    Args:
        patches: k, the most patches that are refined in an image: 5,000 for HD, 20,000 for 4K (paper, section 4).
        fixed_count: refine exactly k patches, also where the error is 0 (official `prevent_oversampling=False`), for
            constant cost.

    Example:
        >>> from zoo.matting.parts import select
        >>> selector = TopK(patches=2)
        >>> select(selector(torch.tensor([[[[0.1, 0.0, 0.3, 0.2]]]])), selector.patches)
        tensor([[[[False, False,  True,  True]]]])
    """

    uses_error = True

    def __init__(self, patches: int = 5000, fixed_count: bool = False) -> None:
        super().__init__()
        self.patches = at_least(patches, 0, "TopK", "patches")
        self.fixed_count = fixed_count

    def forward(self, error: Tensor) -> Tensor:
        return error + torch.finfo(error.dtype).tiny if self.fixed_count else error


class Threshold(PatchSelector):
    """Every patch whose error is above a threshold (strictly): BackgroundMattingV2's thresholding mode.

    Args:
        threshold: 0.1 in the paper and in the official model's default, 0.7 in the official training script.

    Example:
        >>> Threshold(0.25)(torch.tensor([[[[0.0, 0.5, 1.0]]]]))
        tensor([[[[-0.2500,  0.2500,  0.7500]]]])
    """

    uses_error = True

    def __init__(self, threshold: float = 0.1) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, error: Tensor) -> Tensor:
        return error - self.threshold


class RandomPatches(PatchSelector):
    """A given number of patches at random: the ablation of choosing by error.

    In evaluation the choice depends on (seed, row, column) alone, so that it is the same for every image of a size, in
    every process and in an exported graph; in training it is resampled for each image.

    Args:
        patches: how many patches are refined in an image.
        seed: another seed, another choice (in evaluation).

    Example:
        >>> scores = RandomPatches(patches=3).eval()(torch.zeros(2, 1, 4, 4))
        >>> torch.equal(scores[0], scores[1])
        True
    """

    def __init__(self, patches: int = 5000, seed: int = 0) -> None:
        super().__init__()
        self.patches = at_least(patches, 0, "RandomPatches", "patches")
        self.seed = seed
        self._key = derive_seed(seed, "RandomPatches") % 2**31

    def forward(self, error: Tensor) -> Tensor:
        if self.training:
            return 1 - torch.rand_like(error, dtype=torch.float32)
        height, width = error.shape[-2:]
        rows = torch.arange(height, device=error.device, dtype=torch.int64).view(-1, 1)
        columns = torch.arange(width, device=error.device, dtype=torch.int64).view(1, -1)
        bits = scramble(scramble(rows + self._key) + columns)
        score = (bits + 1).to(torch.float32) / 2**24
        return score.expand_as(error)


class GridPatches(PatchSelector):
    """A uniform grid of patches, the same for every image of a size: the ablation of choosing by content.

    Rows and columns of the grid are evenly spaced, about equally far apart, so that it may have a few patches less.

    Args:
        patches: the most patches that are refined in an image.

    Example:
        >>> GridPatches(patches=4)(torch.zeros(1, 1, 4, 4))[0, 0]
        tensor([[0., 0., 0., 0.],
                [0., 1., 0., 1.],
                [0., 0., 0., 0.],
                [0., 1., 0., 1.]])
    """

    def __init__(self, patches: int = 5000) -> None:
        super().__init__()
        self.patches = at_least(patches, 0, "GridPatches", "patches")

    def forward(self, error: Tensor) -> Tensor:
        # In tensors throughout, since the sides are symbols in an exported graph.
        height, width = (torch.full((), side, device=error.device, dtype=torch.int64) for side in error.shape[-2:])
        patches = torch.full_like(height, self.patches or 0)
        rows = (patches * height / width).sqrt().long().clamp(min=1).minimum(height)
        columns = (patches // rows).minimum(width)
        grid = evenly_spaced(rows, error.shape[-2], height).view(-1, 1) & evenly_spaced(columns, error.shape[-1], width)
        return grid.to(error.dtype).expand_as(error)


class AllPatches(PatchSelector):
    """Every patch: refinement everywhere (official "full" mode).

    Example:
        >>> AllPatches()(torch.zeros(1, 1, 1, 2))
        tensor([[[[1., 1.]]]])
    """

    def forward(self, error: Tensor) -> Tensor:
        return torch.ones_like(error)


class NoPatches(PatchSelector):
    """No patch: the coarse result enlarged, the refiner's weights unused.

    Example:
        >>> NoPatches().patches
        0
    """

    def __init__(self) -> None:
        super().__init__()
        self.patches = 0

    def forward(self, error: Tensor) -> Tensor:
        return torch.zeros_like(error)


def evenly_spaced(count: Tensor, length: int, size: Tensor) -> Tensor:
    """Return which of `length` positions belong to `count` evenly spaced ones, (length,); `size` is the length, too."""
    steps = (torch.arange(length + 1, device=size.device) * count + (size - 1) // 2) // size
    return steps[1:] > steps[:-1]


def scramble(values: Tensor) -> Tensor:
    """Hash int64 values to 24 bits by xor-shift and multiply, below 2³¹ so that every device agrees."""
    mask = 2**31 - 1
    for multiplier in (0x45D9F3B, 0x119DE1F3):
        values = (values & mask) ^ ((values & mask) >> 15)
        values = (values * multiplier) & mask
    return (values ^ (values >> 16)) & (2**24 - 1)


def at_least(value: int, lowest: int, owner: str, argument: str) -> int:
    """Return the value, or raise ValueError where it is too low."""
    if value < lowest:
        raise ValueError(f"{owner}({argument}={value}): expected {argument} ≥ {lowest}.")
    return value
