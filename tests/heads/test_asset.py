"""Head assets: what a file keeps, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from zoo.core.errors import ZooError
from zoo.heads.asset import FORMAT, SUBSETS, HeadAsset, arrays, read, save

VERTICES, JOINTS = 12, 3


def small_head(**changes: Any) -> HeadAsset:
    """Twelve vertices, random but for what must fit."""
    draws = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return draws.standard_normal(shape).astype(np.float32)

    def shares(*shape: int) -> np.ndarray:
        return draws.dirichlet(np.ones(shape[-1]), shape[0]).astype(np.float32)

    made: dict[str, Any] = {
        "name": "small",
        "licence": "CC0",
        "source": "made up – für Tests",
        "template": numbers(VERTICES, 3),
        "faces": draws.integers(0, VERTICES, (20, 3)),
        "shape_basis": numbers(VERTICES, 3, 4),
        "expression_basis": numbers(VERTICES, 3, 2),
        "joints": ("root", "jaw", "chin"),
        "parents": np.array([-1, 0, 1]),
        "joint_regressor": shares(JOINTS, VERTICES),
        "weights": shares(VERTICES, JOINTS),
        "landmark_faces": draws.integers(0, 20, 68),
        "landmark_weights": shares(68, 3),
        "subsets": {name: np.arange(count) for name, count in zip(SUBSETS, (4, 6, 8), strict=True)},
        "pose_basis": numbers(VERTICES, 3, 9 * (JOINTS - 1)),
        "mirror": draws.permutation(VERTICES),
        "offset": numbers(3),
        "notes": ("first", "second"),
    }
    return HeadAsset(**made | changes)


def test_a_file_keeps_everything(tmp_path: Path) -> None:
    asset = small_head()
    save(asset, tmp_path / "new/head.safetensors")
    again = read(tmp_path / "new/head.safetensors")
    for name in ("name", "licence", "source", "joints", "notes", "sha256"):
        assert getattr(again, name) == getattr(asset, name), name
    assert arrays(again).keys() == arrays(asset).keys()
    for name, array in arrays(asset).items():
        np.testing.assert_array_equal(arrays(again)[name], array, err_msg=name)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["head.safetensors"]


def test_what_is_optional_may_be_absent(tmp_path: Path) -> None:
    save(small_head(pose_basis=None, mirror=None), tmp_path / "head.safetensors")
    again = read(tmp_path / "head.safetensors")
    assert again.pose_basis is None
    assert again.mirror is None


def test_half_precision_is_kept_in_the_file_and_widened_in_memory(tmp_path: Path) -> None:
    half = small_head(shape_basis=small_head().shape_basis.astype(np.float16))
    save(half, tmp_path / "head.safetensors")
    assert load_file(tmp_path / "head.safetensors")["shape_basis"].dtype == np.float16
    again = read(tmp_path / "head.safetensors")
    assert again.shape_basis.dtype == np.float32
    np.testing.assert_array_equal(again.shape_basis, half.shape_basis)
    assert again.sha256 == half.sha256


def test_the_sum_depends_on_every_array() -> None:
    asset = small_head()
    assert small_head().sha256 == asset.sha256
    assert small_head(name="other", notes=()).sha256 == asset.sha256
    for name in ("template", "offset", "landmark_weights"):
        moved = np.nextafter(getattr(asset, name), np.float32(9))
        assert small_head(**{name: moved}).sha256 != asset.sha256
    assert small_head(mirror=None).sha256 != asset.sha256


def test_saving_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(small_head(), tmp_path / "head.safetensors")

    def broken(file: Path, content: bytes) -> None:
        with file.open("wb") as half:
            half.write(content[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(OSError, match="disk full"):
        save(small_head(name="other"), tmp_path / "head.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["head.safetensors"]
    assert read(tmp_path / "head.safetensors").name == "small"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": np.zeros((VERTICES, 2))}, r"template has shape \(12, 2\), expected \(12, 3\)"),
        ({"shape_basis": np.zeros((11, 3, 4))}, r"shape_basis has shape \(11, 3, 4\), expected \(12, 3, any\)"),
        ({"pose_basis": np.zeros((VERTICES, 3, 9))}, r"pose_basis has shape \(12, 3, 9\), expected \(12, 3, 18\)"),
        ({"offset": np.full(3, np.nan)}, "offset holds numbers that are not finite"),
        ({"faces": np.full((20, 3), VERTICES)}, "faces holds int64 indices from 12 to 12, expected .* 0 to 11"),
        ({"landmark_faces": np.full(68, -1)}, "landmark_faces holds int64 indices from -1 to -1"),
        ({"mirror": np.arange(VERTICES) / 2}, "mirror holds float64 indices .* expected whole numbers"),
        ({"landmark_faces": np.zeros(51, int)}, r"landmark_faces has shape \(51,\), expected \(68\)"),
        ({"subsets": {"face": np.arange(3)}}, "lacks the subset of vertices head, face_with_ears"),
        ({"subsets": dict.fromkeys(SUBSETS, np.array([99]))}, "subset.face holds int64 indices from 99"),
        (
            {"subsets": dict.fromkeys(SUBSETS, np.ones((2, 2), int))},
            r"subset.face has shape \(2, 2\), expected \(any\)",
        ),
        ({"joints": ("root", "chin", "ear")}, "the joints root, chin, ear, none below the root called 'jaw'"),
        ({"joints": ("jaw", "chin", "ear")}, "none below the root called 'jaw'"),
        ({"parents": np.array([-1, 2, 1])}, r"parents are \[-1, 2, 1\], expected −1 for the root"),
        ({"weights": np.ones((VERTICES, JOINTS))}, "rows of weights sum to 3.000 to 3.000, expected 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ZooError, match=said) as raised:
        small_head(**changes)
    assert str(raised.value).startswith("the head model 'small'")


def test_a_changed_asset_is_checked_as_well() -> None:
    with pytest.raises(ZooError, match="faces"):
        replace(small_head(), faces=np.full((1, 3), 99))


def header(**changes: str) -> dict[str, str]:
    made = {"name": "x", "licence": "x", "source": "x", "joints": '["root", "jaw", "chin"]', "notes": "[]"}
    return made | {"format": FORMAT} | changes


@pytest.mark.parametrize(
    ("header", "lost", "said"),
    [
        (header(format="other"), None, "is no head model of ours .*'other'.*zoo convert head FILE"),
        ({}, None, "is no head model of ours .*None"),
        (header(joints="[root"), None, "does not hold what makes a head model"),
        ({"format": FORMAT}, None, "does not hold what makes a head model .*'name'"),
        (header(), "weights", "does not hold what makes a head model .*weights"),
    ],
)
def test_other_safetensors_files_are_refused(
    tmp_path: Path, header: dict[str, str], lost: str | None, said: str
) -> None:
    held = {name: np.ascontiguousarray(array) for name, array in arrays(small_head()).items() if name != lost}
    save_file(held, tmp_path / "head.safetensors", header)
    with pytest.raises(ZooError, match=said):
        read(tmp_path / "head.safetensors")


def test_a_file_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "head.safetensors"
    with pytest.raises(ZooError, match="there is no such file"):
        read(file)
    save(small_head(), file)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ZooError, match="cannot be read as safetensors"):
        read(file)
    file.write_text(json.dumps({"no": "head"}))
    with pytest.raises(ZooError, match="cannot be read as safetensors"):
        read(file)
    with pytest.raises(ZooError):
        read(tmp_path)
