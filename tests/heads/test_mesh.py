"""Head models: skinning against the plain form, landmarks, projection, and what a head model carries along."""

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn
from zoo_plugins.head_models import ProceduralHead, SavedHead

from zoo.core.errors import ZooError
from zoo.core.slot import PluginError
from zoo.core.spec import build
from zoo.heads.asset import SUBSETS, HeadAsset, read, save
from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.rotation import matrix_from_axis_angle, matrix_from_euler, matrix_to_6d

RIGHT_EYE, LEFT_EYE, NOSE_TIP, CHIN = 36, 45, 30, 8
"""Landmarks: the outer corners of the eyes, the subject's right and left, and two in the middle."""


def branching_asset(corrective: bool = True) -> HeadAsset:
    """Decimetres at random; the jaw hangs on the neck, a chin and on it a tongue on the jaw, an eye on the neck."""
    draws = np.random.default_rng(0)
    vertices, joints = 30, ("root", "neck", "jaw", "chin", "tongue", "eye")
    return HeadAsset(
        name="branching",
        licence="CC0",
        source="made up",
        template=0.1 * draws.standard_normal((vertices, 3)),
        faces=draws.integers(0, vertices, (50, 3)),
        shape_basis=0.1 * draws.standard_normal((vertices, 3, 4)),
        expression_basis=0.1 * draws.standard_normal((vertices, 3, 3)),
        joints=joints,
        parents=np.array([-1, 0, 1, 2, 3, 1]),
        joint_regressor=draws.dirichlet(np.ones(vertices), len(joints)),
        weights=draws.dirichlet(np.ones(len(joints)), vertices),
        landmark_faces=draws.integers(0, 50, 68),
        landmark_weights=draws.dirichlet(np.ones(3), 68),
        subsets={name: np.arange(9) for name in SUBSETS},
        pose_basis=0.1 * draws.standard_normal((vertices, 3, 9 * (len(joints) - 1))) if corrective else None,
        offset=0.1 * draws.standard_normal(3),
    )


class BranchingHead(HeadModel):
    def __init__(self, corrective: bool = True) -> None:
        self.corrective = corrective
        super().__init__()

    def asset(self) -> HeadAsset:
        return branching_asset(self.corrective)


def skinned(asset: HeadAsset, params: HeadParams) -> Tensor:
    """Linear blend skinning as it is written in papers: a 4×4 matrix a joint, along the tree, for any pose."""
    dtype = params.shape.dtype

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float32)).to(dtype)

    identity = torch.cat([params.shape, params.expression], 1)
    basis = torch.cat([tensor(asset.shape_basis), tensor(asset.expression_basis)], 2)
    shaped = tensor(asset.template) + torch.einsum("vdk,bk->bvd", basis, identity)
    joints = torch.einsum("jv,bvd->bjd", tensor(asset.joint_regressor), shaped)
    turns = torch.zeros(len(identity), len(asset.joints), 3, dtype=dtype).index_copy(
        1, torch.tensor([asset.joints.index("jaw")]), params.jaw[:, None]
    )
    rotations = matrix_from_axis_angle(turns)
    if asset.pose_basis is not None:
        feature = (rotations[:, 1:] - torch.eye(3, dtype=dtype)).flatten(1)
        shaped = shaped + torch.einsum("vdk,bk->bvd", tensor(asset.pose_basis), feature)
    world: list[Tensor] = []
    relative: list[Tensor] = []
    for joint, parent in enumerate(asset.parents):
        step = joints[:, joint] - joints[:, parent] if parent >= 0 else joints[:, joint]
        bottom = torch.tensor([0, 0, 0, 1], dtype=dtype).expand(len(identity), 1, 4)
        local = torch.cat([torch.cat([rotations[:, joint], step[:, :, None]], 2), bottom], 1)
        world.append(world[parent] @ local if parent >= 0 else local)
        at_rest = torch.eye(4, dtype=dtype).repeat(len(identity), 1, 1)
        at_rest[:, :3, 3] = -joints[:, joint]
        relative.append(world[joint] @ at_rest)
    blended = torch.einsum("vj,bjrc->bvrc", tensor(asset.weights), torch.stack(relative, 1))
    homogeneous = torch.cat([shaped, torch.ones_like(shaped[..., :1])], 2)
    return (blended @ homogeneous[..., None])[..., :3, 0] + tensor(asset.offset)


def random_params(head: HeadModel, count: int = 3, dtype: torch.dtype = torch.float32) -> HeadParams:
    generator = torch.Generator().manual_seed(0)

    def draw(width: int) -> Tensor:
        return torch.randn(count, width, generator=generator, dtype=torch.float64).to(dtype)

    shape, expression = head.sizes
    return HeadParams(draw(shape), draw(expression), 0.3 * draw(3), draw(6), draw(3), draw(1).exp())


def looking(*degrees: float, head: HeadModel, scale: float = 5.0) -> HeadParams:
    """The mean head turned by pitch, yaw and roll."""
    rotation = matrix_to_6d(matrix_from_euler(torch.tensor([degrees])))
    shape, expression = head.sizes
    return HeadParams(
        torch.zeros(1, shape),
        torch.zeros(1, expression),
        torch.zeros(1, 3),
        rotation,
        torch.zeros(1, 3),
        torch.full((1, 1), scale),
    )


@pytest.fixture(scope="module")
def head() -> ProceduralHead:
    return ProceduralHead()


@pytest.mark.parametrize("corrective", [True, False])
def test_skinning_equals_the_plain_form_with_gradients(corrective: bool) -> None:
    head = BranchingHead(corrective).double()
    params = HeadParams(*(value.requires_grad_() for value in random_params(head, dtype=torch.float64)))
    fast = head.vertices(params, rotated=False)
    plain = skinned(branching_asset(corrective), params)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-6)
    into = torch.randn(fast.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moving = params[:3]
    for ours, theirs in zip(
        torch.autograd.grad(fast, moving, into), torch.autograd.grad(plain, moving, into), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_skinning_a_whole_head_equals_the_plain_form_in_single_precision(head: ProceduralHead) -> None:
    params = random_params(head)
    torch.testing.assert_close(head.vertices(params, rotated=False), skinned(head.asset(), params), rtol=0, atol=1e-6)


def test_compilers_see_one_graph() -> None:
    class Meshes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = BranchingHead()

        def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
            return self.head.vertices(vector), self.head.project(vector)

    meshes = Meshes()
    vector = random_params(meshes.head).to_vector()
    compiled = torch.compile(meshes, backend="eager", fullgraph=True)(vector)
    exported = torch.export.export(meshes, (vector,)).module()(vector)
    for plain, *others in zip(meshes(vector), compiled, exported, strict=True):
        assert plain.is_contiguous()
        assert all(other.equal(plain) for other in others)


def test_vertices_are_turned_into_the_picture(head: ProceduralHead) -> None:
    params = random_params(head)
    at_rest = head.vertices(params, rotated=False)
    turned = head.vertices(params)
    six = params.rotation[0].double().numpy()
    first = six[:3] / np.linalg.norm(six[:3])
    third = np.cross(first, six[3:]) / np.linalg.norm(np.cross(first, six[3:]))
    matrix = np.stack([first, -np.cross(first, third), third], 1)
    np.testing.assert_allclose(turned[0].numpy(), at_rest[0].numpy() @ matrix.T, atol=1e-6)


def test_projection_is_orthographic(head: ProceduralHead) -> None:
    params = random_params(head)
    scale = (params.scale + 1)[:, None]
    placed = head.vertices(params)[..., :2] * scale + params.translation[:, None, :2]
    pixels = head.project(params, image_size=100)
    torch.testing.assert_close(pixels, (placed + 1) * 50, rtol=0, atol=1e-3)
    assert head.project(params, 100, unrotated=head.vertices(params, rotated=False)).equal(pixels)
    torch.testing.assert_close(head.project(params), pixels * 2.56, rtol=0, atol=1e-3)
    behind = params._replace(scale=torch.full_like(params.scale, -7))  # never mirrored by a negative scale
    centre = ((params.translation[:, :2] + 1) * 50)[:, None]
    torch.testing.assert_close(head.project(behind, 100), centre.expand_as(pixels), rtol=0, atol=1e-3)


def test_a_frontal_head_in_the_picture(head: ProceduralHead) -> None:
    points = head.landmarks(head.project(looking(0, 0, 0, head=head), 256))[0]
    torch.testing.assert_close(points[NOSE_TIP, 0], torch.tensor(128.0), atol=0.1, rtol=0)
    assert points[RIGHT_EYE, 0] < 128 < points[LEFT_EYE, 0]
    assert points[LEFT_EYE, 1] < points[NOSE_TIP, 1] < points[CHIN, 1]
    # The outer corners of the eyes are 9 cm apart, and a metre is (5 + 1)/2 pictures long.
    assert (points[LEFT_EYE, 0] - points[RIGHT_EYE, 0]).item() == pytest.approx(0.09 * 3 * 256, rel=0.02)


def test_a_yaw_of_30_degrees_turns_the_nose_to_the_left_of_the_picture(head: ProceduralHead) -> None:
    at_rest = head.landmarks(head.vertices(looking(0, 0, 0, head=head), rotated=False))[0]
    before = head.landmarks(head.project(looking(0, 0, 0, head=head), 256))[0]
    after = head.landmarks(head.project(looking(0, 30, 0, head=head), 256))[0]
    shortened, outwards = np.cos(np.pi / 6), np.sin(np.pi / 6)
    expected = 128 + (at_rest[:, 0] * shortened - at_rest[:, 2] * outwards) * 3 * 256
    torch.testing.assert_close(after[:, 0], expected, atol=1e-2, rtol=0)
    torch.testing.assert_close(after[:, 1], before[:, 1], atol=1e-2, rtol=0)
    assert after[NOSE_TIP, 0] < before[NOSE_TIP, 0] - 30


def test_the_jaw_opens_downwards(head: ProceduralHead) -> None:
    closed = looking(0, 0, 0, head=head)
    opened = closed._replace(jaw=torch.tensor([[0.3, 0, 0]]))
    moved = head.landmarks(head.vertices(opened, rotated=False) - head.vertices(closed, rotated=False))[0]
    assert moved[CHIN, 1] < -0.01
    assert moved[NOSE_TIP].abs().max() < 0.002


def test_a_neutral_head_keeps_its_shape_and_nothing_else(head: ProceduralHead) -> None:
    shape, others = torch.randn(2, head.sizes.shape), torch.randn(2, head.sizes.total - head.sizes.shape)
    expected = head.vertices(torch.cat([shape, torch.zeros_like(others)], 1), rotated=False)
    torch.testing.assert_close(head.neutral(torch.cat([shape, others], 1)), expected)


def test_landmarks_are_weighted_corners_of_triangles() -> None:
    head, asset = BranchingHead(), branching_asset()
    points = torch.randn(2, head.vertex_count, 5, generator=torch.Generator().manual_seed(0))
    found = head.landmarks(points)
    assert found.shape == (2, 68, 5)
    for number in (0, 67):
        corners = points[:, asset.faces[asset.landmark_faces[number]]]
        expected = (corners * torch.from_numpy(asset.landmark_weights[number]).float()[:, None]).sum(1)
        torch.testing.assert_close(found[:, number], expected)


def test_parameters_by_name_and_as_a_vector(head: ProceduralHead) -> None:
    assert head.sizes.total == 413
    vector = torch.arange(826.0).view(2, 413)
    params = HeadParams.from_vector(vector)
    starts = {name: int(value[0, 0]) for name, value in params._asdict().items()}
    assert starts == {"shape": 0, "expression": 300, "jaw": 400, "rotation": 403, "translation": 409, "scale": 412}
    assert params.to_vector().equal(vector)
    assert head.split(params) is params
    assert head.vertices(0.01 * vector).equal(head.vertices(head.split(0.01 * vector)))
    small = HeadParams.from_vector(torch.zeros(2, 20), shape=4, expression=3)
    assert (small.shape.shape, small.expression.shape) == ((2, 4), (2, 3))


@pytest.mark.parametrize("shape", [(2, 412), (413,)])
def test_parameters_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 413\): 300 shape, 100 expression, 3 jaw, 6 rotation"):
        HeadParams.from_vector(torch.zeros(shape))


def test_subsets_are_found_by_name(head: ProceduralHead) -> None:
    assert head.subset("face").numpy().tolist() == head.asset().subsets["face"].tolist()
    with pytest.raises(ValueError, match="no subset 'fase'; did you mean face"):
        head.subset("fase")


def test_a_state_dict_never_holds_the_head() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.head = BranchingHead()

    network = Network()
    assert list(network.state_dict()) == ["layer.weight", "layer.bias"]
    network.load_state_dict(network.state_dict())
    assert not list(network.head.parameters())


def test_a_head_model_can_be_copied_and_pickled() -> None:
    head = BranchingHead(corrective=False)
    params = random_params(head)
    stored = io.BytesIO()
    torch.save(head, stored)
    stored.seek(0)
    for other in (
        copy.deepcopy(head),
        pickle.loads(pickle.dumps(head)),
        torch.load(stored, weights_only=False),
    ):
        assert other.vertices(params).equal(head.vertices(params))
        assert other.spec == head.spec == {"class_path": "BranchingHead", "init_args": {"corrective": False}}
        assert (other.sizes, other.sha256, other.name) == (head.sizes, head.sha256, head.name)


def test_a_head_model_changes_precision_and_device() -> None:
    head = BranchingHead()
    double = copy.deepcopy(head).to(torch.float64)
    params = random_params(head, dtype=torch.float64)
    assert double.vertices(params).dtype == torch.float64
    assert double.faces.dtype == torch.int64
    single = head.vertices(HeadParams(*(value.float() for value in params)))
    torch.testing.assert_close(double.vertices(params).float(), single, rtol=1e-4, atol=1e-4)
    assert {value.device.type for value in copy.deepcopy(head).to("meta").buffers()} == {"meta"}


def test_a_head_is_loaded_by_name_or_file(tmp_path: Path) -> None:
    assert isinstance(HeadModel.load("ProceduralHead"), ProceduralHead)
    assert isinstance(HeadModel.load("procedural"), ProceduralHead)
    file = tmp_path / "head.safetensors"
    save(branching_asset(), file)
    for source in (file, str(file)):
        head = HeadModel.load(source)
        assert isinstance(head, SavedHead)
        assert (head.name, head.licence, head.source, head.vertex_count) == ("branching", "CC0", "made up", 30)
        assert head.sha256 == read(file).sha256
    arguments = {"path": str(file), "shape": None, "expression": None}
    assert head.spec == {"class_path": "SavedHead", "init_args": arguments}
    assert build(head.spec).template.equal(head.template)


def test_heads_that_cannot_be_loaded_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no head model named 'procedual'; did you mean ProceduralHead"):
        HeadModel.load("procedual")
    for name in ("flame", "FlameHead", "saved"):
        with pytest.raises(ValueError, match=f"the head model '{name}' needs a file"):
            HeadModel.load(name)
    for missing in ("flame.pkl", "head.safetensors"):
        with pytest.raises(ZooError, match=f"{missing}: there is no such file"):
            HeadModel.load(tmp_path / missing)


def test_the_official_rotation_of_a_frontal_head() -> None:
    """A head turned by scipy's official angles lands where `looking` puts it."""
    head = BranchingHead()
    degrees = (20.0, -40.0, 10.0)
    official = Rotation.from_euler("xyz", np.add(degrees, [180, 0, 0]), degrees=True).as_matrix().T
    params = looking(*degrees, head=head)
    at_rest = head.vertices(params, rotated=False)[0].numpy()
    np.testing.assert_allclose(head.vertices(params)[0].numpy(), at_rest @ official.T, atol=1e-5)
