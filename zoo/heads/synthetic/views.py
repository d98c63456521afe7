"""Views: how the head is held, and the camera that sees it.

A *pinhole camera* of any focal length and distance frames the head as a crop of a larger photograph would: the middle
of its own picture may lie elsewhere. Frames are those of `zoo.heads.rotation`; in the picture frame the camera is the
origin.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from zoo.heads.synthetic.pieces import Points, bounds

NEAREST, FARTHEST = 0.45, 4.0
"""Metres from the camera to the head: a picture of oneself, and a tele lens."""
OFF_AXIS = 0.03
"""Standard deviation of the head's place beside the middle of the camera's own picture, a share of its distance.
What is seen there looks turned by as many radians, and a crop does not show by how many: so it is little."""
HEAD = (0.58, 0.78)
"""Longer side of the head's box as a share of the picture's side."""
CUT = 0.06
"""Share of the pictures whose edge may cut the head."""
FRONTAL = np.diag([1.0, -1.0, -1.0])
CLIP = (0.05, 20.0)
"""Metres from the camera to the nearest and farthest that the projection matrix counts as in view."""


class Pose(NamedTuple):
    """How a head is held, in degrees: turned about the upright, then nodding about its own ears, then tilted.

    Not the Euler angles of `zoo.heads.rotation`, which nod about the picture's axis: there a head that is seen from its
    side and has some pitch lies down.
    """

    pitch: float
    yaw: float
    roll: float

    @property
    def matrix(self) -> Points:
        """(3, 3), head frame to picture frame."""
        return FRONTAL @ Rotation.from_euler("YXZ", [self.yaw, self.pitch, self.roll], degrees=True).as_matrix()

    def share(self, turned: float, bent: float) -> "Pose":
        """A part of the turn, and a part of nodding and tilting."""
        return Pose(bent * self.pitch, turned * self.yaw, bent * self.roll)

    @property
    def kind(self) -> str:
        """DAD-3DHeads' attribute `pose`, by thresholds of our own: its authors do not publish theirs.

        `atypical`: looking up or down, or tilted, by more than 35°, or turned by more than 90°; else `sided`: turned by
        more than 30°; else `front`.
        """
        if max(abs(self.pitch), abs(self.roll)) > 35 or abs(self.yaw) > 90:
            return "atypical"
        return "sided" if abs(self.yaw) > 30 else "front"


class Camera(NamedTuple):
    """A pinhole camera and the head's place before it."""

    rotation: Points
    """(3, 3), head frame to picture frame."""
    translation: Points
    """(3,) the head's origin in the picture frame, metres."""
    focal: float
    """Pixels."""
    centre: Points
    """(2,) the pixel straight ahead."""

    def place(self, points: Points) -> Points:
        """Points of the head frame (N, 3) → of the picture frame."""
        return points @ self.rotation.T.astype(np.float32) + self.translation.astype(np.float32)

    def project(self, points: Points) -> Points:
        """Points of the picture frame (N, 3) → pixels (N, 2)."""
        x, y, z = points.T
        return np.stack([x / z * self.focal + self.centre[0], y / z * self.focal + self.centre[1]], axis=1)

    @property
    def model_view(self) -> Points:
        """(4, 4) head frame to OpenGL's camera frame, which has y up and looks along −z."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation
        return np.diag([1.0, -1.0, -1.0, 1.0]) @ matrix

    def projection(self, height: int) -> Points:
        """(4, 4) from OpenGL's camera frame to pixels counted from the bottom of a picture of this height."""
        near, far = CLIP
        across, down = self.centre
        return np.array(
            [
                [self.focal, 0, -across, 0],
                [0, self.focal, down - height, 0],
                [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
                [0, 0, -1, 0],
            ]
        )


def draw_pose(rng: np.random.Generator) -> Pose:
    """Mostly towards the camera, often sided, sometimes out of the usual; yaw reaches ±100°."""
    kind, side = rng.random(), float(rng.choice([-1, 1]))
    pitch, yaw, roll = (float(number) for number in rng.standard_normal(3))
    if kind < 0.5:
        return Pose(10 * pitch, 14 * yaw, 7 * roll)
    if kind < 0.8:
        return Pose(11 * pitch, side * rng.uniform(25, 90), 9 * roll)
    return Pose(rng.uniform(-60, 60), side * rng.uniform(0, 100), float(np.clip(25 * roll, -75, 75)))


def draw_camera(rng: np.random.Generator, rotation: Points, head: Points, size: int) -> Camera:
    """A camera that frames the head in a square picture.

    Args:
        rotation: (3, 3), head frame to picture frame.
        head: (N, 3) what the head's box holds, metres in the head frame.
        size: side of the picture in pixels.
    """
    distance = NEAREST * (FARTHEST / NEAREST) ** rng.random()
    aside = rng.normal(0, OFF_AXIS, 2)
    translation = distance * np.append(aside, 1.0)
    camera = Camera(rotation, translation, 1.0, np.zeros(2))
    seen = camera.project(head @ rotation.T + translation)
    low, high = bounds(seen)
    focal = rng.uniform(*HEAD) * size / (high - low).max()
    wander = rng.normal(0, 0.12 if rng.random() < CUT else 0.025, 2).clip(-0.3, 0.3)
    centre = (0.5 + wander) * size - focal * (low + high) / 2
    return camera._replace(focal=float(focal), centre=centre)
