"""Contact sheets, and where they are logged."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from zoo.media.images import read_image
from zoo.training.pictures import GAP, HEADING, contact_sheet, log_picture


def tile(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_each_tile_stands_in_its_row_and_column() -> None:
    drawn = np.asarray(contact_sheet([[tile(6, 20, 10), tile(6, 20, 20)], [tile(4, 12, 30), tile(4, 12, 40)]], "ab"))
    assert drawn.shape == (HEADING + (6 + GAP) + (4 + GAP), 2 * (20 + GAP), 3)
    below = HEADING + 6 + GAP
    assert (drawn[HEADING : HEADING + 6, :20] == 10).all()
    assert (drawn[HEADING : HEADING + 6, 22:42] == 20).all()
    assert (drawn[below : below + 4, :12] == 30).all()
    assert (drawn[below : below + 4, 22:34] == 40).all(), "columns are as wide as the widest row"
    assert (drawn[below : below + 4, 12:22] == 255).all()


def test_columns_are_named_in_the_heading() -> None:
    named, nameless = (np.asarray(contact_sheet([[tile(4, 60, 0)]], [name])) for name in ("alpha", ""))
    assert (named[:HEADING] != nameless[:HEADING]).any()
    assert (named[HEADING:] == nameless[HEADING:]).all()


def test_a_picture_goes_into_the_run_and_to_whoever_takes_images(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []
    loggers: list[Any] = [SimpleNamespace(), SimpleNamespace(log_image=lambda **what: given.append(what))]
    picture = Image.fromarray(tile(4, 4, 7))
    log_picture(picture, "a caption", str(tmp_path), loggers, "epoch_0001", step=9)
    assert (read_image(tmp_path / "pictures" / "epoch_0001.png") == 7).all()
    assert given == [{"key": "validation/pictures", "images": [picture], "caption": ["a caption"], "step": 9}]


def test_without_a_run_directory_only_loggers_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    log_picture(Image.fromarray(tile(4, 4, 7)), "a caption", None, [], "epoch_0001", step=9)
    assert list(tmp_path.iterdir()) == []
