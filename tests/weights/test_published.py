"""Published files: the same model as their checkpoint, wherever one is taken, and nothing of a bad one is believed."""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import zoo
from zoo.core.errors import ZooError
from zoo.core.plugin_files import load_plugin_files
from zoo.core.registry import get_slot
from zoo.core.spec import build
from zoo.weights.checkpoint import describe, is_too_large, run_name
from zoo.weights.published import HEADER_LIMIT, is_safetensors, write
from zoo.weights.reading import read


@pytest.fixture
def published(small, tmp_path: Path) -> Path:
    """The small checkpoint, published; its plugin file is registered."""
    load_plugin_files([str(small.plugin)])
    path = tmp_path / "small.safetensors"
    write(path, read(str(small.checkpoint)), {"licence": "CC0-1.0", "text": "Squares."})
    return path


def header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["zoo"])


def changed(path: Path, change: Callable[[dict[str, Any]], Any], weights: dict[str, Tensor] | None = None) -> str:
    """The file with something changed in its header."""
    entry = header(path)
    change(entry)
    save_file(load_file(path) | (weights or {}), path, {"zoo": json.dumps(entry)})
    return str(path)


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, 50, 66, generator=generator), torch.rand(1, 3, 50, 66, generator=generator)


# Round trips


def test_it_is_the_checkpoint_s_model_to_the_last_bit(small, published: Path) -> None:
    first, second = zoo.load(str(small.checkpoint)), zoo.load(str(published))
    assert not second.training
    first_arguments, second_arguments = (each.spec["init_args"] for each in (first, second))
    assert first_arguments | {"losses": {}} == second_arguments, "only training needs loss terms"
    assert first.state_dict().keys() == second.state_dict().keys()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert all(map(torch.equal, first(*pictures()), second(*pictures())))


def test_half_precision_halves_the_file_and_is_loaded_as_float32(small, published: Path, tmp_path: Path) -> None:
    half, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    write(half, read(str(small.checkpoint)), {}, half=True)
    assert half.stat().st_size < 0.6 * published.stat().st_size
    whole, loaded = zoo.load(str(published)).state_dict(), zoo.load(str(half)).state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32, torch.int64}
    assert all(torch.allclose(value, loaded[name], rtol=1e-3, atol=1e-4) for name, value in whole.items())
    write(again, read(str(half)), {"licence": "MIT"})
    assert again.stat().st_size < 0.6 * published.stat().st_size, "published as half once, it stays so"


def test_numbers_beyond_half_precision_are_refused(small, tmp_path: Path) -> None:
    content = read(str(small.checkpoint))
    content["state_dict"]["network.decoder.conv1.weight"] *= 1e9
    with pytest.raises(ZooError, match=r"network\.decoder\.conv1\.weight holds numbers up to .*without --half"):
        write(tmp_path / "half.safetensors", content, {}, half=True)
    assert list(tmp_path.iterdir()) == []


def test_a_head_network_comes_back_too(tmp_path: Path) -> None:
    backbone = {"class_path": "TimmBackbone", "init_args": {"name": "test_resnet", "output_stride": 32}}
    spec = get_slot("models").get("dad3dnet_mobilenet")
    arguments = spec["init_args"] | {
        "backbone": backbone,
        "width": 8,
        "image_size": 64,
        "head_model": {"class_path": "OpenHead"},
    }
    arguments |= {"fusion": {"class_path": "ConcatFusion", "init_args": {"channels": 8}}}
    module = build({"class_path": spec["class_path"], "init_args": arguments}).eval()
    path = tmp_path / "head.safetensors"
    write(path, {"state_dict": module.state_dict(), "zoo": describe(module, None)}, {})
    assert header(path)["head"] == {"name": module.head_model.name, "sha256": module.head_model.sha256}
    crop = torch.rand(1, 3, 64, 64)
    assert torch.equal(zoo.load(str(path))(crop).vertices, module(crop).vertices)


def test_the_header_says_what_a_stranger_needs_and_nothing_of_the_machine(small, published: Path) -> None:
    entry = header(published)
    assert entry["card"] == {"licence": "CC0-1.0", "text": "Squares."}
    assert entry["plugins"]["TopK"].startswith("ablation-zoo ")
    assert entry["plugins"]["FourConvolutions"] == "small.py"
    assert entry["model"]["init_args"]["selector"] == {
        "class_path": "TopK",
        "init_args": {"patches": 20, "fixed_count": False},
    }
    assert "checkpoint" not in entry["model"]["init_args"]
    assert str(small.plugin.parent) not in published.read_bytes()[:20_000].decode("latin-1")


# Wherever a checkpoint is taken


def test_the_command_line_takes_it_as_a_checkpoint(small, published: Path, tiny, command) -> None:
    plugins = ("--plugin", small.plugin, "--plugin", tiny.plugin)
    of_both = [command("validate", "--ckpt_path", path, *plugins) for path in (published, small.checkpoint)]
    assert [outcome.code for outcome in of_both] == [0, 0], of_both[0].err
    measured, expected = ([line for line in each.out.splitlines() if "validation/" in line] for each in of_both)
    assert measured == [line for line in expected if "validation/loss" not in line]
    assert any("validation/sad" in line for line in measured)


def test_a_training_goes_on_from_its_weights(small, published: Path, tiny, command) -> None:
    plugins = ("--plugin", small.plugin, "--plugin", tiny.plugin)
    settings = ("--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.limit_train_batches=1")
    still = [f"--model.learning_rates.{name}=0" for name in ("backbone", "aspp", "decoder", "refiner")]
    fitted = command("fit", "--ckpt_path", published, *plugins, *settings, *still)
    assert fitted.code == 1
    assert "the model has no loss terms, like that of a published file. Training needs them" in fitted.complaint
    assert not Path("runs").exists()
    settings += ("--model.losses.alpha=AlphaL1",)
    fitted = command("fit", "--ckpt_path", published, *plugins, *settings, *still)
    assert fitted.code == 0, fitted.err
    assert "begins at its first step, with its weights" in fitted.out
    (last,) = Path("runs/small").rglob("last.ckpt")
    whole = torch.load(last, weights_only=True)
    assert whole["epoch"] == 0
    assert whole["global_step"] == 1
    before, after = load_file(published), whole["state_dict"]
    assert torch.equal(before["network.decoder.conv1.weight"], after["network.decoder.conv1.weight"])


def test_pictures_are_matted_with_it(small, published: Path, tmp_path: Path, command) -> None:
    for name, grey in (("source.png", 90), ("background.png", 91)):
        Image.fromarray(np.full((64, 64, 3), grey, np.uint8)).save(tmp_path / name)
    words = (tmp_path / "source.png", tmp_path / "background.png", "-o", tmp_path / "out", "--model", published)
    outcome = command("matte", *words, "--plugin", small.plugin, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out/alpha/source.png").is_file()


def test_a_model_starts_with_its_weights(small, published: Path) -> None:
    spec = header(published)["model"]["init_args"]
    given = {name: spec[name] for name in ("backbone", "selector", "base_scale")}
    model = zoo.create_model("bgmv2_mobilenetv2", checkpoint=str(published), **given)
    weights = load_file(published)
    assert all(torch.equal(value, weights[f"network.{name}"]) for name, value in model.network.state_dict().items())


def test_both_are_shown(small, published: Path, command) -> None:
    shown = command("show", published)
    assert shown.code == 0, shown.err
    assert "BackgroundMatting" in shown.out.splitlines()[0]
    for said in ("licence: CC0-1.0", "patches: 20", "FourConvolutions: small.py", "Squares."):
        assert said in shown.out
    assert "class_path: TopK" in command("show", small.checkpoint).out


def test_another_s_safetensors_are_weights_without_a_description(tmp_path: Path) -> None:
    path = str(tmp_path / "weights.safetensors")
    save_file({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(ZooError, match="does not say which model it holds"):
        zoo.load(path)
    with pytest.raises(ZooError, match=r"does not fit this model: unexpected conv\.weight"):
        zoo.create_model("bgmv2_mobilenetv2", checkpoint=path)


# Damage


def test_a_file_cut_anywhere_is_refused(published: Path, tmp_path: Path) -> None:
    whole = published.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    cut = tmp_path / "cut.safetensors"
    for kept in (0, 4, 8, 9, 8 + length // 2, 8 + length - 1, 8 + length, 9 + length, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:kept])
        with pytest.raises(ZooError, match=r"cut\.safetensors is (truncated|not a readable).*"):
            zoo.load(str(cut))
    cut.write_bytes(whole + b"more")
    with pytest.raises(ZooError, match="truncated or altered"):
        zoo.load(str(cut))


def raw(path: Path, tensors: Any, data: bytes, length: int | None = None) -> str:
    """A file with this header, whatever it says."""
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return str(path)


@pytest.mark.parametrize(
    ("tensors", "length"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}}, None),
        ({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}, None),
        ({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, None),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, None),
        ({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, None),
        ({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}, None),
        ({"a": {"dtype": "PY", "shape": [2], "data_offsets": [0, 8]}}, None),
        (b"{not JSON", None),
        (b'{"a":' + b"[" * 50_000, None),
        (b"{}", 2**63),
        (b"{}", HEADER_LIMIT + 1),
        (b"{}", 1000),
    ],
    ids=[
        "outside",
        "large",
        "overflow",
        "backwards",
        "negative",
        "overlap",
        "dtype",
        "text",
        "deep",
        "2**63",
        "long",
        "short",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, tensors: Any, length: int | None) -> None:
    path = raw(tmp_path / "evil.safetensors", tensors, bytes(8), length)
    assert is_safetensors(path)
    with pytest.raises(ZooError, match=r"evil\.safetensors (is truncated|is not a readable|was refused)"):
        zoo.load(path)


FOREIGN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "selector": lambda model: model["init_args"].update(selector={"class_path": "foreign_code.Evil"}),
    "model": lambda model: model.update(class_path="foreign_code.Evil"),
    "callable": lambda model: model["init_args"].update(
        metrics={"class_path": "os.system", "init_args": {"command": "touch imported"}}
    ),
    "text": lambda model: model["init_args"].update(selector="foreign_code.Evil"),
    "number": lambda model: model["init_args"].update(selector={"class_path": 3}),
    "list": lambda model: model["init_args"].update(selector=["TopK"]),
    "arguments": lambda model: model["init_args"]["selector"].update(init_args="patches"),
    "unknown argument": lambda model: model["init_args"].update(evil=1),
}


@pytest.mark.parametrize("form", FOREIGN)
def test_nothing_that_a_header_names_is_imported_or_run(
    published: Path, tmp_path: Path, monkeypatch, command, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "foreign_code.py").write_text(
        "from pathlib import Path\n\nPath('imported').touch()\n\nclass Evil: ...\n"
    )
    path = changed(published, lambda entry: FOREIGN[form](entry["model"]))
    with pytest.raises(ZooError, match=r"small\.safetensors"):
        zoo.load(path)
    assert not (tmp_path / "imported").exists()
    assert "foreign_code" not in sys.modules


@pytest.mark.parametrize("form", ["selector", "text", "callable"])
def test_nor_by_the_command_line(published: Path, tmp_path: Path, monkeypatch, command, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = changed(published, lambda entry: (FOREIGN[form](entry["model"]), entry.pop("data")))
    for words in (("validate", "--ckpt_path"), ("export", "--format", "torchscript")):
        outcome = command(*words, path)
        assert outcome.code == 1
        assert len(outcome.err.splitlines()) == 1
        assert "small.safetensors" in outcome.complaint


def test_a_model_larger_than_its_weights_is_refused_before_it_is_made(published: Path) -> None:
    def enormous(entry: dict[str, Any]) -> None:
        entry["model"]["init_args"]["backbone"]["init_args"]["width"] = 10**7

    with pytest.raises(ZooError, match=r"does not fit this model: .*expected \(10000000, 6, 3, 3\)"):
        zoo.load(changed(published, enormous))


def test_missing_unexpected_and_mismatched_weights_are_listed(published: Path) -> None:
    strange = {"../../escaped": torch.zeros(1), "network.refiner.conv1.weight": torch.zeros(2, 3)}
    path = changed(published, lambda entry: None, strange)
    with pytest.raises(ZooError) as caught:
        zoo.load(path)
    assert "unexpected ../../escaped" in str(caught.value)
    assert "network.refiner.conv1.weight has shape (2, 3), expected (24, 42, 3, 3)" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "NaN", '{"format": 1}', '"text"'])
def test_a_description_that_is_none_is_named(published: Path, text: str) -> None:
    save_file(load_file(published), published, {"zoo": text})
    with pytest.raises(ZooError, match=r"small\.safetensors is damaged"):
        zoo.load(str(published))


def test_a_description_that_never_ends_is_named(published: Path, small, tmp_path: Path) -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"class_path": "TopK", "init_args": {"a": deep}}
    with pytest.raises(ZooError, match="is damaged"):
        zoo.load(changed(published, lambda entry: entry.update(model=deep)))
    laughs: Any = ["ha"]
    for _ in range(40):
        laughs = [laughs, laughs]
    content = torch.load(small.checkpoint, weights_only=True)
    content["zoo"]["model"]["init_args"]["losses"] = laughs
    torch.save(content, tmp_path / "laughs.ckpt")
    with pytest.raises(ZooError, match="is damaged"):
        zoo.load(str(tmp_path / "laughs.ckpt"))
    assert not is_too_large(read(str(small.checkpoint))["zoo"])


@pytest.mark.parametrize("kind", ["seed", "name", "plugins", "trainer", "card"])
def test_entries_of_another_kind_are_named(published: Path, kind: str) -> None:
    with pytest.raises(ZooError, match="is damaged"):
        zoo.load(changed(published, lambda entry: entry.update({kind: [1]})))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tiny", "tiny"),
        ("group/tiny", "group/tiny"),
        ("../../escaped", "escaped"),
        ("/etc/escaped", "etc/escaped"),
        ("..\\..\\escaped", "escaped"),
        ("C:\\escaped", "C/escaped"),
        ("a/../../b\0\n", "a/b"),
        ("../..", "run"),
        ("", "run"),
    ],
)
def test_a_run_s_name_stays_among_the_runs(name: str, kept: str) -> None:
    assert run_name(name) == kept


@pytest.mark.parametrize("kind", ["published", "checkpoint"])
def test_a_file_cannot_choose_where_results_are_written(
    published: Path, small, tiny, tmp_path: Path, command, monkeypatch, kind: str
) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    if kind == "published":
        path = changed(published, lambda entry: entry.update(name="../../escaped"))
    else:
        content = torch.load(small.checkpoint, weights_only=True)
        content["zoo"]["name"] = str(tmp_path / "escaped")
        torch.save(content, path := str(tmp_path / "evil.ckpt"))
    before = set(tmp_path.iterdir())
    outcome = command("validate", "--ckpt_path", path, "--plugin", small.plugin, "--plugin", tiny.plugin)
    assert outcome.code == 0, outcome.err
    assert set(tmp_path.iterdir()) == before
    assert list((tmp_path / "inner/runs").rglob("config.yaml"))


def test_a_plugin_that_is_gone_is_named_with_who_provided_it(published: Path) -> None:
    def other(entry: dict[str, Any]) -> None:
        entry["model"]["init_args"]["selector"] = {"class_path": "Stripes", "init_args": {}}
        entry["plugins"]["Stripes"] = "stripes-selector 2.3"

    with pytest.raises(
        ZooError, match=r"made with 'Stripes' of stripes-selector 2\.3: it is not installed; pip install"
    ):
        zoo.load(changed(published, other))
