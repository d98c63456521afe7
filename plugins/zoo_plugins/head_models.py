"""Head models: the open head of the package, a procedural head, and the user's own files."""

import warnings
from importlib.resources import as_file, files

from zoo.heads import asset as head_asset
from zoo.heads.asset import HeadAsset
from zoo.heads.flame import read_flame
from zoo.heads.mesh import HeadModel
from zoo_plugins.procedural_head import procedural_asset


class OpenHead(HeadModel):
    """The realistic head of the package, free to use; `zoo show` and `.licence` name its authors.

    Args:
        shape: number of shape parameters, the first of those that the head has; None for all.
        expression: number of expression parameters, likewise.

    Example:
        >>> head = OpenHead()
        >>> head.sizes
        HeadSizes(shape=80, expression=40)
        >>> OpenHead(shape=50, expression=20).sizes
        HeadSizes(shape=50, expression=20)
    """

    def asset(self) -> HeadAsset:
        return open_head_asset()


def open_head_asset() -> HeadAsset:
    """Return the arrays of `OpenHead`.

    Example:
        >>> open_head_asset().licence
        'CC0-1.0'
    """
    with as_file(files("zoo_plugins") / "assets" / "open_head.safetensors") as path:
        return head_asset.read(path)


class SavedHead(HeadModel):
    """Head model from a file in our own format, as `zoo convert head` writes it.

    Args:
        path: the safetensors file.
        shape: number of shape parameters, the first of those that the head has; None for all.
        expression: number of expression parameters, likewise.

    Example:
        >>> SavedHead(path="absent.safetensors")
        Traceback (most recent call last):
        zoo.core.errors.ZooError: absent.safetensors: there is no such file.
    """

    def __init__(self, path: str, shape: int | None = None, expression: int | None = None) -> None:
        self.path = path
        super().__init__(shape, expression)

    def asset(self) -> HeadAsset:
        return head_asset.read(self.path)


class FlameHead(HeadModel):
    """FLAME from the user's own file, which may not be redistributed (https://flame.is.tue.mpg.de).

    FLAME's file has neither the 68 landmarks nor the subsets of vertices. Without files of their own, they are
    transferred from the open head, with a warning.

    Args:
        path: FLAME's pickle, of 2017 to 2023: `generic_model.pkl`, `flame2023.pkl`.
        landmarks: FLAME's landmark embedding: a file with all 68, one with the 51 inside the face, or the folder of
            `flame_static_embedding.pkl` and `flame_dynamic_embedding.npy`.
        subsets: vertex indices of `face`, `head` and `face_with_ears`: a folder with a file each, or one file.
        shape: number of shape parameters, the first of those that the head has; None for all.
        expression: number of expression parameters, likewise.

    Example:
        >>> FlameHead(path="absent.pkl")
        Traceback (most recent call last):
        zoo.core.errors.ZooError: absent.pkl: there is no such file.
    """

    def __init__(
        self,
        path: str,
        landmarks: str | None = None,
        subsets: str | None = None,
        shape: int | None = None,
        expression: int | None = None,
    ) -> None:
        self.path = path
        self._tables = (landmarks, subsets)
        super().__init__(shape, expression)

    def asset(self) -> HeadAsset:
        landmarks, subsets = self._tables
        asset = read_flame(self.path, landmarks, subsets, reference=open_head_asset)
        for note in asset.notes:
            warnings.warn(f"{self.path}: {note}.", stacklevel=2)
        return asset


class ProceduralHead(HeadModel):
    """Procedural head with FLAME's sizes and no file, for tests and for training without FLAME.

    It looks like a head, but its shapes and expressions are smooth random fields.

    Args:
        shape: number of shape parameters, the first of those that the head has; None for all.
        expression: number of expression parameters, likewise.

    Example:
        >>> ProceduralHead().vertex_count
        5023
    """

    read_from_file = False

    def asset(self) -> HeadAsset:
        return procedural_asset()
