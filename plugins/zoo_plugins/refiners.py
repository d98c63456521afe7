"""Refiners: the selected 4×4-pixel patches are recomputed from the image at full size.

`PatchRefiner` has four paths with equal results in evaluation (tests hold them together): *gathered*, the plain one,
crops the selected patches; *static* does the same with shapes that depend on nothing but sizes, for compilers and
exporters; *dense* runs over the whole image; *tiled* is the fast one, see `zoo_plugins.refinement`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.matting.parts import PATCH, Coarse, Refiner, resize, select
from zoo.training.fusing import fused
from zoo_plugins.refinement.gather import Cells, crop, refiner_inputs, write, write_in_place
from zoo_plugins.refinement.tiled import CHUNK_BYTES, TILE_SIDES, Kernels, half_size_kernels, refined_patches

DENSE_FRACTION = 0.2
"""Fraction of selected patches above which the dense path computes less: 95,040 multiply-adds a patch, gathered
474,336.
"""


class PatchRefiner(Refiner):
    """BackgroundMattingV2's refiner (paper, section 3.2).

    The coarse result at half size with source and background at half size goes through two convolutions; enlarged to
    full size (nearest) and joined by source and background, through two more. Beyond the image's border everything is
    zero.

    Args:
        kernel_size: 3, or 1 for the paper's ablation without context.

    Example:
        >>> coarse = Coarse(*(torch.rand(1, channels, 4, 4) for channels in (1, 3, 1, 32)))
        >>> source, background, score = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16), torch.rand(1, 1, 4, 4)
        >>> alpha, foreground, refined = PatchRefiner().eval()(source, background, coarse, score, 5)
        >>> alpha.shape, foreground.shape, int(refined.sum())
        (torch.Size([1, 1, 16, 16]), torch.Size([1, 3, 16, 16]), 5)
    """

    retired_arguments = frozenset({"windows"})

    static_shapes = False
    """Set on an instance where no shape may depend on values, as when multiply-adds are counted without any."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size not in (1, 3):
            raise ValueError(f"PatchRefiner(kernel_size={kernel_size}): expected 1 or 3.")
        self.half_margin, self.full_margin = (3, 2) if kernel_size == 3 else (0, 0)
        self.conv1 = nn.Conv2d(32 + 4 + 6, 24, kernel_size, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 16, kernel_size, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16 + 6, 12, kernel_size, bias=False)
        self.bn3 = nn.BatchNorm2d(12)
        self.conv4 = nn.Conv2d(12, 4, kernel_size)
        assert self.conv4.bias is not None
        nn.init.constant_(self.conv4.bias[:1], 0.5)  # alpha begins inside [0, 1], where the clamp lets gradients pass

    def leave_out_background(self) -> None:
        kernel_size = self.conv1.kernel_size[0]
        self.conv1 = nn.Conv2d(32 + 4 + 3, 24, kernel_size, bias=False)
        self.conv3 = nn.Conv2d(16 + 3, 12, kernel_size, bias=False)

    def forward(
        self, source: Tensor, background: Tensor | None, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self._may_tile(source):
            alpha, foreground, refined = self.tiled(source, background, coarse, score, patches)
            assert foreground is not None
            return alpha, foreground, refined
        enlarged = resize(torch.cat([coarse.alpha, coarse.foreground], 1), (source.shape[-2], source.shape[-1]))
        if self.training:
            result, refined = self._train(source, background, coarse, score, patches, enlarged)
        elif patches == 0:
            result, refined = enlarged, torch.zeros_like(score)
        else:
            images, halves = self._inputs(source, background, coarse)
            if not self.static_shapes and not torch.compiler.is_compiling() and not torch.jit.is_tracing():
                result, refined = self.plain(images, halves, score, patches, enlarged)
            elif patches is None:
                result, refined = self.dense(images, halves, score, patches, enlarged)
            else:
                result, refined = self.static(images, halves, score, patches, enlarged)
        return result[:, :1], result[:, 1:], refined

    def alpha(
        self, source: Tensor, background: Tensor | None, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor]:
        if not self._may_tile(source):
            return super().alpha(source, background, coarse, score, patches)
        alpha, _, refined = self.tiled(source, background, coarse, score, patches, foreground=False)
        return alpha, refined

    def _may_tile(self, source: Tensor) -> bool:
        """Whether the tiled path can run: it has no gradient, its shapes depend on the selection, and not every device
        has its operations.
        """
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return False
        return not self.static_shapes and source.device.type in CHUNK_BYTES

    def tiled(
        self,
        source: Tensor,
        background: Tensor | None,
        coarse: Coarse,
        score: Tensor,
        patches: int | None,
        sides: tuple[int, ...] = TILE_SIDES,
        foreground: bool = True,
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Refine tiles of selected patches, with BatchNorm fused into the convolutions: the fast path.

        Args:
            source, background, coarse, score, patches: as in `forward`.
            sides: of the tiles to choose from, in patches.
            foreground: False leaves it out, then it is None.
        """
        size = (source.shape[-2], source.shape[-1])
        alpha = resize(coarse.alpha.contiguous(), size)
        colours = resize(coarse.foreground.contiguous(), size) if foreground else None
        selected = select(score, patches)
        inputs, kernels = refiner_inputs(source, background, coarse), self._kernels(4 if foreground else 1)
        for cells, result in refined_patches(inputs, selected, kernels, sides):
            write_in_place(alpha, cells, result[:, :1])
            if colours is not None:
                write_in_place(colours, cells, result[:, 1:])
        return alpha, colours, selected.to(score.dtype)

    def _kernels(self, channels: int) -> Kernels:
        """The fused convolutions, the last one with this many output channels.

        They are never cached: a cache would be wrong once a weight has changed, and fusing takes less than a thousandth
        of an image's time.
        """
        assert self.conv4.bias is not None
        return half_size_kernels(
            fused(self.conv1, self.bn1),
            fused(self.conv2, self.bn2),
            fused(self.conv3, self.bn3),
            (self.conv4.weight[:channels], self.conv4.bias[:channels]),
        )

    def plain(
        self, images: Tensor, halves: Tensor, score: Tensor, patches: int | None, enlarged: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take the gathered or the dense path, whichever computes less; gradients flow through both."""
        count = int(select(score, patches).sum())
        path = self.dense if count > DENSE_FRACTION * score.numel() else self.gathered
        return path(images, halves, score, patches, enlarged)

    def gathered(
        self, images: Tensor, halves: Tensor, score: Tensor, patches: int | None, enlarged: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Crop each selected patch with its margin, convolve, write it back: the plain path."""
        selected = select(score, patches)
        cells = Cells(*torch.nonzero(selected[:, 0], as_tuple=True))
        if len(cells.image) == 0:
            return enlarged, selected.to(score.dtype)
        return write(enlarged, cells, self._patches(images, halves, cells)), selected.to(score.dtype)

    def static(
        self, images: Tensor, halves: Tensor, score: Tensor, patches: int | None, enlarged: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute `patches` patches an image, and write unselected ones back unchanged: no shape depends on data."""
        batch, _, rows, columns = score.shape
        least = torch.sym_min if torch.compiler.is_compiling() else min  # sizes may be symbols, which min would compare
        count = rows * columns if patches is None else least(patches, rows * columns)
        best = score.flatten(1).topk(count, 1, sorted=False)
        image = torch.arange(batch, device=score.device).view(-1, 1).expand(batch, count)
        row = best.indices // columns
        # Not the remainder, which no exporter to ONNX takes from a division by a symbol.
        cells = Cells(image.reshape(-1), row.reshape(-1), (best.indices - row * columns).reshape(-1))
        chosen = best.values > 0
        before = crop(enlarged, cells, PATCH, 0)
        after = self._patches(images, halves, cells).to(before.dtype)
        result = write(enlarged, cells, torch.where(chosen.reshape(-1, 1, 1, 1), after, before))
        refined = torch.zeros_like(score).flatten(1).scatter(1, best.indices, chosen.to(score.dtype)).view_as(score)
        return result, refined

    def dense(
        self, images: Tensor, halves: Tensor, score: Tensor, patches: int | None, enlarged: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Convolve the whole image, and keep the result where it is selected."""
        selected = select(score, patches)
        x = self._full(self._half(F.pad(halves, (self.half_margin,) * 4)), F.pad(images, (self.full_margin,) * 4))
        everywhere = selected.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
        return torch.where(everywhere, x.to(enlarged.dtype), enlarged), selected.to(score.dtype)

    def _train(
        self,
        source: Tensor,
        background: Tensor | None,
        coarse: Coarse,
        score: Tensor,
        patches: int | None,
        enlarged: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Dense without a bound, gathered with one: BatchNorm sees other pixels in each, so only the configuration may
        choose, never the data.

        An image without a selected patch passes one all the same, with no effect, so that every parameter always has a
        gradient (DDP needs it).
        """
        images, halves = self._inputs(source, background, coarse)
        if patches is None:
            return self.dense(images, halves, score, patches, enlarged)
        selected = select(score, patches)
        passing = selected | (~selected.any((2, 3), keepdim=True) & select(torch.ones_like(score), 1))
        cells = Cells(*torch.nonzero(passing[:, 0], as_tuple=True))
        before = crop(enlarged, cells, PATCH, 0)
        after = self._patches(images, halves, cells).to(before.dtype)
        effective = selected[cells.image, 0, cells.row, cells.column].view(-1, 1, 1, 1)
        return write(enlarged, cells, torch.where(effective, after, before)), selected.to(score.dtype)

    def _inputs(self, source: Tensor, background: Tensor | None, coarse: Coarse) -> tuple[Tensor, Tensor]:
        """(B, 6, H, W): source and background; (B, 42, H/2, W/2): the coarse result and both images at half size.

        Without background 3 and 39 channels.
        """
        images = source if background is None else torch.cat([source, background], 1)
        half = (images.shape[-2] // 2, images.shape[-1] // 2)
        features = resize(torch.cat([coarse.hidden, coarse.alpha, coarse.foreground], 1), half)
        return images, torch.cat([features, resize(images, half)], 1)

    def _patches(self, images: Tensor, halves: Tensor, cells: Cells) -> Tensor:
        """The refined patches, (P, 4, 4, 4)."""
        half = self._half(crop(halves, cells, PATCH // 2, self.half_margin))
        return self._full(half, crop(images, cells, PATCH, self.full_margin))

    def _half(self, x: Tensor) -> Tensor:
        """The two convolutions at half size; the margin shrinks by one pixel a side and convolution."""
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))

    def _full(self, half: Tensor, images: Tensor) -> Tensor:
        """The two convolutions at full size."""
        x = F.interpolate(half, scale_factor=2.0, mode="nearest")
        x = F.relu(self.bn3(self.conv3(torch.cat([x, images.to(x.dtype)], 1))))
        return self.conv4(x)


class NoRefiner(Refiner):
    """The coarse result enlarged bilinearly; with `base_scale` 1 the first training stage, the base network alone.

    Example:
        >>> coarse = Coarse(*(torch.rand(1, channels, 4, 4) for channels in (1, 3, 1, 32)))
        >>> images, score = torch.rand(2, 1, 3, 16, 16), torch.rand(1, 1, 4, 4)
        >>> alpha, _, refined = NoRefiner()(*images, coarse, score, 5)
        >>> alpha.shape, int(refined.sum())
        (torch.Size([1, 1, 16, 16]), 0)
    """

    refines = False

    def leave_out_background(self) -> None:
        pass

    def forward(
        self, source: Tensor, background: Tensor | None, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = (source.shape[-2], source.shape[-1])
        if coarse.alpha.shape[-2:] == size:
            return coarse.alpha, coarse.foreground, torch.zeros_like(score)
        return resize(coarse.alpha, size), resize(coarse.foreground, size), torch.zeros_like(score)
