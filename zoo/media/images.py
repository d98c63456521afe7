"""Image files, read and written without loss, and conversion between arrays and tensors.

*Reading* returns the image upright (EXIF orientation applied) as uint8, or as float32 in [0, 1] when the file holds 16
bits, so that no value is truncated. *Writing* makes PNG files, rounds, and is atomic. A bad file raises a `MediaError`.
"""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from zoo.core.errors import ZooError
from zoo.core.files import replacing

if TYPE_CHECKING:
    import torch
    from torch import Tensor

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""File endings of images, in lower case; upper case counts too."""

Mode = Literal["RGB", "L", "RGBA"]

NOT_FINITE = "an image to write holds values that are not finite (NaN or infinity): the model that made it is broken."

_READABLE = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B", "I"}
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_BITS_PER_SAMPLE = 258  # the TIFF tag


class MediaError(ZooError):
    """Images or videos that cannot be used: a bad or missing file or folder, or a missing decoder."""


def read_image(path: str | Path, mode: Mode = "RGB", least: int | None = None) -> np.ndarray:
    """Return an image, upright.

    Args:
        mode: `RGB` (grey is repeated, transparency is dropped: colours are straight, not premultiplied), `L` (one
            channel, as mattes have; three equal channels count as one), `RGBA` (the file must have transparency).
        least: pixels that the shorter side needs. A larger JPEG is then decoded at 1/2, 1/4 or 1/8 of its size where
            that is enough, which is several times faster. None decodes everything.

    Returns:
        (H, W, 3), (H, W) or (H, W, 4); uint8, or float32 in [0, 1] (value / 65535) when the file holds 16 bits.

    Raises:
        MediaError: the file is missing, empty, no image, truncated, in CMYK or another colour model, or lacks the
            channels of `mode`.
    """
    path = Path(path)
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
        image.load()
        if deep:
            pixels = _read_16_bit_colour(path)
        elif image.mode in ("I", "I;16", "I;16B"):
            pixels = _to_unit(np.asarray(ImageOps.exif_transpose(image)))
        else:
            ImageOps.exif_transpose(image, in_place=True)  # copies nothing when the image is upright
            pixels = _read_8_bit(image)
    return _as_mode(path, pixels, mode)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of the upright image, from the file's header alone.

    Raises:
        MediaError: the file is missing, empty or no image.
    """
    with _opened(Path(path)) as image:
        width, height = image.size
        # Pillow rotates a TIFF by itself, and would decode a whole PNG to look for EXIF data at its end
        tagged = not isinstance(image, TiffImageFile) and (not isinstance(image, PngImageFile) or "exif" in image.info)
        sideways = tagged and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if sideways else (height, width)


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
    array = image if isinstance(image, np.ndarray) else _from_tensor(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"expected an image with 1, 3 or 4 channels, got one of shape {tuple(image.shape)}.")
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(NOT_FINITE)
    return np.rint(array.clip(0, 1) * 255).astype(np.uint8)


def cover(
    image: "Tensor", height: int, width: int, interpolation: Literal["bilinear", "bicubic"] = "bilinear"
) -> "Tensor":
    """Return the middle of an image (C, H, W), resized with antialias until it just covers this size."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as tv

    ratio = max(height / image.shape[-2], width / image.shape[-1])
    target = [max(height, round(image.shape[-2] * ratio)), max(width, round(image.shape[-1] * ratio))]
    return tv.center_crop(tv.resize(image, target, InterpolationMode(interpolation), antialias=True), [height, width])


def write_image(path: str | Path, image: "np.ndarray | Tensor") -> Path:
    """Write a PNG atomically; missing folders are created, an existing file is replaced.

    Args:
        path: ends in `.png`.
        image: as for `to_uint8`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"images are written as PNG, which is lossless; expected a name ending in .png, got {path.name}."
        )
    pixels = to_uint8(image)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return path


def find_images(folder: str | Path) -> list[Path]:
    """Return the images in a folder and its subfolders, sorted by path, without hidden ones.

    Raises:
        MediaError: the folder is missing or holds no image.
    """
    return find_files(Path(folder), EXTENSIONS, "image")


def find_files(folder: Path, endings: Collection[str], kind: str) -> list[Path]:
    """Return the files with one of these endings as `find_images` does; `kind` names them in errors."""
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder; expected a folder of {kind}s: check the path.")
    files = (path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    visible = sorted(path for path in files if not any(part[0] == "." for part in path.relative_to(folder).parts))
    if not visible:
        raise MediaError(
            f"{folder} holds no {kind}; expected at least one file ending in one of {' '.join(sorted(endings))}: check "
            "the path."
        )
    return visible


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image without decoding it; errors about a bad file, here or in the block, become a `MediaError`."""
    if not path.is_file():
        raise MediaError(f"there is no file {path}; expected an image: check the path.")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); expected an image: copy or export it again.")
    try:
        with Image.open(path) as image:
            yield image
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{path} is not an image that can be read; expected PNG, JPEG, WebP, BMP or TIFF: save it as PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path} has too many pixels to be read safely: {error} Scale it down.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise on bad data
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MediaError(
            f"{path} is truncated or damaged ({reason}); expected a whole image: copy or export it again."
        ) from error


def _has_16_bit_colour(path: Path, image: Image.Image) -> bool:
    """Return whether pixels have 3 or 4 channels of 16 bits, of which Pillow returns only the high byte."""
    if isinstance(image, TiffImageFile):
        deep = image.mode in ("RGB", "RGBA") and 16 in image.tag_v2.get(_BITS_PER_SAMPLE, ())
        layout = "TIFF"
    else:
        layout = str(image.tile[0][3]) if isinstance(image, PngImageFile) and image.tile else ""
        deep = layout.endswith(";16B") and image.mode in ("RGB", "RGBA")
    if deep and layout not in _LOW_BYTES:
        raise MediaError(
            f"{path} holds 16-bit colour as {layout}; expected 8 bits, or a PNG of RGB or RGBA: save it as such a PNG."
        )
    return deep


def _read_16_bit_colour(path: Path) -> np.ndarray:
    """Return (H, W, 3 or 4) in [0, 1], upright, from a PNG.

    Pillow decodes 16-bit colour to its high byte (`RGB;16B`: big-endian), and to its low byte when the layout is set to
    the other byte order. Two passes make the exact value.
    """
    with Image.open(path) as image:
        high = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
    with Image.open(path) as image:
        header: Any = image
        codec, extents, offset, layout = header.tile[0]
        header.tile = [(codec, extents, offset, _LOW_BYTES[layout])]
        low = np.asarray(ImageOps.exif_transpose(image))
    return _to_unit(high * 256 + low)


def _read_8_bit(image: Image.Image) -> np.ndarray:
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    mode = "RGBA" if transparent else "L" if image.mode in ("1", "L") else "RGB"
    return np.array(image if image.mode == mode else image.convert(mode))


def _to_unit(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.float64) / 65535).astype(np.float32)


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


def _from_tensor(tensor: "Tensor") -> np.ndarray:
    if tensor.ndim != 3:
        raise ValueError(f"expected an image of shape (C, H, W), got a tensor of shape {tuple(tensor.shape)}.")
    tensor = tensor.detach()
    if tensor.is_floating_point():  # on its device: bytes are a quarter to move
        tensor = tensor.float()
        if not all(end.isfinite() for end in tensor.aminmax()):
            raise ValueError(NOT_FINITE)
        tensor = tensor.mul(255).round_().clamp_(0, 255).byte()
    return tensor.permute(1, 2, 0).contiguous().cpu().numpy()
