"""`zoo export`: a checkpoint becomes a published file, or a network that other programs run as PyTorch does."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.core.errors import ZooError
from zoo.core.plugin_files import load_plugin, load_plugin_files
from zoo.core.registry import get_slot
from zoo.core.spec import build
from zoo.training import export as exporting
from zoo.training.export import check_equal, export
from zoo.weights.checkpoint import describe
from zoo.weights.reading import read

HEAD: dict[str, Any] = {
    "backbone": {"class_path": "TimmBackbone", "init_args": {"name": "test_resnet", "output_stride": 32}},
    "fusion": {"class_path": "ConcatFusion", "init_args": {"channels": 8}},
    "width": 8,
    "image_size": 64,
}

STUBBORN = '''
import torch
from zoo.matting.parts import PatchSelector


class Fussy(PatchSelector):
    """Decides in Python what depends on the picture."""

    def forward(self, error):
        return torch.ones_like(error) if error.max() > 0.5 else error


class Forgetful(PatchSelector):
    """Decides in Python what depends on the batch."""

    def forward(self, error):
        return torch.ones_like(error) if error.shape[0] == 2 else -torch.ones_like(error)
'''


@pytest.fixture
def words(small, tmp_path: Path, monkeypatch) -> tuple[object, ...]:
    """What `zoo export` needs to know of the small checkpoint; results land in the test's folder."""
    monkeypatch.chdir(tmp_path)
    return "export", small.checkpoint, "--plugin", small.plugin


@pytest.fixture
def module(small) -> Any:
    """The small network, in evaluation mode."""
    load_plugin_files([str(small.plugin)])
    return zoo.load(str(small.checkpoint))


@pytest.fixture
def head_checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of a very small head network that nobody trained."""
    spec = get_slot("models").get("dad3dnet_mobilenet")
    module = build({"class_path": spec["class_path"], "init_args": spec["init_args"] | HEAD})
    torch.save({"state_dict": module.state_dict(), "zoo": describe(module, None)}, tmp_path / "head.ckpt")
    return tmp_path / "head.ckpt"


def pictures(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    source, background = torch.rand(2, batch, 3, height, width, generator=generator)
    return source, background


def run_onnx(path: Path, *inputs: Tensor) -> dict[str, Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {each.name: value.numpy() for each, value in zip(session.get_inputs(), inputs, strict=True)}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, session.run(names, given)), strict=True))


# Published files


def test_a_published_file_is_written_with_its_card(words, tmp_path: Path, command, small) -> None:
    Path("metrics.json").write_text(json.dumps({"status": "done", "metrics": {"test/one/sad": 1.5}}))
    Path("card.md").write_text("For squares.")
    card = ("--licence", "CC0-1.0", "--training-data", "squares", "--metrics", "metrics.json", "--card", "card.md")
    outcome = command(*words, "--format", "safetensors", "-o", "new/squares.safetensors", "--half", *card)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Wrote new/squares.safetensors (" in outcome.out
    assert read("new/squares.safetensors")["zoo"]["card"] == {
        "licence": "CC0-1.0",
        "training_data": "squares",
        "metrics": {"test/one/sad": 1.5},
        "text": "For squares.",
    }
    again = command("export", "new/squares.safetensors", *words[2:], "--format", "safetensors", "-o", "b.safetensors")
    assert again.code == 0, again.err
    assert read("b.safetensors")["zoo"]["card"]["licence"] == "CC0-1.0", "the card goes with the file"


def test_without_a_name_the_file_lands_beside_the_checkpoint_and_replaces_none(
    words, small, tmp_path: Path, command
) -> None:
    checkpoint = tmp_path / "own.ckpt"
    checkpoint.write_bytes(small.checkpoint.read_bytes())
    options = ("export", checkpoint, *words[2:], "--format", "safetensors")
    assert command(*options).code == 0
    before = (tmp_path / "own.safetensors").read_bytes()
    assert "exists already: pass --force to replace it" in command(*options).complaint
    assert command(*options, "--force", "--licence", "MIT").code == 0
    assert (tmp_path / "own.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "safetensors", "-o", "a.onnx"), "expected a name ending in .safetensors"),
        (
            ("--format", "safetensors", "--size", 64, 64, "-o", "a.safetensors"),
            "--size is not for --format safetensors",
        ),
        (("--format", "onnx", "--half", "-o", "a.onnx"), "--half is not for --format onnx"),
        (("--format", "torchscript", "--training-data", "x", "-o", "a.pt"), "--training-data is not for"),
        (("--format", "torchscript", "--size", 64, 0, "-o", "a.pt"), "expected height and width in pixels"),
        (("--format", "torchscript", "--dynamic-size", "-o", "a.pt"), "take --format onnx or torch-export"),
        (("--format", "onnx", "--dynamic-size", "--size", 66, 64, "-o", "a.onnx"), "expected multiples of 4 pixels"),
        (
            ("--format", "safetensors", "--metrics", "no.json", "-o", "a.safetensors"),
            "--metrics no.json cannot be read",
        ),
        (("--format", "safetensors", "--metrics", "bad.json", "-o", "a.safetensors"), "expected numbers by name"),
        (("--format", "safetensors", "--card", "image", "-o", "a.safetensors"), "--card image cannot be read as text"),
        (("--format", "onnx", "-o", "image/a.onnx"), "image is a file, so image/a.onnx cannot be written"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(words, command, options: tuple[object, ...], said: str) -> None:
    Path("bad.json").write_text('{"a": "b"}')
    Path("image").write_bytes(b"\x89PNG\xff")
    before = set(Path().iterdir())
    outcome = command(*words, *options)
    assert outcome.code == 1
    assert said in outcome.complaint
    assert len(outcome.err.splitlines()) == 1
    assert set(Path().iterdir()) == before


def test_a_checkpoint_without_its_plugin_says_who_provided_it(small, tmp_path: Path, command) -> None:
    outcome = command("export", small.checkpoint, "--format", "onnx", "-o", tmp_path / "a.onnx")
    assert outcome.code == 1
    assert f"made with 'FourConvolutions' of {small.plugin}" in outcome.complaint


# Networks


def test_onnx_runs_without_us_and_gives_the_same(words, module, command) -> None:
    outcome = command(*words, "--format", "onnx", "-o", "small.onnx", "--size", 62, 82)
    assert (outcome.code, outcome.err) == (0, "")
    assert "source, background: float RGB in [0, 1], any batch, 62×82 pixels" in outcome.out
    assert "difference  from PyTorch at most " in outcome.out
    found = run_onnx(Path("small.onnx"), *pictures(4, 62, 82))
    module.fit_size((62, 82))
    wanted = module(*pictures(4, 62, 82))._asdict()
    assert list(found) == list(wanted)
    assert max(module.output_differences(pictures(4, 62, 82), wanted, found).values()) < 1e-4


def test_torchscript_runs_without_us_and_gives_the_same(words, module, command) -> None:
    outcome = command(*words, "--format", "torchscript", "-o", "small.pt")
    assert (outcome.code, outcome.err) == (0, "")
    assert "64×64 pixels" in outcome.out, "as large as in training"
    found = torch.jit.load("small.pt")(*pictures(4, 64, 64))
    wanted = module(*pictures(4, 64, 64))._asdict()
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())


def test_torch_export_runs_without_us_and_gives_the_same(words, module, command) -> None:
    outcome = command(*words, "--format", "torch-export", "-o", "small.pt2")
    assert outcome.code == 0, outcome.err
    found = torch.export.load("small.pt2").module()(*pictures(4, 64, 64))
    wanted = module(*pictures(4, 64, 64))._asdict()
    assert all(torch.allclose(value, found[name], atol=1e-6) for name, value in wanted.items())


@pytest.mark.slow
@pytest.mark.parametrize(("form", "selector"), [("onnx", "TopK"), ("torch-export", "AllPatches")])
def test_a_file_of_dynamic_size_takes_other_sizes(small, module, tmp_path: Path, form: str, selector: str) -> None:
    spec = module.spec
    spec["init_args"]["selector"] = {"class_path": selector}
    module = build(spec).eval()
    path = tmp_path / f"small{'.onnx' if form == 'onnx' else '.pt2'}"
    exported = export(module, path, form, (64, 80), dynamic_size=True)
    assert max(exported.differences.values()) < 1e-4
    loaded = (lambda *given: run_onnx(path, *given)) if form == "onnx" else torch.export.load(path).module()
    for shape in ((1, 64, 80), (3, 104, 64), (2, 128, 200)):
        given = pictures(*shape)
        differences = module.output_differences(given, module(*given)._asdict(), loaded(*given))
        assert max(differences.values()) < 1e-4, shape


def test_a_head_network_is_exported_without_its_mesh(head_checkpoint: Path, tmp_path: Path, command) -> None:
    outcome = command("export", head_checkpoint, "--format", "torchscript")
    assert (outcome.code, outcome.err) == (0, "")
    assert "outputs     heatmaps, landmarks, params" in outcome.out
    found = torch.jit.load(tmp_path / "head.pt")(torch.rand(3, 3, 64, 64))
    assert found["params"].shape == (3, 413)
    refused = command("export", head_checkpoint, "--format", "torchscript", "--force", "--size", 64, 96)
    assert "the size 64×96: a head network takes square crops" in refused.complaint


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["GatedBiFPN", "InceptionBiFPN"])
def test_fusions_of_many_levels_are_exported_to_onnx(head_checkpoint: Path, tmp_path: Path, fusion: str) -> None:
    spec = zoo.load(str(head_checkpoint)).spec
    spec["init_args"]["fusion"] = {"class_path": fusion, "init_args": {"channels": 8, "layers": 1}}
    exported = export(build(spec).eval(), tmp_path / "head.onnx", "onnx", (64, 64), dynamic_size=False)
    assert max(exported.differences.values()) < 1e-4


# What cannot be


@pytest.fixture
def stubborn(small, module, tmp_path: Path) -> Any:
    """Makes the small network with one of the selectors that cannot be exported."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    load_plugin(str(tmp_path / "stubborn.py"))

    def make(selector: str) -> Any:
        spec = module.spec
        spec["init_args"]["selector"] = {"class_path": selector}
        return build(spec).eval()

    return make


def test_a_part_that_cannot_be_exported_is_named(stubborn, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"^Fussy \(selector\) cannot be exported as torch-export: ") as caught:
        export(stubborn("Fussy"), tmp_path / "a.pt2", "torch-export", (64, 64), False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.pt2"))


def test_a_network_that_was_exported_wrongly_is_not_kept(stubborn, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"gives another 'refined' than PyTorch does .* nothing was written"):
        export(stubborn("Forgetful"), tmp_path / "a.pt", "torchscript", (64, 64), False)
    assert not list(tmp_path.glob("*.pt"))


def test_an_error_map_that_reads_the_answer_is_named(module, tmp_path: Path) -> None:
    spec = module.spec
    spec["init_args"]["error_map"] = {"class_path": "OracleError"}
    with pytest.raises(ZooError, match=r"OracleError \(error_map\) cannot be exported .*needs the true alpha"):
        export(build(spec).eval(), tmp_path / "a.pt", "torchscript", (64, 64), False)


def test_missing_packages_are_named(module, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"needs onnx, onnxscript and onnxruntime.*pip install 'onnx>="):
        export(module, tmp_path / "a.onnx", "onnx", (64, 64), False)
    assert importlib.util.find_spec("torch") is None


def test_nan_is_no_equality() -> None:
    with pytest.raises(ZooError, match="gives another 'b'"):
        check_equal({"a": 0.0, "b": float("inf")}, "onnx")


def test_patches_that_score_alike_may_be_chosen_otherwise_but_no_worse_ones(module) -> None:
    given = pictures(1, 64, 64)
    wanted = module(*given)._asdict()
    score: list[Tensor] = []
    module.network.selector.register_forward_hook(lambda part, inputs, output: score.append(output))
    module(*given)
    worst = (score[0].flatten().argmin() // 16, score[0].flatten().argmin() % 16)
    best = wanted["refined"].nonzero()[0]
    other = {name: value.clone() for name, value in wanted.items()}
    other["refined"][0, 0, best[2], best[3]], other["refined"][0, 0, worst[0], worst[1]] = 0, 1
    assert module.output_differences(given, wanted, other)["refined"] > 0
    # Were all patches to score alike, no choice would be wrong.
    module.network.selector.register_forward_hook(lambda part, inputs, output: torch.ones_like(output))
    assert module.output_differences(given, wanted, other)["refined"] == 0


@pytest.mark.parametrize(
    ("guide", "captured", "inputs"),
    [("PersonGuide", False, ("source",)), ("MaskGuide", True, ("source", "background", "hint"))],
)
def test_a_file_takes_the_inputs_that_its_network_needs(
    small, tmp_path: Path, guide: str, captured: bool, inputs: tuple[str, ...]
) -> None:
    load_plugin_files([str(small.plugin)])
    spec = zoo.load(str(small.checkpoint)).spec
    spec["init_args"] |= {"guide": {"class_path": guide, "init_args": {}}, "captured_background": captured}
    exported = export(build(spec).eval(), tmp_path / "guided.pt", "torchscript", (64, 64), dynamic_size=False)
    assert exported.inputs == inputs
