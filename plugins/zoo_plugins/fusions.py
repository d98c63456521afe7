"""Fusions: a pyramid of the backbone's features, and its merge with the heatmaps back into the backbone.

The features are c2, c3 and c4, at strides 4, 8 and 16; the *pyramid* p3, p4 and p5 has the same strides and an equal
number of channels at each. The fusions are rows of one ablation: `GatedBiFPN` is DAD-3DNet as released,
`InceptionBiFPN` as its paper describes it; `ConcatFusion` has neither BiFPN nor gate. Each of the others changes one
thing of it: `ConvFusion` adds a convolution, `PyramidFusion` has a top-down pyramid, `AddFusion` adds and
`AttentionFusion` weights the levels instead of concatenating them.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.heads.parts import Fusion

LEVELS = 5
"""Levels of a BiFPN: p3, p4 and p5 from the backbone's features, p6 and p7 from c4 at strides 32 and 64."""
WEIGHT_OFFSET = 1e-4
"""Added to each normalised weight of a BiFPN (after the division, as in the official code)."""


class SeparableBlock(nn.Module):
    """Depthwise and pointwise 1×1 convolution, BatchNorm, ReLU."""

    def __init__(self, channels: int, batch_norm_momentum: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=4e-5, momentum=batch_norm_momentum)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.pointwise(self.depthwise(x))))


class BiFPNLayer(nn.Module):
    """One pass from the coarsest of five levels to the finest and back (EfficientDet, section 3).

    Each block adds two levels on the way down and three on the way back, with learned weights.
    """

    def __init__(self, channels: int, batch_norm_momentum: float) -> None:
        super().__init__()
        self.top_down = nn.ModuleList(SeparableBlock(channels, batch_norm_momentum) for _ in range(LEVELS - 1))
        self.bottom_up = nn.ModuleList(SeparableBlock(channels, batch_norm_momentum) for _ in range(LEVELS - 1))
        self.top_down_weights = nn.Parameter(torch.ones(2, LEVELS - 1))
        self.bottom_up_weights = nn.Parameter(torch.ones(3, LEVELS - 1))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map p3 … p7 to p3 … p7."""
        weights = normalised(self.top_down_weights)
        between = [features[-1]]
        for step, block in enumerate(self.top_down):  # p6 to p3
            level = features[-2 - step]
            between.append(block(weights[0, step] * level + weights[1, step] * nearest(between[-1], level)))
        between.reverse()
        weights = normalised(self.bottom_up_weights)
        results = between[:1]
        for step, block in enumerate(self.bottom_up):  # p4 to p7
            level, joined = features[1 + step], between[1 + step]
            below = nearest(results[-1], level)
            results.append(block(weights[0, step] * level + weights[1, step] * joined + weights[2, step] * below))
        return results


class BiFPN(nn.Module):
    """BiFPN from c2, c3 and c4 to p3, p4 and p5, over five levels (DAD-3DNet, official code).

    The blocks of p6 and p7 in the last layer are unused. They exist since official weights hold them, and are frozen,
    so that every trained parameter has a gradient, as DDP requires.
    """

    def __init__(self, feature_channels: Sequence[int], channels: int, layers: int, batch_norm_momentum: float) -> None:
        super().__init__()
        self.laterals = make_laterals(feature_channels, channels)
        self.p6 = nn.Conv2d(feature_channels[-1], channels, 3, stride=2, padding=1)
        self.p7 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(channels, eps=4e-5, momentum=batch_norm_momentum),
            nn.ReLU(),
        )
        bifpn_layers = [BiFPNLayer(channels, batch_norm_momentum) for _ in range(layers)]
        for unused in bifpn_layers[-1].bottom_up[2:]:
            unused.requires_grad_(False)
        self.layers = nn.Sequential(*bifpn_layers)

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        """Return p3, p4 and p5."""
        p6 = self.p6(c4)
        return self.layers([*apply_each(self.laterals, (c2, c3, c4)), p6, self.p7(p6)])[:3]


class BiFPNFusion(Fusion):
    """Base of the two fusions on a BiFPN."""

    def __init__(self, channels: int = 256, layers: int = 2, batch_norm_momentum: float = 3e-4) -> None:
        super().__init__()
        if channels < 1 or layers < 1 or not 0 < batch_norm_momentum <= 1:
            raise ValueError(
                f"{type(self).__name__}(channels={channels}, layers={layers}, batch_norm_momentum="
                f"{batch_norm_momentum}): expected at least one channel, at least one layer and a momentum in (0, 1]."
            )
        self.pyramid_channels = channels
        self.layers = layers
        self.batch_norm_momentum = batch_norm_momentum

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        self.bifpn = BiFPN(channels, self.pyramid_channels, self.layers, self.batch_norm_momentum)
        self.build_merge(channels[-1], channels[-1] + heatmaps + self.pyramid_channels)

    @abstractmethod
    def build_merge(self, c4_channels: int, joined_channels: int) -> None:
        """Create the layers of `merge` for c4, heatmaps and p5 concatenated."""

    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        return self.bifpn(c2, c3, c4)


class GatedBiFPN(BiFPNFusion):
    """BiFPN, and c4 multiplied by a gate computed from c4, heatmaps and p5 (DAD-3DNet's released code).

    c2, c3 and c4 are the backbone's features at strides 4, 8 and 16, p5 is the pyramid's map at stride 16.

    Args:
        channels: of the pyramid.
        layers: of the BiFPN.
        batch_norm_momentum: weight of one batch in BatchNorm's running statistics, as in PyTorch. After n steps,
            (1 − momentum)ⁿ of the initial values remain, so a short training needs a larger value. The official code
            passes 0.9997, which means 3e-4 in TensorFlow and in PyTorch keeps the last batch alone.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> fusion = GatedBiFPN(channels=6)
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> c2, c3, c4 = torch.rand(2, 4, 16, 16), torch.rand(2, 8, 8, 8), torch.rand(2, 16, 4, 4)
        >>> fusion.merge(c4, fusion.pyramid(c2, c3, c4), None).shape
        torch.Size([2, 16, 4, 4])
    """

    def build_merge(self, c4_channels: int, joined_channels: int) -> None:
        self.gate = nn.Conv2d(joined_channels, c4_channels, 1)
        assert self.gate.bias is not None
        nn.init.ones_(self.gate.bias)  # a gate near 1 passes c4 on; near 0 it would erase it before training

    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        return self.gate(join(c4, heatmaps, pyramid[2:])) * c4


class InceptionBiFPN(BiFPNFusion):
    """BiFPN, and an Inception block over c4, heatmaps and p5 that replaces c4: our reading of the paper.

    The paper names an Inception-style multi-scale fusion without sizes or code. Ours is the block of GoogLeNet: 1×1,
    3×3 and 5×5 convolutions (the latter two after a 1×1) and max pooling in parallel, a quarter of c4's channels each,
    every convolution with BatchNorm and ReLU.

    Args:
        channels: of the pyramid.
        layers: of the BiFPN.
        batch_norm_momentum: see `GatedBiFPN`.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> InceptionBiFPN(channels=6).spec["init_args"]
        {'channels': 6, 'layers': 2, 'batch_norm_momentum': 0.0003}
    """

    def build_merge(self, c4_channels: int, joined_channels: int) -> None:
        momentum = self.batch_norm_momentum
        width, left = divmod(c4_channels, 4)
        if not width:
            raise ValueError(
                f"InceptionBiFPN: c4 has {c4_channels} channels, expected at least 4, one for each branch."
            )
        self.branches = nn.ModuleList(
            [
                convolution(joined_channels, width + left, 1, momentum),
                nn.Sequential(convolution(joined_channels, width, 1, momentum), convolution(width, width, 3, momentum)),
                nn.Sequential(convolution(joined_channels, width, 1, momentum), convolution(width, width, 5, momentum)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), convolution(joined_channels, width, 1, momentum)),
            ]
        )

    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        joined = join(c4, heatmaps, pyramid[2:])
        return torch.cat([branch(joined) for branch in self.branches], dim=1)


class ConcatFusion(Fusion):
    """Pyramid of a 1×1 convolution per feature, and a 1×1 convolution over the concatenation that replaces c4.

    Without a BiFPN the levels exchange nothing, so all three are concatenated with c4 and heatmaps at c4's size.

    Args:
        channels: of the pyramid.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> fusion = ConcatFusion(channels=6)
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> c2, c3, c4 = torch.rand(2, 4, 16, 16), torch.rand(2, 8, 8, 8), torch.rand(2, 16, 4, 4)
        >>> fusion.merge(c4, fusion.pyramid(c2, c3, c4), None).shape
        torch.Size([2, 16, 4, 4])
    """

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"{type(self).__name__}(channels={channels}): expected at least one channel.")
        self.pyramid_channels = channels

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        self.laterals = make_laterals(channels, self.pyramid_channels)
        self.merging = self.make_merging(channels[-1] + heatmaps + 3 * self.pyramid_channels, channels[-1])

    def make_merging(self, joined_channels: int, c4_channels: int) -> nn.Module:
        """Return the layers from the concatenation of c4, heatmaps and pyramid to c4's channels."""
        return nn.Conv2d(joined_channels, c4_channels, 1)

    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        return apply_each(self.laterals, (c2, c3, c4))

    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        return self.merging(join(c4, heatmaps, pyramid))


class NoFusion(Fusion):
    """Nothing is fused: the backbone's features go on unchanged, and the pyramid is its finest features.

    Example:
        >>> fusion = NoFusion()
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> c2, c3, c4 = torch.rand(2, 4, 16, 16), torch.rand(2, 8, 8, 8), torch.rand(2, 16, 4, 4)
        >>> fusion.merge(c4, fusion.pyramid(c2, c3, c4), None) is c4
        True
    """

    fuses = False

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        self.pyramid_channels = channels[0]

    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        return [c2]

    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        return c4


class ConvFusion(ConcatFusion):
    """`ConcatFusion` with a block of 3×3 convolution, BatchNorm and ReLU before its last convolution.

    Compared with `ConcatFusion` it measures the value of spatial context; compared with `GatedBiFPN` and
    `InceptionBiFPN`, how much of their gain is due to the BiFPN.

    Args:
        channels: of the pyramid and of the block.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> ConvFusion(channels=6).pyramid_channels
        6
    """

    def make_merging(self, joined_channels: int, c4_channels: int) -> nn.Module:
        width = self.pyramid_channels
        return nn.Sequential(convolution(joined_channels, width, 3), nn.Conv2d(width, c4_channels, 1))


class PyramidFusion(ConcatFusion):
    """`ConcatFusion` on a feature pyramid network: coarser levels are added to finer ones (Lin et al., CVPR 2017).

    Args:
        channels: of the pyramid.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> fusion = PyramidFusion(channels=6)
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> [p.shape[-1] for p in fusion.pyramid(*(torch.rand(2, c, s, s) for c, s in ((4, 16), (8, 8), (16, 4))))]
        [16, 8, 4]
    """

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        super().build(channels, heatmaps)
        width = self.pyramid_channels
        self.smoothing = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)

    def pyramid(self, c2: Tensor, c3: Tensor, c4: Tensor) -> list[Tensor]:
        fine, middle, coarse = super().pyramid(c2, c3, c4)
        middle = middle + nearest(coarse, middle)
        return apply_each(self.smoothing, (fine + nearest(middle, fine), middle, coarse))


class AddFusion(ConcatFusion):
    """`ConcatFusion` that adds instead: the levels and the projected heatmaps are summed at c4's size, and a 1×1
    convolution of the sum is added to c4.

    Args:
        channels: of the pyramid.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> fusion = AddFusion(channels=6)
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> fusion.merging.in_channels
        6
    """

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        self.laterals = make_laterals(channels, self.pyramid_channels)
        self.projection = nn.Conv2d(heatmaps, self.pyramid_channels, 1) if heatmaps else None
        self.merging = self.make_merging(self.pyramid_channels, channels[-1])

    def merge(self, c4: Tensor, pyramid: list[Tensor], heatmaps: Tensor | None) -> Tensor:
        _, *sources = at_size_of(c4, heatmaps, pyramid)
        if heatmaps is not None and self.projection is not None:
            sources[0] = self.projection(sources[0])
        return c4 + self.merging(self.combine(c4, torch.stack(sources, dim=1)))

    def combine(self, c4: Tensor, sources: Tensor) -> Tensor:
        """Return one map (B, C, h, w) of the sources (B, N, C, h, w)."""
        return sources.sum(1)


class AttentionFusion(AddFusion):
    """`AddFusion` with attention: at each position, c4 decides how much of each level and of the heatmaps it takes.

    The scaled dot product of a query from c4 and a key from each source, softmax over the sources, one head.

    Args:
        channels: of the pyramid, queries and keys.

    Raises:
        ValueError: less than one channel.

    Example:
        >>> fusion = AttentionFusion(channels=6)
        >>> fusion.build(channels=(4, 8, 16), heatmaps=0)
        >>> fusion.combine(torch.rand(2, 16, 4, 4), torch.rand(2, 3, 6, 4, 4)).shape
        torch.Size([2, 6, 4, 4])
    """

    def build(self, channels: Sequence[int], heatmaps: int) -> None:
        super().build(channels, heatmaps)
        width = self.pyramid_channels
        self.query = nn.Conv2d(channels[-1], width, 1)
        # Without a bias, which would move all scores of a position alike.
        self.key, self.value = nn.Conv2d(width, width, 1, bias=False), nn.Conv2d(width, width, 1)

    def combine(self, c4: Tensor, sources: Tensor) -> Tensor:
        keys, values = (layer(sources.flatten(0, 1)).view_as(sources) for layer in (self.key, self.value))
        scores = (self.query(c4)[:, None] * keys).sum(2, keepdim=True) / self.pyramid_channels**0.5
        return (scores.softmax(1) * values).sum(1)


def make_laterals(feature_channels: Sequence[int], channels: int) -> nn.ModuleList:
    """Return a 1×1 convolution for each of the backbone's features."""
    return nn.ModuleList(nn.Conv2d(count, channels, 1) for count in feature_channels)


def apply_each(layers: nn.ModuleList, features: Sequence[Tensor]) -> list[Tensor]:
    """Apply one layer to each feature."""
    return [layer(feature) for layer, feature in zip(layers, features, strict=True)]


def convolution(in_channels: int, out_channels: int, size: int, batch_norm_momentum: float = 0.1) -> nn.Sequential:
    """Return convolution with padding, BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(out_channels, momentum=batch_norm_momentum),
        nn.ReLU(),
    )


def join(c4: Tensor, heatmaps: Tensor | None, levels: Sequence[Tensor]) -> Tensor:
    """Concatenate c4, the heatmaps as probabilities, and levels of the pyramid, all at c4's size."""
    return torch.cat(at_size_of(c4, heatmaps, levels), dim=1)


def at_size_of(c4: Tensor, heatmaps: Tensor | None, levels: Sequence[Tensor]) -> list[Tensor]:
    """Return c4, the heatmaps as probabilities where there are any, and the levels, all at c4's size."""
    size = (c4.shape[-2], c4.shape[-1])
    maps = [c4]
    if heatmaps is not None:
        maps.append(F.interpolate(heatmaps, size, mode="bilinear", align_corners=True).sigmoid())
    return maps + [each if each.shape[-2:] == c4.shape[-2:] else F.adaptive_avg_pool2d(each, size) for each in levels]


def normalised(weights: Tensor) -> Tensor:
    """Normalise learned weights (inputs, blocks) to a sum of 1 over the inputs of each block."""
    positive = weights.relu()
    return positive / positive.sum(0).clamp(min=1e-12) + WEIGHT_OFFSET  # clamped, since 0 / 0 is NaN


def nearest(x: Tensor, like: Tensor) -> Tensor:
    """Resize x to the size of another map by nearest neighbours."""
    return F.interpolate(x, (like.shape[-2], like.shape[-1]))
