"""Windows, pictures, furniture and plants, drawn with Pillow on an image twice as large as the result."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from zoo_plugins.synthetic.drawing.curves import ellipse, limb, smooth
from zoo_plugins.synthetic.drawing.photographs import Photographs
from zoo_plugins.synthetic.drawing.textures import Colour, cloudy_noise, house_colour, to_image

Box = tuple[float, float, float, float]  # left, top, right and bottom, in pixels


def rgb(colour: Colour, factor: float = 1.0) -> tuple[int, int, int]:
    """Convert a colour in [0, 1] to Pillow's."""
    red, green, blue = (np.asarray(colour) * (255 * factor)).clip(0, 255).astype(int).tolist()
    return red, green, blue


def draw_window(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a window with daylight or night behind its bars, often with curtains."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    frame = rgb(house_colour(rng) * 0.3 + 0.65)
    border = max(2.0, 0.04 * (right - left))
    draw.rectangle((left - border, top - border, right + border, bottom + border), fill=frame)
    view = _view_outside(rng, (max(2, int(right - left)), max(2, int(bottom - top))), photographs)
    image.paste(view, (int(left), int(top)))
    columns, rows = rng.integers(1, 4), rng.integers(1, 4)
    bar = max(1, int(border * 0.6))
    for x in np.linspace(left, right, columns + 1)[1:-1]:
        draw.line((x, top, x, bottom), fill=frame, width=bar)
    for y in np.linspace(top, bottom, rows + 1)[1:-1]:
        draw.line((left, y, right, y), fill=frame, width=bar)
    if rng.random() < 0.5:
        _draw_curtains(rng, draw, box)


def _view_outside(rng: Generator, size: tuple[int, int], photographs: Photographs) -> Image.Image:
    if rng.random() < 0.3:
        return _photograph(rng, photographs, size)
    day = rng.random() < 0.75
    sky = np.array([0.75, 0.85, 0.97] if day else [0.05, 0.07, 0.14]) * rng.uniform(0.85, 1.05)
    low = sky * 0.6 + (0.4 if day else 0.05)
    rows = np.linspace(0, 1, 32)[:, None, None]
    view = to_image(np.broadcast_to(sky + (low - sky) * rows, (32, 32, 3))).resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(view)
    for _ in range(rng.integers(0, 6)):
        x, y, width = rng.uniform(-0.2, 1) * size[0], rng.uniform(0.35, 0.9) * size[1], rng.uniform(0.1, 0.5) * size[0]
        draw.rectangle((x, y, x + width, size[1]), fill=rgb(house_colour(rng), 0.8 if day else 0.2))
    return view.filter(ImageFilter.GaussianBlur(size[0] * 0.02))


def _photograph(rng: Generator, photographs: Photographs, size: tuple[int, int]) -> Image.Image:
    return to_image(photographs.crop(rng, 64)).resize(size, Image.Resampling.BILINEAR)


def _draw_curtains(rng: Generator, draw: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    colour, width = house_colour(rng), (right - left) * rng.uniform(0.15, 0.4)
    drop = bottom + (bottom - top) * rng.uniform(0, 0.6)
    for start in (left - 0.6 * width, right - 0.4 * width):
        pleats = int(rng.integers(5, 12))
        for pleat in range(pleats):
            x = start + width * pleat / pleats
            shade = 0.75 + 0.3 * np.sin(2.4 * pleat) ** 2
            draw.rectangle((x, top - 0.08 * (bottom - top), x + width / pleats + 1, drop), fill=rgb(colour, shade))


def draw_frame(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a framed photograph, or a framed painting of stripes and discs."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    draw.rectangle((left + 4, top + 5, right + 5, bottom + 6), fill=(40, 38, 36))
    draw.rectangle(box, fill=rgb(house_colour(rng), 0.7))
    border = max(2.0, 0.06 * min(right - left, bottom - top))
    inner = (left + border, top + border, right - border, bottom - border)
    width, height = int(inner[2] - inner[0]), int(inner[3] - inner[1])
    if width < 3 or height < 3:
        return
    if rng.random() < 0.5:
        image.paste(_photograph(rng, photographs, (width, height)), (int(inner[0]), int(inner[1])))
        return
    draw.rectangle(inner, fill=rgb(house_colour(rng)))
    for _ in range(rng.integers(2, 7)):
        x, y = rng.uniform(inner[0], inner[2]), rng.uniform(inner[1], inner[3])
        far_x, far_y = rng.uniform(x, inner[2]), rng.uniform(y, inner[3])
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape((x, y, far_x, far_y), fill=rgb(house_colour(rng)))


def draw_shelf(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a bookcase: boards with books, vases and gaps."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    wood = house_colour(rng)
    draw.rectangle(box, fill=rgb(wood, 0.55))
    rows = int(rng.integers(2, 6))
    board = max(2.0, 0.02 * (bottom - top))
    height = (bottom - top) / rows
    for row in range(rows):
        base = top + (row + 1) * height
        x = left + board
        while x < right - 2 * board:
            width = rng.uniform(0.02, 0.07) * (right - left) + 1
            tall = height * rng.uniform(0.45, 0.85)
            if rng.random() < 0.82:
                spine, end, line = house_colour(rng), min(x + width, right - board), base - 0.8 * tall
                draw.rectangle((x, base - tall, end, base), fill=rgb(spine))
                draw.line((x, line, end, line), fill=rgb(spine, 1.4))
            elif rng.random() < 0.5:
                width *= 2
                draw.ellipse((x, base - 0.7 * tall, min(x + width, right - board), base), fill=rgb(house_colour(rng)))
            x += width + rng.uniform(0, 1.5)
        draw.rectangle((left, base - board / 2, right, base + board / 2), fill=rgb(wood))
    draw.rectangle(box, outline=rgb(wood, 0.9), width=int(board))


def draw_sofa(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a sofa with cushions."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    colour, width, height = house_colour(rng), right - left, bottom - top
    corner = int(0.12 * height)
    shadow = (left - 0.03 * width, bottom - 0.1 * height, right + 0.03 * width, bottom + 0.12 * height)
    draw.ellipse(shadow, fill=(38, 34, 30))
    draw.rounded_rectangle((left, top, right, bottom), corner, fill=rgb(colour, 0.85))
    seats = int(rng.integers(1, 4))
    for seat in range(seats):
        start, end = (left + width * (0.12 + 0.76 * (seat + part) / seats) for part in (0, 1))
        for high, low, shade in ((0.06, 0.6, 1.05), (0.5, 0.78, 1.15)):
            cushion = (start, top + high * height, end - 2, top + low * height)
            draw.rounded_rectangle(cushion, corner, fill=rgb(colour, shade))
    for start in (left, right - 0.13 * width):
        draw.rounded_rectangle((start, top + 0.25 * height, start + 0.13 * width, bottom), corner, fill=rgb(colour))
    for _ in range(rng.integers(0, 4)):
        x, y, side = left + width * rng.uniform(0.1, 0.75), top + 0.2 * height, 0.3 * height
        draw.rounded_rectangle((x, y, x + side, y + side), corner // 2, fill=rgb(house_colour(rng)))


def draw_lamp(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a standing lamp with a lit or unlit shade."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    middle, height, inset = (left + right) / 2, bottom - top, 0.2 * (right - left)
    draw.line((middle, top + 0.2 * height, middle, bottom), fill=(40, 38, 36), width=max(2, int(0.015 * height)))
    foot = (left + inset, bottom - 0.03 * height, right - inset, bottom + 0.02 * height)
    draw.ellipse(foot, fill=(40, 38, 36))
    shade = np.array([1.0, 0.93, 0.75]) if rng.random() < 0.6 else house_colour(rng)
    hem = top + 0.24 * height
    draw.polygon((left + inset, top, right - inset, top, right, hem, left, hem), fill=rgb(shade))


def draw_plant(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw leaves on bent stems in a pot."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    base = np.array([(left + right) / 2, bottom - 0.25 * height])
    green = np.array([0.2, 0.42, 0.18]) * rng.uniform(0.6, 1.5)
    for _ in range(rng.integers(8, 30)):
        tip = np.array([rng.uniform(left, right), rng.uniform(top, bottom - 0.4 * height)])
        bend = (base + tip) / 2 + np.array([rng.normal(0, 0.1) * width, -0.15 * height])
        stem = smooth([base, bend, tip], closed=False, steps=5)
        draw.line(stem.ravel().tolist(), fill=rgb(green, 0.7), width=2)
        along = stem[-1] - stem[-2]
        radii = (0.14 * height, rng.uniform(0.03, 0.07) * height)
        leaf = ellipse(tip, radii, float(np.arctan2(along[1], along[0])), count=14)
        draw.polygon(leaf.ravel().tolist(), fill=rgb(green, rng.uniform(0.7, 1.5)))
    rim, foot = 0.3 * width, 0.36 * width
    pot = (left + rim, base[1], right - rim, base[1], right - foot, bottom, left + foot, bottom)
    draw.polygon(pot, fill=rgb(house_colour(rng)))


def draw_cupboard(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a cupboard or a chest of drawers with wood grain."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = (int(edge) for edge in box)
    if right - left < 4 or bottom - top < 4:
        return
    colour = house_colour(rng)
    cells = (4, 40) if rng.random() < 0.5 else (40, 4)
    grain = cloudy_noise(rng, ((bottom - top) // 2, (right - left) // 2), cells, octaves=2)
    face = to_image(colour * (0.8 + 0.4 * grain[..., None])).resize((right - left, bottom - top))
    image.paste(face, (left, top))
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    for row in range(rows):
        for column in range(columns):
            x, y = left + (right - left) * column / columns, top + (bottom - top) * row / rows
            far_x, far_y = left + (right - left) * (column + 1) / columns, top + (bottom - top) * (row + 1) / rows
            draw.rectangle((x + 2, y + 2, far_x - 2, far_y - 2), outline=rgb(colour, 0.55), width=2)
            middle_x, middle_y = (x + far_x) / 2, (y + far_y) / 2
            draw.ellipse((middle_x - 3, middle_y - 3, middle_x + 3, middle_y + 3), fill=(60, 58, 55))


def draw_chair(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a chair with a slatted back."""
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    width, height, colour = right - left, bottom - top, house_colour(rng)
    thick = max(2, int(0.06 * width))
    for x in (left, right):
        draw.line((x, top, x, bottom), fill=rgb(colour, 0.9), width=thick)
    for y in np.linspace(top, top + 0.45 * height, int(rng.integers(2, 6))):
        draw.line((left, y, right, y), fill=rgb(colour), width=thick)
    y, overhang = top + 0.58 * height, 0.05 * width
    seat = limb([(left - overhang, y), (right + overhang, y)], [0.05 * height] * 2)
    draw.polygon(seat.ravel().tolist(), fill=rgb(colour, 1.15))


def draw_screen(rng: Generator, image: Image.Image, box: Box, photographs: Photographs) -> None:
    """Draw a television or a monitor."""
    left, top, right, bottom = box
    ImageDraw.Draw(image).rectangle(box, fill=(18, 18, 20))
    width, height = int(right - left - 6), int(bottom - top - 6)
    if rng.random() < 0.8 and width > 4 and height > 4:
        image.paste(_photograph(rng, photographs, (width, height)), (int(left) + 3, int(top) + 3))


Draw = Callable[[Generator, Image.Image, Box, Photographs], None]

ON_THE_WALL: dict[Draw, tuple[float, float]] = {
    draw_window: (0.28, 0.4),
    draw_frame: (0.16, 0.18),
    draw_screen: (0.3, 0.18),
}
"""Furniture on a wall with its usual width and height as fractions of the image; so for the next."""

ON_THE_FLOOR: dict[Draw, tuple[float, float]] = {
    draw_shelf: (0.3, 0.62),
    draw_sofa: (0.5, 0.26),
    draw_lamp: (0.12, 0.6),
    draw_plant: (0.22, 0.45),
    draw_cupboard: (0.32, 0.3),
    draw_chair: (0.16, 0.34),
}
