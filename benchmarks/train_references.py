"""Plain references of training steps: the official network in training, and losses with a mesh each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.matting_references import official_network
from zoo.heads.module import HeadAlignment
from zoo.heads.parts import HeadBatch, HeadOutput
from zoo.matting.module import BackgroundMatting
from zoo.matting.parts import MattingOutput

MESH_FIELDS = frozenset({"vertices", "projected", "rotation"})
"""Fields of `HeadOutput` that are computed with the mesh."""


class Trained(NamedTuple):
    """A network and the function that returns its output for a batch."""

    network: nn.Module
    compute: Callable[[Any], Any]


def official_training(checkout: Path, module: BackgroundMatting) -> Trained:
    """Return the official network for the stage of a module with MobileNetV2, with the module's weights.

    Raises:
        ValueError: the folder is no such checkout.
    """
    ours = module.network
    if not ours.refiner.refines:
        base = official_network(checkout, "MattingBase", "mobilenetv2", ours)
        return Trained(base, lambda batch: base_output(*base(batch.source, batch.background)))
    patches = ours.selector.patches
    assert patches is not None
    settings = {"backbone_scale": ours.base_scale, "refine_mode": "sampling", "refine_sample_pixels": 16 * patches}
    refine = official_network(checkout, "MattingRefine", "mobilenetv2", ours, **settings)
    return Trained(refine, lambda batch: MattingOutput(*refine(batch.source, batch.background)))


def base_output(alpha: Tensor, foreground: Tensor, error: Tensor, hidden: Tensor) -> MattingOutput:
    """Return the official base network's result, whose coarse and full size are the same."""
    return MattingOutput(alpha, foreground, alpha, foreground, error, refined=torch.zeros_like(alpha))


def losses_with_own_meshes(module: HeadAlignment, output: HeadOutput, batch: HeadBatch) -> Tensor:
    """Return the sum of the losses, where each term that reads a mesh computes its own."""
    total = torch.zeros(())
    for term in module.losses.values():
        if term.weight != 0:
            own = module.compute_mesh(output) if MESH_FIELDS & term.reads else output  # type: ignore[operator]
            total = total + term.weight * term(own, batch)
    return total
