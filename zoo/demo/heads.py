"""The tab that finds the heads in an image."""

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

import gradio as gr
from skimage.data import astronaut

from zoo.core.errors import ZooError
from zoo.demo.pieces import model_menu, shown_errors, upload
from zoo.heads.head_files import KINDS, HeadFiles, HeadImage
from zoo.heads.inference import AlignmentModel, predict_heads
from zoo.hub import defaults
from zoo.media.images import read_image, write_image
from zoo.training.models import load

HEADER = ["head", "score", "pitch °", "yaw °", "roll °"]

load_once = lru_cache(maxsize=2)(load)


def head_tab(folder: Path) -> None:
    """Add the input and the results."""
    with gr.Row():
        image = upload("Image")
        overlay = gr.Image(label="Mesh, landmarks and pose")
    with gr.Row():
        model = model_menu("heads", defaults.HEADS)
        wire = gr.Checkbox(label="Wire frame")
    portrait = str(write_image(folder / "astronaut.png", astronaut()))
    gr.Examples([[portrait]], [image], label="A portrait by NASA, in the public domain")
    button = gr.Button("Find heads", variant="primary")
    with gr.Row():
        mesh = gr.Model3D(label="The largest head: drag to turn it", clear_color=(0.25, 0.27, 0.3, 1.0))
        with gr.Column():
            table = gr.Dataframe(headers=HEADER, label="Heads, the largest first", interactive=False)
            files = gr.Files(label="Landmarks and parameters (JSON), meshes (OBJ)")

    @shown_errors
    def find(image: str | None, model: str, wire: bool) -> Any:
        if image is None:
            raise ZooError("an image is missing: give one with a face in it.")
        pixels = read_image(Path(image))
        heads = predict_heads(cast(AlignmentModel, load_once(model)), pixels)
        results = HeadFiles(mkdtemp(dir=folder), wire=wire, model=model)
        found = HeadImage(Path(image), pixels, heads)
        written = {kind: results.targets(f"head_{kind}")[kind] for kind in KINDS[1:]}
        for kind, path in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            results.write(kind, path, found)
        lines = [
            [number, *(round(value, 2) for value in (head.score or 0.0, *head.euler))]
            for number, head in enumerate(heads, start=1)
        ]
        kept = [str(path) for kind, path in written.items() if kind != "glb"]
        return results.overlay(pixels, heads), str(written["glb"]), lines, kept

    button.click(find, [image, model, wire], [overlay, mesh, table, files], api_name="heads", concurrency_limit=1)
