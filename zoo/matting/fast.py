"""A matting network made ready for many pictures."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.matting.net import MattingNetwork, Prepared, check_images
from zoo.matting.parts import PATCH, Coarse, MattingOutput
from zoo.training.fusing import fuse_batchnorm

SMALL = 64
"""Side in pixels of a picture of which every layer of a backbone has something left."""

COMPILED = 2
"""Sizes of pictures that are compiled for: upright and across."""


class FastMatting(nn.Module):
    """What a network gives, faster: a copy with BatchNorm folded into its convolutions, which remembers what it can of
    the background.

    The background of the last call is not looked at again as long as it is the same tensor and torch has not changed
    it. `.to(torch.bfloat16)` or `.to(torch.float16)` makes everything compute, and give, that.

    Args:
        network: left as it is; what is trained into it later does not arrive here.
        foreground: False leaves it out, and with it most of the memory that a large picture takes; then
            `output.foreground` is None.
        compiled: True has torch compile the base network, as one graph and with its weights as constants, which takes
            about half a minute for a size of pictures; all after the first two sizes are computed as without. On CUDA
            the graph is replayed as a CUDA graph.
    """

    def __init__(self, network: MattingNetwork, foreground: bool = True, compiled: bool = False) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        fuse_batchnorm(self.network, self._run_all)
        self.network.requires_grad_(False).to(memory_format=torch.channels_last)
        if compiled:
            self.network.base = compiled_base(self.network)  # type: ignore[method-assign, assignment]
        self.foreground = foreground
        self._seen: tuple[Tensor, int, float, torch.dtype] | None = None
        self._prepared: Prepared | None = None
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.network.parameters()).dtype

    @torch.no_grad()
    def forward(self, source: Tensor, background: Tensor) -> MattingOutput:
        """Matte a picture, see `MattingNetwork`.

        Args:
            source: (B, 3, H, W) in [0, 1], any size.
            background: the same place without the foreground, same shape.
        """
        check_images(source, background, None)
        return self.network.matte(self._prepare(source), self._prepare_once(background), foreground=self.foreground)

    def train(self, mode: bool = True) -> "FastMatting":
        if mode:
            raise ValueError("FastMatting has folded weights and cannot be trained: train the network it was made of.")
        return super().train(mode)

    def _run_all(self) -> None:
        """Run everything that has weights, on a picture as small as may be, with a patch to refine."""
        sides = (4 * PATCH, SMALL)
        whole, reduced = (torch.zeros(1, 3, side, side, device=self.device, dtype=self.dtype) for side in sides)
        coarse = self.network.base(reduced, reduced)
        score = whole.new_ones(1, 1, 4, 4)
        self.network.refiner(whole, whole, coarse, score, 1)

    def _prepare_once(self, background: Tensor) -> Prepared:
        if background.is_inference():  # such tensors do not say whether they were changed
            return self._prepare(background)
        seen = (background, background._version, self.network.base_scale, self.dtype)
        if self._prepared is None or self._seen is None or seen[0] is not self._seen[0] or seen[1:] != self._seen[1:]:
            self._seen, self._prepared = seen, self._prepare(background)
        return self._prepared

    def _prepare(self, image: Tensor) -> Prepared:
        prepared = self.network.prepare(image.to(self.dtype))
        # With channels innermost, as its weights have them: joining maps of two orders would copy the largest of them.
        return prepared._replace(reduced=prepared.reduced.contiguous(memory_format=torch.channels_last))


def compiled_base(network: MattingNetwork) -> Callable[[Tensor, Tensor], Coarse]:
    """The network's `base`, compiled at its first call for each of the first `COMPILED` sizes.

    Raises:
        ValueError: at a call, torch cannot compile here.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # which brings all of the compiler with it

    plain = network.base
    graph = torch.compile(plain, fullgraph=True, dynamic=False, options={"freezing": True, "triton.cudagraphs": True})
    sizes: set[torch.Size] = set()

    def base(source: Tensor, background: Tensor) -> Coarse:
        if source.shape not in sizes and len(sizes) == COMPILED:
            return plain(source, background)
        sizes.add(source.shape)
        torch.compiler.cudagraph_mark_step_begin()
        try:
            coarse = graph(source, background)
        except BackendCompilerFailed as error:
            raise ValueError(
                f"torch could not compile the base network ({str(error).splitlines()[0]}); expected a C++ compiler, or "
                "Triton on CUDA: install it, or do without compiling."
            ) from error
        # A CUDA graph gives its results in the same memory every time.
        return Coarse(*(each.clone() for each in coarse)) if source.is_cuda else coarse

    return base
