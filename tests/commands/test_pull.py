"""`zoo pull`: names become files, and everything else that takes a checkpoint takes the names."""

import builtins
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo.core.errors import ZooError

CONTENT = b"weights" * 1000
KEYS = Path(__file__).parents[1] / "matting" / "bgmv2_keys.json.gz"


@pytest.fixture
def mine(server, page, catalogue, cache):
    """Publishes `mine-v1` at the server; arguments are more of its entry."""

    def publish(content: bytes = CONTENT, **entry: object) -> Path:
        server.pages["/mine.ckpt"] = page(content)
        catalogue({"mine-v1": {"source": f"{server.address}/mine.ckpt", "default": True} | entry})
        return cache / "mine-v1" / "mine.ckpt"

    return publish


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A file as the official MobileNetV2's: a state dict under official names, of numbers that do no harm."""
    shapes = json.loads(gzip.decompress(KEYS.read_bytes()))["mobilenetv2"]
    torch.save({key: torch.full(shape, 0.01) for key, shape in shapes.items()}, tmp_path / "pytorch_mobilenetv2.pth")
    return tmp_path / "pytorch_mobilenetv2.pth"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A picture and its background."""
    for name in ("me", "empty"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path / "me.png", tmp_path / "empty.png"


def test_it_prints_where_the_file_is(command, mine) -> None:
    path = mine()
    outcome = command("pull", "mine")
    assert (outcome.code, outcome.out) == (0, f"{path}\n")
    assert "mine-v1: licence MIT; from http://127.0.0.1" in outcome.err
    assert command("pull", "mine-v1", "--offline").out == f"{path}\n"


def test_the_list_says_what_there_is_and_what_is_here(command, mine, catalogue) -> None:
    mine(size=2_500_000, licence={"name": "CC BY-NC 4.0", "non_commercial": True})
    catalogue("mine: {}", "broken")
    header, *lines = command("pull", "--list").out.splitlines()
    assert header.split() == ["name", "task", "licence", "size", "here", "short", "name"]
    assert "mine-v1 matting CC BY-NC 4.0, non-commercial 2.5 MB no mine" in [" ".join(line.split()) for line in lines]
    assert any(line.startswith("bgmv2_resnet50-official ") and line.endswith("bgmv2_resnet50") for line in lines)
    ledger = [" ".join(line.split()) for line in lines]
    assert "mine-v1 weights CC BY-NC 4.0 no" in ledger
    assert "dad3dnet_facemesh-synthetic encoder MediaPipe's face mesh Apache-2.0 yes" in ledger
    (problem,) = [line for line in lines if line.startswith("PROBLEM")]
    assert "the catalogue 'broken' of broken-weights 1.0: 'mine' is no name for weights" in problem
    mine()
    command("pull", "mine")
    assert " MIT 7.0 kB yes mine" in " ".join(command("pull", "--list").out.split())


def test_equal_names_are_listed_with_both_owners_and_the_rest_works(command, mine, catalogue) -> None:
    mine()
    catalogue({"mine-v1": {"source": "https://a.org/x.ckpt"}}, "club")
    listed = command("pull", "--list").out
    assert (
        "PROBLEM: 'mine-v1' stands for mine-v1 (club of club-weights 1.0) and mine-v1 (lab of lab-weights 1.0)"
        in listed
    )
    assert "bgmv2_resnet50-official" in listed
    assert command("pull", "mine-v1").complaint.startswith("zoo pull: 'mine-v1' stands for ")


def test_what_has_to_be_known_is_said(command, mine, tmp_path) -> None:
    path = mine(note="Be careful.")
    for _ in range(2):
        outcome = command("pull", "mine")
        assert outcome.out == f"{path}\n"
        assert outcome.err.splitlines()[-1] == "mine-v1: Be careful."


def test_what_was_pulled_can_be_removed(command, mine) -> None:
    path = mine()
    command("pull", "mine")
    assert command("pull", "--remove", "mine").out == f"Removed {path.parent}.\n"
    assert not path.parent.exists()
    assert command("pull", "--remove", "mine").complaint == (
        "zoo pull: nothing is pulled under the name mine. Known: none."
    )
    command("pull", "mine")
    assert command("pull", "--clear").out == f"Removed {path.parent}.\n"
    assert command("pull", "--clear").out == "Nothing was pulled.\n"
    assert (path.parents[1] / "pins" / "mine-v1.json").exists()


def test_a_change_upstream_has_to_be_accepted(command, mine, server, page) -> None:
    path = mine()
    command("pull", "mine")
    command("pull", "--clear")
    server.pages["/mine.ckpt"] = page(CONTENT[::-1])
    complaint = command("pull", "mine").complaint
    assert "was not kept: it has sha256" in complaint
    assert "--accept-change" in complaint
    assert not path.exists()
    assert command("pull", "mine", "--accept-change").code == 0
    assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("Yes", 0), ("", 1), ("n", 1)])
def test_at_a_terminal_the_licence_is_asked_for(command, mine, server, monkeypatch, answer: str, code: int) -> None:
    mine(licence={"name": "CC BY-NC 4.0", "non_commercial": True})
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", lambda question: asked.append(question) or answer)
    outcome = command("pull", "mine")
    assert outcome.code == code
    assert asked == ["Do you accept this licence? [y/N] "]
    assert "mine-v1 is published under CC BY-NC 4.0 (non-commercial use only)." in outcome.err
    assert len(server.asked) == (code == 0)


def test_a_script_accepts_the_licence_by_an_option(command, mine, monkeypatch) -> None:
    mine(licence={"name": "CC BY-NC 4.0", "non_commercial": True})
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert "accept it with `zoo pull mine-v1 --accept-licence`" in command("pull", "mine").complaint
    assert command("pull", "mine", "--accept-licence").code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "no name was given; expected one of `zoo pull --list`"),
        (("mine", "--list"), "mine was given beside --list"),
        (
            ("bgmv2_resnet5-official",),
            "no weights named 'bgmv2_resnet5-official'; did you mean bgmv2_resnet50-official",
        ),
        (("--remove", "../../etc"), "nothing is pulled under the name ../../etc"),
        (("--remove", ".."), "nothing is pulled under the name .."),
        (("bgmv2_resnet50@../x",), "has no revisions"),
        (("bgmv2_resnet50", "--offline"), "bgmv2_resnet50-official has not been pulled yet and this is offline"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command, cache, words, complaint: str) -> None:
    outcome = command("pull", *words)
    assert outcome.code == 1
    assert complaint in outcome.complaint
    assert "Traceback" not in outcome.err


def test_weights_are_shown(command, catalogue) -> None:
    catalogue({"mine-v1": {"source": "https://a.org/x.ckpt", "size": 1234, "note": "Be careful.", "default": True}})
    lines = command("show", "mine-v1").out.splitlines()
    assert lines[0] == "mine-v1  (weights, lab of lab-weights 1.0)"
    assert {
        "size        1,234 bytes",
        "note        Be careful.",
        "short name  mine",
        "model       as the file says",
    } <= (set(lines))
    assert command("show", "lab").out.splitlines()[-1] == "mine-v1"
    assert "no weights named 'mine-v2'; did you mean mine-v1" in command("show", "mine-v2").complaint


def test_a_name_stands_for_our_checkpoint_everywhere(command, mine, fitted, tiny, pair, tmp_path) -> None:
    checkpoint = fitted / "checkpoints" / "last.ckpt"
    mine(checkpoint.read_bytes())
    ours, named = zoo.load(checkpoint), zoo.load("mine")
    assert not named.training
    assert named.record == ours.record is not None
    for key, value in ours.state_dict().items():
        assert torch.equal(value, named.state_dict()[key])
    backbone = ours.spec["init_args"]["backbone"]
    started = zoo.create_model("bgmv2_mobilenetv2", checkpoint="mine-v1", backbone=backbone)
    assert torch.equal(started.network.decoder.conv1.weight, ours.network.decoder.conv1.weight)
    tested = [command("test", "--plugin", tiny.plugin, "--ckpt_path", name) for name in (checkpoint, "mine")]
    assert [outcome.code for outcome in tested] == [0, 0], tested[1].err
    results = [[line for line in outcome.out.splitlines() if "test/one" in line] for outcome in tested]
    assert results[0] == results[1] != []
    options = ("--plugin", tiny.plugin, "--device", "cpu")
    assert command("matte", *pair, "-o", tmp_path / "out", "--model", "mine-v1", *options).code == 0
    assert (tmp_path / "out" / "alpha" / "me.png").is_file()


def test_weights_of_another_origin_go_through_their_model(command, mine, official, tiny, pair, tmp_path) -> None:
    mine(official.read_bytes(), model="bgmv2_mobilenetv2", arguments={"base_scale": 0.5}, note="Be careful.")
    model = zoo.load("mine")
    assert model.network.base_scale == 0.5
    assert model.network.backbone.model.conv_stem.weight[0, 0, 0, 0].item() == pytest.approx(0.01)
    outcome = command("matte", *pair, "-o", tmp_path / "a", "--model", "mine", "--device", "cpu")
    assert outcome.code == 0
    assert outcome.err.splitlines().count("mine-v1: Be careful.") == 1
    given = ("--model", "bgmv2_mobilenetv2", "--checkpoint", official)
    assert command("matte", *pair, "-o", tmp_path / "b", *given, "--device", "cpu").code == 0
    assert command("matte", *pair, "-o", tmp_path / "c", "--checkpoint", "mine-v1", "--device", "cpu").code == 0
    assert command("head", pair[0], "-o", tmp_path / "d", "--model", "mine").complaint == (
        "zoo head: mine holds a BackgroundMatting; expected a model of 3D heads."
    )
    data = tmp_path / "data.yaml"
    data.write_text("data:" + tiny.config.read_text().partition("data:")[2])
    outcome = command(
        "test", "--plugin", tiny.plugin, "--config", data, "--ckpt_path", "mine", "--trainer.accelerator=cpu"
    )
    assert outcome.code == 0, outcome.err
    assert "test/one/sad" in outcome.out
    assert command("fit", "--ckpt_path", "mine").complaint == (
        "zoo fit: mine holds weights alone, from which no training can be resumed: start one from them with "
        "--model=bgmv2_mobilenetv2 --model.checkpoint=mine."
    )


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")
def test_a_file_of_weights_alone_asks_for_its_model(command, official, pair, tmp_path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "official.trcd")
    for file in (official, tmp_path / "official.trcd"):
        words = f"{file} does not say which model it holds (weights of another origin?): name the model as well, with "
        assert words in command("matte", *pair, "-o", tmp_path / "out", "--model", file, "--device", "cpu").complaint
        assert f"--model=bgmv2_resnet50 --model.checkpoint={file}" in command("test", "--ckpt_path", file).complaint
        with pytest.raises(ZooError, match=r"zoo\.create_model\('bgmv2_resnet50', checkpoint="):
            zoo.load(file)
    given = ("--model", "dad3dnet_resnet50", "--checkpoint", official)
    assert "does not fit this model" in command("head", pair[0], "-o", tmp_path / "out", *given).complaint
