"""OpenEXR files: what is written is read again, as other programs expect it, and bad files end in one sentence."""

import sys

import numpy as np
import pytest

from zoo.media.errors import MediaError, MediaWarning
from zoo.media.exr import REC709, to_linear, to_srgb
from zoo.media.images import image_size, read_image, read_photograph, write_image

OpenEXR = pytest.importorskip("OpenEXR")
HEADER = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}


def save(path, channels, **header):
    with OpenEXR.File(HEADER | header, channels) as file:
        file.write(str(path))
    return path


def colours(*shape, low=0.0, high=1.0):
    return np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)


def test_the_transfer_is_that_of_srgb():
    assert to_linear(np.array([0.0, 0.04045, 0.5, 1.0])) == pytest.approx([0, 0.0031308, 0.2140411, 1], abs=1e-6)
    values = np.linspace(0, 3, 1000)
    assert to_srgb(to_linear(values)) == pytest.approx(values, abs=1e-12)


def test_colours_are_stored_in_linear_light_and_premultiplied(tmp_path):
    image = np.zeros((2, 3, 4), np.float32)
    image[:] = (0.5, 1.0, 0.0, 0.25)
    with OpenEXR.File(str(write_image(tmp_path / "a.exr", image)), separate_channels=True) as file:
        stored = {name: channel.pixels for name, channel in file.channels().items()}
        assert "premultiplied" in file.header()["comments"]
        assert file.header()["chromaticities"] == pytest.approx(REC709)
    assert {pixels.dtype for pixels in stored.values()} == {np.dtype("float16")}
    expected = {"R": 0.2140411 * 0.25, "G": 0.25, "B": 0, "A": 0.25}
    assert {name: float(pixels[1, 2]) for name, pixels in stored.items()} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("mode", "shape"), [("L", (5, 7)), ("RGB", (5, 7, 3)), ("RGBA", (5, 7, 4))])
def test_what_is_written_is_read_again_straight_in_srgb(tmp_path, mode, shape):
    image = colours(*shape, low=0.05)
    path = write_image(tmp_path / "a.exr", image)
    assert np.abs(read_image(path, mode) - image).max() < 1e-3
    assert image_size(path) == (5, 7)


def test_highlights_are_kept_in_a_photograph_and_clipped_elsewhere(tmp_path):
    path = save(tmp_path / "a.exr", {"RGB": np.full((2, 2, 3), 4, np.float32)})
    assert read_photograph(path) == pytest.approx(to_srgb(np.full((2, 2, 3), 4.0)), abs=1e-5)
    assert (read_image(path) == 1).all()


def test_pixels_lie_on_the_display_window(tmp_path):
    """Programs of compositing store only what is not empty, or more than is shown."""
    pixels = to_linear(colours(4, 4, 3))
    window = {"dataWindow": ((-1, 2), (2, 5)), "displayWindow": ((0, 0), (9, 4))}
    image = read_image(save(tmp_path / "a.exr", {"RGB": pixels}, **window))
    assert image.shape == (5, 10, 3)
    expected = np.zeros((5, 10, 3), np.float32)
    expected[2:5, 0:3] = to_srgb(pixels)[:3, 1:]
    assert np.abs(image - expected).max() < 1e-6


def test_transparency_other_primaries_and_parts_are_reported(tmp_path):
    path = save(tmp_path / "a.exr", {"RGBA": np.full((2, 2, 4), 0.5, np.float32)})
    with pytest.warns(MediaWarning, match=r"a\.exr has an alpha channel"):
        assert read_photograph(path) == pytest.approx(np.ones((2, 2, 3)), abs=1e-6)  # straight
    aces = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    path = save(tmp_path / "b.exr", {"RGB": colours(2, 2, 3)}, chromaticities=aces)
    with pytest.warns(MediaWarning, match=r"b\.exr has other primaries than Rec\. 709"):
        read_photograph(path)
    parts = [OpenEXR.Part(dict(HEADER), {"RGB": colours(2, 2, 3)}, name) for name in ("one", "two")]
    with OpenEXR.File(parts) as file:
        file.write(str(tmp_path / "c.exr"))
    with pytest.warns(MediaWarning, match=r"holds 2 parts, of which only the first"):
        read_photograph(tmp_path / "c.exr")


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ({"Z": colours(2, 2)}, r"holds the single channel Z; expected R, G and B"),
        ({"U": colours(2, 2), "V": colours(2, 2)}, r"holds the channels U V; expected R, G and B"),
        ({"RGB": np.full((2, 2, 3), np.nan, np.float32)}, "holds NaN or infinity in 4 pixels"),
        ({"RGB": np.full((2, 2, 3), np.inf, np.float16)}, "holds NaN or infinity in 4 pixels"),
        ({"RGB": np.full((2, 2, 3), 1e5, np.float32)}, r"values up to 100000, more than a half float holds \(65504\)"),
    ],
    ids=["depth", "motion", "NaN", "infinity", "too bright"],
)
def test_bad_values_end_in_one_sentence(tmp_path, channels, words):
    with pytest.raises(MediaError, match=words) as error:
        read_image(save(tmp_path / "a.exr", channels))
    assert "\n" not in str(error.value)


def test_damaged_and_missing_files(tmp_path):
    path = save(tmp_path / "a.exr", {"RGB": colours(64, 64, 3).round(1)})
    whole = path.read_bytes()
    for count in (100, 400, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:count])
        with pytest.raises(MediaError, match=r"a\.exr is .*truncated or damaged"):
            read_image(path)
    path.write_bytes(whole[:1000] + bytes(100) + whole[1100:])
    with pytest.raises(MediaError, match=r"a\.exr is .*truncated or damaged"):
        read_image(path)
    path.write_bytes(b"no image")
    with pytest.raises(MediaError, match="is no EXR file"):
        image_size(path)
    with pytest.raises(MediaError, match=r"there is no file .*b\.exr"):
        read_image(tmp_path / "b.exr")


def test_a_value_that_is_too_large_to_write(tmp_path):
    with pytest.raises(MediaError, match="more than a half float holds"):
        write_image(tmp_path / "a.exr", np.full((2, 2, 3), 200.0))
    assert not list(tmp_path.iterdir())


def test_large_images_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_MAX_IMAGE_MB", "1")
    path = save(tmp_path / "a.exr", {"RGB": colours(2, 2, 3)}, displayWindow=((0, 0), (999, 999)))
    with pytest.raises(MediaError, match=r"1000×1000 pixels, which take 12 MB"):
        read_image(path)


def test_without_openexr_the_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.exr", {"RGB": colours(2, 2, 3)})
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(MediaError, match="EXR needs OpenEXR, which is not installed: pip install"):
        read_image(path)
