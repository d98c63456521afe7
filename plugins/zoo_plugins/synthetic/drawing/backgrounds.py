"""Backgrounds: procedural rooms in one-point perspective, pieces of photographs, and plain walls.

A room has a back wall, two side walls, a floor and a ceiling, each with a surface of its own; windows and pictures on
the wall, furniture on the floor; then light: a glow from one side, a darker floor, corners and edges in the shade; and
often a lens that is focused on something nearer.
"""

from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from zoo.core.seeding import derive_seed
from zoo_plugins.synthetic.drawing.furniture import ON_THE_FLOOR, ON_THE_WALL, Box, rgb
from zoo_plugins.synthetic.drawing.layers import Image8
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import Colour, cloudy_noise, house_colour, smooth_noise, to_image

ROOM_FRACTION = 0.67  # fraction of rooms among the backgrounds of mattes; the others are photographs
ROOM_FRACTION_WITH_FOLDER = 0.25  # the same where the dataset has a folder of photographs
HEAD_ROOMS = 64
"""Rooms of a split behind heads. Generating a room takes longer than rendering a head, so a process reuses them."""
OUT_OF_FOCUS = 0.6  # fraction of the rooms and photographs behind heads that are blurred
SUPERSAMPLING = 2  # a room is drawn this many times as large as it is returned, which smooths its edges
SURFACE = 256  # height and width of the textures of walls and floors, in pixels

Corners = list[tuple[float, float]]


def generate_background(seed: int, photographs: Photographs, index: int, size: int) -> Image8:
    """Return the background of matting sample `index` of a split: (size, size, 3) uint8."""
    rng = np.random.default_rng(derive_seed(seed, photographs.split, "background", index))
    if rng.random() < (ROOM_FRACTION if photographs.folder is None else ROOM_FRACTION_WITH_FOLDER):
        return generate_room(rng, size, photographs)
    return _blurred(rng, photographs.crop(rng, size), 0.35, 0.02)


def generate_head_background(rng: Generator, seed: int, photographs: Photographs, size: int) -> NDArray[np.float32]:
    """Return a background for a head: (size, size, 3) in [0, 1]. Rooms depend on the dataset's seed.

    A background that is out of focus is generated smaller and enlarged.
    """
    smaller = max(8, size // int(rng.integers(2, 7))) if rng.random() < OUT_OF_FOCUS else size
    kind = rng.random()
    if kind < 0.35:
        image = Image.fromarray(_shared_room(seed, photographs, int(rng.integers(HEAD_ROOMS)), size))
        image = image.resize((smaller, smaller), Image.Resampling.BOX)
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image
    else:
        image = to_image(photographs.crop(rng, smaller) if kind < 0.7 else _wall(rng, max(8, size // 4)))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), np.float32) / np.float32(255)


@lru_cache(maxsize=3 * HEAD_ROOMS)
def _shared_room(seed: int, photographs: Photographs, number: int, size: int) -> Image8:
    """Return room `number` of a split; not to be changed."""
    rng = np.random.default_rng(derive_seed(seed, photographs.split, "room", number))
    return generate_room(rng, size, photographs)


def _wall(rng: Generator, size: int) -> NDArray[np.float32]:
    """Return two colours that run into each other, a little uneven."""
    first, second = house_colour(rng), house_colour(rng)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    mix = (0.5 + 0.4 * (np.cos(angle) * columns + np.sin(angle) * rows)).astype(np.float32)
    mix += np.float32(rng.uniform(0, 0.8)) * (cloudy_noise(rng, (size, size), (4, 4), octaves=3) - np.float32(0.5))
    return (first + (second - first) * mix.clip(0, 1)[..., None]).astype(np.float32)


def generate_room(rng: Generator, size: int, photographs: Photographs) -> Image8:
    """Return a room, (size, size, 3) uint8; pictures and windows may show the photographs."""
    large = size * SUPERSAMPLING
    image = Image.new("RGB", (large, large), rgb(house_colour(rng)))
    left, right = rng.uniform(-0.1, 0.25) * large, rng.uniform(0.75, 1.1) * large
    top, floor = rng.uniform(-0.2, 0.15) * large, rng.uniform(0.62, 0.9) * large
    _draw_walls(rng, image, (left, top, right, floor), house_colour(rng), photographs)
    _draw_floor(rng, image, (left, right, floor), photographs)
    _decorate(rng, image, (left, top, right, floor), photographs)
    _furnish(rng, image, (left, right, floor), photographs)
    return _expose(rng, np.asarray(image.reduce(SUPERSAMPLING), np.float32) / 255, floor / SUPERSAMPLING)


def _draw_walls(rng: Generator, image: Image.Image, box: Box, colour: Colour, photographs: Photographs) -> None:
    draw = ImageDraw.Draw(image)
    left, top, right, floor = box
    large = image.width
    far = large * 2.0
    middle = np.array([large * rng.uniform(0.35, 0.65), large * rng.uniform(0.35, 0.55)])

    def outwards(x: float, y: float) -> tuple[float, float]:
        away = middle + (np.array([x, y]) - middle) * far / large
        return float(away[0]), float(away[1])

    ceiling = [(left, top), (right, top), outwards(right, top), outwards(left, top)]
    draw.polygon(ceiling, fill=rgb(0.3 * house_colour(rng) + 0.68))
    for x, shade in ((left, rng.uniform(0.7, 1.0)), (right, rng.uniform(0.7, 1.0))):
        draw.polygon([(x, top), (x, floor), outwards(x, floor), outwards(x, top)], fill=rgb(colour, shade))
    surface = _wall_surface(rng, colour, photographs)
    spot = (int(left), int(top), int(right), int(floor))
    image.paste(surface.resize((spot[2] - spot[0], spot[3] - spot[1]), Image.Resampling.BILINEAR), spot[:2])
    if rng.random() < 0.7:
        draw.rectangle((left, floor - 0.02 * large, right, floor), fill=rgb(0.4 * house_colour(rng) + 0.5))


def _wall_surface(rng: Generator, colour: Colour, photographs: Photographs) -> Image.Image:
    """Return plaster, wallpaper, panels, bricks or a photographed texture."""
    kind = rng.choice(["plaster", "stripes", "panels", "photograph", "bricks"], p=[0.4, 0.15, 0.12, 0.18, 0.15])
    plaster = colour * (0.93 + 0.14 * cloudy_noise(rng, (SURFACE, SURFACE), (4, 4))[..., None])
    if kind == "photograph":
        plaster = 0.4 * plaster + 0.6 * photographs.crop(rng, SURFACE)
    surface = to_image(plaster)
    draw = ImageDraw.Draw(surface)
    if kind == "stripes":
        period, other = int(rng.integers(8, 40)), house_colour(rng)
        for x in range(0, SURFACE, period):
            draw.rectangle((x, 0, x + period // 2, SURFACE - 1), fill=rgb(0.6 * colour + 0.4 * other))
    elif kind == "panels":
        for x in np.linspace(0, SURFACE, int(rng.integers(3, 9))):
            draw.line((x, 0, x, SURFACE - 1), fill=rgb(colour, 0.7), width=2)
            draw.line((x + 2, 0, x + 2, SURFACE - 1), fill=rgb(colour, 1.15))
    elif kind == "bricks":
        height = int(rng.integers(8, 18))
        width = int(height * 2.3)
        for row, y in enumerate(range(0, SURFACE, height)):
            for x in range(-width * (row % 2) // 2, SURFACE, width):
                brick = (x + 1, y + 1, x + width - 1, y + height - 1)
                draw.rectangle(brick, fill=rgb(colour, rng.uniform(0.75, 1.05)))
    return surface


def _draw_floor(
    rng: Generator, image: Image.Image, edges: tuple[float, float, float], photographs: Photographs
) -> None:
    """Lay planks, tiles, a carpet or a photographed ground in perspective."""
    left, right, floor = edges
    large = image.width
    surface = _floor_surface(rng, photographs)
    height = int(large - floor)
    if height < 4:
        return
    spread = rng.uniform(0.5, 1.5) * large
    corners = [(left, 0.0), (right, 0.0), (right + spread, float(height)), (left - spread, float(height))]
    perspective = _perspective(corners, surface.width)
    laid = surface.transform((large, height), Image.Transform.PERSPECTIVE, perspective, Image.Resampling.BILINEAR)
    mask = Image.new("L", (large, height))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    image.paste(laid, (0, int(floor)), mask)


def _floor_surface(rng: Generator, photographs: Photographs) -> Image.Image:
    colour = house_colour(rng)
    kind = rng.choice(["planks", "tiles", "carpet", "photograph"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "photograph":
        return to_image(photographs.crop(rng, SURFACE))
    grain = cloudy_noise(rng, (SURFACE, SURFACE), (3, 60) if kind == "planks" else (24, 24), octaves=3)
    surface = to_image(colour * (0.85 + 0.3 * grain[..., None]))
    draw = ImageDraw.Draw(surface)
    if kind == "planks":
        for x in np.linspace(0, SURFACE, int(rng.integers(6, 16))):
            draw.line((x, 0, x, SURFACE), fill=rgb(colour, 0.6), width=2)
    elif kind == "tiles":
        step = SURFACE / int(rng.integers(4, 10))
        other = house_colour(rng)
        for row in range(int(SURFACE / step) + 1):
            for column in range(row % 2, int(SURFACE / step) + 1, 2):
                draw.rectangle((column * step, row * step, (column + 1) * step, (row + 1) * step), fill=rgb(other))
    return surface


def _perspective(corners: Corners, side: int) -> list[float]:
    """Return Pillow's eight coefficients of the map from four corners to those of a square texture."""
    targets = [(0, 0), (side, 0), (side, side), (0, side)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64)).tolist()


def _decorate(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    left, top, right, floor = box
    large = image.width
    for _ in range(rng.integers(0, 5)):
        draw, (width, height) = list(ON_THE_WALL.items())[rng.integers(len(ON_THE_WALL))]
        width, height = width * large * rng.uniform(0.6, 1.4), height * large * rng.uniform(0.6, 1.2)
        x = rng.uniform(left, max(left + 1, right - width))
        y = max(top, 0) + rng.uniform(0.03, 0.3) * large
        if y + height < floor:
            draw(rng, image, (x, y, x + width, y + height), photographs)


def _furnish(rng: Generator, image: Image.Image, edges: tuple[float, float, float], photographs: Photographs) -> None:
    """Put furniture on the floor, the farthest first."""
    left, right, floor = edges
    large = image.width
    for depth in np.sort(rng.uniform(0, 0.7, rng.integers(1, 6))):
        draw, (width, height) = list(ON_THE_FLOOR.items())[rng.integers(len(ON_THE_FLOOR))]
        scale = (1 + 0.8 * depth) * rng.uniform(0.75, 1.25) * large
        base = floor + depth * (large - floor) + 0.01 * large
        x = rng.uniform(left - 0.1 * large, right - 0.5 * width * scale)
        draw(rng, image, (x, base - height * scale, x + width * scale, base), photographs)


def _expose(rng: Generator, room: NDArray[np.floating], floor: float) -> Image8:
    """Light a room and photograph it: a glow, a darker floor, the lens's darker corners, warmth, texture and focus."""
    size = room.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    glow = np.exp(
        -((columns - rng.uniform(-0.1, 1.1)) ** 2 + (rows - rng.uniform(-0.2, 0.6)) ** 2) / rng.uniform(0.1, 0.6)
    )
    corners = 1 - rng.uniform(0, 0.35) * ((columns - 0.5) ** 2 + (rows - 0.5) ** 2) * 2
    uneven = 0.9 + 0.2 * smooth_noise(rng, (size, size), (3, 3))
    below = 1 - rng.uniform(0, 0.35) * ((rows - floor / size) / 0.3).clip(0, 1)
    light = ((rng.uniform(0.55, 0.9) + rng.uniform(0.1, 0.55) * glow) * corners * uneven * below).astype(np.float32)
    warmth = rng.normal(0, 0.06)
    toned = room * light[..., None] * np.array([1 + warmth, 1.0, 1 - warmth], np.float32) * rng.uniform(0.85, 1.2)
    grain = rng.normal(0, rng.uniform(0.003, 0.02), (size, size, 1)).astype(np.float32)
    return _blurred(rng, (toned + grain).clip(0, 1), 0.45, 0.018)


def _blurred(rng: Generator, colours: NDArray[np.floating], fraction: float, most: float) -> Image8:
    """Convert colours in [0, 1] to 8 bits; blur a fraction of the images, by at most `most` of their side."""
    image = Image.fromarray(np.rint(colours * 255).astype(np.uint8))
    if rng.random() < fraction:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.003, most) * colours.shape[0]))
    return np.array(image)
