"""Looks: what a person is like apart from the shape of the head, drawn once a picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.matting.synthetic.colours import HAIR, SKIN, Colour, pick

Style = Literal["bald", "shaved", "short", "full", "long", "afro"]
STYLES: dict[Style, float] = {"bald": 0.08, "shaved": 0.14, "short": 0.26, "full": 0.17, "long": 0.25, "afro": 0.1}
"""Share of each hair style."""
EYES = np.array(
    [(0.20, 0.11, 0.06), (0.30, 0.18, 0.09), (0.35, 0.32, 0.17), (0.32, 0.42, 0.36), (0.36, 0.48, 0.62)], np.float32
)
BEARDED = 0.25
"""Share of the faces with a beard or stubble."""


@dataclass(frozen=True)
class Look:
    """Colours are linear, (3,) in [0, 1].

    Args:
        skin, hair, eyes: colours.
        style: of the hair.
        beard: how dense, 0 for none.
        make_up: how much darker and redder lips are than usual.
        redness: of cheeks, nose and ears.
        blotches: how uneven the skin is.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    style: Style
    beard: float
    make_up: float
    redness: float
    blotches: float


def draw_look(rng: np.random.Generator) -> Look:
    """A person; dark skin mostly comes with dark hair and eyes, any other combination is as likely as not."""
    tone = int(rng.integers(len(SKIN)))
    darkest = HAIR[:3] if tone >= 4 and rng.random() < 0.85 else HAIR
    return Look(
        skin=0.8 * linear(pick(rng, SKIN[tone : tone + 1], spread=0.03)),
        hair=linear(pick(rng, darkest, spread=0.03)),
        eyes=linear(pick(rng, EYES[:2] if tone >= 4 and rng.random() < 0.9 else EYES)),
        style=list(STYLES)[rng.choice(len(STYLES), p=list(STYLES.values()))],
        beard=rng.uniform(0.2, 1.0) if rng.random() < BEARDED else 0.0,
        make_up=rng.uniform(0, 1) ** 2,
        redness=rng.uniform(0, 1),
        blotches=rng.uniform(0.2, 1),
    )


def linear(colour: Colour) -> Colour:
    """A colour as it is displayed → the light that it stands for, by a gamma of 2."""
    return colour * colour
