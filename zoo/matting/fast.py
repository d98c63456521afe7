"""Matting network prepared for inference on many images."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.matting.base_scale import fitting_scale
from zoo.matting.net import BaseScale, MattingNetwork, Prepared, check_combination
from zoo.matting.parts import PATCH, Coarse, MattingOutput
from zoo.training.fusing import fuse_batchnorm

SMALL = 64
"""Side in pixels of an image that is large enough for every layer of a backbone."""

COMPILED_SIZES = 2
"""Image sizes that are compiled for: upright and across."""


class FastMatting(nn.Module):
    """Faster copy of a matting network: batch norm is fused into convolutions, and the prepared background is cached.

    The background of the last call is used again as long as it is the same tensor and torch has not changed it.
    `.to(torch.bfloat16)` or `.to(torch.float16)` makes everything compute, and return, that type.

    Args:
        network: not changed; training it later does not change the copy.
        foreground: False leaves it out, and with it most of the memory that a large image takes; then
            `output.foreground` is None.
        compiled: compile the base network as one graph with its weights as constants, which takes about half a minute
            per image size. Sizes after the first two run uncompiled. On CUDA the graph is replayed as a CUDA graph.
        base_scale: size of the base network's input relative to the image; None takes `trained_side`.
        trained_side: side in pixels of the squares that the base network saw in training, from
            `zoo.matting.base_scale.trained_side`: the base scale then follows each image's size. None takes the
            network's own base scale.

    Raises:
        ValueError: a base scale that does not go with the refiner.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bgmv2_mobilenetv2", refiner="NoRefiner").eval()
        >>> image = torch.rand(1, 3, 64, 64)
        >>> FastMatting(model.network, base_scale=0.5)(image, image).coarse_alpha.shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(
        self,
        network: MattingNetwork,
        foreground: bool = True,
        compiled: bool = False,
        base_scale: BaseScale | None = None,
        trained_side: float | None = None,
    ) -> None:
        super().__init__()
        if base_scale is not None:
            parts = network.error_map, network.selector, network.refiner
            check_combination(*parts, network.foreground, base_scale)
        self.network = copy.deepcopy(network).eval()
        fuse_batchnorm(self.network, self._run_all)
        self.network.requires_grad_(False).to(memory_format=torch.channels_last)
        if compiled:
            self.network.base = compiled_base(self.network)  # type: ignore[method-assign, assignment]
        self.foreground, self.base_scale, self.trained_side = foreground, base_scale, trained_side
        self._cached: tuple[Tensor, tuple[int, BaseScale, torch.dtype], Prepared] | None = None
        self.eval()

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights and of the output."""
        return next(self.network.parameters()).dtype

    @torch.no_grad()
    def forward(self, source: Tensor, background: Tensor | None = None, hint: Tensor | None = None) -> MattingOutput:
        """Matte a batch, see `MattingNetwork`.

        Args:
            source: (B, 3, H, W) in [0, 1], any size.
            background: the same place without the foreground, same shape.
            hint: (B, 1, H, W), for the guide.
        """
        background = self.network.check_inputs(source, background, hint=hint)
        scale = self.scale_for(source.shape[-2], source.shape[-1])
        prepared = None if background is None else self._prepare_background(background, scale)
        return self.network.matte(self._prepare(source, scale), prepared, foreground=self.foreground, hint=hint)

    def scale_for(self, height: int, width: int) -> BaseScale:
        """Return the base scale for images of this size."""
        if self.base_scale is None and self.trained_side is not None:
            return fitting_scale(self.network, height, width, self.trained_side)
        return self.network.base_scale if self.base_scale is None else self.base_scale

    def train(self, mode: bool = True) -> "FastMatting":
        if mode:
            raise ValueError("FastMatting has fused weights and cannot be trained: train the network it was made of.")
        return super().train(mode)

    def _run_all(self) -> None:
        """Run everything that has weights, on an image as small as possible, with a patch to refine."""
        sides = (4 * PATCH, SMALL)
        whole, reduced = (torch.zeros(1, 3, side, side, device=self.device, dtype=self.dtype) for side in sides)
        behind = (whole, reduced) if self.network.captured_background else (None, None)
        coarse = self.network.base(reduced, behind[1], reduced[:, :1] if self.network.guide.channels else None)
        score = whole.new_ones(1, 1, 4, 4)
        self.network.refiner(whole, behind[0], coarse, score, 1)

    def _prepare_background(self, background: Tensor, scale: BaseScale) -> Prepared:
        if background.is_inference():  # such tensors do not count their changes
            return self._prepare(background, scale)
        state, cached = (background._version, scale, self.dtype), self._cached
        if cached is None or cached[0] is not background or cached[1] != state:
            self._cached = cached = background, state, self._prepare(background, scale)
        return cached[2]

    def _prepare(self, image: Tensor, scale: BaseScale) -> Prepared:
        # Highlights above white, of an EXR, are none that a network was trained on.
        prepared = self.network.prepare(image.to(self.dtype).clamp(max=1), scale)
        # Channels last, as the weights: concatenating features of two memory formats would copy the largest of them.
        return prepared._replace(reduced=prepared.reduced.contiguous(memory_format=torch.channels_last))


def compiled_base(network: MattingNetwork) -> Callable[[Tensor, Tensor | None, Tensor | None], Coarse]:
    """Return the network's `base`, compiled at its first call for each of the first `COMPILED_SIZES` sizes.

    Raises:
        ValueError: at a call, torch cannot compile here.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # imports the whole compiler

    plain = network.base
    graph = torch.compile(plain, fullgraph=True, dynamic=False, options={"freezing": True, "triton.cudagraphs": True})
    sizes: set[torch.Size] = set()

    def base(source: Tensor, background: Tensor | None = None, guide: Tensor | None = None) -> Coarse:
        if source.shape not in sizes and len(sizes) == COMPILED_SIZES:
            return plain(source, background, guide)
        sizes.add(source.shape)
        torch.compiler.cudagraph_mark_step_begin()
        try:
            coarse = graph(source, background, guide)
        except BackendCompilerFailed as error:
            raise ValueError(
                f"torch could not compile the base network ({str(error).splitlines()[0]}); expected a C++ compiler, or "
                "Triton on CUDA: install it, or do without compiling."
            ) from error
        # A CUDA graph returns its results in the same memory every time.
        return Coarse(*(each.clone() for each in coarse)) if source.is_cuda else coarse

    return base
