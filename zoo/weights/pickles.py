"""Check of a pickle before it is read: what it builds, it must hold."""

import pickletools
from typing import IO


def check_pickle(file: IO[bytes]) -> None:
    """Raise ValueError for a pickle that numbers its values higher than it has bytes; leave the file at its position.

    Python's reader makes room for all numbers up to the highest at once.

    Example:
        >>> import io
        >>> check_pickle(io.BytesIO(b"Np4000000000\\n."))
        Traceback (most recent call last):
        ValueError: it numbers a value 4,000,000,000
    """
    start = file.tell()
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > (position or 0) - start:  # type: ignore[operator]
            raise ValueError(f"it numbers a value {argument:,}")
    file.seek(start)
