"""FLAME's own files: made-up ones of the same form, in the forms that Python 2 and 3 write; and hostile ones."""

import json
import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from zoo_plugins.head_models import FlameHead
from zoo_plugins.procedural_head import procedural_asset

from zoo.core.errors import ZooError
from zoo.heads import flame
from zoo.heads.asset import HeadAsset
from zoo.heads.flame import FLAME_JOINTS, read_flame, read_landmarks, read_subsets
from zoo.heads.mesh import HeadModel

VERTICES, FACES = 40, 60


def no_reference() -> HeadAsset:
    raise AssertionError("nothing has to be transferred")


def contents(vertices: int = VERTICES) -> dict[str, Any]:
    """What a FLAME pickle holds, with random numbers."""
    draws = np.random.default_rng(0)
    regressor = draws.random((5, vertices)) * (draws.random((5, vertices)) < 0.3)
    return {
        "v_template": draws.standard_normal((vertices, 3)),
        "f": draws.integers(0, vertices, (FACES, 3)).astype(np.uint32),
        "shapedirs": draws.standard_normal((vertices, 3, 400)),
        "posedirs": draws.standard_normal((vertices, 3, 36)),
        "J_regressor": regressor,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": draws.dirichlet(np.ones(5), vertices),
        "bs_style": "lbs",
        "J": np.zeros((5, 3)),
    }


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module that looks like chumpy while files are written; gone, as for most users, while they are read."""
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: Any) -> None:
            self.x = x
            self.cache = {"parents": [self], "itr": None}

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    yield module
    monkeypatch.undo()


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, str]:
    """Landmarks and subsets for the made-up head, so that nothing has to be transferred."""
    (tmp_path / "landmarks.json").write_text(
        json.dumps({"landmark_faces": [3] * 68, "landmark_weights": [[0.5, 0.25, 0.25]] * 68})
    )
    (tmp_path / "subsets.json").write_text(json.dumps({"face": [1, 2], "head": [1, 2, 3], "face_w_ears": [1, 2, 3, 4]}))
    return {"landmarks": str(tmp_path / "landmarks.json"), "subsets": str(tmp_path / "subsets.json")}


def write(path: Path, stored: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(stored, protocol=protocol))
    return path


def python2_array(array: np.ndarray) -> bytes:
    """The opcodes by which Python 2 and an old numpy stored an array (protocol 2)."""

    def short(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    def integer(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    data = array.tobytes()
    shape = b"(" + b"".join(map(integer, array.shape)) + b"t"
    kind = b"cnumpy\ndtype\n(" + short(array.dtype.str[1:].encode()) + b"K\x00K\x01tR"
    kind += b"(K\x03" + short(b"<") + b"NNN" + integer(-1) * 2 + b"K\x00tb"
    raw = b"T" + len(data).to_bytes(4, "little") + data
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + short(b"b") + b"tR"
    return made + b"(K\x01" + shape + kind + b"\x89" + raw + b"tb"


def python2_pickle(stored: dict[str, Any]) -> bytes:
    """FLAME as Python 2 wrote it: arrays as byte strings, some in chumpy objects, the regressor a sparse matrix."""
    sparse = scipy.sparse.csc_matrix(stored["J_regressor"])
    out = b"\x80\x02}("
    for name, value in stored.items():
        out += b"U" + bytes([len(name)]) + name.encode()
        if name == "J_regressor":
            out += b"cscipy.sparse.csc\ncsc_matrix\n)\x81}(U\x06_shape(K\x05K" + bytes([sparse.shape[1]]) + b"t"
            for part in ("indices", "indptr", "data"):
                out += b"U" + bytes([len(part)]) + part.encode() + python2_array(getattr(sparse, part))
            out += b"U\x08maxprintK2ub"
        elif name in ("v_template", "shapedirs"):
            out += b"cchumpy.ch\nCh\n)\x81}(U\x01x" + python2_array(value) + b"U\x06dtermsU\x01xub"
        elif isinstance(value, str):
            out += b"U" + bytes([len(value)]) + value.encode()
        else:
            out += python2_array(value)
    return out + b"u."


def assert_is(asset: HeadAsset, stored: dict[str, Any]) -> None:
    """The asset holds exactly what was stored, in single precision."""
    for ours, theirs in (
        (asset.template, stored["v_template"]),
        (asset.faces, stored["f"]),
        (asset.shape_basis, stored["shapedirs"][:, :, :300]),
        (asset.expression_basis, stored["shapedirs"][:, :, 300:]),
        (asset.pose_basis, stored["posedirs"]),
        (asset.joint_regressor, stored["J_regressor"]),
        (asset.weights, stored["weights"]),
    ):
        assert ours is not None
        np.testing.assert_array_equal(ours, np.asarray(theirs).astype(ours.dtype))
    assert asset.joints == FLAME_JOINTS
    assert asset.parents.tolist() == [-1, 0, 1, 1, 1]
    assert asset.offset.tolist() == pytest.approx([0, 0, 0.05])


def test_a_pickle_of_python_2_with_chumpy_and_scipy_inside(tmp_path: Path, tables: dict[str, str]) -> None:
    stored = contents()
    file = tmp_path / "generic_model.pkl"
    file.write_bytes(python2_pickle(stored))
    asset = read_flame(file, **tables, reference=no_reference)
    assert_is(asset, stored)
    assert asset.subsets["face_with_ears"].tolist() == [1, 2, 3, 4]
    assert asset.landmark_faces.tolist() == [3] * 68
    assert (asset.name, asset.source, asset.notes) == ("FLAME", "generic_model.pkl", ())
    assert "flame.is.tue.mpg.de" in asset.licence
    assert not any(name.split(".")[0] == "chumpy" for name in sys.modules)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("layout", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, np.asfortranarray])
def test_a_pickle_of_python_3(tmp_path: Path, tables: dict[str, str], protocol: int, layout: Any) -> None:
    stored = contents()
    written = {**stored, "J_regressor": layout(stored["J_regressor"]), "f": stored["f"].astype(">i4")}
    file = write(tmp_path / "flame.pkl", written, protocol)
    assert_is(read_flame(file, **tables, reference=no_reference), stored)


def test_objects_that_really_were_chumpy_s(tmp_path: Path, tables: dict[str, str], chumpy: types.ModuleType) -> None:
    stored = contents()
    written = {**stored, **{name: chumpy.Ch(stored[name]) for name in ("v_template", "shapedirs", "weights")}}
    files = [write(tmp_path / f"{protocol}.pkl", written, protocol) for protocol in (0, 2, 4)]
    del sys.modules["chumpy.ch"], sys.modules["chumpy"]
    for file in files:
        assert_is(read_flame(file, **tables, reference=no_reference), stored)


class Calls:
    """Pickled, asks for a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def witness(path: str) -> None:
    """What a hostile pickle would have run."""
    Path(path).touch()


HOSTILE = {
    "os.system": lambda mark: pickle.dumps(Calls(os.system, f"touch {mark}")),
    "builtins.eval": lambda mark: pickle.dumps(Calls(eval, f"open({mark!r}, 'w')")),
    "builtins.getattr": lambda mark: pickle.dumps(Calls(getattr, "x", "format")),
    "this module": lambda mark: pickle.dumps(Calls(witness, mark)),
    "Python 2's names": lambda mark: f"c__builtin__\neval\n(Vopen({mark!r}, 'w')\ntR.".encode(),
    "numpy's test runner": lambda mark: (
        f"cnumpy.testing._private.utils\nrunstring\n(Vopen({mark!r}, 'w')\n}}tR.".encode()
    ),
    "numpy's loader of pickles": lambda mark: b"cnumpy\nload\n(Vx.npy\nNI01\ntR.",
    "a function of numpy under an allowed module": lambda mark: b"cnumpy.core.multiarray\nfromfile\n(Vx\ntR.",
    "a dotted name in numpy": lambda mark: b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
    "scipy, but no matrix": lambda mark: b"cscipy.sparse\nload_npz\n(Vx\ntR.",
    "a module that starts like chumpy": lambda mark: b"cchumpyx.ch\nCh\n(tR.",
    "an encoding, which is a module": lambda mark: b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
    "a persistent object": lambda mark: b"Pos.system\n.",
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("role", ["model", "landmarks", "subsets", "npy"])
def test_hostile_pickles_are_refused_and_nothing_runs(
    tmp_path: Path, tables: dict[str, str], monkeypatch: pytest.MonkeyPatch, hostile: str, role: str
) -> None:
    mark = tmp_path / "it ran".replace(" ", "_")
    payload = HOSTILE[hostile](str(mark))
    file = write(tmp_path / "flame.pkl", contents())
    bad = tmp_path / ("bad.npy" if role == "npy" else "bad.pkl")
    bad.write_bytes(payload)
    if role == "npy":
        with bad.open("wb") as out:
            np.lib.format.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": ()})
            out.write(payload)
    before = set(sys.modules)
    monkeypatch.setattr("builtins.__import__", refuse_imports(before))
    given = tables if role == "model" else tables | {"subsets" if role == "subsets" else "landmarks": str(bad)}
    with pytest.raises(ZooError) as raised:
        read_flame(bad if role == "model" else file, **given, reference=no_reference)
    monkeypatch.undo()
    assert not mark.exists()
    assert set(sys.modules) == before
    message = str(raised.value)
    assert message.startswith(str(bad))
    if hostile != "a persistent object":
        assert "wants to import" in message
        assert "nothing of it was run" in message


def refuse_imports(known: set[str]) -> Any:
    """An import that fails for what is not imported already."""
    real = __import__

    def checked(name: str, *details: Any) -> Any:
        assert name in known or name in ("numpy", "zoo"), f"imports {name}"
        return real(name, *details)

    return checked


def test_the_sentence_names_what_was_wanted(tmp_path: Path) -> None:
    bad = tmp_path / "flame.pkl"
    bad.write_bytes(pickle.dumps(Calls(os.system, "true")))
    with pytest.raises(ZooError, match=rf"flame.pkl wants to import {os.system.__module__}.system, which no FLAME"):
        HeadModel.load(bad)


@pytest.mark.parametrize(
    "state",
    [
        b"(I1\n(I9\ntcnumpy\ndtype\n(Vf8\nI0\nI1\ntR(I3\nV<\nNNNI-1\nI-1\nI0\ntbI00\nVtoo few\ntb",
        b"(I1\n(I1\ntcnumpy\ndtype\n(VV8\nI0\nI1\ntR(I3\nV|\nN(Va\ntNI8\nI1\nI0\ntbI00\nV12345678\ntb",
        b"(I1\n(I-1\ntcnumpy\ndtype\n(VO\nI0\nI1\ntR(I3\nV|\nNNNI8\nI1\nI0\ntbI00\nV12345678\ntb",
    ],
    ids=["too few bytes", "a dtype that lies about its fields", "bytes as objects"],
)
def test_arrays_that_lie_about_memory_are_refused(tmp_path: Path, tables: dict[str, str], state: bytes) -> None:
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR" + state
    stored = pickle.dumps({key: value for key, value in contents().items() if key != "v_template"}, protocol=0)
    file = tmp_path / "flame.pkl"
    file.write_bytes(stored[:-1] + b"Vv_template\n" + array + b"s.")
    with pytest.raises(ZooError, match=r"flame\.pkl"):
        read_flame(file, **tables, reference=no_reference)


def test_a_sparse_matrix_with_indices_outside_is_refused(tmp_path: Path, tables: dict[str, str]) -> None:
    matrix = scipy.sparse.csc_matrix(contents()["J_regressor"])
    matrix.indices[0] = 10**6
    file = write(tmp_path / "flame.pkl", contents() | {"J_regressor": matrix})
    with pytest.raises(ZooError, match=r"J_regressor is scipy.sparse.*csc_matrix, expected an array of numbers"):
        read_flame(file, **tables, reference=no_reference)


def laughs() -> list[Any]:
    """Lists of the same lists, 10^12 numbers."""
    stored: list[Any] = [1.0] * 10
    for _ in range(11):
        stored = [stored] * 10
    return stored


def huge_matrix() -> Any:
    """A sparse matrix of 10^18 numbers, none of which is stored."""
    matrix = scipy.sparse.csc_matrix(contents()["J_regressor"])
    matrix._shape = (10**9, 10**9)
    return matrix


def far_columns() -> Any:
    """A sparse matrix whose first column would have 10^12 numbers."""
    matrix = scipy.sparse.csc_matrix(contents()["J_regressor"])
    matrix.indptr = matrix.indptr.astype(np.int64)
    matrix.indptr[1:] = 10**12
    return matrix


@pytest.mark.parametrize("make", [laughs, huge_matrix, far_columns])
def test_more_than_the_memory_holds_is_refused(tmp_path: Path, tables: dict[str, str], make: Any) -> None:
    file = write(tmp_path / "flame.pkl", contents() | {"J_regressor": make()})
    with pytest.raises(ZooError, match=r"flame\.pkl: J_regressor is .*, expected an array of numbers"):
        read_flame(file, **tables, reference=no_reference)


def test_a_pickle_that_makes_room_for_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    for content in (b"}r\xff\xff\xff\x7f.", b"}p123456789012\n."):
        (tmp_path / "flame.pkl").write_bytes(b"\x80\x02" + content)
        with pytest.raises(ZooError, match=r"flame\.pkl cannot be read .*it numbers a value"):
            read_flame(tmp_path / "flame.pkl", reference=no_reference)


def test_arrays_packed_too_tightly_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flame, "MAX_NUMBERS", 1000)
    np.savez_compressed(tmp_path / "subsets.npz", face=np.zeros(10_000, int))
    with pytest.raises(ZooError, match=r"its arrays have 80,.* bytes, expected at most 8,000"):
        read_subsets(tmp_path / "subsets.npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"J_regressor": None}, "lacks J_regressor: expected a FLAME model"),
        ({"v_template": None, "weights": None}, "lacks v_template, weights"),
        ({"v_template": np.zeros((40, 2))}, r"v_template has shape \(40, 2\), expected \(vertices, 3\)"),
        (
            {"shapedirs": np.zeros((40, 3, 10))},
            r"shapedirs has shape \(40, 3, 10\), expected \(40, 3, 400\) as in FLAME",
        ),
        ({"posedirs": np.zeros((40, 3, 207))}, r"posedirs has shape \(40, 3, 207\), expected \(40, 3, 36\)"),
        ({"kintree_table": np.array([[0, 0, 1, 2, 3], range(5)])}, r"the joints hang on \[0, 1, 2, 3\], expected"),
        ({"weights": "all"}, "weights is a str, expected an array of numbers"),
        ({"weights": [[1, 2], [3]]}, "weights is a list, expected an array of numbers"),
        ({"v_template": np.full((40, 3), np.inf)}, "v_template has shape .* finite numbers"),
        ({"f": np.full((60, 3), 40)}, "numbers up to 40, expected .* indices below 40"),
        ({"f": np.zeros((60, 4), int)}, r"f has shape \(60, 4\)"),
    ],
)
def test_what_is_no_flame_is_one_sentence(
    tmp_path: Path, tables: dict[str, str], changes: dict[str, Any], said: str
) -> None:
    stored = {key: value for key, value in (contents() | changes).items() if value is not None}
    with pytest.raises(ZooError, match=said):
        read_flame(write(tmp_path / "flame.pkl", stored), **tables, reference=no_reference)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        (b"", r"cannot be read as \.pkl"),
        (b"no pickle", r"cannot be read as \.pkl"),
        (pickle.dumps([1, 2]), "holds a list, expected arrays by name"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "flame.pkl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ZooError, match=said):
        read_flame(file, reference=no_reference)


def embedding(count: int, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(count)
    leading = (count,) if rows is None else (rows, count)
    return draws.integers(0, FACES, leading).astype(np.uint32), draws.dirichlet(np.ones(3), leading)


def test_flames_own_embedding_has_the_frontal_contour_first(tmp_path: Path) -> None:
    within, within_weights = embedding(51)
    contour, contour_weights = embedding(17, rows=79)
    write(tmp_path / "flame_static_embedding.pkl", {"lmk_face_idx": within, "lmk_b_coords": within_weights}, 0)
    rows = {"lmk_face_idx": list(contour), "lmk_b_coords": list(contour_weights)}
    np.save(tmp_path / "flame_dynamic_embedding.npy", np.array(rows, dtype=object), allow_pickle=True)
    faces, weights = read_landmarks(tmp_path)
    np.testing.assert_array_equal(faces, np.append(contour[0], within))
    np.testing.assert_array_equal(weights, np.append(contour_weights[0], within_weights, axis=0))
    faces, weights = read_landmarks(tmp_path / "flame_static_embedding.pkl")
    np.testing.assert_array_equal(faces, within)


def test_other_embeddings(tmp_path: Path) -> None:
    full, full_weights = embedding(68)
    deca = {"full_lmk_faces_idx": full[None], "full_lmk_bary_coords": full_weights[None]}
    np.save(tmp_path / "deca.npy", np.array(deca, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "own.npz", landmark_faces=full, landmark_weights=full_weights)
    for name in ("deca.npy", "own.npz"):
        faces, weights = read_landmarks(tmp_path / name)
        np.testing.assert_array_equal(faces, full)
        np.testing.assert_array_equal(weights, full_weights)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"landmark_faces": [0] * 17, "landmark_weights": [[1, 0, 0]] * 17}, "holds 17 landmarks; expected .* 68"),
        ({"other": 1}, "holds no landmarks"),
        ({"landmark_faces": [0] * 68, "landmark_weights": [[1, 0]] * 68}, r"\(68,\) and landmark_weights \(68, 2\)"),
        ([0] * 68, "holds a list, expected arrays by name"),
    ],
)
def test_embeddings_that_cannot_be_used_are_one_sentence(tmp_path: Path, stored: Any, said: str) -> None:
    (tmp_path / "landmarks.json").write_text(json.dumps(stored))
    with pytest.raises(ZooError, match=said):
        read_landmarks(tmp_path / "landmarks.json")


def test_landmarks_on_triangles_that_flame_lacks_are_refused(tmp_path: Path, tables: dict[str, str]) -> None:
    Path(tables["landmarks"]).write_text(
        json.dumps({"landmark_faces": [FACES] * 68, "landmark_weights": [[1, 0, 0]] * 68})
    )
    with pytest.raises(ZooError, match="landmark_faces holds int64 indices from 60 to 60"):
        read_flame(write(tmp_path / "flame.pkl", contents()), **tables, reference=no_reference)


def test_subsets_in_a_folder_of_files(tmp_path: Path) -> None:
    np.save(tmp_path / "face.npy", np.array([3, 1]))
    (tmp_path / "head.txt").write_text("3 1\n4\n")
    (tmp_path / "face_w_ears.json").write_text("[3, 1, 4, 5]")
    np.save(tmp_path / "face_edges.npy", np.zeros((4, 2)))
    found = {name: indices.tolist() for name, indices in read_subsets(tmp_path).items()}
    assert found == {"face": [3, 1], "head": [3, 1, 4], "face_with_ears": [3, 1, 4, 5]}


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"other": [1]}, "holds none of the subsets face, head, face_with_ears"),
        ({"face": [0.5]}, r"face is a float64 array of shape \(1,\), expected a list of indices"),
        ({"face": []}, r"of shape \(0,\), expected a list of indices"),
        ({"face": [[1]]}, r"of shape \(1, 1\)"),
    ],
)
def test_subsets_that_cannot_be_used_are_one_sentence(tmp_path: Path, stored: Any, said: str) -> None:
    (tmp_path / "subsets.json").write_text(json.dumps(stored))
    with pytest.raises(ZooError, match=said):
        read_subsets(tmp_path / "subsets.json")
    with pytest.raises(ZooError, match="unknown format"):
        read_subsets(tmp_path / "subsets.csv")


def flame_of(reference: HeadAsset) -> dict[str, Any]:
    """The reference as FLAME would store it, without landmarks and subsets."""
    return {
        "v_template": reference.template,
        "f": reference.faces,
        "shapedirs": np.concatenate([reference.shape_basis, reference.expression_basis], axis=2),
        "posedirs": reference.pose_basis,
        "J_regressor": reference.joint_regressor,
        "kintree_table": contents()["kintree_table"],
        "weights": reference.weights,
    }


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLAME file that is the procedural head."""
    return write(tmp_path_factory.mktemp("flame") / "flame.pkl", flame_of(procedural_asset()), 4)


def test_what_flame_lacks_is_transferred_and_said(bare: Path) -> None:
    reference = procedural_asset()
    asset = read_flame(bare, reference=procedural_asset)
    np.testing.assert_array_equal(asset.subsets["head"], reference.subsets["head"])
    ours, theirs = (
        (head.template[head.faces[head.landmark_faces]] * head.landmark_weights[:, :, None]).sum(1)
        for head in (asset, reference)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(asset.mirror, reference.mirror)
    assert len(asset.notes) == 2
    assert all("transferred from 'procedural'" in note for note in asset.notes)
    assert "the 68 landmarks" in asset.notes[0]
    assert "face, head, face_with_ears" in asset.notes[1]


def test_only_what_is_lacking_is_transferred(bare: Path, tmp_path: Path) -> None:
    reference = procedural_asset()
    within = {"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((51, 3), 1 / 3)}
    landmarks = write(tmp_path / "flame_static_embedding.pkl", within)
    (tmp_path / "subsets.json").write_text(json.dumps({"head": [5, 6]}))
    asset = read_flame(bare, landmarks, tmp_path / "subsets.json", reference=procedural_asset)
    assert asset.landmark_faces[17:].tolist() == list(range(51))
    np.testing.assert_array_equal(asset.subsets["face"], reference.subsets["face"])
    assert asset.subsets["head"].tolist() == [5, 6]
    assert "the 17 landmarks of the contour were transferred" in asset.notes[0]
    assert "the subsets face, face_with_ears were transferred" in asset.notes[1]


def test_a_flame_head_computes_what_the_same_head_in_our_own_format_computes(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_plugins.head_models.open_head_asset", procedural_asset)
    with pytest.warns(UserWarning, match=r"flame\.pkl: the .* transferred from") as warned:
        head = HeadModel.load(bare)
    assert len(warned) == 2
    assert isinstance(head, FlameHead)
    given = {key: value for key, value in head.spec["init_args"].items() if value is not None}
    assert given == {"path": str(bare)}
    assert (head.name, head.vertex_count, head.sizes.total) == ("FLAME", 5023, 413)
    ours = HeadModel.load("procedural")
    import torch

    params = 0.1 * torch.randn(2, 413, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(head.project(params), ours.project(params))
