"""Bodies: what is below the head, so that it does not float: the neck's opening is continued to shoulders and chest."""

import numpy as np

from zoo.heads.synthetic.looks import linear
from zoo.heads.synthetic.pieces import Kind, Piece, Points, piece, sheet
from zoo.matting.synthetic.colours import Colour, house

RINGS = np.array(
    [(0.008, 1.00, 1.00, 0.1), (0.020, 1.06, 1.06, 0.4), (0.036, 1.45, 1.20, 0.8), (0.052, 2.30, 1.45, 1.0),
     (0.085, 3.05, 1.65, 1.0), (0.16, 3.35, 1.85, 1.0), (0.30, 3.20, 1.95, 1.0), (0.50, 3.00, 1.85, 1.0)]
)  # fmt: skip
"""Metres below the neck's opening, half width and half depth there in radii of the neck, and how elliptic it is."""


def body_pieces(rng: np.random.Generator, rim: Points, turn: Points, upright: Points, skin: Colour) -> list[Piece]:
    """Neck and chest, in the frame of the head that they carry.

    Args:
        rim: (N, 3) the opening of the neck, counter-clockwise seen from above; without it there is no body.
        turn: (3, 3) takes the body's axes, which are as the head's, to the head frame.
        upright: (3, 3) the same without the body's turn to the side: so much less bends the neck.
        skin: colour of the neck.
    """
    if len(rim) < 3:
        return []
    middle = rim.mean(0)
    away = rim - middle
    reach = np.hypot(away[:, 0], away[:, 2])
    radius, around = reach.mean(), np.arctan2(away[:, 0], away[:, 2])
    down, wide, deep, round_ = RINGS.T[..., None]
    own = reach + (radius - reach) * round_
    breadth = 1 + (rng.uniform(0.9, 1.15) - 1) * round_
    ring = np.stack(
        [
            breadth * wide * own * np.sin(around),
            (1 - round_) * away[:, 1] - down,
            deep * own * np.cos(around) - 0.15 * (deep - 1) * radius,
        ],
        axis=-1,
    )
    turned = np.concatenate([ring[:2] @ upright.T, ring[2:] @ turn.T])
    points = np.concatenate([rim[None], turned + middle]).astype(np.float32)
    neckline = int(rng.integers(2, 5))
    cloth = linear(house(rng))
    return [
        piece(points[: neckline + 1].reshape(-1, 3), sheet(neckline + 1, len(rim), closed=True), skin, Kind.SKIN, 0.03),
        piece(
            points[neckline:].reshape(-1, 3), sheet(len(points) - neckline, len(rim), closed=True), cloth, Kind.CLOTH
        ),
        *_collar(rng, points[neckline], cloth),
    ]


def scarf(rng: np.random.Generator, rim: Points, chin: Points) -> Piece:
    """Cloth wound around the neck up to the chin or over it, in the head frame."""
    middle = rim.mean(0)
    radius = np.linalg.norm((rim - middle)[:, [0, 2]], axis=1).mean()
    top, bottom = chin[1] + rng.uniform(-0.01, 0.035), middle[1] - 0.02
    forward = max(chin[2] - middle[2] + 0.012, radius)
    around = np.linspace(0, 2 * np.pi, 33)[:-1]
    bulge = np.array([0.95, 1.08, 1.12, 1.05, 1.1, 1.15, 1.0])[:, None] * rng.uniform(0.97, 1.03, (7, 32))
    reach = np.where(np.cos(around) > 0, forward, 1.35 * radius)
    rows = np.linspace(top, bottom, 7)[:, None]
    points = np.stack(
        [bulge * 1.45 * radius * np.sin(around), rows + 0 * around, middle[2] + bulge * reach * np.cos(around)], axis=-1
    )
    points[:, :, 0] += middle[0]
    return piece(points.reshape(-1, 3).astype(np.float32), sheet(7, 32, closed=True), linear(house(rng)), Kind.THING)


def _collar(rng: np.random.Generator, ring: Points, cloth: Colour) -> list[Piece]:
    """Half of the clothes have a collar that stands up from the neckline."""
    if rng.random() < 0.5:
        return []
    middle = ring.mean(0)
    outer, inner = middle + 1.04 * (ring - middle), ring
    height = rng.uniform(0.01, 0.03)
    rows = np.stack([inner + [0, height, 0], outer + [0, 0.6 * height, 0], outer - [0, 0.005, 0]])
    points = rows.reshape(-1, 3).astype(np.float32)
    return [piece(points, sheet(3, len(ring), closed=True), 0.8 * cloth, Kind.CLOTH)]
