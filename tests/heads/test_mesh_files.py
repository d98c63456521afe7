"""Mesh files: the right way up for viewers, in metres, vertex by vertex what was given."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from zoo.heads.mesh import HeadModel
from zoo.heads.mesh_files import for_viewers, write_glb, write_obj
from zoo.heads.rotation import matrix_from_euler

NOSE_TIP = 30
CHIN = 8
"""Of the 68 landmarks."""


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load("procedural")


def written(path: Path, head: HeadModel, vertices: np.ndarray) -> trimesh.Trimesh:
    (write_obj if path.suffix == ".obj" else write_glb)(path, vertices, head.faces.numpy())
    return trimesh.load_mesh(path, process=False)


@pytest.mark.parametrize("name", ["head.obj", "head.glb"])
def test_a_mesh_comes_back_vertex_by_vertex_in_metres(head: HeadModel, tmp_path: Path, name: str) -> None:
    mesh = written(tmp_path / "new" / name, head, head.template.numpy())
    np.testing.assert_allclose(mesh.vertices, head.template.numpy(), atol=1e-7)
    np.testing.assert_array_equal(mesh.faces, head.faces.numpy())
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize("name", ["head.obj", "head.glb"])
def test_the_head_stands_upright_and_looks_at_the_viewer(head: HeadModel, tmp_path: Path, name: str) -> None:
    mesh = written(tmp_path / name, head, head.template.numpy())
    landmarks = head.landmarks(torch.tensor(mesh.vertices, dtype=torch.float32)[None])[0]
    assert landmarks[NOSE_TIP, 2] > landmarks[:17, 2].max()  # the nose is nearer to the viewer than the outline
    assert landmarks[CHIN, 1] < landmarks[36:48, 1].min()  # the chin is below the eyes
    assert mesh.volume > 0  # seen from outside, not inside out


def test_a_posed_head_is_upright_as_well(head: HeadModel) -> None:
    """A head that looks straight ahead, posed, is the head at rest."""
    posed = head.template @ matrix_from_euler(torch.zeros(3)).mT
    np.testing.assert_allclose(for_viewers(posed.numpy()), head.template.numpy(), atol=1e-6)


def test_a_failed_write_leaves_the_old_file(head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "head.obj"
    path.write_text("old")
    with pytest.raises(ValueError, match=r"head\.obj holds coordinates that are not finite"):
        write_obj(path, np.full((4, 3), np.nan), np.array([[0, 1, 2]]))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a name ending in \.glb, got head\.obj"):
        write_glb(tmp_path / "head.obj", np.zeros((3, 3)), np.array([[0, 1, 2]]))
