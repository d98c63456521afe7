"""What a test leaves behind of each picture: its values, and tiles of the first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.heads.mesh import HeadModel, HeadParams
from zoo.heads.parts import HeadBatch, HeadOutput
from zoo.heads.pictures import result_tiles as head_tiles
from zoo.heads.rotation import matrix_from_6d
from zoo.matting.parts import MattingBatch, MattingOutput
from zoo.matting.pictures import result_tiles as matting_tiles
from zoo.study.run.samples import Sample, SampleRecord, read_samples, read_tiles, write_tiles
from zoo.training.module import TrainingModule


class Batch(NamedTuple):
    image: Tensor
    name: list[str] | None = None


class Shades(TrainingModule):
    """A module whose pictures have one shade, the number of the sample."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def compute(self, batch: Batch) -> Tensor:
        return batch.image

    def test_tiles(self, batch: Batch, output: Tensor, count: int, side: int) -> list[dict[str, np.ndarray]]:
        return [
            {"given": np.zeros((side, 8, 3), np.uint8), "its own": np.full((side, 8, 3), int(shade), np.uint8)}
            for shade in output[:count, 0, 0, 0]
        ]


class Silent(Shades):
    """A module that shows nothing."""

    test_tiles = TrainingModule.test_tiles


def record(folder: Path, module: Any, batches: list[int], sets: tuple[str, ...] = ("one",)) -> dict[Sample, Any]:
    """The tiles after a test of batches of these sizes, for each set."""
    callback = SampleRecord(str(folder / "samples.csv"))
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(test=dict.fromkeys(sets)))
    for place in range(len(sets)):
        shade = 0
        for number, size in enumerate(batches):
            batch = Batch(torch.arange(shade, shade + size).view(size, 1, 1, 1))
            outputs = {"samples": [{"sad": 1.5}] * size, "output": batch.image}
            callback.on_test_batch_end(trainer, module, outputs, batch, number, place)
            shade += size
    callback.on_test_end(trainer, module)
    return read_tiles(folder / "pictures")


@pytest.mark.parametrize("batches", [[1, 1, 1, 1], [2, 2], [8]])
def test_the_first_three_of_each_set_are_kept(tmp_path: Path, batches: list[int]) -> None:
    kept = record(tmp_path, Shades(), batches, ("one", "far_2"))
    assert list(kept) == [Sample(name, number) for name in ("far_2", "one") for number in range(3)]
    for sample, tiles in kept.items():
        assert list(tiles) == ["given", "its own"]
        assert (tiles["its own"] == sample.number).all()
        assert tiles["given"].shape == (256, 8, 3)
    assert [line["index"] for line in read_samples(tmp_path / "samples.csv")] == [*range(sum(batches))] * 2


def test_a_module_that_shows_nothing_leaves_no_pictures(tmp_path: Path) -> None:
    assert record(tmp_path, Silent(), [4]) == {}
    assert len(read_samples(tmp_path / "samples.csv")) == 4
    assert not (tmp_path / "pictures").exists()


def test_tiles_keep_their_order_and_values(tmp_path: Path) -> None:
    tiles = {f"tile {number}": np.full((3, 5, 3), number, np.uint8) for number in range(11)}
    write_tiles(tmp_path, Sample("a_1", 10), tiles)
    (found,) = read_tiles(tmp_path).items()
    assert found[0] == Sample("a_1", 10)
    assert list(found[1]) == list(tiles)
    assert all((found[1][name] == tile).all() for name, tile in tiles.items())


def test_a_finished_run_has_source_truth_and_result(finished) -> None:
    kept = read_tiles(finished.run("at_random") / "pictures")
    assert list(kept) == [Sample("one", 0), Sample("one", 1)]
    tiles = kept[Sample("one", 0)]
    assert list(tiles) == ["source", "true alpha", "alpha"]
    assert {tile.shape for tile in tiles.values()} == {(64, 64, 3)}
    same = read_tiles(finished.run("five") / "pictures")[Sample("one", 0)]
    assert (same["true alpha"] == tiles["true alpha"]).all()


def test_large_pictures_of_mattes_are_reduced_and_small_ones_are_not_enlarged() -> None:
    for height, width, shape in ((100, 400, (64, 256, 3)), (20, 40, (20, 40, 3))):
        picture, alpha = torch.rand(2, 3, height, width), torch.zeros(2, 1, height, width)
        refined = torch.ones(2, 1, -(-height // 4), -(-width // 4))
        output = MattingOutput(alpha + 1, picture, alpha, picture, alpha, refined)
        first, _ = matting_tiles(MattingBatch(picture, picture, alpha, picture), output, 256)
        assert {tile.shape for tile in first.values()} == {shape}
        assert list(first) == ["source", "true alpha", "alpha"]
        assert (first["true alpha"] == 0).all()
        assert (first["alpha"] == 255).all()


def test_heads_are_drawn_over_their_crop() -> None:
    head = HeadModel.load("procedural")
    params = HeadParams.from_vector(torch.zeros(1, head.sizes.total), *head.sizes)
    params = params._replace(rotation=torch.tensor([[1.0, 0, 0, 0, 1, 0]]), scale=torch.full((1, 1), 5.0))
    vertices = head.vertices(params, rotated=False)
    drawn = {
        "vertices": vertices,
        "projected": head.project(params, 64, vertices),
        "rotation": matrix_from_6d(params.rotation),
    }
    batch = HeadBatch(
        image=torch.full((1, 3, 64, 64), 90 / 255),
        landmarks=torch.zeros(1, 68, 2),
        visible=torch.ones(1, 68),
        box=torch.tensor([[0.0, 0, 64, 64]]),
        **drawn,
    )
    output = HeadOutput(None, None, params.to_vector(), **drawn | {"projected": drawn["projected"] + 1000})
    (tiles,) = head_tiles(batch, output, head, side=256)
    assert list(tiles) == ["crop", "ground truth", "prediction"]
    assert {tile.shape for tile in tiles.values()} == {(64, 64, 3)}
    assert (tiles["crop"] == 90).all()
    assert (tiles["ground truth"] != 90).any()
    assert (tiles["prediction"] == 90).all()  # it lies outside
