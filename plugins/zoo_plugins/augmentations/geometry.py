"""Movements: random affine maps and mirror images.

An affine map rotates, scales and shears the image about its middle and then moves it, in torchvision's convention
(`shear` along x only). Images are sampled bilinearly without antialias, as in the official code; translations are not
rounded to whole pixels.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.core.seeding import RandomStream
from zoo.matting.parts import MattingAugmentation, MattingBatch
from zoo_plugins.augmentations import IMAGES, Side, change_chosen, check_limits, check_range, check_side

OFFICIAL_SCALE = {"foreground": (0.3, 1.0), "background": (1.0, 2.0)}
SMALLEST_SCALE = 0.01


class RandomAffine(MattingAugmentation):
    """Rotates, moves, scales and shears one side of the batch on its canvas.

    Around a smaller foreground alpha is 0 and the image black. A background is continued by its mirror image, so that
    no empty border is ever seen (the official code leaves black corners there).

    Args:
        side: `foreground` (with its alpha) or `background`.
        degrees: largest rotation, either way.
        translate: largest movement along each axis, as a fraction of the canvas.
        scale: smallest and largest scale; 1 is the image as the canvas holds it. None: 0.3–1 for foregrounds (the
            official base stage uses 0.4–1), 1–2 for backgrounds. The official 1 covers the canvas: for 16:9 mattes that
            lie inside the canvas, the official sizes are 0.53–1.78.
        shear: largest shear along x, in degrees, either way.
        probability: of changing a sample.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> RandomAffine("foreground")(batch, RandomStream([7], "x")).alpha.shape
        torch.Size([1, 1, 8, 8])
    """

    phase = "canvas"

    def __init__(
        self,
        side: Side,
        degrees: float = 5.0,
        translate: float = 0.1,
        scale: tuple[float, float] | None = None,
        shear: float = 5.0,
        probability: float = 1.0,
    ) -> None:
        super().__init__()
        check_side(self, side)
        scale = OFFICIAL_SCALE[side] if scale is None else scale
        check_range(self, 0, 1, probability=probability, translate=translate)
        check_range(self, 0, 180, degrees=degrees)
        check_range(self, 0, 80, shear=shear)
        check_limits(self, SMALLEST_SCALE, scale=scale)
        self.side, self.degrees, self.translate, self.scale, self.shear = side, degrees, translate, scale, shear
        self.probability = probability

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        chosen = random.chance(self.probability)
        theta = random_theta(random, batch.alpha.shape[-2:], self.degrees, self.translate, self.scale, self.shear)
        if not chosen.any():
            return batch
        grid = sampling_grid(theta[chosen], batch.alpha)
        outside = "zeros" if self.side == "foreground" else "reflection"
        return change_chosen(batch, IMAGES[self.side], chosen, lambda images: sample(images, grid, outside))


class HorizontalFlip(MattingAugmentation):
    """Mirrors one side of the batch, left to right.

    Args:
        side: `foreground` (with its alpha) or `background`.
        probability: of changing a sample.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> batch = MattingBatch(image, image, alpha, image)
        >>> HorizontalFlip("foreground", probability=1.0)(batch, RandomStream([7], "x")).alpha.equal(alpha.flip(-1))
        True
    """

    phase = "canvas"

    def __init__(self, side: Side, probability: float = 0.5) -> None:
        super().__init__()
        check_side(self, side)
        check_range(self, 0, 1, probability=probability)
        self.side, self.probability = side, probability

    def forward(self, batch: MattingBatch, random: RandomStream) -> MattingBatch:
        return change_chosen(batch, IMAGES[self.side], random.chance(self.probability), lambda images: images.flip(-1))


def random_theta(
    random: RandomStream, size: Sequence[int], degrees: float, translate: float, scale: Sequence[float], shear: float
) -> Tensor:
    """Sample one affine map a sample, and return the inverse matrices.

    Args:
        random: one stream a sample.
        size: height and width of the images.
        degrees, translate, scale, shear: as in `RandomAffine`.

    Returns:
        (B, 2, 3) on the CPU: `theta` of `torch.nn.functional.affine_grid`, from positions in the result to positions in
        the image, both in [−1, 1] along each side.

    Example:
        >>> random_theta(RandomStream([7], "x"), (8, 8), 0, 0, (2, 2), 0)
        tensor([[[0.5000, 0.0000, 0.0000],
                 [0.0000, 0.5000, 0.0000]]])
    """
    angle = random.uniform(-degrees, degrees) * math.pi / 180
    moved = torch.stack([random.uniform(-translate, translate), random.uniform(-translate, translate)], dim=1) * 2
    zoom = random.uniform(scale[0], scale[1])
    sheared = torch.tan(random.uniform(-shear, shear) * math.pi / 180)
    # The image is sheared, then rotated, then scaled; the inverse undoes this in the other order.
    cosine, sine, one, zero = torch.cos(angle), torch.sin(angle), torch.ones_like(angle), torch.zeros_like(angle)
    rotated_back = torch.stack([cosine, sine, -sine, cosine], dim=1).view(-1, 2, 2)
    sheared_back = torch.stack([one, sheared, zero, one], dim=1).view(-1, 2, 2)
    back = sheared_back @ rotated_back / zoom.view(-1, 1, 1)
    # Angles hold in pixels; [−1, 1] spans other lengths along the two sides of an image that is not square.
    spans = torch.tensor([size[1], size[0]], dtype=back.dtype)
    back = back * spans.view(1, 1, 2) / spans.view(1, 2, 1)
    return torch.cat([back, -back @ moved.unsqueeze(2)], dim=2)


def sampling_grid(theta: Tensor, like: Tensor) -> Tensor:
    """Return the grid (n, H, W, 2) of matrices (n, 2, 3) for images of the size, device and type of `like`.

    As `torch.nn.functional.affine_grid`, in half the time: each position is the sum of a column's and a row's
    contribution, and no matrix is multiplied.

    Example:
        >>> sampling_grid(torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), torch.zeros(1, 3, 1, 2))
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    height, width = like.shape[-2:]
    columns, rows = ((torch.arange(length).to(like) * 2 + 1) / length - 1 for length in (width, height))
    by_column, by_row, constant = theta.to(like).unsqueeze(3).unbind(2)
    grid = like.new_empty(len(theta), height, width, 2)
    for axis in range(2):
        across, down = by_column[:, axis] * columns, by_row[:, axis] * rows + constant[:, axis]
        torch.add(across[:, None], down[:, :, None], out=grid[..., axis])
    return grid


def sample(images: Tensor, grid: Tensor, outside: str) -> Tensor:
    """Sample the images at the grid's positions; `outside` is `zeros` or `reflection` (the mirror image).

    Example:
        >>> sample(torch.ones(1, 3, 4, 4), torch.zeros(1, 2, 2, 2), "zeros").shape
        torch.Size([1, 3, 2, 2])
    """
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)
