"""Pairing files by name, and the sentences about what does not match."""

from pathlib import Path

import numpy as np
import pytest

from zoo.matting.folders import Pair, counted, find_pairs, mismatch, pair_by_name, read_pair
from zoo.media.folders import find_images
from zoo.media.images import MediaError, write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("fgr", "pha"):
        for name in ("anna/01", "anna/02", "ben"):
            picture = np.full((6, 8, 3) if folder == "fgr" else (6, 8), 100, np.uint8)
            write_image(tmp_path / folder / f"{name}.png", picture)
    return tmp_path


def sentence(root: Path) -> str:
    with pytest.raises(MediaError) as caught:
        find_pairs(root, "fgr", "pha", find_images)
    return str(caught.value)


def test_pairs_are_sorted_and_named_by_their_path_below_the_folder(root: Path) -> None:
    pairs = find_pairs(root, "fgr", "pha", find_images)
    assert [pair.name for pair in pairs] == ["anna/01", "anna/02", "ben"]
    assert pairs[2] == Pair("ben", root / "fgr/ben.png", root / "pha/ben.png")


def test_endings_do_not_matter(root: Path) -> None:
    (root / "fgr/ben.png").rename(root / "fgr/ben.JPG")
    assert [pair.foreground.name for pair in find_pairs(root, "fgr", "pha", find_images)] == [
        "01.png",
        "02.png",
        "ben.JPG",
    ]


def test_dots_in_a_name_are_part_of_it(tmp_path: Path) -> None:
    pairing = pair_by_name(
        tmp_path, tmp_path, [tmp_path / "a.1.png", tmp_path / "a.2.png"], [tmp_path / "a.1.jpg", tmp_path / "a.2.jpg"]
    )
    assert [pair.name for pair in pairing.pairs] == ["a.1", "a.2"]


def test_same_name_in_other_subfolder_is_no_pair(root: Path) -> None:
    (root / "pha/ben.png").rename(root / "pha/anna/ben.png")
    message = sentence(root)
    assert "1 foreground without alpha (ben)" in message
    assert "1 alpha without foreground (anna/ben)" in message


def test_mismatch_counts_all_and_lists_three(root: Path) -> None:
    for number in range(5):
        write_image(root / f"fgr/extra{number}.png", np.zeros((4, 4, 3), np.uint8))
    message = sentence(root)
    assert "5 foregrounds without alpha (extra0, extra1, extra2, …)" in message
    assert "expected one alpha for each foreground" in message
    assert message.endswith("add, rename or remove the files.")


def test_two_files_of_one_name_are_refused(root: Path) -> None:
    write_image(root / "fgr/other.png", np.zeros((4, 4, 3), np.uint8))
    (root / "fgr/other.png").rename(root / "fgr/ben.jpg")
    assert "1 name of several files (ben)" in sentence(root)


def test_missing_root_and_missing_subfolder_are_told_apart(root: Path) -> None:
    with pytest.raises(MediaError, match=r"nowhere is not a folder; expected one with fgr/ and pha/ in it"):
        find_pairs(root / "nowhere", "fgr", "pha", find_images)
    with pytest.raises(MediaError, match=r"matte is not a folder; .*name the subfolder with the argument alphas"):
        find_pairs(root, "fgr", "matte", find_images)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fgr").mkdir()
    (tmp_path / "pha").mkdir()
    assert "fgr holds no image" in sentence(tmp_path)


def test_no_mismatch_no_sentence(root: Path) -> None:
    files = find_images(root / "fgr")
    assert mismatch(pair_by_name(root / "fgr", root / "fgr", files, files), root, root) is None


def test_reading_a_pair_names_both_sizes_when_they_differ(root: Path) -> None:
    write_image(root / "pha/ben.png", np.zeros((6, 4), np.uint8))
    with pytest.raises(MediaError) as caught:
        read_pair(find_pairs(root, "fgr", "pha", find_images)[2])
    message = str(caught.value)
    assert "fgr/ben.png is 8×6" in message
    assert "pha/ben.png is 4×6" in message
    assert "export both again" in message


def test_counting_words() -> None:
    assert counted(1, "alpha") == "1 alpha"
    assert counted(0, "alpha") == "0 alphas"
