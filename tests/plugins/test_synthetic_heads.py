"""`SyntheticHeads`: what the data module needs, for any head model, always the same."""

import pickle
from pathlib import Path

import pytest
import torch
from zoo_plugins.datasets.dad_heads import DADHeads
from zoo_plugins.datasets.synthetic_heads import SyntheticHeads

from zoo.cli import main
from zoo.core.spec import build
from zoo.heads.crop import crop_head
from zoo.heads.mesh import HeadModel

SIZE = 64


@pytest.fixture(scope="module", params=["open", "procedural"])
def head_model(request: pytest.FixtureRequest) -> HeadModel:
    return HeadModel.load(request.param)


@pytest.fixture
def dataset(head_model: HeadModel) -> SyntheticHeads:
    dataset = SyntheticHeads("validation", count=3, size=SIZE)
    dataset.build(head_model)
    return dataset


def test_a_picture_has_all_that_a_head_needs(dataset: SyntheticHeads, head_model: HeadModel) -> None:
    picture = dataset.picture(1)
    count = head_model.vertex_count
    assert picture.image.shape == (3, SIZE, SIZE)
    assert picture.image.dtype == torch.uint8
    assert picture.name == "synthetic_validation_000001"
    for tensor, shape in (
        (picture.box, (4,)),
        (picture.vertices, (count, 3)),
        (picture.projected, (count, 2)),
        (picture.rotation, (3, 3)),
        (picture.neutral, (count, 3)),
    ):
        assert tensor is not None
        assert tensor.shape == shape
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()


def test_the_rotation_turns_vertices_to_where_they_are_seen(dataset: SyntheticHeads) -> None:
    """Up to perspective: the best scale and shift leave a few per cent of the head's size."""
    for index in range(3):
        picture = dataset.picture(index)
        across = (picture.vertices @ picture.rotation.T)[:, :2]
        across = across - across.mean(0)
        seen = picture.projected - picture.projected.mean(0)
        scale = (across * seen).sum() / across.square().sum()
        error = (scale * across - seen).norm(dim=1).mean() / picture.box[2:].prod().sqrt()
        assert scale > 0
        assert error < 0.06


def test_pictures_are_the_same_in_every_process(dataset: SyntheticHeads) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy.picture(2).image, dataset.picture(2).image)
    assert torch.equal(copy.picture(2).projected, dataset.picture(2).projected)


def test_a_crop_shows_the_head(dataset: SyntheticHeads, head_model: HeadModel) -> None:
    sample = crop_head(dataset.picture(0), head_model, 32, extension=0.1)
    assert sample.image.shape == (3, 32, 32)
    assert sample.visible.mean() > 0.9


def test_it_is_rebuilt_from_its_spec() -> None:
    dataset = SyntheticHeads("test", count=5, size=96, seed=2)
    again = build(dataset.spec)
    assert (again.split, len(again), again.size, again.seed) == ("test", 5, 96, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "split is 'val': choose train, validation or test"),
        ({"count": 0}, "count is 0: it must be at least 1"),
        ({"size": 16}, "size is 16: it must be at least 32"),
        ({"pitch": 120.0}, "pitch is 120: it must be from 0 to 90"),
        ({"occlusion": -1.0}, "occlusion is -1: it must be from 0 to 5"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticHeads(**arguments)


def test_without_diversity_heads_are_frontal_neutral_and_uncovered() -> None:
    plain, same = (SyntheticHeads("train", count=6, size=32, yaw=0, pitch=0, roll=0, expression=0, occlusion=each)
                   for each in (0, 1))  # fmt: skip
    for dataset in (plain, same):
        dataset.build(HeadModel.load("open"))
    pictures = [plain.picture(index) for index in range(6)]
    for picture in pictures:
        assert picture.neutral is not None
        assert torch.equal(picture.vertices, picture.neutral)
        values = [picture.attributes[name] for name in ("pose", "expression", "occlusions")]
        assert values == ["front", "False", "False"]
    rotations = torch.stack([picture.rotation for picture in pictures])
    assert (rotations - rotations[0]).abs().max() < 0.15  # of cameras off the axis alone
    assert any((same.picture(index).image != pictures[index].image).any() for index in range(6))


def test_other_diversity_is_cached_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    for arguments in ({}, {"expression": 0.5}):
        dataset = SyntheticHeads("test", count=1, size=32, keep=True, **arguments)
        dataset.build(HeadModel.load("open"))
        dataset.picture(0)
    assert len(list(tmp_path.glob("**/heads-test-32*"))) == 2


def test_there_is_no_picture_beyond_the_last(dataset: SyntheticHeads) -> None:
    with pytest.raises(IndexError, match="index 3 is out of range: the dataset has 3 heads"):
        dataset.picture(3)


def test_the_command_writes_what_the_reader_of_dad_3dheads_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--train", "0", "--validation", "2", "--test", "0", "--size", str(SIZE), "--head-model", "procedural"]
    assert main(["data", "synth", "heads", "--out", str(tmp_path), *options]) == 0
    assert "class_path: DADHeads" in capsys.readouterr().out
    head_model = HeadModel.load("procedural")
    written, drawn = DADHeads(str(tmp_path), "val"), SyntheticHeads("validation", count=2, size=SIZE)
    written.build(head_model)
    drawn.build(head_model)
    assert len(written) == 2
    for index in range(2):
        read, expected = written.picture(index), drawn.picture(index)
        assert torch.equal(read.image, expected.image)
        torch.testing.assert_close(read.projected, expected.projected, atol=1e-3, rtol=0)
        torch.testing.assert_close(read.vertices, expected.vertices, atol=1e-6, rtol=0)
        torch.testing.assert_close(read.rotation, expected.rotation)
        torch.testing.assert_close(read.box, expected.box, atol=1e-3, rtol=0)
        assert read.attributes == expected.attributes
        assert read.name == expected.name


def test_mattes_have_no_head_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "synth", "--out", str(tmp_path / "mattes"), "--head-model", "open"]) == 1
    assert "--head-model is for `zoo data synth heads`" in capsys.readouterr().err
    assert not (tmp_path / "mattes").exists()


def test_a_kept_picture_is_read_again_and_is_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    drawn, kept, again = (SyntheticHeads(count=2, size=64, keep=keep) for keep in (False, True, True))
    for heads in (drawn, kept, again):
        heads.build(HeadModel.load("open"))
    first = kept.picture(1)
    monkeypatch.setattr("zoo_plugins.datasets.synthetic_heads.generate_head", lambda *_: pytest.fail("drawn again"))
    second = again.picture(1)
    monkeypatch.undo()
    for known in (first, second):
        for name, value in drawn.picture(1)._asdict().items():
            assert torch.equal(known._asdict()[name], value) if isinstance(value, torch.Tensor) else True, name
        assert known.attributes == drawn.picture(1).attributes


def test_a_damaged_file_is_drawn_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    heads = SyntheticHeads(count=1, size=64, keep=True)
    heads.build(HeadModel.load("open"))
    first = heads.picture(0)
    (file,) = tmp_path.rglob("000000.npz")
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(heads.picture(0).image, first.image)
