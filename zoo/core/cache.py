"""The cache: what has been drawn or decoded once is read from disk afterwards.

One file an item, in a folder named after everything that the items depend on, so nothing in it ever goes out
of date. Files are written under a temporary name and renamed, so several processes may fill one cache. A file that
cannot be read, has a wrong checksum or holds something else is drawn anew. A cache that cannot be written costs time
and nothing else: one warning says so.
"""

import hashlib
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from zoo.core.files import replacing

Arrays = dict[str, np.ndarray]


def cache_directory() -> Path:
    """The folder for everything that can be made again: `ZOO_CACHE` where it is set, otherwise the platform's own."""
    given = os.environ.get("ZOO_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("ablation-zoo")


class ArrayCache:
    """Items on disk, each a few named arrays.

    Args:
        directory: where caches of synthetic data are; None is `synthetic` in `cache_directory()`.
        name: what the items are; the beginning of the folder's name.
        settings: all that the items depend on, plain data; each combination has a folder of its own.
        compressed: whether to keep them smaller, at the price of unpacking them each time.
    """

    def __init__(
        self, directory: str | None, name: str, settings: Mapping[str, object], compressed: bool = True
    ) -> None:
        root = Path(directory).expanduser() if directory is not None else cache_directory() / "synthetic"
        text = json.dumps(dict(settings), sort_keys=True)
        self.folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self.compressed = compressed
        self._warned = False

    def get_arrays(self, name: str, usable: Callable[[Arrays], bool], draw: Callable[[], Arrays]) -> Arrays:
        """The item of this name; drawn, and kept, where there is none yet or none that is `usable`."""
        path = self.folder / f"{name}.npz"
        arrays = _read(path)
        if arrays is None or not usable(arrays):
            arrays = draw()
            self._keep(path, arrays)
        return arrays

    def _keep(self, path: Path, arrays: Arrays) -> None:
        try:
            _write(path, arrays, zipfile.ZIP_DEFLATED if self.compressed else zipfile.ZIP_STORED)
        except OSError as error:
            if not self._warned:
                warnings.warn(
                    f"pictures are not kept in {self.folder} ({error}); they are made anew each time.",
                    stacklevel=5,
                )
            self._warned = True


def _read(path: Path) -> Arrays | None:
    """The arrays, or None where none can be trusted. (A zip member's checksum is verified when it is read.)"""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


def _write(path: Path, arrays: Arrays, compression: int) -> None:
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", compression, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
