"""Heatmaps of landmarks: what the network's heatmap branch should give.

One map a landmark, with a bell around the cell that the landmark falls in. A cell stands for 4×4 pixels of the crop.
"""

import torch
from torch import Tensor

RADIUS = 5
"""Cells that the bell reaches to each side of its peak: it fills 11×11 cells."""
SIGMA = (2 * RADIUS + 1) / 6


def heatmap_targets(landmarks: Tensor, visible: Tensor, size: int) -> Tensor:
    """Heatmaps to train towards, made on the landmarks' device.

    As in the official code (`HeatmapCoder`): the bell exp(−d²/2σ²), σ = 11/6 cells, has its peak, 1, in the middle of a
    cell, and ends 5 cells to each side of it. The map of a landmark that is not visible is 0. (The official code stores
    its maps as bytes, which takes up to 1/255 off.)

    Args:
        landmarks: (B, N, 2) in [0, 1] of the crop.
        visible: (B, N), 1 where the landmark lies in the crop, otherwise 0.
        size: side of the heatmaps in cells.

    Returns:
        (B, N, size, size) in [0, 1].
    """
    peaks = (landmarks * size).floor()
    distances = torch.arange(size, device=landmarks.device) - peaks[..., None]
    bells = torch.exp(-distances.square() / (2 * SIGMA**2)) * (distances.abs() <= RADIUS)
    across, down = bells.unbind(2)  # the bell over the plane is the product of one along each axis
    return (visible[..., None] * down)[..., :, None] * across[..., None, :]
