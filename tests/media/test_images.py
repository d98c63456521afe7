"""Pictures: what is read is what the file holds, what is written can be read back, bad files get one sentence."""

import base64
import os
import struct
import subprocess
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from tifffile import imwrite

from zoo.media.colour_codes import colour_codes
from zoo.media.folders import find_images
from zoo.media.images import (
    MediaError,
    MediaWarning,
    image_size,
    read_image,
    read_photograph,
    to_tensor,
    to_uint8,
    write_image,
)

RANDOM = np.random.default_rng(0)


def colours(height=7, width=5, channels=3):
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def one_sentence(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_8_bit_colour_is_read_as_it_is(tmp_path):
    pixels = colours()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint8
    assert read.flags.writeable
    assert (read == pixels).all()
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    assert (read_image(tmp_path / "grey.png") == pixels[:, :, :1]).all()


def test_16_bit_grey_with_transparency_is_refused(tmp_path):
    write_16_bit_png(tmp_path / "a.png", RANDOM.integers(0, 65536, (6, 9, 2), dtype=np.uint16))
    with pytest.raises(MediaError, match="LA;16B"):
        read_image(tmp_path / "a.png", "L")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_is_exact(tmp_path, ending):
    values = np.arange(0, 65536, 7, dtype=np.uint16)[: 96 * 97].reshape(96, 97)
    Image.fromarray(values).save(tmp_path / f"a.{ending}")
    read = read_image(tmp_path / f"a.{ending}", "L")
    assert read.dtype == np.float32
    assert (np.rint(read.astype(np.float64) * 65535) == values).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png_keeps_its_low_bytes(tmp_path, channels):
    values = RANDOM.integers(0, 65536, (6, 9, channels), dtype=np.uint16)
    write_16_bit_png(tmp_path / "a.png", values)
    mode = "RGB" if channels == 3 else "RGBA"
    assert (np.rint(read_image(tmp_path / "a.png", mode) * 65535.0) == values).all()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}], ids=str)
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_tiff_keeps_its_low_bytes(tmp_path, channels, layout, byteorder):
    values = RANDOM.integers(0, 65536, (20, 33, channels), dtype=np.uint16)
    alpha = ["unassalpha"] * (channels - 3)
    imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=alpha, byteorder=byteorder, **layout)
    pixels = read_image(tmp_path / "a.tif", "RGB" if channels == 3 else "RGBA")
    assert (np.rint(pixels * 65535.0) == values).all()


def test_16_bit_colour_tiff_in_planes_is_refused(tmp_path):
    values = RANDOM.integers(0, 65536, (3, 6, 9), dtype=np.uint16)
    imwrite(tmp_path / "a.tif", values, photometric="rgb", planarconfig="separate")
    with pytest.raises(MediaError, match=r"16-bit colour as R, such as separate planes.*PNG"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("mode", "shape"), [("L", (5, 7)), ("RGB", (5, 7, 3)), ("RGBA", (5, 7, 4))])
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_16_bits_are_written_and_read_again(tmp_path, mode, shape, kind):
    pixels = RANDOM.random(shape).astype(np.float32)
    pixels.flat[:2] = -1, 2
    image = pixels if kind == "array" else torch.from_numpy(pixels.reshape(5, 7, -1)).permute(2, 0, 1)
    path = write_image(tmp_path / "a.png", image, bits=16)
    with Image.open(path) as file:
        file.verify()
    expected = np.rint(pixels.clip(0, 1) * 65535) / 65535
    assert np.abs(read_image(path, mode) - expected).max() < 1e-7
    with Image.open(path) as file:
        assert ("straight" in file.info.get("Comment", "")) == (mode == "RGBA")


def test_bytes_are_the_same_in_16_bits(tmp_path):
    pixels = colours()
    path = write_image(tmp_path / "a.png", pixels, bits=16)
    assert (np.rint(read_image(path) * 65535) == pixels * np.uint16(257)).all()


def test_transparency_of_a_photograph_is_reported(tmp_path):
    pixels = colours(channels=4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.warns(MediaWarning, match=r"a\.png has an alpha channel, which is not used"):
        assert (read_photograph(tmp_path / "a.png") == pixels[:, :, :3]).all()
    pixels[:, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_photograph(tmp_path / "a.png")


def test_palette_and_one_bit_pictures(tmp_path):
    picture = Image.fromarray(colours()).quantize(8)
    picture.save(tmp_path / "p.png")
    assert (read_image(tmp_path / "p.png") == np.array(picture.convert("RGB"))).all()
    bits = colours(channels=1)[:, :, 0] > 99
    Image.fromarray(bits).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png", "L") == bits * 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied_to_pixels_and_size(tmp_path, orientation, ending):
    corners = np.zeros((32, 48, 3), np.uint8)
    corners[:16, :24] = 255  # upper left
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners).save(tmp_path / f"a.{ending}", exif=exif)
    read = read_image(tmp_path / f"a.{ending}")
    upside_down, mirrored, sideways = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7), orientation >= 5
    assert read.shape[:2] == image_size(tmp_path / f"a.{ending}") == ((48, 32) if sideways else (32, 48))
    row, column = (-2 if upside_down else 1), (-2 if mirrored else 1)
    assert read[row, column].min() > 250
    assert (read > 128).mean() == pytest.approx(0.25)


def test_exif_orientation_of_16_bit_colour(tmp_path):
    values = RANDOM.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
    for orientation in range(1, 9):
        write_16_bit_png(tmp_path / "deep.png", values, orientation)
        shallow, exif = Image.fromarray((values >> 8).astype(np.uint8)), Image.Exif()
        exif[0x0112] = orientation
        shallow.save(tmp_path / "shallow.png", exif=exif)
        deep = np.rint(read_image(tmp_path / "deep.png") * 65535.0).astype(np.uint16)
        assert ((deep >> 8) == read_image(tmp_path / "shallow.png")).all(), orientation


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_orientation_in_xmp_is_applied_to_pixels_and_size(tmp_path, ending):
    path, xmp = (
        tmp_path / f"a.{ending}",
        b"<x:xmpmeta><rdf:RDF tiff:Orientation='6' tiff:Orientation=\"6\"/></x:xmpmeta>",
    )
    options = {"xmp": xmp, "tiffinfo": {700: xmp}, "lossless": True}
    if ending == "png":
        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    Image.fromarray(colours(32, 48)).save(path, **options)
    assert read_image(path).shape[:2] == image_size(path) == (48, 32)


def test_orientation_behind_the_pixels_of_a_png(tmp_path):
    pixels, exif = colours(32, 48), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png")
    body = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(body[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + body[-12:])
    assert image_size(tmp_path / "a.png") == (48, 32)
    assert (read_image(tmp_path / "a.png") == np.rot90(pixels, 3)).all()


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02a\0\0\0"]
)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_pixels_are_read_though_exif_data_are_odd(tmp_path, ending, exif):
    pixels, path = np.full((32, 48, 3), 99, np.uint8), tmp_path / f"a.{ending}"
    Image.fromarray(pixels).save(path, exif=exif if ending != "png" else exif[6:])
    assert np.abs(read_image(path).astype(int) - pixels).max() <= 1
    assert image_size(path) == (32, 48)


def test_exif_data_that_cannot_be_read_are_reported(tmp_path):
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + bytes(40))
    with pytest.warns(MediaWarning, match=r"a\.jpg has EXIF data that cannot be read .* orientation is ignored"):
        read_image(tmp_path / "a.jpg")


def test_colours_of_another_profile_become_srgb(tmp_path):
    """(234, 51, 35) of Display P3 is the red of sRGB."""
    red = np.full((8, 8, 3), (234, 51, 35), np.uint8)
    alpha = np.full((8, 8, 1), 90, np.uint8)
    for name, pixels in (("opaque", red), ("cutout", np.concatenate([red, alpha], axis=2))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", icc_profile=display_p3())
    assert np.abs(read_image(tmp_path / "opaque.png").astype(int) - (255, 0, 0)).max() <= 2
    cutout = read_image(tmp_path / "cutout.png", "RGBA").astype(int)
    assert np.abs(cutout - (255, 0, 0, 90)).max() <= 2
    grey = np.full((8, 8), 77, np.uint8)
    Image.fromarray(grey).save(tmp_path / "matte.png", icc_profile=display_p3(gamma=1.0, grey=True))
    assert (read_image(tmp_path / "matte.png", "L") == 77).all(), "an alpha is no colour"
    linear = round(255 * (1.055 * (77 / 255) ** (1 / 2.4) - 0.055))
    assert np.abs(read_image(tmp_path / "matte.png").astype(int) - linear).max() <= 1


def test_the_profile_of_srgb_changes_nothing_and_a_broken_one_is_reported(tmp_path):
    pixels = colours()
    Image.fromarray(pixels).save(
        tmp_path / "a.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert (read_image(tmp_path / "a.png") == pixels).all()
    Image.fromarray(pixels).save(tmp_path / "b.png", icc_profile=b"no profile")
    with pytest.warns(MediaWarning, match=r"b\.png has a colour profile that cannot be used"):
        assert (read_image(tmp_path / "b.png") == pixels).all()


def test_adobe_rgb_without_a_profile_is_said(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=exif)
    with pytest.warns(MediaWarning, match=r"a\.jpg is in Adobe RGB by its EXIF data but has no colour profile"):
        read_image(tmp_path / "a.jpg")


def test_16_bit_colour_of_another_profile_is_refused(tmp_path):
    write_16_bit_png(tmp_path / "a.png", RANDOM.integers(0, 65536, (6, 9, 3), dtype=np.uint16), profile=display_p3())
    with pytest.raises(MediaError, match="16-bit colours in another profile than sRGB"):
        read_image(tmp_path / "a.png")


def test_written_colours_say_that_they_are_srgb(tmp_path):
    with Image.open(write_image(tmp_path / "a.png", colours())) as image:
        assert image.info["srgb"] == 0


def with_colour_codes(path: Path, primaries: int, transfer: int) -> Path:
    """An AVIF or PNG whose codes of colour are replaced."""
    Image.fromarray(np.full((16, 16, 3), 200, np.uint8)).save(path)
    content = path.read_bytes()
    if path.suffix == ".png":
        chunk = b"cICP" + bytes((primaries, transfer, 0, 1))
        content = content[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    else:
        position = content.index(b"colrnclx") + 8
        content = content[:position] + struct.pack(">HH", primaries, transfer) + content[position + 4 :]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["avif", "png"])
@pytest.mark.parametrize(("transfer", "name"), [(16, r"PQ \(HDR10\)"), (18, "HLG")])
def test_high_dynamic_range_is_refused(tmp_path, ending, transfer, name):
    path = with_colour_codes(tmp_path / f"a.{ending}", 9, transfer)
    with pytest.raises(MediaError, match=rf"a\.{ending} is an image of high dynamic range, {name}, .* as SDR"):
        read_image(path)


@pytest.mark.parametrize("ending", ["avif", "png"])
def test_wide_colours_without_a_profile_are_said_and_srgb_is_not(tmp_path, ending):
    with pytest.warns(MediaWarning, match=rf"a\.{ending} is in Display P3 but has no colour profile"):
        read_image(with_colour_codes(tmp_path / f"a.{ending}", 12, 13))
    assert np.abs(read_image(with_colour_codes(tmp_path / f"a.{ending}", 1, 13)).astype(int) - 200).max() <= 3


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_of_heic_is_refused(tmp_path, transfer):
    path = tmp_path / "a.heic"
    content = zlib.decompress(base64.b85decode(HEIC))
    position = content.index(b"colrnclx") + 8
    path.write_bytes(content[:position] + struct.pack(">HH", 9, transfer) + content[position + 4 :])
    assert colour_codes(path) == (9, transfer)
    if find_spec("pi_heif") is not None:
        with pytest.raises(MediaError, match=r"a\.heic is an image of high dynamic range"):
            read_image(path)


def test_codes_are_those_of_the_primary_image(tmp_path):
    """A gain map's result, in the same file, may be of high dynamic range."""
    path = with_colour_codes(tmp_path / "a.avif", 1, 16)
    content = path.read_bytes()
    position = content.index(b"pitm") + 8
    path.write_bytes(content[:position] + struct.pack(">H", 9) + content[position + 2 :])
    assert colour_codes(path) is None
    path.write_bytes(content[: content.index(b"colrnclx")])
    assert colour_codes(path) is None


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif", "avif"])
def test_of_an_animation_the_first_image_is_read_and_said(tmp_path, ending):
    first, second = (Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (40, 200))
    path = tmp_path / f"a.{ending}"
    first.save(path, save_all=True, append_images=[second])
    with pytest.warns(MediaWarning, match=rf"a\.{ending} holds 2 images .* only the first is read"):
        assert np.abs(read_image(path).astype(int) - 40).max() <= 3


def test_heic(tmp_path):
    (tmp_path / "a.HEIC").write_bytes(zlib.decompress(base64.b85decode(HEIC)))
    if find_spec("pi_heif") is None:
        with pytest.raises(MediaError, match="pip install pi-heif"):
            read_image(tmp_path / "a.HEIC")
        return
    read = read_image(tmp_path / "a.HEIC")
    assert read.shape[:2] == image_size(tmp_path / "a.HEIC") == (48, 32)
    assert find_images(tmp_path) == [tmp_path / "a.HEIC"]
    assert read[4, -4].min() > 220, "the upper right, after a rotation by 90 degrees"
    assert read[-4, 4].max() < 40


def test_a_program_in_postscript_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("a program was started"))
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(MediaError, match="not an image that can be read"):
        read_image(tmp_path / "a.png")


def test_what_would_fill_the_memory_is_refused_unless_the_limit_is_raised(tmp_path, monkeypatch):
    write_16_bit_png(tmp_path / "a.png", np.zeros((500, 500, 3), np.uint16))
    monkeypatch.setenv("ZOO_MAX_IMAGE_MB", "2")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(MediaError, match=r"a\.png has 500×500 pixels, which take 3 MB; .*set ZOO_MAX_IMAGE_MB=3"):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv("ZOO_MAX_IMAGE_MB", "3")
    assert read_image(tmp_path / "a.png").shape == (500, 500, 3)


def test_any_error_of_the_decoder_is_one_sentence(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", colours())

    def fail(self):
        raise struct.error("unpack requires a buffer")

    monkeypatch.setattr("zoo.media.images._read_8_bit", fail)
    with pytest.raises(MediaError, match=r"a\.png is truncated or damaged \(unpack requires"):
        read_image(tmp_path / "a.png")


def test_a_matte_with_three_equal_channels_is_one_channel(tmp_path):
    grey = colours(channels=1)
    Image.fromarray(grey.repeat(3, axis=2)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", "L") == grey[:, :, 0]).all()


@pytest.mark.parametrize(("channels", "words"), [(3, "3 differing channels"), (4, "transparency")])
def test_a_matte_with_differing_channels_is_refused(tmp_path, channels, words):
    Image.fromarray(colours(channels=channels)).save(tmp_path / "matte.png")
    with pytest.raises(MediaError, match=words) as error:
        read_image(tmp_path / "matte.png", "L")
    assert "matte.png" in one_sentence(error)
    assert "grey PNG" in one_sentence(error)


def test_cutouts(tmp_path):
    pixels = colours(channels=4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", "RGBA") == pixels).all()
    assert (read_image(tmp_path / "a.png", "RGB") == pixels[:, :, :3]).all()
    Image.fromarray(pixels[:, :, :3]).save(tmp_path / "b.png")
    with pytest.raises(MediaError, match="no alpha channel"):
        read_image(tmp_path / "b.png", "RGBA")


def test_cmyk_is_refused(tmp_path):
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(MediaError, match=r"CMYK.*sRGB") as error:
        read_image(tmp_path / "print.jpg")
    one_sentence(error)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_truncated_file_is_named(tmp_path, ending):
    path = tmp_path / f"half.{ending}"
    Image.fromarray(colours(64, 64)).save(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(MediaError, match=rf"half\.{ending}") as error:
        read_image(path)
    one_sentence(error)


def test_sizes_are_read_without_decoding(tmp_path):
    for ending in ("png", "jpg"):
        path = tmp_path / f"half.{ending}"
        Image.fromarray(colours(64, 96)).save(path)
        os.truncate(path, path.stat().st_size // 2)
        assert image_size(path) == (64, 96)


def test_a_truncated_16_bit_file_is_named(tmp_path):
    write_16_bit_png(tmp_path / "half.png", RANDOM.integers(0, 65536, (64, 64, 3), dtype=np.uint16))
    os.truncate(tmp_path / "half.png", 9000)
    with pytest.raises(MediaError, match=r"half\.png is truncated"):
        read_image(tmp_path / "half.png")


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"hello", "not an image")])
def test_what_is_no_picture_is_named(tmp_path, content, words):
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(MediaError, match=words) as error:
            read(tmp_path / "a.png")
        one_sentence(error)
    with pytest.raises(MediaError, match="no file"):
        read_image(tmp_path / "b.png")


@pytest.mark.parametrize(("least", "size"), [(None, (240, 400)), (130, (240, 400)), (60, (60, 100)), (7, (30, 50))])
def test_a_jpeg_is_decoded_no_larger_than_needed(tmp_path, least, size):
    across, down = np.meshgrid(np.linspace(0, 6, 400), np.linspace(0, 4, 240))
    pixels = np.rint(127 + 100 * np.stack([np.sin(across), np.cos(down), np.sin(across + down)], 2)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.jpg", quality=95)
    found = read_image(tmp_path / "wide.jpg", "RGB", least)
    assert found.shape == (*size, 3)
    expected = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BOX))
    assert np.abs(found.astype(float) - expected).mean() < 2
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert read_image(tmp_path / "wide.png", "RGB", least).shape == pixels.shape


def test_writing_rounds_and_reads_back(tmp_path):
    values = torch.tensor([0.0, 0.4999, 0.5001, 1.0, 254.6, 300.0, -2.0]) / 255
    write_image(tmp_path / "new" / "a.png", values.view(1, 1, -1))
    assert read_image(tmp_path / "new" / "a.png", "L").tolist() == [[0, 0, 1, 1, 255, 255, 0]]
    pixels = colours(channels=4)
    write_image(tmp_path / "a.png", to_tensor(pixels))
    assert (read_image(tmp_path / "a.png", "RGBA") == pixels).all()
    assert (to_uint8(to_tensor(pixels[:, :, :3])) == pixels[:, :, :3]).all()


def test_tensors_are_float_chw(tmp_path):
    assert to_tensor(colours()).shape == (3, 7, 5)
    assert to_tensor(np.full((2, 3), 255, np.uint8)).tolist() == [[[1.0] * 3] * 2]
    assert to_tensor(np.full((2, 3), 0.25, np.float32)).dtype == torch.float32


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.png", np.zeros((4, 4), np.uint8))

    def full_disk(self, name, **kwargs):
        with open(name, "wb") as file:
            file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="disk full"):
        write_image(path, np.ones((4, 4), np.uint8))
    assert os.listdir(tmp_path) == ["a.png"]
    assert read_image(path, "L").max() == 0


def test_broken_values_and_other_endings_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        write_image(tmp_path / "a.png", torch.full((1, 2, 2), float("nan")))
    with pytest.raises(ValueError, match=r"\.png"):
        write_image(tmp_path / "a.jpg", torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="shape"):
        write_image(tmp_path / "a.png", torch.zeros(2, 2, 2))
    assert not os.listdir(tmp_path)


HEIC = (  # 48×32 pixels, white in the upper left quarter, to be rotated by 90 degrees; b85 of zlib
    "c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Uf$>CcYDppk1Sn>t<P<^K3<a6VB@Af5Br_);Y>0~k0}}%yh{gB@LIXhuPz(r|O5h?YKx~njnU@CU"
    "fn-I2oK&zfpqh-bWJ3ldK}L`g*NRNAa=wDhl3WI;N=Ej~f}#Q-`&ni|az2nQ1L}2VWCjUM04tLF!0_kqj~@&S{LBeJ9TE<VJdFSUgA_1>R4{{("
    "+%6`EM4+UW6C)#<%mRf*)@iSvEZez*Bf~%eD8vjR7!;F$%Gq2P4;CNj1X?1ToS##amz+}p6y;@LYXAy~WEK~sLcQw%#Tv;ui6EC5KpfAY0HXi@"
    "|Nj9L2tfJ)G%y4TGAlAc8kspbIDiyqW>J0#&^-*2nFYD9NMU4PWNTz%W^HK$a-=egQq!Oke90-r$>3-J*|8-zB@q-~EgFpLS$^F9EOO+@{=eGu"
    "50$tasNc0@)=7oAS}9Y%pE?ld==Wc@IQ_!)`cn^zvbrRhTUm-4VlQqfeSK$X{e>=7yNzG^YeTO`{^K?O_P=0*@&BxgDGV0>@2E;iz9{K&PTk@1"
    "^7YM<V6pi>dA~bN*s?L>!<U1;uWU<&h1YCTURS#Kx>)*$exN(pAo1wy%b*41aWF743W0(e6r2#}0{|&Up+^"
)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def display_p3(gamma=None, grey=False):
    """The ICC profile of Display P3, or of grey with a gamma."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045) if gamma is None else (gamma, 1, 0, 0, 0)
    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(*curve)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)}
    columns = {b"r": (0.51512, 0.2412, -0.00105), b"g": (0.29198, 0.69225, 0.04189), b"b": (0.1571, 0.06657, 0.78407)}
    for colour, xyz in columns.items() if not grey else ():
        tags |= {colour + b"XYZ": b"XYZ \0\0\0\0" + fixed(*xyz), colour + b"TRC": curve}
    if grey:
        tags[b"kTRC"] = curve
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    space = b"GRAY" if grey else b"RGB "
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x04300000, b"mntr", space, b"XYZ ")
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249) + b"\0" * 48
    return header + table + body


def write_16_bit_png(path, values, orientation=None, profile=None):
    """Pillow writes no 16-bit colour, so the file is put together by hand."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    if profile is not None:
        parts.insert(1, chunk(b"iCCP", b"p3\0\0" + zlib.compress(profile)))
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        parts.insert(1, chunk(b"eXIf", exif.tobytes()[6:]))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
