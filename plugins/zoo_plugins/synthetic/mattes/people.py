"""People: bodies, clothes and poses, from the portrait of a video call to the standing figure.

The unit is the height of the head, the origin the middle of the head, so the chin is at y = 0.5 and a standing
adult's soles are at about 7.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from zoo_plugins.synthetic.drawing.canvas import SAMPLES, Canvas, Light, View
from zoo_plugins.synthetic.drawing.curves import Points, ellipse, limb, mirror, smooth
from zoo_plugins.synthetic.drawing.layers import Layer, motion_blur, over
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import HAIR, SKIN, Colour, house_colour, sample_colour
from zoo_plugins.synthetic.mattes import faces
from zoo_plugins.synthetic.mattes.cloth import cloth, gauze
from zoo_plugins.synthetic.mattes.faces import Hair, sample_style
from zoo_plugins.synthetic.mattes.things import HELD


def render_person(
    rng: Generator, size: int, view: View, light: Light, photographs: Photographs, detail: float
) -> Layer:
    """Render a person as a premultiplied layer (size, size, 4); arguments as of `render_thing`."""
    canvas = Canvas(size, view, light)
    person = _Person(rng, canvas, photographs, detail)
    person.draw()
    layer = canvas.layer()
    if person.moving_hand is not None:
        layer = over(person.moving_hand, layer)
    if rng.random() < 0.12:
        layer = over(_veil(rng, size, view, light), layer)
    return layer


class _Person:
    """Measures, clothes and pose of one person, drawn from back to front."""

    def __init__(self, rng: Generator, canvas: Canvas, photographs: Photographs, detail: float) -> None:
        self.rng, self.canvas, self.detail = rng, canvas, detail
        self.moving_hand: Layer | None = None
        unit, size = canvas.view.scale, canvas.size
        self.build, self.face = sample_build(rng), faces.sample_face(rng)
        self.skin_colour, self.hair_colour = sample_colour(rng, SKIN, 0.02), sample_colour(rng, HAIR, 0.02)
        self.skin = canvas.paint(self.skin_colour, relief=0.2)
        self.head_skin = canvas.paint(self.skin_colour, relief=0.35)
        self.neck_skin = canvas.paint(self.skin_colour * 0.82)
        self.shirt_texture = cloth(rng, size, photographs, unit)
        self.shirt = canvas.paint(self.shirt_texture, relief=0.5)
        self.sleeve = canvas.paint(self.shirt_texture * 0.97, relief=0.25)
        self.arms = {side: sample_arm(rng) for side in (-1, 1)}
        self.sleeve_end = float(rng.choice([0.0, 0.5, 0.7, 1.5, 1.93], p=[0.1, 0.25, 0.15, 0.1, 0.4]))
        # A hair is far thinner than a pixel; what counts is how many cross one, so their number grows with the head.
        strands = int(np.clip(6 * unit * SAMPLES, 500, 4500) * detail)
        self.jacket_colour = house_colour(rng) if rng.random() < 0.4 else None
        if self.jacket_colour is not None:
            self.sleeve = canvas.paint(self.jacket_colour * 0.98, relief=0.25)
            self.sleeve_end = 1.93
        self.bald = rng.random() < 0.05
        self.hair = Hair(rng, sample_style(rng), self.hair_colour, self.face, strands, canvas.light)

    def draw(self) -> None:
        """Draw everything on the canvas."""
        rng, canvas = self.rng, self.canvas
        if not self.bald:
            self.hair.draw_back(canvas)
        self._draw_legs()
        # An arm that is not before the body comes from under the shoulder, so the shoulder's outline stays one line.
        behind = {side: abs(pose.fore) < 1.05 and rng.random() < 0.75 for side, pose in self.arms.items()}
        self._draw_arms([side for side in self.arms if behind[side]])
        self._draw_torso()
        self._draw_arms([side for side in self.arms if not behind[side]])
        faces.draw_head(rng, canvas, self.face, self.skin_colour, self.hair_colour, self.head_skin)
        if rng.random() < 0.3:
            faces.draw_glasses(rng, canvas, self.face)
        if not self.bald:
            self.hair.draw_front(canvas)
        if rng.random() < 0.12:
            faces.draw_hat(rng, canvas, self.face)
        elif rng.random() < 0.15:
            faces.draw_headphones(rng, canvas, self.face)

    def _draw_legs(self) -> None:
        rng, canvas = self.rng, self.canvas
        trousers, shoe = canvas.paint(house_colour(rng), relief=0.25), canvas.paint(house_colour(rng) * 0.6, relief=0.1)
        skirt = rng.random() < 0.3
        hem = 0.0 if skirt else float(rng.choice([0.75, 1.9], p=[0.25, 0.75]))
        stance = rng.uniform(0.15, 0.6)
        for side in (-1, 1):
            foot = np.array([side * (0.2 + stance * rng.uniform(0.5, 1.0)), rng.uniform(6.5, 6.75)])
            draw_leg(canvas, self.build, foot, rng.uniform(-0.05, 0.12), side, trousers, self.skin, shoe, hem)
        if skirt:
            waist, width, end = self.build.waist, rng.uniform(0.7, 1.3), rng.uniform(4.3, 6.0)
            hips = self.build.hips * 1.05
            hem_line = [(width, end), (0, end + 0.1), (-width, end)]
            outline = [(-waist, 2.4), (waist, 2.4), (hips, 3.1), *hem_line, (-hips, 3.1)]
            canvas.fill(smooth(outline, steps=4), trousers)

    def _draw_torso(self) -> None:
        rng, canvas, build = self.rng, self.canvas, self.build
        neck = [(0.1 * np.sin(self.face.tilt), 0.15), (0, 0.6), (0, 0.95)]
        canvas.fill(limb(neck, [build.neck * 0.95, build.neck, build.neck * 1.25]), self.neck_skin)
        canvas.fill(torso_outline(build), self.shirt)
        depth, width = rng.uniform(0.78, 1.25), build.neck * rng.uniform(1.0, 1.5)
        if rng.random() < 0.5:
            neckline = np.array([(-width, 0.6), (width, 0.6), (0.03, depth), (-0.03, depth)])
        else:
            neckline = ellipse((0, 0.66), (width, 0.12 + 0.5 * (depth - 0.78)))
        canvas.fill(neckline, self.skin)
        canvas.fill(limb([(0, 0.35), (0, 0.7)], [build.neck * 0.95, build.neck]), self.neck_skin)
        if self.jacket_colour is not None:
            self._draw_jacket(self.jacket_colour)

    def _draw_jacket(self, colour: Colour) -> None:
        """Draw two fronts that leave a strip of the shirt free, with lapels."""
        rng, canvas, build = self.rng, self.canvas, self.build
        jacket, lapel = canvas.paint(colour, relief=0.4), canvas.paint(colour * 0.8)
        gap = rng.uniform(0.05, 0.3)
        outline = torso_outline(build)
        for side in (-1, 1):
            half = outline.copy()
            half[:, 0] = side * np.maximum(side * half[:, 0] * 1.03, gap * (half[:, 1] - 0.6).clip(0, 0.8))
            canvas.fill(half, jacket)
            fold = np.array([(build.neck, 0.66), (build.neck + 0.2, 1.0), (gap + 0.22, 1.25), (gap * 0.9, 1.75)])
            canvas.fill(fold * [side, 1], lapel)

    def _draw_arms(self, sides: list[int]) -> None:
        rng, canvas = self.rng, self.canvas
        for side in sides:
            pose = self.arms[side]
            shoulder = np.array([side * (self.build.shoulders - self.build.arm * 0.9), 1.2])
            elbow = shoulder + 1.35 * np.array([side * np.sin(pose.upper), np.cos(pose.upper)])
            wrist = elbow + 1.15 * np.array([side * np.sin(pose.fore), np.cos(pose.fore)])
            joints = np.stack([shoulder, elbow, wrist])
            draw_arm(canvas, self.build, joints, self.skin, self.sleeve, self.sleeve_end)
            direction = joints[2] - joints[1]
            direction /= np.linalg.norm(direction)
            spread = rng.uniform(0.05, 0.3)
            if pose.fore > 2.2 and rng.random() < 0.3:
                self._draw_moving_hand(joints, direction, side, spread)
            else:
                if pose.fore > 1.2 and rng.random() < 0.35:
                    self._draw_held(joints[2] + 0.3 * direction)
                draw_hand(canvas, joints[2], direction, side, pose.fingers, spread, self.skin)

    def _draw_held(self, hand: Points) -> None:
        draw, (size, below) = list(HELD.items())[self.rng.integers(len(HELD))]
        size *= self.rng.uniform(0.8, 1.2)
        draw(self.rng, self.canvas, View(size, hand[0], hand[1] + below, self.rng.normal(0, 0.1)), self.detail)

    def _draw_moving_hand(self, joints: Points, direction: Points, side: int, spread: float) -> None:
        """Draw a waving hand on a layer of its own, blurred across its direction, while the rest holds still."""
        layer = Canvas(self.canvas.size, self.canvas.view, self.canvas.light)
        skin = layer.paint(self.skin_colour, relief=0.15)
        draw_hand(layer, joints[2], direction, side, True, spread, skin)
        way = self.rng.uniform(0.1, 0.4) * self.canvas.view.scale
        blurred = motion_blur(layer.layer(), -direction[1] * way, direction[0] * way)
        self.moving_hand = blurred if self.moving_hand is None else over(blurred, self.moving_hand)


def _veil(rng: Generator, size: int, view: View, light: Light) -> Layer:
    """Render gauze over the head and down to the sides."""
    canvas = Canvas(size, view, light)
    white = canvas.paint(0.5 + 0.5 * house_colour(rng))
    width, end = rng.uniform(0.9, 1.8), rng.uniform(1.8, 4.5)
    elbow = 0.5 * width + 0.1
    right = [(0.2, -0.58), (0.5, -0.2), (elbow, 1.0), (width, end), (0.3 * width, end + 0.15)]
    left = [(-0.4 * width, end - 0.1), (-width, end), (-elbow, 1.0), (-0.5, -0.2)]
    canvas.fill(smooth([(-0.2, -0.58), *right, *left], steps=6), white)
    return gauze(rng, canvas)


HIPS = 3.15  # height y of the hips


@dataclass(frozen=True)
class Build:
    """Measures of a body, in heads."""

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


def sample_build(rng: Generator) -> Build:
    """Sample the body of an adult."""
    shoulders = rng.uniform(0.78, 1.02)
    waist = shoulders * rng.uniform(0.62, 0.85)
    return Build(shoulders, waist, rng.uniform(0.6, 0.78), rng.uniform(0.17, 0.24), rng.uniform(0.17, 0.24))


def sample_arm(rng: Generator) -> ArmPose:
    """Sample an arm that hangs, rests on the hip, waves, holds something, or is laid across the body."""
    u = rng.uniform
    poses = {
        "down": lambda: ArmPose(u(0.03, 0.3), u(-0.1, 0.2), rng.random() < 0.5),
        "akimbo": lambda: ArmPose(u(0.65, 0.95), u(-1.0, -0.7), False),
        "wave": lambda: ArmPose(u(0.5, 1.3), u(2.5, 3.3), True),
        "up": lambda: ArmPose(u(2.2, 2.9), u(2.7, 3.4), True),
        "hold": lambda: ArmPose(u(0.15, 0.5), u(1.3, 2.4), rng.random() < 0.5),
        "across": lambda: ArmPose(u(0.1, 0.4), u(-1.7, -1.1), True),
    }
    return poses[rng.choice(list(poses), p=[0.38, 0.2, 0.14, 0.08, 0.1, 0.1])]()


def torso_outline(build: Build) -> Points:
    """Return the outline from the neck to the hips."""
    s, w, h = build.shoulders, build.waist, build.hips
    right = np.array(
        [
            (build.neck * 0.9, 0.62), (build.neck + 0.12, 0.78), (s * 0.72, 0.92), (s * 0.95, 1.08), (s * 0.97, 1.4),
            (0.5 * s + 0.5 * w, 1.9), (w, 2.4), (0.5 * w + 0.5 * h, 2.75), (h, HIPS), (h * 0.97, HIPS + 0.35),
        ]
    )  # fmt: skip
    return smooth(np.concatenate([right, mirror(right)]), steps=5)


def draw_arm(canvas: Canvas, build: Build, joints: Points, skin: int, sleeve: int, sleeve_end: float) -> None:
    """Draw arm and sleeve; `sleeve_end` runs from 0, no sleeve, to 2, down to the wrist."""
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
    """Draw a hand at the wrist along a unit direction: a fist, or a palm with five fingers and gaps between them."""
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
    canvas: Canvas, build: Build, foot: Points, bend: float, side: int, trousers: int, skin: int, shoe: int, hem: float
) -> None:
    """Draw leg, trouser leg and shoe; `hem` runs from 0, bare, to 2, down to the ankle."""
    hip = np.array([side * build.hips * 0.5, HIPS])
    knee = (hip + foot) / 2 + np.array([side * bend, -0.1])
    canvas.fill(limb([hip, knee], [0.27, 0.18]), skin)
    canvas.fill(limb([knee, foot], [0.18, 0.1]), skin)
    toe = foot + np.array([side * 0.16, 0.18])
    canvas.fill(limb([foot + np.array([-side * 0.04, 0.1]), toe], [0.14, 0.12]), shoe)
    if hem > 0:
        canvas.fill(limb([hip, hip + min(hem, 1.0) * (knee - hip)], [build.hips * 0.53, 0.25]), trousers)
    if hem > 1:
        canvas.fill(limb([knee, knee + (hem - 1) * (foot - knee)], [0.235, 0.185]), trousers)
