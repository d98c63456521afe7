"""Straight foreground colours for cut-outs: without the captured background, and without the spill of a screen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from zoo.core.distributions import install_command
from zoo.core.errors import ZooError
from zoo.matting.parts import MattingOutput
from zoo.media.exr import to_linear, to_srgb

TRUST = 0.3
"""Weight of the network's colours against those that the source asks for, where alpha is near 0."""


@dataclass(frozen=True)
class CutOut:
    """Steps from a network's output to colours that can be put on any background.

    Raises:
        ZooError: `estimate` without pymatting.

    Example:
        >>> grey, half = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.5)
        >>> output = MattingOutput(half, grey, half, grey, half, half)
        >>> CutOut()(output, grey, torch.zeros(1, 3, 1, 1)).foreground.flatten()  # half of it is black background
        tensor([0.8125, 0.8125, 0.8125])
    """

    screen: tuple[float, float, float] | None = None
    """Colour whose spill is removed, from `screen_colour`."""
    linear: bool = False
    """Whether the cut-out will be composited in linear light, as EXR files are, instead of in sRGB."""
    estimate: bool = False
    """Whether pymatting's estimate takes the place of the network's colours."""

    def __post_init__(self) -> None:
        if self.estimate:
            import_estimator()

    def __call__(self, output: MattingOutput, source: Tensor, background: Tensor | None) -> MattingOutput:
        """Return the output with other foreground colours: (B, 3, H, W) in sRGB, above 1 where the source is.

        Without a background, the network's or the estimated colours stay as they are.
        """
        if output.foreground is None:
            return output
        foreground, alpha = output.foreground.float(), output.alpha.float()
        if self.estimate:
            foreground = estimate_foreground(source, alpha)
        if background is not None:
            foreground = unmix(foreground, alpha, source, background, self.linear)
        return output._replace(foreground=foreground if self.screen is None else despill(foreground, self.screen))


def estimate_foreground(source: Tensor, alpha: Tensor) -> Tensor:
    """Return pymatting's multi-level estimate of the foreground, which needs no background: (B, 3, H, W).

    T. Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020.

    Args:
        source: (B, 3, H, W); highlights above 1 are clipped.
        alpha: (B, 1, H, W).
    """
    estimate = import_estimator()
    pairs = zip(source.clamp(max=1).permute(0, 2, 3, 1).cpu(), alpha[:, 0].cpu(), strict=True)
    found = [estimate(image.numpy().astype(np.float64), matte.numpy().astype(np.float64)) for image, matte in pairs]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).to(source)


def import_estimator() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return pymatting's function, or raise a ZooError that names the extra. The first import compiles for a minute."""
    try:
        from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml
    except ImportError as error:
        install = install_command("pymatting")
        raise ZooError(f"--estimate-foreground needs pymatting, which is not installed: {install}") from error
    return estimate_foreground_ml


UNMIXED = CutOut()
"""Only the captured background is removed, for compositing in sRGB."""


def unmix(foreground: Tensor, alpha: Tensor, source: Tensor, background: Tensor, linear: bool = False) -> Tensor:
    """Return the foreground F with which alpha·F + (1 − alpha)·background comes close to the source.

    Minimises |αF + (1 − α)B − I|² + λ(1 − α)|F − F₀|² in each pixel and channel, with `TRUST` as λ: the source where
    alpha is 1, the network's colours F₀ where it is 0.

    Args:
        foreground, source, background: (B, 3, H, W) in sRGB.
        alpha: (B, 1, H, W).
        linear: solve in linear light.

    Example:
        >>> colours = torch.tensor([0.9, 0.2, 0.4]).view(1, 3, 1, 1)
        >>> unmix(torch.zeros(1, 3, 1, 1), torch.ones(1, 1, 1, 1), colours, torch.ones(1, 3, 1, 1)).flatten()
        tensor([0.9000, 0.2000, 0.4000])
    """
    if linear:
        images = (to_linear(image) for image in (foreground, source, background))
        foreground, source, background = images
    gain = alpha / (alpha * alpha + TRUST * (1 - alpha))
    residual = torch.lerp(background, foreground, alpha).neg_().add_(source)
    solved = residual.mul_(gain).add_(foreground)
    solved = solved.clamp_(min=0).minimum(source.clamp(min=1))  # only highlights of the source exceed white
    return to_srgb(solved) if linear else solved


def despill(foreground: Tensor, screen: tuple[float, float, float]) -> Tensor:
    """Limit the screen's primary to the larger of the two others, the limit of Vlahos's colour difference keying.

    For a green screen: G ← min(G, max(R, B)) (P. Vlahos, US patent 3 595 987, expired). Other screens are green after
    a rotation of hue. Colours in which the screen's primary does not lead stay as they are.

    Args:
        foreground: (B, 3, H, W).
        screen: see `screen_colour`.

    Example:
        >>> despill(torch.tensor([0.25, 0.75, 0.5]).view(1, 3, 1, 1), screen_colour("green")).flatten()
        tensor([0.2500, 0.5000, 0.5000])
        >>> despill(torch.tensor([0.75, 0.5, 0.25]).view(1, 3, 1, 1), screen_colour("green")).flatten()
        tensor([0.7500, 0.5000, 0.2500])
    """
    angle = _hue(screen) - _hue((0, 1, 0))
    # Rows: the primaries of a cube turned about its grey axis until its green has the screen's hue.
    turned = [[(1 + 2 * math.cos(angle + (i - j) * math.tau / 3)) / 3 for j in range(3)] for i in range(3)]
    red, green, blue = torch.einsum("ij,bjhw->ibhw", foreground.new_tensor(turned), foreground)
    spill = (green - torch.maximum(red, blue)).clamp_(min=0)
    # Rounding alone is no spill, so that nothing else changes.
    spill = torch.where(spill > 1e-6, spill, 0)
    removed = spill[:, None] * foreground.new_tensor(turned[1]).view(1, 3, 1, 1)
    return torch.where(spill[:, None] > 0, (foreground - removed).clamp_(min=0), foreground)


def screen_colour(colour: str) -> tuple[float, float, float]:
    """Return red, green and blue of a screen in [0, 1] from a name or `#RRGGBB`.

    Raises:
        ZooError: no colour, or one without a hue.

    Example:
        >>> screen_colour("#00ff00")
        (0.0, 1.0, 0.0)
    """
    try:
        red, green, blue = (value / 255 for value in ImageColor.getrgb(colour)[:3])
    except ValueError as error:
        raise ZooError(f"the screen '{colour}' is no colour; expected green, blue or such as '#00b140'.") from error
    if max(red, green, blue) - min(red, green, blue) < 0.1:
        raise ZooError(f"the screen '{colour}' is grey and has no hue to remove; expected green, blue or another hue.")
    return red, green, blue


def _hue(colour: tuple[float, float, float]) -> float:
    """Return the angle of a colour around the grey axis, anticlockwise from red, in radians."""
    red, green, blue = colour
    return math.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)
