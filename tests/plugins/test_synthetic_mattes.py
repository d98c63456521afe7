"""SyntheticMattes as a user and a data loader see it."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from zoo_plugins.datasets.synthetic import SyntheticMattes

from zoo.core.spec import build
from zoo.matting.parts import Matte

SIZE = 48


@pytest.fixture
def dataset(tmp_path: Path) -> SyntheticMattes:
    return SyntheticMattes(count=6, size=SIZE, backgrounds=4, cache=str(tmp_path))


def digest(dataset: SyntheticMattes) -> str:
    parts = [tensor.numpy().tobytes() for tensor in (*dataset.matte(1)[:2], dataset.background(2))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_matte_is_bytes_with_a_name_of_its_own(dataset: SyntheticMattes) -> None:
    mattes = [dataset.matte(index) for index in range(len(dataset))]
    for matte in mattes:
        assert isinstance(matte, Matte)
        assert matte.foreground.shape == (3, SIZE, SIZE)
        assert matte.alpha.shape == (1, SIZE, SIZE)
        assert matte.foreground.dtype == matte.alpha.dtype == torch.uint8
        assert "synthetic" in matte.name
    assert len({matte.name for matte in mattes}) == 6
    assert dataset.background_count == 4
    assert dataset.background(3).shape == (3, SIZE, SIZE)


def test_what_is_read_from_the_cache_equals_what_was_drawn(dataset: SyntheticMattes, tmp_path: Path) -> None:
    fresh = SyntheticMattes(count=6, size=SIZE, backgrounds=4, cache=str(tmp_path / "other"))
    for index in range(2):
        drawn, cached, elsewhere = dataset.matte(index), dataset.matte(index), fresh.matte(index)
        assert torch.equal(drawn.alpha, cached.alpha)
        assert torch.equal(drawn.foreground, elsewhere.foreground)
        assert torch.equal(dataset.background(index), fresh.background(index))


def test_tensors_may_be_changed_without_changing_the_dataset(dataset: SyntheticMattes) -> None:
    before = dataset.matte(0).alpha.clone()
    dataset.matte(0).alpha.zero_()
    assert torch.equal(dataset.matte(0).alpha, before)


def test_the_random_state_is_neither_read_nor_moved(dataset: SyntheticMattes, tmp_path: Path) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    state, position = torch.get_rng_state(), np.random.get_state()[2]
    first = digest(dataset)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[2] == position
    torch.manual_seed(2)
    assert digest(SyntheticMattes(count=6, size=SIZE, backgrounds=4, cache=str(tmp_path / "second"))) == first


def test_another_process_draws_the_same(dataset: SyntheticMattes, tmp_path: Path) -> None:
    code = (
        "import hashlib; from zoo_plugins.datasets.synthetic import SyntheticMattes as S\n"
        f"d = S(count=6, size={SIZE}, backgrounds=4, cache={str(tmp_path / 'child')!r})\n"
        "parts = [t.numpy().tobytes() for t in (*d.matte(1)[:2], d.background(2))]\n"
        "print(hashlib.sha256(b''.join(parts)).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert child.stdout.strip() == digest(dataset)


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "validation"}, {"split": "test"}])
def test_seed_and_split_change_everything(dataset: SyntheticMattes, tmp_path: Path, change: dict) -> None:
    other = SyntheticMattes(**{"count": 6, "size": SIZE, "backgrounds": 4, "cache": str(tmp_path), **change})
    assert not torch.equal(dataset.matte(0).alpha, other.matte(0).alpha)
    assert not torch.equal(dataset.background(0), other.background(0))


def test_patches_and_clutter_have_caches_of_their_own(dataset: SyntheticMattes, tmp_path: Path) -> None:
    same = {"count": 6, "size": SIZE, "backgrounds": 4, "cache": str(tmp_path)}
    before = digest(dataset)
    other = SyntheticMattes(**same, patches=1.0, clutter=1.0)
    assert not torch.equal(other.matte(0).foreground, dataset.matte(0).foreground)
    assert torch.equal(other.matte(0).alpha, dataset.matte(0).alpha)
    assert not torch.equal(other.background(0), dataset.background(0))
    assert digest(SyntheticMattes(**same)) == before


def test_more_mattes_leave_the_first_as_they_are(dataset: SyntheticMattes, tmp_path: Path) -> None:
    more = SyntheticMattes(count=60, size=SIZE, backgrounds=40, cache=str(tmp_path / "more"))
    assert torch.equal(dataset.matte(5).foreground, more.matte(5).foreground)
    assert torch.equal(dataset.background(3), more.background(3))


class Alphas(Dataset):
    """Twelve reads of four mattes, so that several workers want one file."""

    def __init__(self, mattes: SyntheticMattes) -> None:
        self.mattes = mattes

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.mattes.matte(index % 4).alpha


def test_loader_workers_fill_one_cache(dataset: SyntheticMattes, tmp_path: Path) -> None:
    loaded = torch.cat(list(DataLoader(Alphas(dataset), batch_size=1, num_workers=2)))
    fresh = SyntheticMattes(count=6, size=SIZE, backgrounds=4, cache=str(tmp_path / "fresh"))
    for index in range(12):
        assert torch.equal(loaded[index], fresh.matte(index % 4).alpha)


def test_the_dataset_can_be_pickled_and_rebuilt_from_its_spec(dataset: SyntheticMattes) -> None:
    assert dataset.spec["class_path"] == "SyntheticMattes"
    for copy in (pickle.loads(pickle.dumps(dataset)), build(dataset.spec)):
        assert copy.spec == dataset.spec
        assert digest(copy) == digest(dataset)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"split": "training"}, "choose train, validation or test"),
        ({"count": 0}, "count is 0"),
        ({"backgrounds": 0}, "backgrounds is 0"),
        ({"size": 8}, "size is 8"),
        ({"people": 1.5}, "people is 1.5"),
        ({"patches": -0.1}, "patches is -0.1"),
        ({"clutter": 2}, "clutter is 2"),
        ({"detail": 0.0}, "detail is 0"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SyntheticMattes(**arguments)


def test_an_index_out_of_range_is_an_index_error(dataset: SyntheticMattes) -> None:
    with pytest.raises(IndexError, match="6 cut-outs"):
        dataset.matte(6)
    with pytest.raises(IndexError, match="4 backgrounds"):
        dataset.background(-1)
