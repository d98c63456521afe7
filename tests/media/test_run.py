"""Results are named like their sources, and replace none."""

from pathlib import Path

import numpy as np
import pytest

from zoo.media.images import MediaError, MediaWarning, write_image
from zoo.media.run import Job, ResultFiles, name_in, named_images, process_images, refuse_overwriting


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
    with pytest.warns(MediaWarning, match=r"1 file that is no image and left out: notes\.txt"):
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


class Numbers(ResultFiles):
    endings = {"half": ".txt", "double": ".txt"}
    video_endings = {"half": "", "double": ".mp4"}
    default, video_default = ("half", "double"), ("double",)


def halve_and_double(folder: Path, numbers: list[str], single: bool = False) -> list[Path]:
    """Process files that hold a number each; odd numbers are refused when read, 4 when computed."""
    results, jobs = Numbers(folder / "out"), []
    for index, number in enumerate(numbers):
        (folder / f"{index}.in").write_text(number)
        jobs.append(Job((folder / f"{index}.in",), results.targets(str(index))))

    def read(path: Path) -> int:
        number = int(path.read_text())
        if number % 2:
            raise MediaError(f"{number} is odd")
        return number

    def compute(number: int) -> dict[str, int]:
        if number == 4:
            raise MediaError("4 is refused")
        return {"half": number // 2, "double": 2 * number}

    def write(kind: str, path: Path, output: dict[str, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(output[kind]))

    return process_images(jobs, read, compute, write, None if single else results.folder, "numbers", progress=False)


def test_every_kind_of_every_file_is_written(tmp_path: Path) -> None:
    written = halve_and_double(tmp_path, ["2", "6", "8", "10", "12"])
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written[:2]] == ["half/0.txt", "double/0.txt"]
    assert [path.read_text() for path in written] == ["1", "4", "3", "12", "4", "16", "5", "20", "6", "24"]


def test_failures_are_named_in_the_order_of_the_files_and_stop_no_other(tmp_path: Path) -> None:
    with pytest.raises(
        MediaError,
        match=r"^3 of 5 images were left out, .*out: .*1.in: 4 is refused .*2.in: 5 is odd .*3.in: 7 is odd$",
    ):
        halve_and_double(tmp_path, ["2", "4", "5", "7", "6"])
    assert sorted(path.name for path in (tmp_path / "out" / "half").iterdir()) == ["0.txt", "4.txt"]


def test_the_failure_of_a_single_file_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"^5 is odd$"):
        halve_and_double(tmp_path, ["5"], single=True)


def test_results_land_by_kind_name_and_ending() -> None:
    assert Numbers("out").targets("a", video=True) == {"double": Path("out/double/a.mp4")}
    assert Numbers("out", ["half"]).targets("b/a") == {"half": Path("out/half/b/a.txt")}
    with pytest.raises(ValueError, match="'third' do not exist; expected some of half, double"):
        Numbers("out", ["third"])
