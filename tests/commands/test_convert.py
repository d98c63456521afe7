"""`zoo convert`: a FLAME pickle becomes a head model of ours."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_plugins.procedural_head import procedural_asset

from zoo.heads.asset import read
from zoo.heads.mesh import HeadModel


@pytest.fixture
def flame(tmp_path: Path) -> Path:
    """A FLAME pickle, small and made up, with landmarks and subsets beside it."""
    draws = np.random.default_rng(0)
    stored = {
        "v_template": draws.standard_normal((40, 3)),
        "f": draws.integers(0, 40, (60, 3)),
        "shapedirs": draws.standard_normal((40, 3, 400)),
        "posedirs": draws.standard_normal((40, 3, 36)),
        "J_regressor": draws.dirichlet(np.ones(40), 5),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
        "weights": draws.dirichlet(np.ones(5), 40),
    }
    file = tmp_path / "flame.pkl"
    file.write_bytes(pickle.dumps(stored, protocol=2))
    (tmp_path / "landmarks.json").write_text(
        json.dumps({"landmark_faces": [3] * 68, "landmark_weights": [[1, 0, 0]] * 68})
    )
    (tmp_path / "subsets.json").write_text(json.dumps({"face": [1], "head": [1, 2], "face_with_ears": [1, 2, 3]}))
    return file


@pytest.fixture
def tables(flame: Path) -> tuple[Any, ...]:
    return ("--landmarks", flame.parent / "landmarks.json", "--subsets", flame.parent / "subsets.json")


def test_a_pickle_is_stored_with_licence_and_source(command, flame: Path, tables: tuple[Any, ...]) -> None:
    output = flame.parent / "new/head.safetensors"
    described = ("--licence", "CC BY 4.0", "--source", "FLAME 2023 Open")
    outcome = command("convert", "head", flame, "-o", output, *tables, *described)
    assert (outcome.code, outcome.err) == (0, "")
    asset = read(output)
    assert (asset.name, asset.licence, asset.source) == ("FLAME", "CC BY 4.0", "FLAME 2023 Open")
    for said in (
        f"Wrote {output}.",
        "40, 60 triangles",
        "300 shape, 100 expression",
        "root, neck, jaw, left_eye, right_eye",
        f"face 1, head 2, face_with_ears 3 vertices, from {tables[3]}",
        f"68, from {tables[1]}",
        "CC BY 4.0",
        "FLAME 2023 Open",
    ):
        assert said in outcome.out
    assert "note" not in outcome.out
    assert HeadModel.load(output).sizes.total == 413


def test_without_more_the_file_lands_beside_the_pickle_under_flames_licence(
    command, flame: Path, tables: tuple[Any, ...]
) -> None:
    assert command("convert", "head", flame, *tables).code == 0
    asset = read(flame.with_suffix(".safetensors"))
    assert asset.source == "flame.pkl"
    assert "flame.is.tue.mpg.de" in asset.licence


def test_what_was_transferred_is_said(command, flame: Path) -> None:
    reference = procedural_asset()
    stored = {
        "v_template": reference.template,
        "f": reference.faces,
        "shapedirs": np.concatenate([reference.shape_basis, reference.expression_basis], axis=2),
        "posedirs": reference.pose_basis,
        "J_regressor": reference.joint_regressor,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.uint32),
        "weights": reference.weights,
    }
    flame.write_bytes(pickle.dumps(stored))
    outcome = command("convert", "head", flame)
    assert (outcome.code, outcome.err) == (0, "")
    assert "the 68 landmarks were transferred from 'open head'" in outcome.out
    assert "the subsets face, head, face_with_ears were transferred" in outcome.out
    assert len(read(flame.with_suffix(".safetensors")).notes) == 2


def test_nothing_is_overwritten_without_force(command, flame: Path, tables: tuple[Any, ...]) -> None:
    output = flame.parent / "head.safetensors"
    output.write_bytes(b"precious")
    outcome = command("convert", "head", flame, "-o", output, *tables)
    assert outcome.code == 1
    assert "exists already: pass --force to replace it" in outcome.complaint
    assert output.read_bytes() == b"precious"
    assert command("convert", "head", flame, "-o", output, *tables, "--force").code == 0
    assert read(output).name == "FLAME"


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, ("touch it_ran",)


def test_a_hostile_pickle_is_one_sentence(
    command, flame: Path, tables: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flame.parent)
    flame.write_bytes(pickle.dumps(Hostile()))
    outcome = command("convert", "head", flame, *tables)
    assert outcome.code == 1
    assert "wants to import" in outcome.complaint
    assert len(outcome.err.splitlines()) == 1
    assert not (flame.parent / "it_ran").exists()
    assert not flame.with_suffix(".safetensors").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.pkl",), "missing.pkl: there is no such file."),
        (("flame.pkl", "-o", "head.pt"), "expected a name ending in .safetensors"),
        (("flame.pkl", "--landmarks", "nowhere.json"), "nowhere.json: there is no such file."),
        (("flame.obj",), "unknown format"),
    ],
)
def test_bad_input_is_one_sentence(
    command, flame: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(flame.parent)
    outcome = command("convert", "head", *words)
    assert outcome.code == 1
    assert said in outcome.complaint
    assert len(outcome.err.splitlines()) == 1


def test_converting_needs_no_torch_unless_something_is_transferred(flame: Path, tables: tuple[Any, ...]) -> None:
    words = ["convert", "head", str(flame), *map(str, tables)]
    code = f"import sys, zoo.cli; assert zoo.cli.main({words!r}) == 0; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
