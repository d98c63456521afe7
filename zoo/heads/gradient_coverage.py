"""Gradient coverage: which outputs of the network no loss term trains."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from zoo.core.seeding import random_stream
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HEATMAP_STRIDE, LANDMARKS, HeadBatch, HeadOutput, LandmarkBranch
from zoo.heads.rotation import FRONTAL, matrix_from_6d, matrix_to_6d

SIZE = 64
"""Side of the random crop in pixels."""


def outputs_without_gradient(
    head_model: HeadModel, losses: Mapping[str, nn.Module] | nn.ModuleDict, branch: LandmarkBranch
) -> list[str]:
    """Return the names of head parameters, and of the branch's landmarks, that no loss term gives a gradient.

    The terms are computed on random outputs. Heatmaps are never named: the fusion trains them even without a loss.

    Example:
        >>> from zoo.core.spec import build
        >>> branch = build({"class_path": "NoLandmarks"})
        >>> losses = {"rotation": build({"class_path": "RotationGeodesic"})}
        >>> outputs_without_gradient(HeadModel.load("open"), losses, branch)
        ['shape', 'expression', 'jaw', 'translation', 'scale']
    """
    device = head_model.template.device
    with random_stream(0, "untrained"), torch.enable_grad():
        params = HeadParams(
            shape=torch.randn(2, head_model.sizes.shape),
            expression=torch.randn(2, head_model.sizes.expression),
            jaw=0.1 * torch.randn(2, 3),
            rotation=matrix_to_6d(torch.tensor(FRONTAL)).expand(2, 6) + 0.1 * torch.randn(2, 6),
            translation=0.1 * torch.randn(2, 3),
            scale=torch.full((2, 1), 5.0),
        )
        params = HeadParams(*(value.to(device).requires_grad_() for value in params))
        heatmaps = torch.randn(2, LANDMARKS, SIZE // HEATMAP_STRIDE, SIZE // HEATMAP_STRIDE).to(device)
        points = torch.rand(2, LANDMARKS, 2).to(device).requires_grad_()
        vertices = head_model.vertices(params, rotated=False)
        output = HeadOutput(
            heatmaps=heatmaps.requires_grad_() if branch.heatmap_count else None,
            landmarks=points if branch.gives_points else None,
            params=params.to_vector(),
            vertices=vertices,
            projected=head_model.project(params, SIZE, vertices),
            rotation=matrix_from_6d(params.rotation),
        )
        total: Any = sum(term(output, _ground_truth(output)) for term in losses.values() if term.weight != 0)
        total.backward()
    named = params._asdict() | ({"landmarks": points} if branch.gives_points else {})
    return [name for name, value in named.items() if value.grad is None or not value.grad.any()]


def _ground_truth(output: HeadOutput) -> HeadBatch:
    """Return a ground truth that differs from the output everywhere."""
    assert output.vertices is not None
    assert output.projected is not None
    assert output.rotation is not None
    samples, like = len(output.vertices), output.vertices

    def perturbed(value: torch.Tensor) -> torch.Tensor:
        return value.detach() + 0.1 * torch.randn(value.shape).to(value)

    return HeadBatch(
        image=torch.zeros(samples, 3, SIZE, SIZE).to(like),
        vertices=perturbed(output.vertices),
        projected=perturbed(output.projected),
        landmarks=torch.rand(samples, LANDMARKS, 2).to(like),
        visible=torch.ones(samples, LANDMARKS).to(like),
        rotation=output.rotation.detach().mT,
        box=torch.tensor([0.0, 0.0, SIZE, SIZE]).expand(samples, 4).to(like),
    )
