"""Folders: images are found in depth, and what is no image is named."""

import pytest

from zoo.media.folders import find_images
from zoo.media.images import MediaError, MediaWarning


def test_folders_are_searched_in_depth_and_sorted(tmp_path):
    for name in ("b.JPG", "a/z.png", "a.png", ".hidden.png", ".cache/x.png", "notes.txt", "clip.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(MediaWarning, match=r"holds 2 files that are no image and left out: clip\.mp4, notes\.txt\.$"):
        assert find_images(tmp_path) == [tmp_path / "a" / "z.png", tmp_path / "a.png", tmp_path / "b.JPG"]


def test_empty_and_missing_folders_are_named(tmp_path):
    with pytest.raises(MediaError, match="holds no image"):
        find_images(tmp_path)
    with pytest.raises(MediaError, match="not a folder"):
        find_images(tmp_path / "missing")
