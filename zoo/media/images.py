"""Image files, read and written without loss, and conversion between arrays and tensors.

*Reading* returns the image upright (EXIF or XMP orientation applied) and in sRGB, as uint8, or as float32 in [0, 1]
when the file holds 16 bits, so that no value is truncated. *Writing* makes PNG or EXR files and is atomic. A bad file
raises a `MediaError`; a file that is read in part gives a `MediaWarning`. EXR files are converted from linear light to
sRGB and back.
"""

import math
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.media.colour_codes import HDR, WIDE, colour_codes
from zoo.media.errors import MediaError, MediaWarning
from zoo.media.exr import read_exr, read_exr_info, to_srgb, write_exr

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif"),
}
"""The formats that Pillow reads, by its names, with their file endings. HEIF needs the `heic` extra."""
EXR = ".exr"
"""File ending of OpenEXR, which needs the `exr` extra."""

EXTENSIONS = frozenset(ending for endings in FORMATS.values() for ending in endings) | {EXR}
"""File endings of images, in lower case; upper case counts too."""

LIMIT = "ZOO_MAX_IMAGE_MB"
"""Environment variable: megabytes that the pixels of one image may take."""
DEFAULT_LIMIT = 600

Mode = Literal["RGB", "L", "RGBA"]

NOT_FINITE = "an image to write holds values that are not finite (NaN or infinity): the model that made it is broken."

_READABLE = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "I;16", "I;16B", "I"}
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The other byte order of big-endian, little-endian and native values."""
_LOW_BYTES = {f"{mode};16{order}": f"{mode};16{other}" for mode in ("RGB", "RGBA") for order, other in _SWAPPED.items()}
_STRAIGHT = ("Comment", "straight alpha: colours are not premultiplied")
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_INTEROPERABILITY = 0xA005  # the EXIF tag
_BITS_PER_SAMPLE = 258  # the TIFF tag


def read_image(path: str | Path, mode: Mode = "RGB", least: int | None = None) -> np.ndarray:
    """Return an image, upright.

    Args:
        mode: `RGB` (grey is repeated, transparency is dropped: colours are straight, not premultiplied), `L` (one
            channel, as mattes have; three equal channels count as one), `RGBA` (the file must have transparency).
        least: pixels that the shorter side needs. A larger JPEG is then decoded at 1/2, 1/4 or 1/8 of its size where
            that is enough, which is several times faster. None decodes everything.

    Returns:
        (H, W, 3), (H, W) or (H, W, 4); uint8, or float32 in [0, 1] (value / 65535) when the file holds 16 bits or is
        an EXR, whose highlights are clipped.

    Raises:
        MediaError: the file is missing, empty, no image, truncated, in CMYK or another colour model, or lacks the
            channels of `mode`.
    """
    path = Path(path)
    if path.suffix.lower() == EXR:
        return _as_mode(path, _read_exr(path, mode).clip(0, 1), mode)
    return _as_mode(path, _decoded(path, mode, least), mode)


def read_photograph(path: str | Path) -> np.ndarray:
    """Return an image to work on: as `read_image`, but an EXR keeps its highlights above 1. Warns of transparency."""
    path = Path(path)
    pixels = _read_exr(path, "RGB") if path.suffix.lower() == EXR else _decoded(path, "RGB")
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels[:, :, 3].min() < (255 if pixels.dtype == np.uint8 else 1):
        _warn(f"{path} has an alpha channel, which is not used: its straight colours are taken as an opaque image.")
    return _as_mode(path, pixels, "RGB")


def _decoded(path: Path, mode: Mode, least: int | None = None) -> np.ndarray:
    """Return the upright pixels (H, W) or (H, W, C) of a file that Pillow reads, see `read_image`."""
    with _opened(path) as image:
        if image.mode not in _READABLE or (image.mode == "I" and image.format != "PNG"):
            raise MediaError(
                f"{path} holds {image.mode} pixels; expected grey or RGB of 8 or 16 bits: "
                "convert it to sRGB and save it again."
            )
        if least is not None:
            ratio = least / min(image.size)
            image.draft(None, (math.ceil(image.width * ratio), math.ceil(image.height * ratio)))
        deep = _has_16_bit_colour(path, image)  # before decoding, which discards the layout of the file
        _check_size(path, *image.size, len(image.getbands()) * (4 if deep or image.mode.startswith("I") else 1))
        _warn_of_more_images(path, image)
        image.load()
        if deep:
            pixels = _read_16_bit_colour(path)
        elif image.mode in ("I", "I;16", "I;16B"):
            pixels = _to_unit(np.asarray(image))
        else:
            pixels = _read_8_bit(image)
        if mode != "L":  # an alpha is no colour
            pixels = _in_srgb(path, image, pixels)
        # Pillow rotates a TIFF by itself
        orientation = 1 if isinstance(image, TiffImageFile) else _orientation(path, image)
    return _rotated(pixels, orientation)


def _read_exr(path: Path, mode: Mode) -> np.ndarray:
    """Return straight sRGB colours (H, W, 3 or 4), or with `L` the channels as they are stored; float32, 0 and more."""
    info = read_exr_info(path)
    for size in ((info.width, info.height), info.stored):
        _check_size(path, *size, 4 * len(info.channels))
    if info.parts > 1:
        _warn(f"{path} holds {info.parts} parts, of which only the first is read.")
    if info.other_primaries and mode != "L":
        _warn(f"{path} has other primaries than Rec. 709, which are taken as Rec. 709: its colours become paler.")
    stored = read_exr(path)
    if mode == "L":
        return stored
    if stored.shape[2] == 1:
        raise MediaError(
            f"{path} holds the single channel {info.channels[0]}; expected R, G and B: save it as an image in colour."
        )
    colours, alpha = stored[:, :, :3], stored[:, :, 3:].clip(0, 1)
    if alpha.size:  # where alpha is 0, there are no straight colours
        colours = np.divide(colours, alpha, out=colours.copy(), where=alpha > 0)
    return np.concatenate([to_srgb(colours.clip(min=0)), alpha], axis=2)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of the upright image, from the file's header alone.

    Raises:
        MediaError: the file is missing, empty or no image.
    """
    path = Path(path)
    if path.suffix.lower() == EXR:
        return read_exr_info(path)[:2]
    with _opened(path) as image:
        if isinstance(image, PngImageFile) and _has_text_after_pixels(path):
            _check_size(path, *image.size, len(image.getbands()))
            image.load()
        width, height = image.size
        # Pillow swaps the sides of a TIFF where the tag says so, but not where XMP does
        swapped = isinstance(image, TiffImageFile) and _ORIENTATION in image.tag_v2
        sideways = not swapped and _orientation(path, image, quiet=True) >= 5
    return (width, height) if sideways else (height, width)


def check_image(image: Any) -> Any:
    """Return an array or tensor as it is, or raise where it is no image as the functions here take it.

    Raises:
        ZooError: a path, another type than uint8, bool or float, or floats above 1.

    Example:
        >>> check_image(np.full((2, 2, 3), 255.0))
        Traceback (most recent call last):
        zoo.core.errors.ZooError: the image has values up to 255; expected uint8, or floats from 0 to 1: divide by 255.
    """
    if isinstance(image, str | Path):
        raise ZooError(
            f"got the path '{image}'; expected an image in memory: zoo.media.images.read_image(path) returns it."
        )
    kind = str(getattr(image, "dtype", type(image).__name__)).removeprefix("torch.")
    if not kind.startswith(("float", "bfloat", "uint8", "bool")):
        raise ZooError(f"the image is of type {kind}; expected an array of uint8, or of floats from 0 to 1.")
    if isinstance(image, np.ndarray) and "float" in kind and image.size and image.max() > 1.5:
        raise ZooError(
            f"the image has values up to {image.max():g}; expected uint8, or floats from 0 to 1: divide by 255."
        )
    return image


def to_tensor(image: np.ndarray, device: "torch.device | str" = "cpu", scale: bool = True) -> "Tensor":
    """Return an image as a tensor (C, H, W), a view of channels-last memory.

    Args:
        image: (H, W) or (H, W, C), uint8 or float in [0, 1].
        device: of the tensor. Bytes are moved there before they become floats, which is a quarter to move.
        scale: convert to float32 in [0, 1]; False keeps the type.
    """
    import torch

    array = image[:, :, None] if image.ndim == 2 else image
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device).permute(2, 0, 1)
    if not scale:
        return tensor
    return tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()


def to_uint8(image: "np.ndarray | Tensor") -> np.ndarray:
    """Return an image as bytes, (H, W) or (H, W, C), rounded to nearest and clipped.

    Args:
        image: array (H, W) or (H, W, C), or tensor (C, H, W), with C of 1, 3 or 4; uint8, bool, or float in [0, 1].

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    array = _checked(image if isinstance(image, np.ndarray) else _from_tensor(image))
    return array if array.dtype == np.uint8 else np.rint(array.clip(0, 1) * 255).astype(np.uint8)


def _to_float(image: "np.ndarray | Tensor") -> np.ndarray:
    """Return an image as `to_uint8` does, but float32 and neither rounded nor clipped."""
    array = _checked(image if isinstance(image, np.ndarray) else _from_tensor(image, rounded=False))
    return array.astype(np.float32) / 255 if array.dtype == np.uint8 else array


def _checked(array: np.ndarray) -> np.ndarray:
    """Return an image (H, W) or (H, W, 3 or 4) as uint8 or finite float32."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"expected an image with 1, 3 or 4 channels, got one of shape {array.shape}.")
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(NOT_FINITE)
    return array


def cover(
    image: "Tensor", height: int, width: int, interpolation: Literal["bilinear", "bicubic"] = "bilinear"
) -> "Tensor":
    """Return the middle of an image (C, H, W), resized with antialias until it just covers this size."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as tv

    ratio = max(height / image.shape[-2], width / image.shape[-1])
    target = [max(height, round(image.shape[-2] * ratio)), max(width, round(image.shape[-1] * ratio))]
    return tv.center_crop(tv.resize(image, target, InterpolationMode(interpolation), antialias=True), [height, width])


def write_image(path: str | Path, image: "np.ndarray | Tensor", bits: Literal[8, 16] = 8) -> Path:
    """Write a PNG or EXR atomically; missing folders are created, an existing file is replaced.

    A PNG holds straight colours in sRGB. An EXR holds half floats in linear light, premultiplied by alpha.

    Args:
        path: ends in `.png` or `.exr`.
        image: as for `to_uint8`, in sRGB. An EXR keeps values above 1.
        bits: of each value of a PNG.

    Example:
        >>> from tempfile import mkdtemp
        >>> path = write_image(f"{mkdtemp()}/a.png", np.full((2, 2, 3), 0.3), bits=16)
        >>> float(read_image(path)[0, 0, 0])
        0.2999923825263977
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", EXR):
        raise ValueError(
            "images are written as PNG, which is lossless, or EXR; expected a name ending in .png or .exr, got "
            f"{path.name}."
        )
    if path.suffix.lower() == EXR:
        write_exr(path, _to_float(image))
        return path
    if bits == 16:
        pixels = np.rint(_to_float(image).clip(0, 1) * 65535).astype(np.uint16)
        with replacing(path) as temporary:
            temporary.write_bytes(_encode_16_bit_png(pixels))
        return path
    pixels = to_uint8(image)
    colour_space = PngInfo()
    if pixels.ndim == 3:
        colour_space.add(b"sRGB", b"\0")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        colour_space.add_text(*_STRAIGHT)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=colour_space)
    return path


def _encode_16_bit_png(pixels: np.ndarray) -> bytes:
    """Return a PNG of uint16 (H, W) or (H, W, 3 or 4), which Pillow cannot write: each row as differences, deflated."""
    rows = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(len(pixels), -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((len(rows), 1), 2, np.uint8), rows - above], axis=1)  # 2: difference from above
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    text = "\0".join(_STRAIGHT).encode("latin-1")
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 4)), (b"IEND", b"")]
    chunks[1:1] = [(b"sRGB", b"\0")] * (channels > 1) + [(b"tEXt", text)] * (channels == 4)
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@cache
def _formats() -> tuple[str, ...]:
    """Return the names of the formats that can be read here: with others, Pillow would run programs (EPS)."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return tuple(name for name in FORMATS if name != "HEIF")
    register_heif_opener()
    return tuple(FORMATS)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image without decoding it; errors about a bad file, here or in the block, become a `MediaError`."""
    if not path.is_file():
        raise MediaError(f"there is no file {path}; expected an image: check the path.")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); expected an image: copy or export it again.")
    if LIMIT in os.environ:
        Image.MAX_IMAGE_PIXELS = None  # `_check_size` knows the limit that the user has set
    try:
        with Image.open(path, formats=_formats()) as image:
            yield image
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        if path.suffix.lower() in FORMATS["HEIF"] and "HEIF" not in _formats():
            raise MediaError(
                f"{path} is a HEIC image, whose decoder is not installed: pip install pi-heif, or save it as PNG."
            ) from error
        raise MediaError(
            f"{path} is not an image that can be read; expected {', '.join(_formats())}: save it as PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path} has too many pixels ({error}) {_raise_limit(2 * DEFAULT_LIMIT)}") from error
    except Exception as error:  # Pillow's decoders raise all kinds of errors on bad data
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and error.errno is not None:
            raise MediaError(f"{path} cannot be read ({reason}); expected an image: check it.") from error
        raise MediaError(
            f"{path} is truncated or damaged ({reason}); expected a whole image: copy or export it again."
        ) from error


def _check_size(path: Path, width: int, height: int, pixel_bytes: int) -> None:
    """Raise a MediaError before the memory is used where the pixels would take more than the limit."""
    limit = int(os.environ.get(LIMIT) or DEFAULT_LIMIT)
    needed = math.ceil(width * height * pixel_bytes / 1e6)
    if needed > limit:
        raise MediaError(
            f"{path} has {width}×{height} pixels, which take {needed} MB; expected at most {limit} MB: "
            f"{_raise_limit(needed)}"
        )


def _raise_limit(megabytes: int) -> str:
    return f"scale it down, or set {LIMIT}={megabytes} if you trust the file."


def _warn_of_more_images(path: Path, image: Image.Image) -> None:
    """Warn where a file holds an animation or several pages. The second image of a JPEG (MPO) is a preview."""
    if image.format == "MPO":
        return
    try:
        count = getattr(image, "n_frames", 1)
    except Exception:  # a damaged second image
        count = 2
    if count > 1:
        _warn(f"{path} holds {count} images (an animation or pages), of which only the first is read.")


def _warn(message: str) -> None:
    warnings.warn(message, MediaWarning, stacklevel=4)


def _has_text_after_pixels(path: Path) -> bool:
    """Return whether a PNG has a chunk behind its pixels that may tell the orientation."""
    with path.open("rb") as file:
        file.seek(8)
        pixels = False
        while len(header := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            pixels = pixels or kind == b"IDAT"
            if pixels and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
                return True
            file.seek(length + 4, os.SEEK_CUR)
    return False


def _orientation(path: Path, image: Image.Image, quiet: bool = False) -> int:
    """Return EXIF's number of the orientation, 1 to 8, also from XMP; 1 where the file says none."""
    try:
        exif = Image.Image.getexif(image)  # that of a PNG would decode the whole file
        if not exif and len(image.info.get("exif", b"")) > 20:  # a JPEG's reader has met the error already
            raise ValueError("it is damaged")
        value = exif.get(_ORIENTATION, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception as error:  # struct.error, TypeError and others, though the pixels are fine
        if not quiet:
            _warn(f"{path} has EXIF data that cannot be read ({error}): its orientation is ignored.")
        return 1


def _rotated(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels (H, W, …) upright, from their orientation in the file."""
    pixels = np.rot90(pixels, {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}.get(orientation, 0))
    if orientation in (2, 5, 7):
        pixels = pixels[:, ::-1]
    return pixels[:, ::-1] if orientation == 4 else pixels


def _in_srgb(path: Path, image: Image.Image, pixels: np.ndarray) -> np.ndarray:
    """Return pixels converted from the file's colour profile to sRGB; grey ones become RGB where it changes them."""
    profile = image.info.get("icc_profile")
    codes = colour_codes(path)
    if codes is not None and codes.transfer in HDR:
        raise MediaError(
            f"{path} is an image of high dynamic range, {HDR[codes.transfer]}, whose colours would come out wrong; "
            "expected standard range: export it as SDR in sRGB or Display P3."
        )
    if not profile:
        if codes is not None and codes.primaries in WIDE:
            _warn(
                f"{path} is in {WIDE[codes.primaries]} but has no colour profile: its colours are taken as sRGB and "
                "become paler."
            )
        with suppress(Exception):  # odd EXIF data are reported elsewhere
            if image.getexif().get_ifd(_INTEROPERABILITY).get(1) == "R03":
                _warn(
                    f"{path} is in Adobe RGB by its EXIF data but has no colour profile: its colours are taken as sRGB "
                    "and become paler."
                )
        return pixels
    grey = image.mode in ("1", "L", "LA", "I", "I;16", "I;16B")
    try:
        transform = _srgb_transform(profile, grey)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        _warn(f"{path} has a colour profile that cannot be used ({error}): its colours are taken as sRGB.")
        return pixels
    if transform is None:
        return pixels
    if pixels.dtype != np.uint8:
        raise MediaError(
            f"{path} holds 16-bit colours in another profile than sRGB; expected sRGB: convert it to sRGB, or to "
            "8 bits."
        )
    opaque = pixels[:, :, :3] if pixels.ndim == 3 else pixels[:, :, None].repeat(3, axis=2)
    colours = Image.fromarray(opaque[:, :, 0] if transform.input_mode == "L" else np.ascontiguousarray(opaque))
    converted = ImageCms.applyTransform(colours, transform)
    assert converted is not None
    return (
        np.concatenate([np.asarray(converted), pixels[:, :, 3:]], axis=2) if pixels.ndim == 3 else np.array(converted)
    )


@lru_cache(maxsize=16)
def _srgb_transform(profile: bytes, grey: bool) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile to sRGB; None where it changes no colour by more than rounding."""
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = "L" if grey and source.profile.xcolor_space.strip() == "GRAY" else "RGB"
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * 3), axis=-1).reshape(16, -1, 3)
    before = Image.fromarray(grid if mode == "RGB" else levels[None])
    after = ImageCms.applyTransform(before, transform)
    assert after is not None
    difference = np.abs(np.asarray(after, np.int16) - np.asarray(before.convert("RGB")))
    return transform if difference.max() > 3 else None


def _has_16_bit_colour(path: Path, image: Image.Image) -> bool:
    """Return whether pixels have 3 or 4 channels of 16 bits, of which Pillow returns only the high byte."""
    if not isinstance(image, PngImageFile | TiffImageFile) or image.mode not in ("RGB", "RGBA") or not image.tile:
        return False
    layout = _layout(image.tile[0])
    deep = layout.endswith(";16B")
    if isinstance(image, TiffImageFile):
        deep = 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
    if deep and layout not in _LOW_BYTES:
        raise MediaError(
            f"{path} holds 16-bit colour as {layout}, such as separate planes or premultiplied alpha; expected 8 bits, "
            "or a PNG or TIFF of RGB or RGBA: save it as such a PNG."
        )
    return deep


def _layout(tile: Any) -> str:
    """Return Pillow's name of the layout of a tile of a file."""
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _read_16_bit_colour(path: Path) -> np.ndarray:
    """Return (H, W, 3 or 4) in [0, 1], from a PNG or TIFF.

    Pillow decodes 16-bit colour to its high byte, and to its low byte when the layout is set to the other byte order.
    Two passes make the exact value.
    """
    with Image.open(path, formats=("PNG", "TIFF")) as image:
        values = np.asarray(image).astype(np.uint16)
    values <<= 8
    with Image.open(path, formats=("PNG", "TIFF")) as image:
        header: Any = image
        for number, tile in enumerate(header.tile):
            low = _LOW_BYTES[_layout(tile)]
            arguments = (low, *tile.args[1:]) if isinstance(tile.args, tuple) else low
            header.tile[number] = tile._replace(args=arguments)
        values |= np.asarray(image)
    return _to_unit(values)


def _read_8_bit(image: Image.Image) -> np.ndarray:
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    mode = "RGBA" if transparent else "L" if image.mode in ("1", "L") else "RGB"
    return np.array(image if image.mode == mode else image.convert(mode))


def _to_unit(pixels: np.ndarray) -> np.ndarray:
    return np.divide(pixels, np.float32(65535), dtype=np.float32)


def _as_mode(path: Path, pixels: np.ndarray, mode: Mode) -> np.ndarray:
    """Convert pixels of 1 to 4 channels to the channels of `mode`."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    channels = pixels.shape[2]
    if mode == "RGBA":
        if channels in (1, 3):
            raise MediaError(
                f"{path} has no alpha channel; expected an RGBA cut-out: "
                "export it with transparency, or use separate fgr and pha folders."
            )
        return np.ascontiguousarray(pixels if channels == 4 else pixels[:, :, [0, 0, 0, 1]])
    colour = pixels[:, :, : 3 if channels >= 3 else 1]
    if mode == "RGB":
        return np.ascontiguousarray(colour) if channels >= 3 else colour.repeat(3, axis=2)
    opaque = 255 if pixels.dtype == np.uint8 else 1
    if channels in (2, 4) and (pixels[:, :, -1] != opaque).any():
        raise MediaError(
            f"{path} is a matte with transparency of its own; expected one grey channel: save the matte as a grey PNG."
        )
    if channels > 2 and (colour != colour[:, :, :1]).any():
        raise MediaError(
            f"{path} is a matte with 3 differing channels; expected one grey channel: save the matte as a grey PNG."
        )
    return np.ascontiguousarray(colour[:, :, 0])


def _from_tensor(tensor: "Tensor", rounded: bool = True) -> np.ndarray:
    if tensor.ndim != 3:
        raise ValueError(f"expected an image of shape (C, H, W), got a tensor of shape {tuple(tensor.shape)}.")
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()
    if tensor.is_floating_point() and rounded:  # on its device: bytes are a quarter to move
        if not all(end.isfinite() for end in tensor.aminmax()):
            raise ValueError(NOT_FINITE)
        tensor = tensor.mul(255).round_().clamp_(0, 255).byte()
    return tensor.permute(1, 2, 0).contiguous().cpu().numpy()
