"""The page of a run's or a study's images: what is on it, and that it works in a browser."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from zoo.study.record import Run
from zoo.study.run.samples import Sample, write_tiles


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study with two rows, whose runs kept two samples."""
    for shade, row in enumerate(("by error", "</script><b>")):
        folder = tmp_path / "mine" / f"row{shade}" / "seed_0"
        for number in (0, 1):
            tiles = {"source": 10 * number, "alpha": 100 + 100 * shade}
            images = {name: np.full((32, 16, 3), value, np.uint8) for name, value in tiles.items()}
            write_tiles(folder / "pictures", Sample("synthetic", number), images)
        (folder / "job.json").write_text(json.dumps(Run(study="mine", row=row, seed=0).job_data()))
    return tmp_path / "mine"


def test_a_study_shows_inputs_and_the_output_of_every_row(study: Path, command) -> None:
    outcome = command("gallery", study)
    assert outcome.code == 0, outcome.err
    page = (study / "gallery.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", page) == ["synthetic, picture 0", "synthetic, picture 1"]
    contents = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert [list(json.loads(content)) for content in contents] == [["source", "by error", "</script><b>"]] * 2
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_training_shows_its_epochs(fitted: Path, command, tmp_path: Path) -> None:
    outcome = command("gallery", fitted, "-o", tmp_path / "page.html")
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "page.html").read_text()
    assert "<option>epoch 0000</option>" in page
    assert "<option selected>epoch 0001</option>" in page


def test_a_folder_without_images_is_one_sentence(tmp_path: Path, command) -> None:
    assert "keeps no images; expected the folder of a study" in command("gallery", tmp_path).complaint
    assert "nowhere does not exist" in command("gallery", "nowhere").complaint


def test_the_slider_shows_the_chosen_images_in_a_browser(study: Path, command, chromium: str) -> None:
    command("gallery", study)
    page = study / "gallery.html"
    act = """<script>
    const first = document.querySelector("figure"), menu = first.querySelector("select");
    menu.value = "source"; menu.onchange();
    first.querySelector("input").value = 25; first.querySelector("input").oninput();
    const images = JSON.parse(first.querySelector("script").text);
    const same = images["source"] === first.querySelector("img + img").src;
    document.title = `${same} ${first.querySelector("i").style.left}`;
    </script></body>"""
    page.write_text(page.read_text().replace("</body>", act))
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    shown = subprocess.run([chromium, *words], capture_output=True, text=True, timeout=60).stdout
    assert "<title>true 25%</title>" in shown
