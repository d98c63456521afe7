"""OpenEXR files: linear light in half floats, premultiplied by alpha. They need the `exr` extra."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from zoo.core.distributions import install_command
from zoo.core.files import replacing
from zoo.media.errors import MediaError

if TYPE_CHECKING:
    from torch import Tensor

    Pixels = TypeVar("Pixels", np.ndarray, Tensor)
else:
    Pixels = TypeVar("Pixels")

HALF_MAX = 65504.0
"""Largest number of a half float."""
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Red, green, blue and white of sRGB and Rec. 709, x and y each."""


class ExrInfo(NamedTuple):
    """What an EXR file's header says."""

    height: int
    """Pixels of the display window, as `width`."""
    width: int
    stored: tuple[int, int]
    """Width and height of the data window: more pixels than are displayed, or fewer."""
    channels: tuple[str, ...]
    parts: int
    other_primaries: bool
    """Whether its colours have other primaries than Rec. 709."""


def to_linear(image: Pixels) -> Pixels:
    """Return sRGB values as linear light (IEC 61966-2-1); the curve goes on above 1.

    Example:
        >>> to_linear(np.array([0.0, 0.5, 1.0])).round(3)
        array([0.   , 0.214, 1.   ])
    """
    dark = image <= 0.04045
    return dark * (image / 12.92) + ~dark * ((image.clip(min=0.04045) + 0.055) / 1.055) ** 2.4


def to_srgb(image: Pixels) -> Pixels:
    """Return linear light as sRGB values: the inverse of `to_linear`.

    Example:
        >>> to_srgb(np.array([0.0, 0.214, 1.0])).round(3)
        array([0. , 0.5, 1. ])
    """
    dark = image <= 0.0031308
    return dark * (image * 12.92) + ~dark * (1.055 * image.clip(min=0.0031308) ** (1 / 2.4) - 0.055)


def import_openexr() -> ModuleType:
    """Return OpenEXR, or raise a `MediaError` that names the extra."""
    try:
        import OpenEXR
    except ImportError as error:
        raise MediaError(f"EXR needs OpenEXR, which is not installed: {install_command('exr')}") from error
    return OpenEXR


def read_exr_info(path: Path) -> ExrInfo:
    """Return size and channels of an EXR file from its header.

    Raises:
        MediaError: no EXR file, or OpenEXR is not installed.
    """
    file = _opened(path, header_only=True)
    header = file.header()
    (left, top), (right, bottom) = (corner.astype(int) for corner in header["displayWindow"])
    extent = np.subtract(*(corner.astype(int) for corner in header["dataWindow"][::-1])) + 1
    primaries = header.get("chromaticities", REC709)
    return ExrInfo(
        height=int(bottom - top + 1),
        width=int(right - left + 1),
        stored=(int(extent[0]), int(extent[1])),
        channels=tuple(channel.name for channel in header["channels"]),
        parts=len(file.parts),
        other_primaries=not np.allclose(primaries, REC709, atol=0.002),
    )


def read_exr(path: Path) -> np.ndarray:
    """Return an EXR file's first part as it is stored, on its display window.

    Returns:
        (H, W, 3) of R, G, B, or (H, W, 4) with A, or (H, W, 1) of a single channel; float32.

    Raises:
        MediaError: other channels, values that are not finite or no half float holds, or a damaged file.
    """
    info = read_exr_info(path)
    names = [name for name in "RGBA" if name in info.channels]
    if "".join(names[:3]) != "RGB":
        names = list(info.channels)
    if names[:3] != list("RGB") and len(names) != 1:
        raise MediaError(
            f"{path} holds the channels {' '.join(info.channels) or 'of none'}; expected R, G and B, with or without "
            "A, or a single one: save the layer as RGB."
        )
    file = _opened(path, separate_channels=True)
    try:
        header, channels = file.header(), file.channels()
        stored = np.stack([channels[name].pixels.astype(np.float32) for name in names], axis=2)
    except Exception as error:  # OpenEXR reports damage and drops the part
        raise MediaError(
            f"{path} is truncated or damaged, or its channels differ in size; expected a whole image: export it again."
        ) from error
    if not np.isfinite(stored).all():
        count = int((~np.isfinite(stored)).any(axis=2).sum())
        raise MediaError(
            f"{path} holds NaN or infinity in {count} pixels; expected numbers: repair them in the program that wrote "
            "the file."
        )
    if np.abs(stored).max() > HALF_MAX:
        raise MediaError(_too_bright(path, stored))
    origin = header["displayWindow"][0].astype(int)
    left, top = header["dataWindow"][0].astype(int) - origin  # of what is stored, which may exceed the display
    image = np.zeros((info.height, info.width, len(names)), np.float32)
    shown = image[max(top, 0) :, max(left, 0) :]
    stored = stored[max(-top, 0) :, max(-left, 0) :][: shown.shape[0], : shown.shape[1]]
    shown[: stored.shape[0], : stored.shape[1]] = stored
    return image


def write_exr(path: Path, image: np.ndarray) -> None:
    """Write an EXR file atomically: half floats, ZIP compression, Rec. 709 primaries, linear light.

    Args:
        image: float, (H, W) without a transfer function, saved as channel Y; or straight sRGB colours, (H, W, 3) or
            (H, W, 4), saved as linear light, premultiplied by alpha. Values above 1 are kept.

    Raises:
        MediaError: values that a half float cannot hold, or OpenEXR is not installed.
    """
    openexr = import_openexr()
    comment = "one channel, as it is"
    if image.ndim == 3:
        colours, alpha = to_linear(image[:, :, :3]), image[:, :, 3:]
        comment = "linear light, premultiplied by alpha" if alpha.size else "linear light, without alpha"
        image = np.concatenate([colours * alpha, alpha], axis=2) if alpha.size else colours
    if not np.abs(image).max() <= HALF_MAX:
        raise MediaError(_too_bright(path, image))
    header: dict[str, Any] = {
        "compression": openexr.ZIP_COMPRESSION,
        "type": openexr.scanlineimage,
        "chromaticities": REC709,
        "comments": comment,
    }
    names = {2: "Y"}.get(image.ndim, "RGBA"[: image.shape[-1]])
    pixels = np.ascontiguousarray(image, np.float16)
    with replacing(path) as temporary, openexr.File(header, {names: pixels}) as file:
        file.write(str(temporary))


def _too_bright(path: Path, image: np.ndarray) -> str:
    return (
        f"{path} has values up to {np.abs(image).max():g}, more than a half float holds ({HALF_MAX:g}); expected less: "
        "lower the exposure."
    )


def _opened(path: Path, **options: bool) -> Any:
    openexr = import_openexr()
    if not path.is_file():
        raise MediaError(f"there is no file {path}; expected an image: check the path.")
    try:
        file = openexr.File(str(path), **options)
        file.header()
    except Exception as error:  # RuntimeError without a header, ValueError without a part
        raise MediaError(
            f"{path} is no EXR file, truncated or damaged; expected a whole image: export it again."
        ) from error
    return file
