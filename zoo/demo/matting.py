"""The tabs that matte an image and a short video."""

import re
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

from zoo.core.errors import ZooError
from zoo.demo.pieces import model_menu, shown_errors, upload
from zoo.hub import defaults
from zoo.matting.inference import Matting, load_matting, matte_files, read_with_background, usable_inputs
from zoo.matting.matte_files import MatteFiles
from zoo.media.images import read_photograph, to_uint8, write_image
from zoo.media.videos import read_video_info
from zoo.training.models import load

LONGEST = 20
"""Seconds of a video."""

load_once = lru_cache(maxsize=2)(load_matting)


def image_tab(folder: Path) -> None:
    """Add the inputs and results of one image."""
    with gr.Row():
        image = upload("Image")
        background = upload("The same place without the subject (may be left out)")
    with gr.Row():
        model = model_menu("matting")
        colour = gr.ColorPicker("#78ff9b", label="New background")
        picture = upload("New background as an image", height=120)
    pair = [str(file) for file in write_example(folder)]
    gr.Examples([pair], [image, background], label="A rendered person, and the room")
    button = gr.Button("Matte", variant="primary")
    slider = gr.ImageSlider(label="Image and composite", max_height=700)
    with gr.Row():
        alpha, error, refined = (gr.Image(label=label) for label in ("Alpha", "Expected error", "Refined patches"))
    cut_out = gr.File(label="Cut-out with alpha (PNG)")

    @shown_errors
    def matte(image: str | None, background: str | None, model: str | None, colour: str, picture: str | None) -> Any:
        if image is None:
            raise ZooError("there is no image: give one; an image of the same place without the subject is optional.")
        matting, place = chosen(model, background)
        source, fitting = read_with_background(Path(image), place, "auto") if place else (read_photograph(image), None)
        output = matting(source, fitting)
        results = MatteFiles(folder, new_background=picture or colour_of(colour))
        named = {kind: results.image(kind, output) for kind in ("composite", "alpha", "error", "refined", "rgba")}
        file = write_image(Path(mkdtemp(dir=folder)) / f"{Path(image).stem}.png", named["rgba"])
        return (source, named["composite"]), *(named[kind] for kind in ("alpha", "error", "refined")), str(file)

    outputs = [slider, alpha, error, refined, cut_out]
    button.click(matte, [image, background, model, colour, picture], outputs, api_name="matte", concurrency_limit=1)


def chosen(model: str | None, background: str | None) -> tuple[Matting, Path | None]:
    """Return the model of this name, by default the one for what was given, and the background if it takes one."""
    fitting = defaults.MATTING if background else defaults.MATTING_WITHOUT_BACKGROUND
    matting = load_once(model or fitting)
    return matting, usable_inputs(matting, background, None)[0]


def write_example(folder: Path) -> list[Path]:
    """Write a rendered image and its background."""
    images = load(defaults.MATTING).drawn_example(480, 640)
    names = ("person.png", "room.png")
    return [write_image(folder / name, to_uint8(image[0])) for name, image in zip(names, images, strict=False)]


def colour_of(text: str) -> str:
    """Return a colour as Pillow reads it, `#78ff9b`, from how browsers write it.

    Example:
        >>> colour_of("rgba(120.2, 255, 154.6, 1)")
        '#78ff9b'
    """
    numbers = [round(float(number)) for number in re.findall(r"[\d.]+", text)[:3]]
    return text if text.startswith("#") else "#" + "".join(f"{number:02x}" for number in numbers)


def video_tab(folder: Path) -> None:
    """Add the inputs and the result of one video."""
    with gr.Row():
        video = gr.Video(label=f"Video of at most {LONGEST} seconds", sources=["upload"])
        background = upload("The same place without the subject (may be left out)")
    with gr.Row():
        model = model_menu("matting")
        colour = gr.ColorPicker("#78ff9b", label="New background")
    button = gr.Button("Matte", variant="primary")
    shown = gr.Video(label="Composite")

    @shown_errors
    def matte(video: str | None, background: str | None, model: str | None, colour: str) -> str:
        if video is None:
            raise ZooError("there is no video: give one; an image of the place without the subject is optional.")
        seconds = read_video_info(video).duration
        if seconds is None or seconds > LONGEST:
            found = "does not say how long it is" if seconds is None else f"has {seconds:.0f} seconds"
            raise ZooError(f"the video {found}; expected at most {LONGEST} seconds: `zoo matte` takes any length.")
        results = MatteFiles(mkdtemp(dir=folder), ["composite"], new_background=colour_of(colour))
        matting, place = chosen(model, background)
        (file,) = matte_files(matting, video, place, results, progress=False)
        return str(file)

    button.click(matte, [video, background, model, colour], shown, api_name="matte_video", concurrency_limit=1)
