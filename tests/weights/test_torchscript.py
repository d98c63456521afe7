"""The weights of a TorchScript file are read without running what it holds."""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.weights.torchscript import is_torchscript, read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated")  # official files are of that time


class Tree(nn.Module):
    """Modules nested as the names of some weights say."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def grow(self, key: str, value: Tensor) -> None:
        """Hold a weight at its place."""
        name, _, rest = key.partition(".")
        if not rest:
            kept = nn.Parameter(value) if value.is_floating_point() and "running" not in name else value
            self.register_parameter(name, kept) if isinstance(kept, nn.Parameter) else self.register_buffer(name, kept)
            return
        if name not in dict(self.named_children()):
            self.add_module(name, Tree())
        self.get_submodule(name).grow(rest, value)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Some weights, named as a nested network names them."""
    shapes = {
        "encoder.model.init_block.conv.weight": (8, 3, 3, 3),
        "encoder.model.init_block.bn.running_mean": (8,),
        "bifpn.bifpn.0.w1": (2, 4),
        "pose.logit_image.0.weight": (4, 8),
        "pose.logit_image.0.bias": (4,),
    }
    drawn = {key: torch.rand(shape, generator=torch.Generator().manual_seed(len(key))) for key, shape in shapes.items()}
    return drawn | {"encoder.model.init_block.bn.num_batches_tracked": torch.tensor(3)}


@pytest.fixture
def scripted(weights: dict[str, Tensor], tmp_path: Path) -> Path:
    """A TorchScript file of a module with these weights."""
    tree = Tree()
    for key, value in weights.items():
        tree.grow(key, value)
    torch.jit.save(torch.jit.trace(tree, torch.zeros(1)), tmp_path / "official.trcd")
    return tmp_path / "official.trcd"


def test_a_torchscript_file_gives_the_weights_by_their_official_names(
    scripted: Path, weights: dict[str, Tensor]
) -> None:
    read = read_torchscript(scripted)
    assert read.keys() == weights.keys()
    for key, value in weights.items():
        assert torch.equal(read[key], value), key
        assert read[key].dtype == value.dtype


def test_other_files_are_no_torchscript(scripted: Path, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    (tmp_path / "text.txt").write_text("text")
    assert is_torchscript(scripted)
    assert not any(map(is_torchscript, [tmp_path / "weights.pth", tmp_path / "text.txt", tmp_path / "nothing.trcd"]))


def test_a_frozen_module_has_no_weights_with_names(tmp_path: Path) -> None:
    layer = torch.jit.freeze(torch.jit.trace(nn.Linear(2, 2).eval(), torch.zeros(1, 2)))
    torch.jit.save(layer, tmp_path / "frozen.trcd")
    with pytest.raises(ZooError, match=r"frozen\.trcd holds no weights with names \(a frozen .*\); expected"):
        read_torchscript(tmp_path / "frozen.trcd")


class Touch:
    """Pickled, something that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_in_a_torchscript_file_is_run(tmp_path: Path) -> None:
    path = archive(tmp_path, {"data.pkl": pickle.dumps(Touch(tmp_path / "touched"), protocol=2)})
    with pytest.raises(ZooError, match=r"was refused: it holds something other .* nothing of it was run\."):
        read_torchscript(path)
    assert not (tmp_path / "touched").exists()


def archive(folder: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A file with these entries beside those that make it a TorchScript archive."""
    path = folder / "made.trcd"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in ({"constants.pkl": b""} | entries).items():
            file.writestr(f"made/{name}", content)
    return path


def entries_of(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            yield name.partition("/")[2], file.read(name)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda name, content: content[:-4] if name == "data/3" else content, "truncated or damaged"),
        (lambda name, content: content[:50] if name == "data.pkl" else content, "truncated or damaged"),
        (lambda name, content: b"pig" if name == "byteorder" else content, "another byte order"),
    ],
    ids=["a tensor cut short", "a description cut short", "another byte order"],
)
def test_a_damaged_file_is_an_error(scripted: Path, tmp_path: Path, damage: Any, sentence: str) -> None:
    entries = {name: damage(name, content) for name, content in entries_of(scripted)}
    entries.setdefault("byteorder", damage("byteorder", b"little"))
    with pytest.raises(ZooError, match=sentence):
        read_torchscript(archive(tmp_path, entries))


def test_a_compressed_file_is_refused(scripted: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="was refused: it is compressed"):
        read_torchscript(archive(tmp_path, dict(entries_of(scripted)), zipfile.ZIP_DEFLATED))


def test_modules_within_themselves_end(tmp_path: Path) -> None:
    # A module whose attribute `again` is the module itself, beside a number.
    described = io.BytesIO()
    described.write(b"\x80\x02c__torch__\nLoop\n)\x81q\x00}(X\x05\x00\x00\x00againh\x00X\x03\x00\x00\x00oneK\x01ub.")
    with pytest.raises(ZooError, match="holds no weights"):
        read_torchscript(archive(tmp_path, {"data.pkl": described.getvalue()}))
