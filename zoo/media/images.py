"""Pictures on disk, read and written without losing anything.

*Reading* gives the picture upright (EXIF orientation applied) as uint8, or as float32 in [0, 1] where the file holds
16 bits, so that no value is truncated. *Writing* makes PNG files, rounds, and never leaves half a file. Whatever is
wrong with a file is said in one sentence, a `MediaError`.
"""

import math
from collections.abc import Iterator
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
    from torch import Tensor

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""Endings of file names that `find_images` takes for pictures; upper and lower case alike."""

Mode = Literal["RGB", "L", "RGBA"]

_READABLE = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B", "I"}
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_BITS_PER_SAMPLE = 258  # the TIFF tag


class MediaError(ZooError):
    """A picture or video that cannot be used; the message is one sentence: what came, what was expected, what to do."""


def read_image(path: str | Path, mode: Mode = "RGB", least: int | None = None) -> np.ndarray:
    """The picture, upright.

    Args:
        mode: `RGB` (grey is repeated, transparency is dropped: colours are straight, not premultiplied), `L` (one
            channel, as mattes are; three equal channels are taken as one), `RGBA` (the file must have transparency).
        least: how many pixels the shorter side needs; a JPEG with more of them is decoded at 1/2, 1/4 or 1/8 of its
            size where that is enough, which takes a fraction of the time. None decodes everything.

    Returns:
        (H, W, 3), (H, W) or (H, W, 4); uint8, or float32 in [0, 1] (value / 65535) where the file holds 16 bits.

    Raises:
        MediaError: no such file, empty, not a picture, truncated, CMYK or another colour model, no alpha channel,
            alpha with differing channels.
    """
    path = Path(path)
    with _opened(path) as image:
        if image.mode not in _READABLE or (image.mode == "I" and image.format != "PNG"):
            raise MediaError(
                f"{path} holds {image.mode} pixels; expected grey or RGB of 8 or 16 bits: "
                "convert it to sRGB and save it again."
            )
        if least is not None:
            share = least / min(image.size)
            image.draft(None, (math.ceil(image.width * share), math.ceil(image.height * share)))
        deep = _has_16_bit_colour(path, image)  # before anything is decoded: that forgets the layout of the file
        image.load()
        if deep:
            pixels = _read_16_bit_colour(path)
        elif image.mode in ("I", "I;16", "I;16B"):
            pixels = _to_unit(np.asarray(ImageOps.exif_transpose(image)))
        else:
            ImageOps.exif_transpose(image, in_place=True)  # which copies nothing where the picture is upright
            pixels = _read_8_bit(image)
    return _as_mode(path, pixels, mode)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright picture, from the file's header alone.

    Raises:
        MediaError: no such file, empty, or not a picture.
    """
    with _opened(Path(path)) as image:
        width, height = image.size
        # Pillow turns a TIFF by itself, and would decode a whole PNG to look for EXIF data at its end
        tagged = not isinstance(image, TiffImageFile) and (not isinstance(image, PngImageFile) or "exif" in image.info)
        sideways = tagged and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if sideways else (height, width)


def to_tensor(array: np.ndarray) -> "Tensor":
    """(H, W) or (H, W, C), uint8 or float in [0, 1] → (C, H, W), float32 in [0, 1]."""
    import torch

    if array.ndim == 2:
        array = array[:, :, None]
    tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return tensor.float().div_(255) if array.dtype == np.uint8 else tensor.float()


NOT_FINITE = "a picture to write holds values that are not finite (NaN or infinity): the model that made it is broken."


def to_uint8(picture: "np.ndarray | Tensor") -> np.ndarray:
    """A picture as bytes, rounded to the nearest and clipped.

    Args:
        picture: an array (H, W) or (H, W, C), or a tensor (C, H, W) with C of 1, 3 or 4; uint8, bool, or
            float in [0, 1].

    Returns:
        (H, W) for one channel, otherwise (H, W, C).

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    array = picture if isinstance(picture, np.ndarray) else _from_tensor(picture)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"expected a picture with 1, 3 or 4 channels, got one of shape {tuple(picture.shape)}.")
    if array.dtype == np.uint8:
        return array
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(NOT_FINITE)
    return np.rint(array.clip(0, 1) * 255).astype(np.uint8)


def write_image(path: str | Path, picture: "np.ndarray | Tensor") -> Path:
    """Write a PNG; folders are made, an existing file is replaced, and never half of one is left.

    Args:
        path: ends in `.png`.
        picture: as for `to_uint8`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"pictures are written as PNG, which loses nothing; expected a name ending in .png, got {path.name}."
        )
    pixels = to_uint8(picture)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return path


def find_images(folder: str | Path) -> list[Path]:
    """Every picture in the folder and its subfolders, sorted by path; hidden ones are left out.

    Raises:
        MediaError: there is no such folder, or it holds no picture.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder; expected a folder of pictures: check the path.")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file()]
    found = sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        endings = " ".join(sorted(EXTENSIONS))
        raise MediaError(
            f"{folder} holds no picture; expected at least one file ending in one of {endings}: check the path."
        )
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, not decoded yet; whatever is raised about a bad file, here or in the block, becomes a sentence."""
    if not path.is_file():
        raise MediaError(f"there is no file {path}; expected a picture: check the path.")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); expected a picture: copy or export it again.")
    try:
        with Image.open(path) as image:
            yield image
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(
            f"{path} is not a picture that can be read; expected PNG, JPEG, WebP, BMP or TIFF: save it as PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path} has too many pixels to be read safely: {error} Scale it down.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise on bad data
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MediaError(
            f"{path} is truncated or damaged ({reason}); expected a whole picture: copy or export it again."
        ) from error


def _has_16_bit_colour(path: Path, image: Image.Image) -> bool:
    """Whether a pixel has 3 or 4 values of 16 bits, of which Pillow gives only the high byte (of grey it gives all)."""
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
    """(H, W, 3 or 4) in [0, 1], upright, from a PNG.

    Pillow decodes 16-bit colour to its high byte (`RGB;16B`: big-endian); told the other byte order, it gives the low
    byte instead. Two passes make the exact value.
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
    """Pixels of 1 to 4 channels in the channels that were asked for."""
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
        raise ValueError(f"expected a picture of shape (C, H, W), got a tensor of shape {tuple(tensor.shape)}.")
    tensor = tensor.detach()
    if tensor.is_floating_point():  # on its device: a quarter is brought here
        tensor = tensor.float()
        if not all(end.isfinite() for end in tensor.aminmax()):
            raise ValueError(NOT_FINITE)
        tensor = tensor.mul(255).round_().clamp_(0, 255).byte()
    return tensor.permute(1, 2, 0).contiguous().cpu().numpy()
