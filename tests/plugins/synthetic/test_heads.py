"""Synthetic heads: the picture shows what the annotation says, attributes are true, the files are DAD-3DHeads'."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads
from zoo_plugins.synthetic.heads.cameras import Camera, Pose, capture, expose, sample_camera, sample_pose
from zoo_plugins.synthetic.heads.head import SyntheticHead, generate_head, sample_shape
from zoo_plugins.synthetic.heads.looks import STYLES, _blend, head_mesh, sample_look
from zoo_plugins.synthetic.heads.meshes import Material, ellipsoid, join_meshes, make_mesh
from zoo_plugins.synthetic.heads.regions import Regions, find_regions
from zoo_plugins.synthetic.heads.rendering import _finish, occluded_fraction, rasterise_scene, sample_light

from zoo.heads.dad_format import fit_annotation, read_annotation, read_items, write_heads
from zoo.heads.mesh import HeadModel
from zoo.heads.render import interpolate
from zoo.media.images import MediaError, read_image

SIZE = 64


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", params=["open", "procedural"])
def head_model(request: pytest.FixtureRequest) -> HeadModel:
    return HeadModel.load(request.param)


@pytest.fixture(scope="module")
def regions(head_model: HeadModel) -> Regions:
    return find_regions(head_model)


@pytest.fixture(scope="module")
def heads(head_model: HeadModel, regions: Regions) -> list[SyntheticHead]:
    return [generate_head(head_model, regions, 0, "train", index, SIZE) for index in range(12)]


def frontal(head_model: HeadModel, pose: Pose, size: int = 256) -> tuple[np.ndarray, Camera]:
    """The mean head before a camera."""
    vertices = head_model.template.numpy() + head_model.offset.numpy()
    return vertices, sample_camera(random(0), pose.matrix, vertices[head_model.subset("head")], size)


def landmarks(head_model: HeadModel, points: np.ndarray) -> np.ndarray:
    return head_model.landmarks(torch.from_numpy(np.asarray(points, np.float32))[None])[0].numpy()


# The picture and its ground truth.


def test_a_picture_depends_on_seed_split_and_index_alone(
    head_model: HeadModel, regions: Regions, heads: list[SyntheticHead]
) -> None:
    again = generate_head(head_model, regions, 0, "train", 7, SIZE)
    assert (again.image == heads[7].image).all()
    assert (again.annotation.vertices == heads[7].annotation.vertices).all()
    assert again.attributes == heads[7].attributes
    for other in (
        generate_head(head_model, regions, 1, "train", 7, SIZE),
        generate_head(head_model, regions, 0, "test", 7, SIZE),
        heads[8],
    ):
        assert np.abs(other.image.astype(int) - heads[7].image).mean() > 5
        assert np.abs(other.neutral - heads[7].neutral).max() > 1e-4


def test_the_box_is_tight_around_the_projected_head(head_model: HeadModel, heads: list[SyntheticHead]) -> None:
    for head in heads:
        seen = head.annotation.projected(SIZE)[head_model.subset("head")]
        np.testing.assert_allclose(head.box[:2], seen.min(0), atol=1e-3)
        np.testing.assert_allclose(head.box[:2] + head.box[2:], seen.max(0), atol=1e-3)
        assert 0.55 < head.box[2:].max() / SIZE < 0.8


def test_the_matrices_are_those_of_a_pinhole_camera(head_model: HeadModel) -> None:
    vertices, camera = frontal(head_model, Pose(10, 40, -20))
    placed = vertices @ camera.rotation.T + camera.translation
    expected = placed[:, :2] / placed[:, 2:] * camera.focal + camera.centre
    homogeneous = np.column_stack([vertices, np.ones(len(vertices))]) @ (camera.projection(256) @ camera.model_view).T
    x, y = homogeneous[:, 0] / homogeneous[:, 3], 256 - homogeneous[:, 1] / homogeneous[:, 3]
    np.testing.assert_allclose(np.stack([x, y], 1), expected, atol=1e-6)
    depth = homogeneous[:, 2] / homogeneous[:, 3]
    assert (np.diff(depth[np.argsort(placed[:, 2])]) >= 0).all()
    assert np.abs(depth).max() < 1


def test_a_head_that_looks_at_the_camera_stands_upright_in_the_picture(head_model: HeadModel) -> None:
    vertices, camera = frontal(head_model, Pose(0, 0, 0))
    np.testing.assert_allclose(camera.rotation, np.diag([1, -1, -1]), atol=1e-12)
    seen = landmarks(head_model, camera.project(camera.to_picture_frame(vertices)))
    assert seen[36, 0] < seen[45, 0]  # the subject's right eye is at the viewer's left
    assert seen[27, 1] < seen[8, 1]  # the chin is below the bridge of the nose


@pytest.mark.parametrize("pose", [Pose(0, 0, 0), Pose(5, 45, 0), Pose(-20, -30, 20), Pose(0, 85, 0)])
def test_landmarks_lie_where_they_are_drawn(head_model: HeadModel, regions: Regions, pose: Pose) -> None:
    vertices, camera = frontal(head_model, pose)
    scene = head_mesh(random(0), regions, sample_look(random(0)), vertices)
    view = rasterise_scene(scene._replace(points=camera.to_picture_frame(vertices)), camera, 256)
    shown = interpolate(view.raster, scene.faces, vertices)
    column, row = landmarks(head_model, view.pixels).astype(int).T
    distance = np.linalg.norm(shown[row, column] - landmarks(head_model, vertices), axis=1)
    visible = landmarks(head_model, view.normals)[:, 2] < -0.5
    assert visible.sum() >= 12
    assert np.median(distance[visible]) < 0.002
    assert (distance[visible] < 0.006).mean() > 0.9


def test_neutral_is_the_same_head_without_expression(head_model: HeadModel) -> None:
    drawn = [sample_shape(random(seed), head_model) for seed in range(20)]
    assert 3 <= sum(expressive for _, _, expressive in drawn) < 20
    skull = head_model.template[:, 1].argmax()
    for vertices, neutral, expressive in drawn:
        assert (np.abs(vertices - neutral).max() > 1e-3) == expressive
        np.testing.assert_allclose(vertices[skull], neutral[skull], atol=2e-3)


def test_a_head_in_the_picture_differs_from_the_background(heads: list[SyntheticHead]) -> None:
    for head in heads:
        assert head.image.shape == (SIZE, SIZE, 3)
        assert head.image.dtype == np.uint8
        assert head.image.std() > 3


# Attributes.


def test_attributes_are_those_of_the_format(heads: list[SyntheticHead]) -> None:
    allowed = {
        "quality": {"hq", "lq"},
        "gender": {"undefined"},
        "expression": {"True", "False"},
        "age": {"undefined"},
        "occlusions": {"True", "False"},
        "pose": {"front", "sided", "atypical"},
        "standard light": {"True", "False"},
    }
    for head in heads:
        assert set(head.attributes) == set(allowed)
        assert all(value in allowed[name] for name, value in head.attributes.items())


@pytest.mark.parametrize(
    ("pose", "kind"),
    [
        (Pose(10, -20, 5), "front"),
        (Pose(10, 45, 5), "sided"),
        (Pose(0, -95, 0), "atypical"),
        (Pose(50, 0, 0), "atypical"),
        (Pose(0, 0, -40), "atypical"),
    ],
)
def test_pose_attribute(pose: Pose, kind: str) -> None:
    assert pose.kind == kind


def test_poses_cover_the_whole_range_and_are_mostly_frontal() -> None:
    rng = random(0)
    poses = [sample_pose(rng) for _ in range(2000)]
    kinds = [pose.kind for pose in poses]
    assert 0.4 < kinds.count("front") / 2000 < 0.65
    assert 0.2 < kinds.count("sided") / 2000 < 0.45
    assert 0.05 < kinds.count("atypical") / 2000 < 0.25
    yaw = np.array([pose.yaw for pose in poses])
    assert yaw.min() < -90
    assert yaw.max() > 90
    assert np.abs(yaw).max() <= 100
    for pose in poses[:50]:
        np.testing.assert_allclose(pose.matrix @ pose.matrix.T, np.eye(3), atol=1e-9)


def test_hidden_share_counts_what_things_cover(head_model: HeadModel, regions: Regions) -> None:
    vertices, camera = frontal(head_model, Pose(0, 0, 0))
    head = head_mesh(random(0), regions, sample_look(random(0)), vertices)
    inside = head_model.subset("head").numpy()

    def share(board: Material | None, half_width: float = 1.0) -> float:
        pieces = [head]
        if board is not None:
            shape = ellipsoid(vertices.mean(0) + [0, 0, 0.2], np.diag([half_width, 1.0, 0.01]))
            pieces.append(make_mesh(*shape, [1, 1, 1], board))
        scene = join_meshes(pieces)
        return occluded_fraction(
            rasterise_scene(scene._replace(points=camera.to_picture_frame(scene.points)), camera, 256), inside
        )

    assert share(None) == 0
    assert share(Material.HAIR) == 0
    assert share(Material.THING) == 1
    assert 0.02 < share(Material.THING, half_width=0.01) < 0.5


def test_standard_light_is_white_and_neither_dim_nor_from_one_side() -> None:
    lights = [sample_light(random(seed)) for seed in range(200)]
    assert 100 < sum(light.standard for light in lights) < 180
    for light in lights:
        if light.standard:
            everywhere = light.harmonics[0]
            assert everywhere.min() > 0.2
            assert everywhere.max() / everywhere.min() < 1.7


def test_poor_pictures_lose_more_than_good_ones() -> None:
    rows, columns = np.mgrid[:64, :64] // 8
    picture = np.repeat(((rows + columns) % 2).astype(np.float32)[..., None], 3, axis=2) * 0.8 + 0.1
    loss: dict[str, list[float]] = {"hq": [], "lq": []}
    for seed in range(60):
        image, quality = capture(random(seed), picture)
        loss[quality].append(float(np.abs(image / 255 - picture).mean()))
    assert len(loss["lq"]) >= 3
    assert np.mean(loss["lq"]) > 1.5 * np.mean(loss["hq"])


def test_a_soft_lens_spreads_light_to_the_pixels_around() -> None:
    point = np.zeros((6, 6, 3), np.float32)
    point[2, 3, 1] = 0.9
    still = np.zeros((6, 6), np.float32)
    seen = expose(point, 0.5, still)
    expected = np.zeros((6, 6))
    expected[1:4, 2:5] = 0.9 * 255 * np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    np.testing.assert_allclose(seen[..., 1], expected, atol=1)
    assert not seen[..., [0, 2]].any()
    even = np.full((6, 6, 3), [0.1, 0.4, 0.8], np.float32)
    np.testing.assert_allclose(expose(even, 0.3, still) / 255, even, atol=1 / 255)  # up to its edges


@pytest.mark.parametrize("size", [1, 6, 9])
def test_the_sensor_reads_what_filters_give(size: int) -> None:
    picture = random(0).random((size, size, 3), np.float32)
    grain = random(1).normal(0, 0.1, (size, size)).astype(np.float32)
    kernel = np.array([0.4, 1, 0.4]) / 1.8
    blurred = picture.astype(np.float64)
    for axis in (0, 1):
        blurred = ndimage.convolve1d(blurred, kernel, axis=axis, mode="nearest")
    expected = np.floor((blurred + grain[..., None]).clip(0, 1) * 255)
    np.testing.assert_allclose(expose(picture, 0.4, grain), expected, atol=1)


def test_colours_are_brought_nearer_by_shares() -> None:
    colours, other = random(0).random((7, 3), np.float32), random(1).random(3, np.float32)
    share = np.array([0, 1, 0.5, 0.1, 0, 0.9, 0.3], np.float32)
    expected = colours + share[:, None] * (other - colours)
    _blend(colours, other, share)
    np.testing.assert_allclose(colours, expected, atol=1e-6)


def test_light_becomes_colours_and_highlights() -> None:
    rng = random(0)
    pixels, seen = np.zeros((9, 3), np.float32), np.array([7, 0, 3, 4])
    light, facing, colours = (rng.uniform(low, 1.2, (3, 4)).astype(np.float32) for low in (0, -1.2, 0))
    gloss, half = rng.random(4, np.float32), np.array([0, 0.6, -0.8], np.float32)
    highlights = gloss * (half @ facing).clip(0) ** 16 * 0.7
    expected = np.zeros((9, 3))
    expected[seen] = np.sqrt((light * colours + highlights).clip(max=1)).T
    _finish(pixels, seen, light, facing, colours, gloss, half, np.float32(0.7))
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_grain_is_grey_and_stays_within_black_and_white() -> None:
    grain = np.array([[0.1, -0.1, 2], [-2, 0, 0], [0, 0, 0]], np.float32)
    seen = expose(np.full((3, 3, 3), 0.5, np.float32), 0.2, grain)
    np.testing.assert_allclose(seen / 255, (0.5 + grain[..., None] * np.ones(3)).clip(0, 1), atol=1 / 255)


def test_every_look_is_drawn_some_time() -> None:
    looks = [sample_look(random(seed)) for seed in range(300)]
    assert {look.style for look in looks} == set(STYLES)
    tones = [look.skin.mean() for look in looks]
    assert min(tones) < 0.06
    assert max(tones) > 0.5


# Regions.


def test_regions_are_where_a_face_has_them(head_model: HeadModel, regions: Regions) -> None:
    middle = {
        name: regions.template[regions.inside(name)].mean(0) for name in ("lips", "brows", "eyes", "scalp", "beard")
    }
    assert all(abs(place[0]) < 0.005 for place in middle.values())
    assert middle["brows"][1] > middle["eyes"][1] > middle["lips"][1]
    assert regions.template[regions.inside("scalp"), 1].max() == regions.template[:, 1].max()
    assert middle["scalp"][2] < middle["lips"][2]
    np.testing.assert_allclose(middle["lips"][:2], regions.landmarks[48:60, :2].mean(0), atol=0.006)
    assert regions.landmarks[8, 1] - 0.04 < middle["beard"][1] < regions.landmarks[33, 1]


def test_the_rim_runs_once_around_the_neck(regions: Regions) -> None:
    ring = regions.template[regions.rim]
    assert len(ring) >= 10
    assert ring[:, 1].max() < regions.landmarks[8, 1]
    turns = np.diff(np.unwrap(np.arctan2(*(ring - ring.mean(0))[:, [0, 2]].T)))
    assert (turns > 0).all()


# Files.


def write(directory: Path, head_model: HeadModel, counts: dict[str, int], seed: int = 0) -> None:
    datasets = {split: SyntheticHeads(split, count, SIZE, seed) for split, count in counts.items()}  # type: ignore[arg-type]
    for dataset in datasets.values():
        dataset.build(head_model)
    write_heads(directory, datasets, counts)


def test_files_are_read_back_to_the_same_heads(tmp_path: Path, head_model: HeadModel, regions: Regions) -> None:
    write(tmp_path, head_model, {"train": 2, "validation": 1}, seed=3)
    for split, folder, count in (("train", "train", 2), ("validation", "val", 1)):
        items = read_items(tmp_path, folder)
        assert len(items) == count
        for index, item in enumerate(items):
            head = generate_head(head_model, regions, 3, split, index, SIZE)
            annotation = read_annotation(item.annotation, head_model.vertex_count)
            np.testing.assert_allclose(annotation.projected(SIZE), head.annotation.projected(SIZE), atol=1e-3)
            np.testing.assert_allclose(annotation.rotation, head.annotation.rotation, atol=1e-9)
            np.testing.assert_allclose(item.box, head.box, atol=1e-3)
            assert item.attributes == head.attributes
            assert (read_image(item.image) == head.image).all()


def test_a_camera_is_fitted_where_the_dataset_does_not_know_it(head_model: HeadModel) -> None:
    dataset = SyntheticHeads("test", 6, SIZE)
    dataset.build(head_model)
    for index in range(6):
        picture = dataset.picture(index)
        fitted = fit_annotation(picture)
        np.testing.assert_allclose(fitted.projected(SIZE), picture.projected, atol=1e-3)
        np.testing.assert_allclose(fitted.rotation, picture.rotation, atol=1e-6)


def test_lists_have_the_keys_of_dad_3dheads(tmp_path: Path, head_model: HeadModel) -> None:
    write(tmp_path, head_model, {"test": 1})
    (entry,) = json.loads((tmp_path / "test/test.json").read_text())
    assert list(entry) == ["item_id", "annotation_path", "img_path", "bbox", "attributes"]
    annotation = json.loads((tmp_path / entry["annotation_path"]).read_text())
    assert np.shape(annotation["vertices"]) == (head_model.vertex_count, 3)
    assert np.shape(annotation["model_view_matrix"]) == np.shape(annotation["projection_matrix"]) == (4, 4)
    assert head_model.licence in (tmp_path / "README.txt").read_text()


def test_a_folder_with_other_heads_is_left_alone(tmp_path: Path, head_model: HeadModel) -> None:
    (tmp_path / "val/images").mkdir(parents=True)
    (tmp_path / "val/images/mine.png").write_bytes(b"mine")
    with pytest.raises(MediaError, match=r"holds 1 other files, such as mine.png: choose an empty folder"):
        write(tmp_path, head_model, {"validation": 1})
    assert [path.name for path in tmp_path.rglob("*.*")] == ["mine.png"]


def test_writing_may_be_repeated_but_not_with_fewer_heads(tmp_path: Path, head_model: HeadModel) -> None:
    write(tmp_path, head_model, {"train": 2})
    write(tmp_path, head_model, {"train": 2})
    with pytest.raises(MediaError, match="holds 1 other files"):
        write(tmp_path, head_model, {"train": 1})
