"""Results are named like their sources, and replace none."""

from pathlib import Path

import numpy as np
import pytest

from zoo.media.images import MediaError, write_image
from zoo.media.run import name_in, named_images, refuse_overwriting, tracked


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture, one in a subfolder, and a text."""
    for name in ("beach.png", "summer/beach.png"):
        write_image(tmp_path / "in" / name, np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


def test_a_result_is_named_by_the_place_of_its_picture() -> None:
    assert name_in(Path("in/summer/beach.tar.png"), Path("in")) == "summer/beach.tar"


def test_pictures_of_subfolders_have_names_of_their_own(pictures: Path) -> None:
    assert named_images(pictures) == [
        (pictures / "beach.png", "beach"),
        (pictures / "summer" / "beach.png", "summer/beach"),
    ]


def test_results_of_an_earlier_run_are_no_pictures(pictures: Path) -> None:
    write_image(pictures / "out" / "alpha" / "beach.png", np.zeros((4, 4, 3), np.uint8))
    assert [name for _, name in named_images(pictures)] == ["beach", "out/alpha/beach", "summer/beach"]
    assert [name for _, name in named_images(pictures, own=[pictures / "out"])] == ["beach", "summer/beach"]
    assert len(named_images(pictures, own=[pictures])) == 3, "it may be the folder itself"


def test_two_pictures_of_one_name_are_refused(pictures: Path) -> None:
    (pictures / "beach.jpg").write_bytes((pictures / "beach.png").read_bytes())
    with pytest.raises(MediaError, match=r"in holds two images named beach; expected different names"):
        named_images(pictures)


def test_no_result_takes_the_place_of_a_picture(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    refuse_overwriting([pictures / "new.png"], [pictures / "beach.png"])
    with pytest.raises(MediaError, match=r"beach\.png would be overwritten by a result; expected another output"):
        refuse_overwriting([pictures / "summer" / ".." / "beach.png"], [Path("beach.png")])


def test_items_are_passed_on_as_they_come(capfd: pytest.CaptureFixture[str]) -> None:
    made = []
    for item in tracked((made.append(number) or number for number in range(3)), None, "counting", progress=True):
        assert made == list(range(item + 1)), "none is made before it is asked for"
    assert made == [0, 1, 2]
    out, err = capfd.readouterr()
    assert out == ""
    assert "counting" in err
    assert list(tracked(range(3), 3, "counting", progress=False)) == [0, 1, 2]
    assert capfd.readouterr().err == ""
