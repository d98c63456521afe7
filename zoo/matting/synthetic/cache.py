"""The cache: what has been drawn once is read from disk afterwards.

One compressed file a picture, in a folder named after everything that the pictures depend on, so nothing in it ever
goes out of date. Files are written under a temporary name and renamed, so several processes may fill one cache. A
file that cannot be read, has a wrong checksum or holds something else is drawn anew. A cache that cannot be written
costs time and nothing else: one warning says so.
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

from zoo.matting.synthetic.layers import Picture
from zoo.media.images import replacing

VERSION = 3
"""Raise it whenever the same seeds would draw something else."""


def cache_directory() -> Path:
    """The folder for everything that can be made again: `ZOO_CACHE` where it is set, otherwise the platform's own."""
    given = os.environ.get("ZOO_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path  # comes with wandb

    return user_cache_path("ablation-zoo")


class PictureCache:
    """Pictures on disk.

    Args:
        directory: where caches of synthetic pictures are; None is `synthetic` in `cache_directory()`.
        name: what the pictures are; the beginning of the folder's name.
        settings: all that the pictures depend on, plain data; each combination has a folder of its own.
    """

    def __init__(self, directory: str | None, name: str, settings: Mapping[str, object]) -> None:
        root = Path(directory).expanduser() if directory is not None else cache_directory() / "synthetic"
        text = json.dumps({"version": VERSION, **settings}, sort_keys=True)
        self.folder = root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self._warned = False

    def get(self, name: str, shape: tuple[int, ...], draw: Callable[[], Picture]) -> Picture:
        """The picture of this name and shape; drawn, and kept, where it is not there yet."""
        path = self.folder / f"{name}.npz"
        picture = _read(path, shape)
        if picture is None:
            picture = draw()
            self._keep(path, picture)
        return picture

    def _keep(self, path: Path, picture: Picture) -> None:
        try:
            _write(path, picture)
        except OSError as error:
            if not self._warned:
                warnings.warn(
                    f"synthetic pictures are not kept in {self.folder} ({error}); they are drawn each time.",
                    stacklevel=4,
                )
            self._warned = True


def _read(path: Path, shape: tuple[int, ...]) -> Picture | None:
    """The picture, or None where none can be trusted. (A zip member's checksum is verified when it is read.)"""
    try:
        with np.load(path, allow_pickle=False) as archive:
            picture = archive["picture"]
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None
    return picture if picture.shape == shape and picture.dtype == np.uint8 else None


def _write(path: Path, picture: Picture) -> None:
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("picture.npy", "w") as member,
    ):
        np.lib.format.write_array(member, picture, allow_pickle=False)
