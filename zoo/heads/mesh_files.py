"""Head meshes as OBJ and GLB files, for Blender and other viewers.

Files are in metres, with y up and z towards the viewer, as glTF prescribes. The head frame is exactly that, so a head
at rest looks at the viewer; `for_viewers` brings a head posed in the picture frame (y down, z away) the right way up.
Vertices keep their order and their number, so that what is known of the head model's vertices holds for the file's.
"""

from pathlib import Path

import numpy as np
import trimesh
from trimesh.exchange.obj import export_obj

from zoo.core.files import replacing

AXES = "metres; x to the right of the viewer, y up, z towards the viewer"


def write_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write a mesh as Wavefront OBJ; folders are made, and never half a file is left.

    Args:
        path: ends in `.obj`.
        vertices: (V, 3) metres, y up, z towards the viewer.
        faces: (F, 3) indices, counter-clockwise seen from outside.

    Raises:
        ValueError: another ending, or vertices that are not finite.
    """
    text = export_obj(_mesh(path, vertices, faces, ".obj"), include_texture=False, header=AXES)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_glb(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write a mesh as binary glTF, with normals; otherwise as `write_obj`."""
    content = trimesh.exchange.gltf.export_glb(
        trimesh.Scene(_mesh(path, vertices, faces, ".glb")), include_normals=True
    )
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def for_viewers(posed: np.ndarray) -> np.ndarray:
    """Vertices in the picture frame (V, 3), x right, y down, z away → y up, z towards the viewer."""
    return posed * np.array([1, -1, -1], posed.dtype)


def _mesh(path: str | Path, vertices: np.ndarray, faces: np.ndarray, ending: str) -> trimesh.Trimesh:
    if Path(path).suffix.lower() != ending:
        raise ValueError(f"expected a name ending in {ending}, got {Path(path).name}.")
    if not np.isfinite(vertices).all():
        raise ValueError(
            f"the mesh for {Path(path).name} holds coordinates that are not finite: the model that made it is broken."
        )
    return trimesh.Trimesh(vertices, faces, process=False)  # processing would merge and reorder vertices
