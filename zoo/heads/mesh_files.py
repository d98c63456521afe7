"""Head meshes as OBJ and GLB files, for Blender and other viewers.

Files are in metres, with y up and z towards the viewer, as glTF prescribes. The head frame is the same, so a head at
rest looks at the viewer; `for_viewers` converts a head posed in the image frame (y down, z away). Vertices keep their
order and number.
"""

from pathlib import Path

import numpy as np
import trimesh
from trimesh.exchange.obj import export_obj

from zoo.core.files import replacing

AXES = "metres; x to the right of the viewer, y up, z towards the viewer"


def write_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write a mesh as Wavefront OBJ atomically; missing folders are created.

    Args:
        path: ends in `.obj`.
        vertices: (V, 3) metres, y up, z towards the viewer.
        faces: (F, 3) indices, counter-clockwise seen from outside.

    Raises:
        ValueError: another ending, or vertices that are not finite.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_obj(f"{folder}/head.obj", np.eye(3), np.array([[0, 1, 2]])).name
        'head.obj'
    """
    text = export_obj(_mesh(path, vertices, faces, ".obj"), include_texture=False, header=AXES)
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_glb(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write a mesh as binary glTF, with normals; otherwise as `write_obj`.

    Example:
        >>> write_glb("head.obj", np.eye(3), np.array([[0, 1, 2]]))
        Traceback (most recent call last):
        ValueError: expected a name ending in .glb, got head.obj.
    """
    scene = trimesh.Scene(_mesh(path, vertices, faces, ".glb"))
    content = trimesh.exchange.gltf.export_glb(scene, include_normals=True)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def for_viewers(posed: np.ndarray) -> np.ndarray:
    """Convert vertices (V, 3) from the image frame, y down and z away, to y up and z towards the viewer.

    Example:
        >>> for_viewers(np.array([[1.0, 2.0, 3.0]]))
        array([[ 1., -2., -3.]])
    """
    return posed * np.array([1, -1, -1], posed.dtype)


def _mesh(path: str | Path, vertices: np.ndarray, faces: np.ndarray, ending: str) -> trimesh.Trimesh:
    if Path(path).suffix.lower() != ending:
        raise ValueError(f"expected a name ending in {ending}, got {Path(path).name}.")
    if not np.isfinite(vertices).all():
        raise ValueError(
            f"the mesh for {Path(path).name} holds coordinates that are not finite: the model that made it is broken."
        )
    return trimesh.Trimesh(vertices, faces, process=False)  # processing would merge and reorder vertices
