"""Closest points on the surface of a mesh, found by libigl."""

import numpy as np


class Surface:
    """A triangle mesh that is asked for closest points many times: its search tree is built once.

    Args:
        vertices: (V, 3).
        faces: (F, 3) indices.

    Raises:
        ValueError: no triangles, indices outside the vertices, or a coordinate that is not finite.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        import igl  # loaded here, since most users of the metrics never measure to a surface

        self.vertices = np.ascontiguousarray(vertices, dtype=np.float64)
        self.faces = np.ascontiguousarray(faces, dtype=np.int64)
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or not len(self.faces):
            raise ValueError(f"faces have shape {self.faces.shape}: expected (F, 3) with at least one triangle.")
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise ValueError(
                f"faces hold indices from {self.faces.min()} to {self.faces.max()}: expected 0 to "
                f"{len(self.vertices) - 1}, the mesh has {len(self.vertices)} vertices."
            )
        if not np.isfinite(self.vertices).all():
            raise ValueError("the mesh holds coordinates that are not finite: leave it out and count it as failed.")
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.faces)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The closest surface point of each point, (N, 3) → (N, 3), and the triangle it lies on, (N,)."""
        _, triangles, closest = self._tree.squared_distance(
            self.vertices, self.faces, np.ascontiguousarray(points, dtype=np.float64)
        )
        return closest, triangles

    def normals(self, triangles: np.ndarray) -> np.ndarray:
        """Unit normals of these triangles, (N, 3); 0 for a triangle without area."""
        a, b, c = (self.vertices[self.faces[triangles, corner]] for corner in range(3))
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
