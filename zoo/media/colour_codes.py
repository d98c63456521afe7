"""Colours that an image file names by ITU-T H.273's numbers: in PNG's chunk cICP, in the nclx box of AVIF and HEIC.

Pillow reads neither, so an image of high dynamic range would be taken as sRGB.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HDR = {16: "PQ (HDR10)", 18: "HLG"}
"""Numbers of the transfer functions of high dynamic range."""
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Numbers of primaries that are more saturated than those of sRGB."""


class ColourCodes(NamedTuple):
    """Numbers of primaries and transfer function; 2 stands for unspecified."""

    primaries: int
    transfer: int


def colour_codes(path: Path) -> ColourCodes | None:
    """Return the colour codes of a PNG, AVIF or HEIC; None where it has none or is damaged."""
    with path.open("rb") as file:
        start = file.read(12)
        file.seek(0)
        try:
            if start.startswith(b"\x89PNG"):
                file.seek(8)
                while len(header := file.read(8)) == 8:
                    length, kind = struct.unpack(">I4s", header)
                    if kind in (b"cICP", b"IDAT"):
                        return ColourCodes(*file.read(2)) if kind == b"cICP" else None
                    file.seek(length + 4, 1)
            if start[4:8] == b"ftyp":
                while len(header := file.read(8)) == 8:
                    length, kind = struct.unpack(">I4s", header)
                    content = struct.unpack(">Q", file.read(8))[0] - 16 if length == 1 else length - 8
                    if kind == b"meta" or content < 0:
                        return of_primary_item(file.read(content)[4:]) if content > 0 else None
                    file.seek(content, 1)
        except (struct.error, KeyError, IndexError, ValueError, OSError, TypeError):
            return None  # decoding it reports what is wrong
    return None


def of_primary_item(meta: bytes) -> ColourCodes | None:
    """Return the codes of the primary image in a box `meta`: a gain map, or its result, may have other ones."""
    inside = dict(boxes(meta))
    primary = inside[b"pitm"]
    item = struct.unpack_from(">I" if primary[0] else ">H", primary, 4)[0]
    properties = dict(boxes(inside[b"iprp"]))
    known = list(boxes(properties[b"ipco"]))
    for index in associated(properties[b"ipma"], item):
        kind, content = known[index - 1]
        if kind == b"colr" and content[:4] == b"nclx":
            return ColourCodes(*struct.unpack_from(">HH", content, 4))
    return None


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the boxes in a box."""
    position = 0
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        yield kind, content[position + 8 : position + length]
        position += max(8, length)


def associated(content: bytes, item: int) -> Iterator[int]:
    """Yield the numbers of an item's properties, from 1, in a box `ipma`."""
    id_format, long = ">I" if content[0] else ">H", content[3] & 1
    count, position = struct.unpack_from(">I", content, 4)[0], 8
    for _ in range(count):
        (current,) = struct.unpack_from(id_format, content, position)
        position += struct.calcsize(id_format)
        numbers, position = content[position], position + 1
        for _ in range(numbers):
            number = struct.unpack_from(">H", content, position)[0] & 0x7FFF if long else content[position] & 0x7F
            position += 1 + long
            if current == item and number:
                yield number
