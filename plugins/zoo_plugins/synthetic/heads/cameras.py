"""Poses, pinhole cameras, and the capture of an image: lens, sensor noise and JPEG.

A *pinhole camera* of any focal length and distance frames the head as a crop of a larger photograph would: the middle
of the whole photograph may lie elsewhere. Frames are those of `zoo.heads.rotation`; in the picture frame the camera is
the origin.
"""

import io
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.spatial.transform import Rotation

from zoo.core.compiled import compiled
from zoo.core.seeding import derive_seed
from zoo_plugins.synthetic.drawing.layers import Image8, motion_blur
from zoo_plugins.synthetic.heads.meshes import Floats, Points, bounds

NEAREST, FARTHEST = 0.45, 4.0  # metres from the camera to the head: a selfie, and a tele lens
OFF_AXIS = 0.03
"""Standard deviation of the head's offset from the optical axis, as a fraction of its distance. It is little, since a
head off the axis looks rotated by as many radians, which a crop does not show."""
HEAD = (0.58, 0.78)  # range of the longer side of the head's box as a fraction of the image's side
CUT_FRACTION = 0.06  # fraction of the images whose edge may cut the head
FRONTAL = np.diag([1.0, -1.0, -1.0])
CLIP = (0.05, 20.0)  # distances of the projection matrix's near and far planes, metres
POOR_FRACTION = 0.15  # fraction of the images of low quality


class Pose(NamedTuple):
    """Rotation of a head in degrees: about the upright axis, then about the line through its ears, then a tilt.

    These are not the Euler angles of `zoo.heads.rotation`, which pitch about the image's axis: there a head that is
    seen from its side and has some pitch lies down.
    """

    pitch: float
    yaw: float
    roll: float

    @property
    def matrix(self) -> Points:
        """(3, 3), head frame to picture frame."""
        return FRONTAL @ Rotation.from_euler("YXZ", [self.yaw, self.pitch, self.roll], degrees=True).as_matrix()

    def scaled(self, yaw: float, other: float) -> "Pose":
        """Return the pose with its yaw, and its pitch and roll, multiplied by factors."""
        return Pose(other * self.pitch, yaw * self.yaw, other * self.roll)

    @property
    def kind(self) -> str:
        """DAD-3DHeads' attribute `pose`, by thresholds of our own: its authors do not publish theirs.

        `atypical`: pitch or roll beyond 35°, or yaw beyond 90°; else `sided`: yaw beyond 30°; else `front`.
        """
        if max(abs(self.pitch), abs(self.roll)) > 35 or abs(self.yaw) > 90:
            return "atypical"
        return "sided" if abs(self.yaw) > 30 else "front"


class Camera(NamedTuple):
    """A pinhole camera and the position of the head in front of it."""

    rotation: Points  # (3, 3), head frame to picture frame
    translation: Points  # (3,) the head's origin in the picture frame, metres
    focal: float  # pixels
    centre: Points  # (2,) the pixel straight ahead

    def to_picture_frame(self, points: Points) -> Points:
        """Convert points (N, 3) of the head frame to the picture frame."""
        return points @ self.rotation.T.astype(np.float32) + self.translation.astype(np.float32)

    def project(self, points: Points) -> Points:
        """Project points (N, 3) of the picture frame to pixels (N, 2)."""
        x, y, z = points.T
        return np.stack([x / z * self.focal + self.centre[0], y / z * self.focal + self.centre[1]], axis=1)

    @property
    def model_view(self) -> Points:
        """(4, 4) head frame to OpenGL's camera frame, which has y up and looks along −z."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation
        return np.diag([1.0, -1.0, -1.0, 1.0]) @ matrix

    def projection(self, height: int) -> Points:
        """Return (4, 4) from OpenGL's camera frame to pixels counted from the bottom of an image of this height."""
        near, far = CLIP
        (across, down), focal = self.centre, self.focal
        depth = (far + near) / (near - far), 2 * far * near / (near - far)
        return np.array([[focal, 0, -across, 0], [0, focal, down - height, 0], [0, 0, *depth], [0, 0, -1, 0]])


def sample_pose(rng: Generator) -> Pose:
    """Sample a pose: mostly frontal, often sided, sometimes atypical; yaw reaches ±100°."""
    kind, side = rng.random(), float(rng.choice([-1, 1]))
    pitch, yaw, roll = (float(number) for number in rng.standard_normal(3))
    if kind < 0.5:
        return Pose(10 * pitch, 14 * yaw, 7 * roll)
    if kind < 0.8:
        return Pose(11 * pitch, side * rng.uniform(25, 90), 9 * roll)
    return Pose(rng.uniform(-60, 60), side * rng.uniform(0, 100), float(np.clip(25 * roll, -75, 75)))


def sample_camera(rng: Generator, rotation: Points, head: Points, size: int) -> Camera:
    """Sample a camera that frames the vertices `head` (N, 3) in an image of `size` × `size` pixels."""
    distance = NEAREST * (FARTHEST / NEAREST) ** rng.random()
    translation = distance * np.append(rng.normal(0, OFF_AXIS, 2), 1.0)
    camera = Camera(rotation, translation, 1.0, np.zeros(2))
    low, high = bounds(camera.project(head @ rotation.T + translation))
    focal = rng.uniform(*HEAD) * size / (high - low).max()
    offset = rng.normal(0, 0.12 if rng.random() < CUT_FRACTION else 0.025, 2).clip(-0.3, 0.3)
    centre = (0.5 + offset) * size - focal * (low + high) / 2
    return camera._replace(focal=float(focal), centre=centre)


def capture(rng: Generator, image: Floats) -> tuple[Image8, str]:
    """Photograph an image (S, S, 3) in [0, 1], and return DAD-3DHeads' attribute `quality` with it.

    It is `hq`, or `lq` for few pixels, noise and strong compression, sometimes with motion blur.
    """
    poor = rng.random() < POOR_FRACTION
    if poor and rng.random() < 0.4:
        way, angle = rng.uniform(0.01, 0.025) * len(image), rng.uniform(0, np.pi)
        image = motion_blur(image, way * np.cos(angle), way * np.sin(angle)).astype(np.float32)
    softness, noise = rng.uniform(0.1, 0.5), sensor_noise(rng, len(image))
    strength = rng.uniform(0.04, 0.12) if poor else rng.uniform(0.0, 0.03)
    photograph = Image.fromarray(expose(image, softness, noise * np.float32(strength)))
    if poor:
        small = photograph.reduce(int(rng.integers(2, 4)))
        photograph = small.resize(photograph.size, Image.Resampling.BICUBIC)
    if poor or rng.random() < 0.5:
        file = io.BytesIO()
        photograph.save(file, "JPEG", quality=int(rng.integers(25, 55) if poor else rng.integers(70, 96)))
        photograph = Image.open(file)
    return np.array(photograph), "lq" if poor else "hq"


def expose(image: Floats, softness: float, noise: Floats) -> Image8:
    """Return the sensor's reading of an image (S, S, 3) behind a soft lens, with the same noise (S, S) in each colour.

    The lens blurs by the kernel [b, 1, b] / (1 + 2b) along both axes, b = `softness`; edge pixels are repeated.
    """
    rows = image.reshape(len(image), -1)
    result = np.empty(rows.shape, np.uint8)
    _expose(rows, np.float32(softness), np.float32(1 / (1 + 2 * softness) ** 2), noise, result)
    return result.reshape(image.shape)


def sensor_noise(rng: Generator, size: int) -> Floats:
    """Return (size, size) standard normal noise: a piece of a larger field that a process generates once."""
    field = _noise_field(2 * size)
    top, left = rng.integers(size, size=2)
    return field[top : top + size, left : left + size]


@cache
def _noise_field(size: int) -> Floats:
    return np.random.default_rng(derive_seed("sensor noise", size)).standard_normal((size, size), np.float32)


@compiled
def _expose(image: Floats, softness: np.float32, scale: np.float32, noise: Floats, result: Image8) -> None:
    """Fill the result; rows of it and of the image are red, green, blue, red and so on: (S, 3·S)."""
    height, length = image.shape
    sums, read = np.empty(length + 6, np.float32), np.empty(length, np.float32)
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for i in range(length):
            sums[i + 3] = image[row, i] + softness * (image[above, i] + image[below, i])
        sums[:3], sums[-3:] = sums[3:6], sums[-6:-3]
        for i in range(length):
            read[i] = scale * (sums[i + 3] + softness * (sums[i] + sums[i + 6]))
        for column in range(length // 3):
            for i in range(3 * column, 3 * column + 3):
                level = (read[i] + noise[row, column]) * np.float32(255)
                result[row, i] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
