"""Heads over pictures: each thing is where it belongs, the right way round, and elsewhere nothing changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadBatch, HeadOutput
from zoo.heads.pictures import (
    AXIS_COLOURS,
    COLUMNS,
    _sheet,
    draw_axes,
    draw_landmarks,
    draw_mesh,
    draw_wire,
    log_sheet,
)
from zoo.heads.rotation import matrix_from_6d, matrix_from_euler, matrix_to_6d

GREY = np.full((60, 80, 3), 90, np.uint8)
SQUARE = np.array([[20.0, 10], [60, 10], [60, 50], [20, 50]])
TRIANGLES = np.array([[0, 2, 1], [0, 3, 2]])
"""Counter-clockwise on the screen, so that they face the viewer."""


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.load("procedural")


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(-1)


def posed(z: float = 0.0) -> np.ndarray:
    """The square, as if a pixel were a millimetre."""
    return np.concatenate([SQUARE / 1000, np.full((4, 1), z)], axis=1)


def test_a_mesh_covers_its_place_and_nothing_else() -> None:
    drawn = draw_mesh(GREY, SQUARE, posed(), TRIANGLES)
    inside = np.zeros(GREY.shape[:2], bool)
    inside[10:50, 20:60] = True
    np.testing.assert_array_equal(changed(drawn), inside)
    assert (GREY == 90).all()


def test_opacity_goes_from_the_picture_to_the_mesh() -> None:
    clear, half, full = (draw_mesh(GREY, SQUARE, posed(), TRIANGLES, opacity)[30, 40] for opacity in (0.0, 0.5, 1.0))
    assert clear.tolist() == [90, 90, 90]
    np.testing.assert_allclose(half, (clear.astype(float) + full) / 2, atol=1)


def test_what_faces_the_viewer_is_lit_and_what_faces_away_is_not() -> None:
    towards = draw_mesh(GREY, SQUARE, posed(), TRIANGLES, opacity=1)[30, 40]
    away = draw_mesh(GREY, SQUARE, posed(), TRIANGLES[:, ::-1], opacity=1)[30, 40]
    assert towards.mean() > 2 * away.mean()


def test_what_is_near_hides_what_is_far() -> None:
    """z points away: of two squares in one place, the one with the smaller z is seen."""
    points, faces = np.concatenate([SQUARE, SQUARE]), np.concatenate([TRIANGLES, TRIANGLES[:, ::-1] + 4])
    front = draw_mesh(GREY, points, np.concatenate([posed(-0.1), posed(0.1)]), faces)
    behind = draw_mesh(GREY, points, np.concatenate([posed(0.1), posed(-0.1)]), faces)
    assert front[30, 40].mean() > behind[30, 40].mean()


def test_a_wire_shows_edges_of_what_faces_the_viewer() -> None:
    drawn = draw_wire(GREY, SQUARE, TRIANGLES)
    assert changed(drawn)[30, 20]  # on an edge
    assert changed(drawn)[30, 40]  # on the diagonal
    assert not changed(drawn)[20, 50]  # inside a triangle
    assert not changed(draw_wire(GREY, SQUARE, TRIANGLES[:, ::-1])).any()


def test_landmarks_are_dots_at_their_places() -> None:
    points = np.stack([np.linspace(10, 70, 68), np.linspace(5, 55, 68)], axis=1)
    drawn = draw_landmarks(GREY, points)
    for x, y in points.astype(int):
        assert changed(drawn)[y, x]
    assert not changed(drawn)[50, 10]


def test_parts_of_the_face_are_lines_of_their_own() -> None:
    """Eyes are closed lines, the contour is not, and nothing joins contour and brow."""
    points = np.full((68, 2), 5.0)
    points[36:42] = [[30, 20], [40, 20], [50, 20], [50, 40], [40, 40], [30, 40]]
    drawn = changed(draw_landmarks(GREY, points))
    assert drawn[30, 30]  # from the last of the eye back to its first
    points = np.full((68, 2), 5.0)
    points[:17] = np.stack([np.linspace(10, 70, 17), np.full(17, 50)], axis=1)
    points[17:22] = [[10, 10]] * 5
    drawn = changed(draw_landmarks(GREY, points))
    assert drawn[50, 40]
    assert not drawn[15:45].any()


@pytest.mark.parametrize(
    ("euler", "axis", "end"),
    [
        ((0, 0, 0), 0, (20, 0)),  # x goes to the subject's left, which is the viewer's right
        ((0, 0, 0), 1, (0, -20)),  # y goes up
        ((0, 30, 0), 2, (-10, 0)),  # with a positive yaw the face turns to the subject's right,
        ((30, 0, 0), 2, (0, -10)),  # with a positive pitch up,
        ((0, 0, 90), 1, (20, 0)),  # with a positive roll the top of the head goes to the viewer's right
    ],
)
def test_axes_point_where_the_head_does(euler: tuple[float, float, float], axis: int, end: tuple[int, int]) -> None:
    rotation = matrix_from_euler(torch.tensor(euler, dtype=torch.float32)).numpy()
    drawn = draw_axes(GREY, rotation, np.array([40.5, 30.5]), length=20)
    np.testing.assert_allclose(drawn[30 + end[1], 40 + end[0]], AXIS_COLOURS[axis], atol=8)


@pytest.mark.parametrize("shift", [(-500, 0), (1e9, 1e9)])
def test_what_lies_outside_the_picture_changes_nothing(shift: tuple[float, float]) -> None:
    points = SQUARE + shift
    for drawn in (
        draw_wire(GREY, points, TRIANGLES),
        draw_mesh(GREY, points, posed(), TRIANGLES),
        draw_landmarks(GREY, np.repeat(points, 17, axis=0)),
        draw_axes(GREY, np.eye(3), points[0], 20),
    ):
        assert not changed(drawn).any()


def sample(head: HeadModel, yaw: float, size: int = 64) -> tuple[HeadParams, Any]:
    params = HeadParams(
        shape=torch.zeros(1, head.sizes.shape),
        expression=torch.zeros(1, head.sizes.expression),
        jaw=torch.zeros(1, 3),
        rotation=matrix_to_6d(matrix_from_euler(torch.tensor([[0.0, yaw, 0.0]]))),
        translation=torch.zeros(1, 3),
        scale=torch.full((1, 1), 5.0),
    )
    vertices = head.vertices(params, rotated=False)
    mesh = {"vertices": vertices, "projected": head.project(params, size, vertices)}
    return params, mesh | {"rotation": matrix_from_6d(params.rotation)}


@pytest.fixture
def pair(head: HeadModel) -> tuple[HeadBatch, HeadOutput]:
    """A head that looks straight ahead and a prediction that looks aside, over a grey crop of 64 pixels."""
    _, truth = sample(head, 0)
    params, predicted = sample(head, 40)
    batch = HeadBatch(
        image=torch.full((1, 3, 64, 64), 90 / 255),
        landmarks=head.landmarks(truth["projected"]) / 64,
        visible=torch.ones(1, 68),
        box=torch.tensor([[0.0, 0, 64, 64]]),
        **truth,
    )
    heatmaps = torch.full((1, 68, 16, 16), -8.0)
    heatmaps[0, 0, 4, 12] = 8
    return batch, HeadOutput(heatmaps, batch.landmarks, params.to_vector(), **predicted)


def column(picture: Image.Image, number: int, side: int) -> np.ndarray:
    return np.asarray(picture)[16 : 16 + side, number * (side + 2) : number * (side + 2) + side]


def test_a_sheet_shows_truth_and_prediction_side_by_side(head: HeadModel, pair: tuple[HeadBatch, HeadOutput]) -> None:
    picture = _sheet([pair, pair], head, side=96)
    assert picture.size == (len(COLUMNS) * 98, 16 + 2 * 98)
    crop, truth, predicted, heatmaps = (column(picture, number, 96) for number in range(4))
    assert (crop == 90).all()
    drawn = (truth != 90).any(-1)
    assert 0.1 < drawn.mean() < 0.9
    np.testing.assert_allclose(drawn[:, 20:48].mean(), drawn[:, 48:76].mean(), rtol=0.1)  # symmetric: straight ahead
    assert (truth != predicted).any()
    lit = heatmaps.mean(-1)
    assert lit[27, 75] > lit[80, 5] + 80  # cell (4, 12) of 16, in 96 pixels


def test_a_sheet_without_heatmaps_has_a_column_less(head: HeadModel, pair: tuple[HeadBatch, HeadOutput]) -> None:
    batch, output = pair
    picture = _sheet([(batch, output._replace(heatmaps=None, landmarks=None))], head, side=48)
    assert picture.width == (len(COLUMNS) - 1) * 50


class Logger:
    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    def log_image(self, **given: Any) -> None:
        self.logged.append(given)


def test_a_sheet_is_written_and_logged(head: HeadModel, pair: tuple[HeadBatch, HeadOutput], tmp_path: Path) -> None:
    logger = Logger()
    log_sheet([pair], head, str(tmp_path), [logger, object()], "epoch_0001", 7)  # type: ignore[list-item]
    with Image.open(tmp_path / "pictures" / "epoch_0001.png") as picture:
        assert picture.size == _sheet([pair], head).size
    (logged,) = logger.logged
    assert (logged["key"], logged["step"]) == ("validation/pictures", 7)
