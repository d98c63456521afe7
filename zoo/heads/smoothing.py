"""Smoothing of head parameters over the frames of a video, against jitter.

The 1€ filter (Casiez, Roussel, Vogel, "1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012): a causal exponential filter whose cutoff frequency rises with speed, so that a head at rest is calm
and a moving one does not lag. It uses the time between frames, not their number. Rotations are filtered along the
shortest rotation between them, never number by number.
"""

import math

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from zoo.heads.mesh import HeadParams
from zoo.heads.rotation import matrix_from_6d, matrix_to_6d

HEAD_LENGTH = 0.2
"""Metres: speeds of the translation are in heads per second, for every head size in the image."""

SPEED_CUTOFF = 1.0
"""Hz, of the filter of the speeds."""


class OneEuroFilter:
    """Low-pass filter of a tensor, called with its values over time.

    Args:
        cutoff: of a value at rest, Hz; lower is calmer.
        speed_weight: Hz that the cutoff rises per unit of speed (the paper's β); higher lags less.

    Example:
        >>> smooth = OneEuroFilter(cutoff=1.0)
        >>> [round(float(smooth(torch.tensor(value), seconds)), 2) for value, seconds in ((0.0, 0.0), (1.0, 0.04))]
        [0.0, 0.22]
    """

    def __init__(self, cutoff: float = 1.0, speed_weight: float = 0.0) -> None:
        self.cutoff, self.speed_weight = cutoff, speed_weight
        self._value: Tensor | None = None
        self._velocity: Tensor | None = None
        self._seconds = 0.0

    def __call__(self, value: Tensor, seconds: float, unit: float = 1.0) -> Tensor:
        """Return the filtered value; the first is returned unchanged.

        Args:
            value: any shape, always the same.
            seconds: time of the value, later than the last.
            unit: size of the unit in which speed is measured.

        Raises:
            ValueError: a time that is not later than the last.
        """
        if self._value is None or self._velocity is None:
            self._value, self._velocity = value, self._difference(value, value)
        else:
            elapsed = self._elapsed(seconds)
            change = self._difference(self._value, value)
            self._velocity = torch.lerp(self._velocity, change / elapsed, gain(SPEED_CUTOFF, elapsed))
            cutoff = self.cutoff + self.speed_weight * float(self._velocity.norm()) / unit
            self._value = self._moved(self._value, change * gain(cutoff, elapsed))
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
    """The same for a rotation matrix (3, 3): differences are rotation vectors, speeds radians per second.

    Example:
        >>> torch.equal(RotationFilter()(torch.eye(3), seconds=0.0), torch.eye(3))
        True
    """

    def _difference(self, first: Tensor, second: Tensor) -> Tensor:
        rotation = Rotation.from_matrix((second @ first.mT).cpu().numpy())
        return torch.from_numpy(rotation.as_rotvec()).to(first)

    def _moved(self, value: Tensor, change: Tensor) -> Tensor:
        rotation = Rotation.from_rotvec(change.cpu().numpy()).as_matrix()
        return torch.from_numpy(rotation).to(value) @ value


class HeadSmoother:
    """Filters of the parameters of one head over the frames of a video.

    Shape belongs to the person and hardly moves; expression and jaw must follow speech; the pose follows the head.

    Example:
        >>> params = HeadParams.from_vector(torch.rand(1, 413))
        >>> HeadSmoother()(params, seconds=0.0).shape.equal(params.shape)
        True
    """

    def __init__(self) -> None:
        self._shape = OneEuroFilter(cutoff=0.1)
        self._expression = OneEuroFilter(cutoff=3.0, speed_weight=0.1)
        self._jaw = OneEuroFilter(cutoff=3.0, speed_weight=1.0)
        self._rotation = RotationFilter(cutoff=1.0, speed_weight=2.0)
        self._translation = OneEuroFilter(cutoff=1.0, speed_weight=2.0)
        self._size = OneEuroFilter(cutoff=1.0, speed_weight=2.0)

    def __call__(self, params: HeadParams, seconds: float) -> HeadParams:
        """Return the smoothed parameters.

        Args:
            params: of one head (B = 1), placed in the whole image, not in a crop that moves with the head.
            seconds: time of the frame, later than the last.
        """
        size = (params.scale + 1).clamp(min=1e-8)
        return HeadParams(
            shape=self._shape(params.shape, seconds),
            expression=self._expression(params.expression, seconds),
            jaw=self._jaw(params.jaw, seconds),
            rotation=matrix_to_6d(self._rotation(matrix_from_6d(params.rotation[0]), seconds))[None],
            translation=self._translation(params.translation, seconds, unit=HEAD_LENGTH * float(size)),
            scale=self._size(size.log(), seconds).exp() - 1,  # half the size is as far away as twice the size
        )


def gain(cutoff: float, elapsed: float) -> float:
    """Return the fraction of a change that an exponential filter of this cutoff, Hz, passes after some seconds.

    Example:
        >>> gain(cutoff=0.0, elapsed=1.0)
        0.0
    """
    return 1 - math.exp(-2 * math.pi * cutoff * elapsed)
