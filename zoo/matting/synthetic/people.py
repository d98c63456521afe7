"""People: a person before a camera, from the portrait of a video call to the whole figure."""

import numpy as np

from zoo.matting.synthetic import bodies, faces
from zoo.matting.synthetic.canvas import SAMPLES, Canvas, Light, View
from zoo.matting.synthetic.cloth import cloth, gauze
from zoo.matting.synthetic.colours import HAIR, SKIN, Colour, house, pick
from zoo.matting.synthetic.curves import Points, ellipse, limb, smooth
from zoo.matting.synthetic.hair import Hair, random_style
from zoo.matting.synthetic.layers import Layer, over
from zoo.matting.synthetic.optics import motion_blur
from zoo.matting.synthetic.things import HELD


def draw_person(rng: np.random.Generator, size: int, view: View, light: Light, split: str, detail: float) -> Layer:
    """A person as a premultiplied layer (size, size, 4).

    Args:
        rng: the subject's draws.
        size: height and width of the picture in pixels.
        view: the unit is the height of the head, the origin its middle.
        light: where the light comes from.
        split: whose photographs may be printed on cloth.
        detail: how many strands of hair, 1 is usual.
    """
    canvas = Canvas(size, view, light)
    person = _Person(rng, canvas, split, detail)
    person.draw()
    layer = canvas.layer()
    if person.moving_hand is not None:
        layer = over(person.moving_hand, layer)
    if rng.random() < 0.12:
        layer = over(_veil(rng, size, view, light), layer)
    return layer


class _Person:
    """One person's measures, clothes and pose, and the order in which the parts are drawn: from back to front."""

    def __init__(self, rng: np.random.Generator, canvas: Canvas, split: str, detail: float) -> None:
        self.rng, self.canvas, self.detail = rng, canvas, detail
        self.moving_hand: Layer | None = None
        unit, size = canvas.view.scale, canvas.size
        self.build, self.face = bodies.random_build(rng), faces.random_face(rng)
        self.skin_colour, self.hair_colour = pick(rng, SKIN, 0.02), pick(rng, HAIR, 0.02)
        self.skin = canvas.paint(self.skin_colour, relief=0.2)
        self.head_skin = canvas.paint(self.skin_colour, relief=0.35)
        self.neck_skin = canvas.paint(self.skin_colour * 0.82)
        self.shirt_texture = cloth(rng, size, split, unit)
        self.shirt = canvas.paint(self.shirt_texture, relief=0.5)
        self.sleeve = canvas.paint(self.shirt_texture * 0.97, relief=0.25)
        self.arms = {side: bodies.random_arm(rng) for side in (-1, 1)}
        self.sleeve_end = float(rng.choice([0.0, 0.5, 0.7, 1.5, 1.93], p=[0.1, 0.25, 0.15, 0.1, 0.4]))
        # A hair is far thinner than a pixel; what counts is how many cross one, so their number grows with the head.
        strands = int(np.clip(6 * unit * SAMPLES, 500, 4500) * detail)
        self.jacket_colour = house(rng) if rng.random() < 0.4 else None
        if self.jacket_colour is not None:
            self.sleeve = canvas.paint(self.jacket_colour * 0.98, relief=0.25)
            self.sleeve_end = 1.93
        self.bald = rng.random() < 0.05
        self.hair = Hair(
            rng, random_style(rng), self.hair_colour, self.face.turn, self.face.tilt, strands, canvas.light
        )

    def draw(self) -> None:
        """Everything on the one canvas."""
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
        trousers, shoe = canvas.paint(house(rng), relief=0.25), canvas.paint(house(rng) * 0.6, relief=0.1)
        skirt = rng.random() < 0.3
        hem = 0.0 if skirt else float(rng.choice([0.75, 1.9], p=[0.25, 0.75]))
        stance = rng.uniform(0.15, 0.6)
        for side in (-1, 1):
            foot = np.array([side * (0.2 + stance * rng.uniform(0.5, 1.0)), rng.uniform(6.5, 6.75)])
            bodies.draw_leg(canvas, self.build, foot, rng.uniform(-0.05, 0.12), side, trousers, self.skin, shoe, hem)
        if skirt:
            waist, width, end = self.build.waist, rng.uniform(0.7, 1.3), rng.uniform(4.3, 6.0)
            outline = [
                (-waist, 2.4),
                (waist, 2.4),
                (self.build.hips * 1.05, 3.1),
                (width, end),
                (0, end + 0.1),
                (-width, end),
            ]
            canvas.fill(smooth([*outline, (-self.build.hips * 1.05, 3.1)], steps=4), trousers)

    def _draw_torso(self) -> None:
        rng, canvas, build = self.rng, self.canvas, self.build
        canvas.fill(bodies.neck(build, self.face.tilt), self.neck_skin)
        canvas.fill(bodies.torso(build), self.shirt)
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
        """Two fronts that leave a strip of the shirt free, with lapels."""
        rng, canvas, build = self.rng, self.canvas, self.build
        jacket, lapel = canvas.paint(colour, relief=0.4), canvas.paint(colour * 0.8)
        gap = rng.uniform(0.05, 0.3)
        outline = bodies.torso(build)
        for side in (-1, 1):
            half = outline.copy()
            half[:, 0] = side * np.maximum(side * half[:, 0] * 1.03, gap * (half[:, 1] - 0.6).clip(0, 0.8))
            canvas.fill(half, jacket)
            fold = [
                (side * build.neck, 0.66),
                (side * (build.neck + 0.2), 1.0),
                (side * (gap + 0.22), 1.25),
                (side * gap * 0.9, 1.75),
            ]
            canvas.fill(np.array(fold), lapel)

    def _draw_arms(self, sides: list[int]) -> None:
        rng, canvas = self.rng, self.canvas
        for side in sides:
            pose = self.arms[side]
            joints = bodies.arm_joints(self.build, pose, side)
            bodies.draw_arm(canvas, self.build, joints, self.skin, self.sleeve, self.sleeve_end)
            direction = joints[2] - joints[1]
            direction /= np.linalg.norm(direction)
            spread = rng.uniform(0.05, 0.3)
            if pose.fore > 2.2 and rng.random() < 0.3:
                self._draw_moving_hand(joints, direction, side, spread)
            else:
                if pose.fore > 1.2 and rng.random() < 0.35:
                    self._draw_held(joints[2] + 0.3 * direction)
                bodies.draw_hand(canvas, joints[2], direction, side, pose.fingers, spread, self.skin)

    def _draw_held(self, hand: Points) -> None:
        """Something in the hand, behind its fingers."""
        makers = list(HELD.items())
        draw, (size, below) = makers[self.rng.integers(len(makers))]
        size *= self.rng.uniform(0.8, 1.2)
        draw(self.rng, self.canvas, View(size, hand[0], hand[1] + below, self.rng.normal(0, 0.1)), self.detail)

    def _draw_moving_hand(self, joints: Points, direction: Points, side: int, spread: float) -> None:
        """A hand that waves while the rest holds still: a layer of its own, blurred across its direction."""
        own = Canvas(self.canvas.size, self.canvas.view, self.canvas.light)
        skin = own.paint(self.skin_colour, relief=0.15)
        bodies.draw_hand(own, joints[2], direction, side, True, spread, skin)
        way = self.rng.uniform(0.1, 0.4) * self.canvas.view.scale
        blurred = motion_blur(own.layer(), -direction[1] * way, direction[0] * way)
        self.moving_hand = blurred if self.moving_hand is None else over(blurred, self.moving_hand)


def _veil(rng: np.random.Generator, size: int, view: View, light: Light) -> Layer:
    """Gauze over the head and down to the sides."""
    canvas = Canvas(size, view, light)
    white = canvas.paint(0.5 + 0.5 * house(rng))
    width, end = rng.uniform(0.9, 1.8), rng.uniform(1.8, 4.5)
    outline = [
        (-0.2, -0.58),
        (0.2, -0.58),
        (0.5, -0.2),
        (0.5 * width + 0.1, 1.0),
        (width, end),
        (0.3 * width, end + 0.15),
    ]
    wave = [(-0.4 * width, end - 0.1), (-width, end), (-0.5 * width - 0.1, 1.0), (-0.5, -0.2)]
    canvas.fill(smooth(outline + wave, steps=6), white)
    return gauze(rng, canvas)
