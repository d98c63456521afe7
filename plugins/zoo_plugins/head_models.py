"""Head models: the open head that comes with the package, one made of formulas, and the user's own files."""

import warnings
from importlib.resources import as_file, files

from zoo.heads import asset as head_asset
from zoo.heads.asset import HeadAsset
from zoo.heads.flame import read_flame
from zoo.heads.mesh import HeadModel
from zoo_plugins.procedural_head import procedural_asset


class OpenHead(HeadModel):
    """The realistic head that comes with the package, free to use; `zoo show` and `.licence` say whose work it is."""

    def asset(self) -> HeadAsset:
        return open_head_asset()


def open_head_asset() -> HeadAsset:
    """What `OpenHead` computes from."""
    with as_file(files("zoo_plugins") / "assets" / "open_head.safetensors") as path:
        return head_asset.read(path)


class SavedHead(HeadModel):
    """A head model in our own format, as `zoo convert head` writes it.

    Args:
        path: the safetensors file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__()

    def asset(self) -> HeadAsset:
        return head_asset.read(self.path)


class FlameHead(HeadModel):
    """FLAME from the user's own file, which may not be passed on (https://flame.is.tue.mpg.de).

    FLAME's file has neither the 68 landmarks nor the subsets of vertices. Those that are not given are transferred from
    the open head, with a warning.

    Args:
        path: FLAME's pickle, of 2017 to 2023: `generic_model.pkl`, `flame2023.pkl`.
        landmarks: FLAME's landmark embedding: a file with all 68, one with the 51 inside the face, or the folder of
            `flame_static_embedding.pkl` and `flame_dynamic_embedding.npy`.
        subsets: vertex indices of `face`, `head` and `face_with_ears`: a folder with a file each, or one file.
    """

    def __init__(self, path: str, landmarks: str | None = None, subsets: str | None = None) -> None:
        self.path = path
        self._tables = (landmarks, subsets)
        super().__init__()

    def asset(self) -> HeadAsset:
        landmarks, subsets = self._tables
        asset = read_flame(self.path, landmarks, subsets, reference=open_head_asset)
        for note in asset.notes:
            warnings.warn(f"{self.path}: {note}.", stacklevel=2)
        return asset


class ProceduralHead(HeadModel):
    """A head made of formulas, with FLAME's counts of everything and no file: for tests, and to train without FLAME.

    It looks like a head, but its shapes and expressions are smooth random fields and nobody's.
    """

    read_from_file = False

    def asset(self) -> HeadAsset:
        return procedural_asset()
