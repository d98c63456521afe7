"""Rooms: procedural interiors in one-point perspective.

A back wall, two side walls, a floor and a ceiling, each with a surface of its own; windows and pictures on the
wall, furniture on the floor; then light: a glow from one side, a darker floor, corners and edges in the shade; and
often a lens that is focused on something nearer.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from zoo.matting.synthetic import photographs
from zoo.matting.synthetic.colours import Colour, house
from zoo.matting.synthetic.furniture import ON_THE_FLOOR, ON_THE_WALL, Maker, rgb
from zoo.matting.synthetic.layers import Picture
from zoo.matting.synthetic.noise import cloudy_noise, smooth_noise

FINER = 2
"""The room is drawn this many times as large as it is returned, which smooths its edges."""

Corners = list[tuple[float, float]]


def draw_room(rng: np.random.Generator, size: int, split: str) -> Picture:
    """A room, (size, size, 3) uint8; pictures and windows may show the split's photographs."""
    large = size * FINER
    picture = Image.new("RGB", (large, large), rgb(house(rng)))
    left, right = rng.uniform(-0.1, 0.25) * large, rng.uniform(0.75, 1.1) * large
    top, floor = rng.uniform(-0.2, 0.15) * large, rng.uniform(0.62, 0.9) * large
    wall = house(rng)
    _draw_walls(rng, picture, (left, top, right, floor), wall, split)
    _draw_floor(rng, picture, (left, right, floor), split)
    _hang(rng, picture, (left, top, right, floor), split)
    _furnish(rng, picture, (left, right, floor), split)
    lit = np.asarray(picture.reduce(FINER), np.float32) / 255 * _light(rng, size, floor / FINER)[..., None]
    return _photograph(rng, lit)


def _draw_walls(
    rng: np.random.Generator, picture: Image.Image, box: tuple[float, float, float, float], colour: Colour, split: str
) -> None:
    """Ceiling, side walls and back wall."""
    draw = ImageDraw.Draw(picture)
    left, top, right, floor = box
    large = picture.width
    far = large * 2.0
    middle = np.array([large * rng.uniform(0.35, 0.65), large * rng.uniform(0.35, 0.55)])

    def outwards(x: float, y: float) -> tuple[float, float]:
        away = middle + (np.array([x, y]) - middle) * far / large
        return float(away[0]), float(away[1])

    draw.polygon(
        [(left, top), (right, top), outwards(right, top), outwards(left, top)], fill=rgb(0.3 * house(rng) + 0.68)
    )
    for x, shade in ((left, rng.uniform(0.7, 1.0)), (right, rng.uniform(0.7, 1.0))):
        draw.polygon([(x, top), (x, floor), outwards(x, floor), outwards(x, top)], fill=rgb(colour, shade))
    surface = _wall_surface(rng, colour, split)
    spot = (int(left), int(top), int(right), int(floor))
    picture.paste(surface.resize((spot[2] - spot[0], spot[3] - spot[1]), Image.Resampling.BILINEAR), spot[:2])
    if rng.random() < 0.7:
        skirting = 0.02 * large
        draw.rectangle((left, floor - skirting, right, floor), fill=rgb(0.4 * house(rng) + 0.5))


def _wall_surface(rng: np.random.Generator, colour: Colour, split: str) -> Image.Image:
    """Plaster, wallpaper, panels or a photographed texture, 256 × 256."""
    kind = rng.choice(["plaster", "stripes", "panels", "photograph", "bricks"], p=[0.4, 0.15, 0.12, 0.18, 0.15])
    plaster = colour * (0.93 + 0.14 * cloudy_noise(rng, (256, 256), (4, 4))[..., None])
    if kind == "photograph":
        plaster = 0.4 * plaster + 0.6 * photographs.crop(rng, split, 256)
    surface = Image.fromarray((plaster.clip(0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(surface)
    if kind == "stripes":
        period, other = int(rng.integers(8, 40)), house(rng)
        for x in range(0, 256, period):
            draw.rectangle((x, 0, x + period // 2, 255), fill=rgb(0.6 * colour + 0.4 * other))
    elif kind == "panels":
        for x in np.linspace(0, 256, int(rng.integers(3, 9))):
            draw.line((x, 0, x, 255), fill=rgb(colour, 0.7), width=2)
            draw.line((x + 2, 0, x + 2, 255), fill=rgb(colour, 1.15))
    elif kind == "bricks":
        _draw_bricks(rng, draw, colour)
    return surface


def _draw_bricks(rng: np.random.Generator, draw: ImageDraw.ImageDraw, colour: Colour) -> None:
    height = int(rng.integers(8, 18))
    width = int(height * 2.3)
    for row, y in enumerate(range(0, 256, height)):
        for x in range(-width * (row % 2) // 2, 256, width):
            draw.rectangle((x + 1, y + 1, x + width - 1, y + height - 1), fill=rgb(colour, rng.uniform(0.75, 1.05)))


def _draw_floor(rng: np.random.Generator, picture: Image.Image, edges: tuple[float, float, float], split: str) -> None:
    """Planks, tiles, a carpet or a photographed ground, laid down in perspective."""
    left, right, floor = edges
    large = picture.width
    texture = _floor_surface(rng, split)
    height = int(large - floor)
    if height < 4:
        return
    spread = rng.uniform(0.5, 1.5) * large
    corners = [(left, 0.0), (right, 0.0), (right + spread, float(height)), (left - spread, float(height))]
    laid = texture.transform(
        (large, height), Image.Transform.PERSPECTIVE, _perspective(corners, texture.width), Image.Resampling.BILINEAR
    )
    cover = Image.new("L", (large, height))
    ImageDraw.Draw(cover).polygon(corners, fill=255)
    picture.paste(laid, (0, int(floor)), cover)


def _floor_surface(rng: np.random.Generator, split: str) -> Image.Image:
    side, colour = 256, house(rng)
    kind = rng.choice(["planks", "tiles", "carpet", "photograph"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "photograph":
        return Image.fromarray((photographs.crop(rng, split, side) * 255).astype(np.uint8))
    grain = cloudy_noise(rng, (side, side), (3, 60) if kind == "planks" else (24, 24), octaves=3)
    surface = Image.fromarray(((colour * (0.85 + 0.3 * grain[..., None])).clip(0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(surface)
    if kind == "planks":
        for x in np.linspace(0, side, int(rng.integers(6, 16))):
            draw.line((x, 0, x, side), fill=rgb(colour, 0.6), width=2)
    elif kind == "tiles":
        step = side / int(rng.integers(4, 10))
        other = house(rng)
        for row in range(int(side / step) + 1):
            for column in range(row % 2, int(side / step) + 1, 2):
                draw.rectangle((column * step, row * step, (column + 1) * step, (row + 1) * step), fill=rgb(other))
    return surface


def _perspective(corners: Corners, side: int) -> list[float]:
    """Pillow's eight coefficients of the map from the four corners to those of a square texture."""
    targets = [(0, 0), (side, 0), (side, side), (0, side)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64)).tolist()


def _hang(rng: np.random.Generator, picture: Image.Image, box: tuple[float, float, float, float], split: str) -> None:
    left, top, right, floor = box
    large = picture.width
    for _ in range(rng.integers(0, 5)):
        draw, (width, height) = _one_of(rng, ON_THE_WALL)
        width, height = width * large * rng.uniform(0.6, 1.4), height * large * rng.uniform(0.6, 1.2)
        x = rng.uniform(left, max(left + 1, right - width))
        y = max(top, 0) + rng.uniform(0.03, 0.3) * large
        if y + height < floor:
            draw(rng, picture, (x, y, x + width, y + height), split)


def _furnish(rng: np.random.Generator, picture: Image.Image, edges: tuple[float, float, float], split: str) -> None:
    left, right, floor = edges
    large = picture.width
    depths = np.sort(rng.uniform(0, 0.7, rng.integers(1, 6)))
    for depth in depths:
        draw, (width, height) = _one_of(rng, ON_THE_FLOOR)
        nearer = (1 + 0.8 * depth) * rng.uniform(0.75, 1.25) * large
        base = floor + depth * (large - floor) + 0.01 * large
        x = rng.uniform(left - 0.1 * large, right - 0.5 * width * nearer)
        draw(rng, picture, (x, base - height * nearer, x + width * nearer, base), split)


def _one_of(rng: np.random.Generator, makers: dict[Maker, tuple[float, float]]) -> tuple[Maker, tuple[float, float]]:
    return list(makers.items())[rng.integers(len(makers))]


def _light(rng: np.random.Generator, size: int, floor: float) -> NDArray[np.floating]:
    """Factors (size, size): a glow, unevenness, a darker floor and the lens's darker corners."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    glow = np.exp(
        -((columns - rng.uniform(-0.1, 1.1)) ** 2 + (rows - rng.uniform(-0.2, 0.6)) ** 2) / rng.uniform(0.1, 0.6)
    )
    corners = 1 - rng.uniform(0, 0.35) * ((columns - 0.5) ** 2 + (rows - 0.5) ** 2) * 2
    uneven = 0.9 + 0.2 * smooth_noise(rng, (size, size), (3, 3))
    below = 1 - rng.uniform(0, 0.35) * ((rows - floor / size) / 0.3).clip(0, 1)
    return ((rng.uniform(0.55, 0.9) + rng.uniform(0.1, 0.55) * glow) * corners * uneven * below).astype(np.float32)


def _photograph(rng: np.random.Generator, room: NDArray[np.floating]) -> Picture:
    """The colour of the light, the focus of the lens, the fine texture that surfaces have."""
    size = room.shape[0]
    warmth = rng.normal(0, 0.06)
    toned = room * np.array([1 + warmth, 1.0, 1 - warmth], np.float32) * rng.uniform(0.85, 1.2)
    texture = rng.normal(0, rng.uniform(0.003, 0.02), (size, size, 1)).astype(np.float32)
    picture = Image.fromarray(np.rint((toned + texture).clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.45:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.003, 0.018) * size))
    return np.array(picture)
