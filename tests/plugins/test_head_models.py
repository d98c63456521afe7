"""Head models: the one made of formulas, the one that comes with the package, and the user's own."""

import numpy as np
import pytest
import torch
from zoo_plugins.head_models import OpenHead, ProceduralHead
from zoo_plugins.procedural_head import procedural_asset

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.spec import build
from zoo.heads.asset import HeadAsset
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.rotation import FRONTAL, matrix_to_6d

HEADS = {"procedural": ProceduralHead, "open": OpenHead}


@pytest.fixture(scope="module", params=HEADS)
def head(request: pytest.FixtureRequest) -> HeadModel:
    return HEADS[request.param]()


@pytest.fixture(scope="module")
def asset(head: HeadModel) -> HeadAsset:
    return head.asset()


@pytest.fixture(scope="module")
def places(head: HeadModel) -> np.ndarray:
    """(68, 3) landmarks of the mean head, metres."""
    return head.landmarks(head.template[None])[0].numpy()


def test_every_head_model_is_announced() -> None:
    assert get_slot("head_models").names() == ["FlameHead", "OpenHead", "ProceduralHead", "SavedHead"]


def test_the_procedural_head_has_flames_counts() -> None:
    asset = procedural_asset()
    assert asset.template.shape == (5023, 3)
    assert asset.faces.shape == (9976, 3)
    assert (asset.shape_basis.shape[2], asset.expression_basis.shape[2]) == (300, 100)
    assert asset.pose_basis is not None
    assert asset.pose_basis.shape == (5023, 3, 36)
    assert asset.joints == ("root", "neck", "jaw", "left_eye", "right_eye")
    assert asset.parents.tolist() == [-1, 0, 1, 1, 1]
    assert {name: len(indices) for name, indices in asset.subsets.items()} == {
        "face": 2094,
        "head": 3457,
        "face_with_ears": 3669,
    }
    assert asset.offset.tolist() == pytest.approx([0, 0, 0.05])
    assert ProceduralHead().sizes.total == 413


def test_fewer_parameters_are_the_first_of_all() -> None:
    few, all_of_them = OpenHead(shape=20, expression=10), OpenHead()
    params = torch.rand(2, few.sizes.total)
    whole = torch.zeros(2, all_of_them.sizes.total)
    whole[:, :20], whole[:, 80:90], whole[:, 120:] = params[:, :20], params[:, 20:30], params[:, 30:]
    torch.testing.assert_close(few.vertices(params), all_of_them.vertices(whole))
    assert few.complete().sha256 == all_of_them.sha256 != few.sha256
    assert all_of_them.complete() is all_of_them
    assert build(few.spec).sizes == few.sizes == (20, 10)


@pytest.mark.parametrize(("name", "count", "known"), [("shape", 100, 80), ("shape", 0, 80), ("expression", 41, 40)])
def test_more_parameters_than_a_head_has_are_an_error(name: str, count: int, known: int) -> None:
    with pytest.raises(ZooError, match=f"{name}={count}: the head model 'open head' has {known} {name} parameters"):
        OpenHead(**{name: count})


def test_the_procedural_head_is_always_the_same() -> None:
    assert procedural_asset.__wrapped__().sha256 == procedural_asset().sha256


def test_the_procedural_head_s_subsets_lie_within_each_other() -> None:
    face, head, with_ears = (set(procedural_asset().subsets[name]) for name in ("face", "head", "face_with_ears"))
    assert face < head < with_ears


def test_directions_of_the_procedural_head_are_independent_and_get_smaller() -> None:
    for basis in (procedural_asset().shape_basis, procedural_asset().expression_basis):
        sizes = np.sqrt((basis**2).sum(1).mean(0))
        assert (np.diff(sizes) < 0).mean() > 0.9
        directions = basis.reshape(-1, basis.shape[2]).astype(np.float64)
        directions /= np.linalg.norm(directions, axis=0)
        assert np.linalg.eigvalsh(directions.T @ directions)[0] > 1e-7


def test_a_head_is_head_sized_and_looks_out_of_the_picture(asset: HeadAsset, places: np.ndarray) -> None:
    width, height, depth = np.ptp(asset.template, axis=0)
    assert 0.12 < width < 0.22
    assert 0.2 < height < 0.4
    assert 0.15 < depth < 0.3
    assert places[30, 2] == pytest.approx(places[:, 2].max(), abs=0.003), "the tip of the nose is in front"


def test_triangles_look_outwards(asset: HeadAsset) -> None:
    corners = asset.template[asset.faces].astype(np.float64)
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.002 < volume < 0.008
    assert set(np.unique(asset.faces)) == set(range(len(asset.template))), "every vertex is part of the surface"


def test_the_68_landmarks_are_in_the_usual_order(places: np.ndarray) -> None:
    x, y, _ = places.T
    assert (np.diff(x[:17]) > 0).all(), "the contour, from the subject's right to the left"
    assert y[:17].argmin() == 8, "the chin"
    assert (np.diff(x[17:27]) > 0).all(), "the brows"
    assert (np.diff(y[27:31]) < 0).all(), "the bridge of the nose"
    assert (np.diff(x[31:36]) > 0).all(), "under the nose"
    for first in (36, 42):
        upper, lower = [first + 1, first + 2], [first + 5, first + 4]
        assert x[first] < x[upper[0]] < x[upper[1]] < x[first + 3], "the upper lid"
        assert (y[upper] > y[lower]).all()
    assert (np.diff(x[48:55]) > 0).all(), "the upper lip"
    assert (np.diff(x[54:60]) < 0).all(), "the lower lip"
    assert (y[[61, 62, 63]] >= y[[67, 66, 65]]).all(), "the inner lips"
    assert (y[[50, 51, 52]] > y[[61, 62, 63]]).all()
    assert y[19] > y[37] > y[30] > y[51] > y[57] > y[8]


def test_mirror_and_landmarks_are_symmetric(asset: HeadAsset, places: np.ndarray) -> None:
    assert asset.mirror is not None
    np.testing.assert_allclose(asset.template[asset.mirror], asset.template * [-1, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(asset.mirror[asset.mirror], np.arange(len(asset.mirror)))
    np.testing.assert_allclose(places[:17], places[16::-1] * [-1, 1, 1], atol=0.002)
    np.testing.assert_allclose(places[36:42], places[[45, 44, 43, 42, 47, 46]] * [-1, 1, 1], atol=0.002)


def test_the_jaw_opens_the_mouth_and_leaves_the_skull(head: HeadModel) -> None:
    params = HeadParams(
        torch.zeros(2, head.sizes.shape),
        torch.zeros(2, head.sizes.expression),
        torch.tensor([[0.0, 0, 0], [0.25, 0, 0]]),
        matrix_to_6d(torch.tensor(FRONTAL)).expand(2, 6),
        torch.zeros(2, 3),
        torch.zeros(2, 1),
    )
    closed, opened = head.landmarks(head.vertices(params, rotated=False))
    moved = (opened - closed)[:, 1]
    assert moved[8] < -0.008, "the chin sinks"
    assert moved[57] < -0.005, "the lower lip sinks"
    assert moved[[*range(17, 48), 51]].abs().max() < 0.003, "brows, nose, eyes and upper lip stay"


def test_the_open_head_says_whose_work_it_is() -> None:
    asset = OpenHead().asset()
    assert "CC0" in asset.licence
    assert "MakeHuman" in asset.source
