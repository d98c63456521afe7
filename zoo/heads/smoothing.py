"""Smoothing of head parameters from frame to frame, so that the mesh over a video does not jitter.

The 1€ filter (Casiez, Roussel, Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012): an exponential filter whose cutoff frequency rises with speed, so that a head at rest is calm and a
moving one does not lag. It looks only back, goes by the time between frames and not by their number, and forgets more
the longer the head was not seen. Rotations are filtered along the shortest turn between them, never number by number.
"""

import math

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.heads.mesh import HeadParams
from zoo.heads.rotation import matrix_from_6d, matrix_to_6d

HEAD_LENGTH = 0.2
"""Metres: speeds of the translation are counted in heads a second, whatever the head's size in the picture."""

SPEED_CUTOFF = 1.0
"""Hz, of the speeds themselves."""


class OneEuroFilter:
    """Low-pass filter of a value of one shape.

    Args:
        cutoff: Hz below which a value at rest passes; lower is calmer.
        speed_weight: by how many Hz the cutoff rises a unit of speed (the paper's β); higher lags less.
    """

    def __init__(self, cutoff: float = 1.0, speed_weight: float = 0.0) -> None:
        self.cutoff, self.speed_weight = cutoff, speed_weight
        self._value: Tensor | None = None
        self._velocity: Tensor | None = None
        self._seconds = 0.0

    def __call__(self, value: Tensor, seconds: float, unit: float = 1.0) -> Tensor:
        """The filtered value; the first is taken as it is.

        Args:
            value: any shape, always the same.
            seconds: when it was seen, later than the last.
            unit: what counts as one unit of the value in its speed.

        Raises:
            ValueError: a time that is not later than the last.
        """
        if self._value is None or self._velocity is None:
            self._value, self._velocity = value, self._difference(value, value)
        else:
            elapsed = self._elapsed(seconds)
            change = self._difference(self._value, value)
            self._velocity = torch.lerp(self._velocity, change / elapsed, share(SPEED_CUTOFF, elapsed))
            cutoff = self.cutoff + self.speed_weight * float(self._velocity.norm()) / unit
            self._value = self._moved(self._value, change * share(cutoff, elapsed))
        self._seconds = seconds
        return self._value

    def _elapsed(self, seconds: float) -> float:
        if seconds <= self._seconds:
            raise ValueError(f"a frame at {seconds:g} s came after one at {self._seconds:g} s: give them in order.")
        return seconds - self._seconds

    def _difference(self, first: Tensor, second: Tensor) -> Tensor:
        return second - first

    def _moved(self, value: Tensor, change: Tensor) -> Tensor:
        return value + change


class RotationFilter(OneEuroFilter):
    """The same for one rotation matrix (3, 3): differences are rotation vectors, speeds radians a second."""

    def _difference(self, first: Tensor, second: Tensor) -> Tensor:
        turn = Rotation.from_matrix((second @ first.mT).cpu().numpy())
        return torch.from_numpy(turn.as_rotvec()).to(first)

    def _moved(self, value: Tensor, change: Tensor) -> Tensor:
        turn = Rotation.from_rotvec(change.cpu().numpy()).as_matrix()
        return torch.from_numpy(turn).to(value) @ value


class HeadSmoother:
    """Smooths the parameters of one head, seen in the pictures of a video one after the other.

    Shape belongs to the person and hardly moves; expression and jaw must follow speech; the pose follows the head.
    """

    def __init__(self) -> None:
        self._shape = OneEuroFilter(cutoff=0.1)
        self._expression = OneEuroFilter(cutoff=3.0, speed_weight=0.1)
        self._jaw = OneEuroFilter(cutoff=3.0, speed_weight=1.0)
        self._rotation = RotationFilter(cutoff=1.0, speed_weight=2.0)
        self._translation = OneEuroFilter(cutoff=1.0, speed_weight=2.0)
        self._size = OneEuroFilter(cutoff=1.0, speed_weight=2.0)

    def __call__(self, params: HeadParams, seconds: float) -> HeadParams:
        """The smoothed parameters.

        Args:
            params: of one head (B = 1), placed in the whole picture, not in a crop that moves with the head.
            seconds: when the frame is shown, later than the last.
        """
        size = (params.scale + 1).clamp(min=1e-8)
        return HeadParams(
            shape=self._shape(params.shape, seconds),
            expression=self._expression(params.expression, seconds),
            jaw=self._jaw(params.jaw, seconds),
            rotation=matrix_to_6d(self._rotation(matrix_from_6d(params.rotation[0]), seconds))[None],
            translation=self._translation(params.translation, seconds, unit=HEAD_LENGTH * float(size)),
            scale=self._size(size.log(), seconds).exp() - 1,  # half as large is as far away as twice as large
        )


def share(cutoff: float, elapsed: float) -> float:
    """How much of a change an exponential filter of this cutoff, Hz, lets through after some seconds."""
    return 1 - math.exp(-2 * math.pi * cutoff * elapsed)
