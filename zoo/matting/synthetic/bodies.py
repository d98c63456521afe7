"""Bodies: torso, arms, hands and legs.

The unit is the height of the head, the origin the middle of the head, so the chin is at y = 0.5 and a standing
adult's soles are at about 7.
"""

from dataclasses import dataclass

import numpy as np

from zoo.matting.synthetic.canvas import Canvas
from zoo.matting.synthetic.curves import Points, ellipse, limb, mirror, smooth

HIPS = 3.15
"""Where the legs begin."""


@dataclass(frozen=True)
class Build:
    """The measures of a body, in heads."""

    shoulders: float
    waist: float
    hips: float
    neck: float
    arm: float


@dataclass(frozen=True)
class ArmPose:
    """Angles of upper arm and forearm, radians from straight down, outwards positive; an open hand has `fingers`."""

    upper: float
    fore: float
    fingers: bool


def random_build(rng: np.random.Generator) -> Build:
    """The body of an adult."""
    shoulders = rng.uniform(0.78, 1.02)
    waist = shoulders * rng.uniform(0.62, 0.85)
    return Build(shoulders, waist, rng.uniform(0.6, 0.78), rng.uniform(0.17, 0.24), rng.uniform(0.17, 0.24))


def random_arm(rng: np.random.Generator) -> ArmPose:
    """An arm that hangs, rests on the hip, waves, holds something, or is laid across the body."""
    kind = rng.choice(["down", "akimbo", "wave", "up", "hold", "across"], p=[0.38, 0.2, 0.14, 0.08, 0.1, 0.1])
    u = rng.uniform
    if kind == "down":
        return ArmPose(u(0.03, 0.3), u(-0.1, 0.2), rng.random() < 0.5)
    if kind == "akimbo":
        return ArmPose(u(0.65, 0.95), u(-1.0, -0.7), False)
    if kind == "wave":
        return ArmPose(u(0.5, 1.3), u(2.5, 3.3), True)
    if kind == "up":
        return ArmPose(u(2.2, 2.9), u(2.7, 3.4), True)
    if kind == "hold":
        return ArmPose(u(0.15, 0.5), u(1.3, 2.4), rng.random() < 0.5)
    return ArmPose(u(0.1, 0.4), u(-1.7, -1.1), True)


def torso(build: Build) -> Points:
    """The outline from the neck to the hips."""
    s, w, h = build.shoulders, build.waist, build.hips
    right = np.array(
        [
            (build.neck * 0.9, 0.62), (build.neck + 0.12, 0.78), (s * 0.72, 0.92), (s * 0.95, 1.08), (s * 0.97, 1.4),
            (0.5 * s + 0.5 * w, 1.9), (w, 2.4), (0.5 * w + 0.5 * h, 2.75), (h, HIPS), (h * 0.97, HIPS + 0.35),
        ]
    )  # fmt: skip
    return smooth(np.concatenate([right, mirror(right)]), steps=5)


def neck(build: Build, tilt: float) -> Points:
    """From the head to between the shoulders."""
    return limb([(0.1 * np.sin(tilt), 0.15), (0, 0.6), (0, 0.95)], [build.neck * 0.95, build.neck, build.neck * 1.25])


def arm_joints(build: Build, pose: ArmPose, side: int) -> Points:
    """Shoulder, elbow and wrist (3, 2) of the right (1) or left (−1) arm."""
    shoulder = np.array([side * (build.shoulders - build.arm * 0.9), 1.2])
    elbow = shoulder + 1.35 * np.array([side * np.sin(pose.upper), np.cos(pose.upper)])
    wrist = elbow + 1.15 * np.array([side * np.sin(pose.fore), np.cos(pose.fore)])
    return np.stack([shoulder, elbow, wrist])


def draw_arm(canvas: Canvas, build: Build, joints: Points, skin: int, sleeve: int, sleeve_end: float) -> None:
    """Arm and sleeve; `sleeve_end` runs from 0, no sleeve, to 2, down to the wrist."""
    radii = np.array([build.arm, build.arm * 0.78, build.arm * 0.52])
    canvas.fill(limb(joints[:2], [radii[0] * 0.92, radii[1] * 0.92]), skin)
    canvas.fill(limb(joints[1:], [radii[1] * 0.95, radii[2]]), skin)
    if sleeve_end <= 0:
        return
    reach = min(sleeve_end, 1.0)
    end = joints[0] + reach * (joints[1] - joints[0])
    canvas.fill(limb([joints[0], end], [radii[0] * 1.12, radii[0] * (1.12 - 0.1 * reach)]), sleeve)
    if sleeve_end > 1:
        cuff = joints[1] + (sleeve_end - 1) * (joints[2] - joints[1])
        canvas.fill(limb([joints[1], cuff], [radii[0] * 1.02, radii[2] * 1.35]), sleeve)


def draw_hand(
    canvas: Canvas, wrist: Points, direction: Points, side: int, fingers: bool, spread: float, skin: int
) -> None:
    """A hand at the wrist along a unit direction: a fist, or a palm with five fingers and gaps between them."""
    across = side * np.array([-direction[1], direction[0]])
    if not fingers:
        canvas.fill(ellipse(wrist + 0.2 * direction, (0.19, 0.16), float(np.arctan2(direction[1], direction[0]))), skin)
        return
    palm_end = wrist + 0.34 * direction
    canvas.fill(limb([wrist, palm_end - 0.05 * direction], [0.11, 0.155]), skin)
    for finger, reach in zip((-1.5, -0.5, 0.5, 1.5), (0.32, 0.38, 0.36, 0.28), strict=True):
        base = palm_end + 0.075 * finger * across
        towards = direction + finger * spread * across
        tip = base + reach * towards / np.linalg.norm(towards)
        canvas.fill(limb([base - 0.06 * direction, tip], [0.046, 0.036], steps=3), skin)
    thumb = wrist + 0.12 * direction - 0.1 * across
    towards = 0.65 * direction - 0.75 * across
    canvas.fill(limb([thumb, thumb + 0.3 * towards], [0.055, 0.04], steps=3), skin)


def draw_leg(
    canvas: Canvas, build: Build, foot: Points, bend: float, side: int, cloth: int, skin: int, shoe: int, hem: float
) -> None:
    """Leg, trouser leg and shoe; `hem` runs from 0, bare, to 2, down to the ankle."""
    hip = np.array([side * build.hips * 0.5, HIPS])
    knee = (hip + foot) / 2 + np.array([side * bend, -0.1])
    canvas.fill(limb([hip, knee], [0.27, 0.18]), skin)
    canvas.fill(limb([knee, foot], [0.18, 0.1]), skin)
    toe = foot + np.array([side * 0.16, 0.18])
    canvas.fill(limb([foot + np.array([-side * 0.04, 0.1]), toe], [0.14, 0.12]), shoe)
    if hem > 0:
        canvas.fill(limb([hip, hip + min(hem, 1.0) * (knee - hip)], [build.hips * 0.53, 0.25]), cloth)
    if hem > 1:
        canvas.fill(limb([knee, knee + (hem - 1) * (foot - knee)], [0.235, 0.185]), cloth)
