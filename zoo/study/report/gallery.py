"""One page of a run's or a study's images, two of them at a time behind a slider; it needs no other files.

A study shows for each sample of a test set its inputs, its ground truth and the output of every row. A training shows
its contact sheets of validation, of which the slider compares any two epochs.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from zoo.core.errors import ZooError
from zoo.media.images import read_image
from zoo.study.record import JOB, all_runs, read_job
from zoo.study.report.pictures import enlarged, jpeg
from zoo.study.run.samples import PICTURES, read_tiles

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222;
  background: #fff; }
main { display: flex; flex-wrap: wrap; gap: 2rem; }
figure { margin: 0; width: max-content; max-width: 100%; }
.pair { position: relative; cursor: ew-resize; touch-action: none; user-select: none; }
.pair img { display: block; max-width: 100%; pointer-events: none; }
.pair img + img { position: absolute; inset: 0; width: 100%; height: 100%; }
.pair i { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 2px #000; }
.choice { display: flex; justify-content: space-between; gap: .5rem; }
input { width: 100%; margin: 0; }
"""

SCRIPT = """
for (const figure of document.querySelectorAll("figure")) {
  const [left, right] = figure.querySelectorAll("select"), images = JSON.parse(figure.querySelector("script").text);
  const [above, below] = [figure.querySelector("img + img"), figure.querySelector("img")];
  const slider = figure.querySelector("input"), line = figure.querySelector("i"), pair = figure.querySelector(".pair");
  const move = () => {
    above.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    line.style.left = `${slider.value}%`;
  };
  const show = () => { above.src = images[left.value]; below.src = images[right.value]; };
  pair.onpointerdown = pair.onpointermove = event => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = pair.getBoundingClientRect();
    slider.value = 100 * (event.clientX - box.left) / box.width;
    move();
  };
  slider.oninput = move;
  left.onchange = right.onchange = show;
  show();
  move();
}
"""


def gallery(folder: Path) -> str:
    """Return the page of a study's folder or of a run's.

    Raises:
        ZooError: the folder keeps no images.
    """
    shown = study_images(folder) or sheets(folder)
    if not shown:
        raise ZooError(
            f"{folder} keeps no images; expected the folder of a study that has run (studies/NAME), of one of its "
            "runs, or of a training with a validation (runs/NAME/version_0)."
        )
    figures = "\n".join(figure(title, images) for title, images in shown.items())
    title = escape(f"Images of {folder.resolve().name}")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n<p>Choose two images, and drag across them.</p>\n"
        f"<main>{figures}</main>\n<script>{SCRIPT}</script></body></html>\n"
    )


def study_images(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the images of each sample that a study's runs, or one run, kept; an output has the name of its row.

    Of several seeds that of the first is shown.
    """
    runs = [folder] if (folder / JOB).is_file() else list(all_runs(folder))
    shown: dict[str, dict[str, np.ndarray]] = {}
    for directory in runs:
        row = read_job(directory).row
        for sample, tiles in read_tiles(directory / PICTURES).items():
            images = shown.setdefault(f"{sample.set}, picture {sample.number}", {})
            *inputs, (_, output) = tiles.items()
            for name, tile in [*inputs, (row, output)]:
                images.setdefault(name, enlarged(tile))
    return shown


def sheets(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the contact sheets of a training by epoch."""
    files = sorted((folder / PICTURES).glob("*.png"))
    return {"validation": {file.stem.replace("_", " "): read_image(file) for file in files}} if files else {}


def figure(title: str, images: Mapping[str, np.ndarray]) -> str:
    """Return one slider, with a choice of the image on each side: at first the last one left, the first one right."""
    sources = {name: f"data:image/jpeg;base64,{b64encode(jpeg(image)).decode()}" for name, image in images.items()}
    content = json.dumps(sources).replace("</", "<\\/")  # a name may not end the script
    return (
        f"<figure><h2>{escape(title)}</h2>\n<div class=choice>{choice(images, -1)}{choice(images, 0)}</div>\n"
        "<div class=pair><img alt=right><img alt=left><i></i></div>\n"
        '<input type=range min=0 max=100 value=50 aria-label="how much of the left image is shown">\n'
        f'<script type="application/json">{content}</script></figure>'
    )


def choice(images: Mapping[str, np.ndarray], chosen: int) -> str:
    """Return a menu of the images, one of them chosen."""
    chosen %= len(images)
    options = "".join(
        f"<option{' selected' if index == chosen else ''}>{escape(name)}</option>" for index, name in enumerate(images)
    )
    return f"<select>{options}</select>"
