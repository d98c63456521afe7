"""Fixtures of several folders: a tiny dataset and configuration, a run fitted on them, distributions with plugins."""

import contextlib
import hashlib
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch  # its log handler keeps the stream that is there at import
import pytest
import yaml

import zoo.cli
from zoo.core import distributions, registry
from zoo.runner.wandb import end_session

TINY_PLUGIN = '''
"""Squares on plain colours."""

import torch

from zoo.core.seeding import derive_seed
from zoo.matting.parts import Matte, MattingDataset


class Tiny(MattingDataset):
    """Dataset of squares."""

    def __init__(self, count: int = 8, size: int = 64) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return self.count

    def matte(self, index: int) -> Matte:
        generator = torch.Generator().manual_seed(derive_seed("tiny", index))
        left, top = torch.randint(4, self.size // 2 - 4, (2,), generator=generator).tolist()
        alpha = torch.zeros(1, self.size, self.size)
        alpha[:, top : top + self.size // 2, left : left + self.size // 2] = 1
        colour = torch.rand(3, 1, 1, generator=generator)
        return Matte(colour.expand(3, self.size, self.size).clone(), alpha, f"square{index}")

    @property
    def background_count(self) -> int:
        return 5

    def background(self, index: int) -> torch.Tensor:
        return torch.rand(3, self.size, self.size, generator=torch.Generator().manual_seed(index))
'''

TINY_CONFIG = """
name: tiny
seed_everything: 3
trainer:
  max_epochs: 2
  accelerator: cpu
  log_every_n_steps: 1
  num_sanity_val_steps: 0
  enable_model_summary: false
  enable_progress_bar: false
model:
  class_path: BackgroundMatting
  init_args:
    backbone: {class_path: TimmBackbone, init_args: {name: test_efficientnet}}
    error_map: {class_path: PredictedError}
    selector: {class_path: TopK, init_args: {patches: 20}}
    refiner: {class_path: PatchRefiner}
    base_scale: 0.5
    losses:
      alpha: {class_path: AlphaL1}
      error: {class_path: ErrorMSE}
    learning_rates: {backbone: 1e-4, aspp: 1e-4, decoder: 1e-3, refiner: 1e-3}
data:
  class_path: MattingData
  init_args:
    train: {squares: {dataset: {class_path: Tiny, init_args: {count: 4}}, canvas: 64}}
    validation: {dataset: {class_path: Tiny, init_args: {count: 2}}, canvas: 64, batch_size: 2}
    test: {one: {dataset: {class_path: Tiny, init_args: {count: 2}}}}
    augmentations: {}
    batch_size: 2
    workers: 0
"""


class Outcome(NamedTuple):
    """Exit code and output of one command."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a failed command on the error stream that starts with zoo."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("zoo")]
        return line


@pytest.fixture(autouse=True)
def own_surroundings() -> Iterator[None]:
    """Environment variables, and a session of W&B, end with the test that began them."""
    before = dict(os.environ)
    yield
    if os.environ != before:  # Lightning's logger sets W&B's mode for good
        os.environ.clear()
        os.environ.update(before)
    if "wandb" in sys.modules:
        end_session()


@pytest.fixture
def chromium() -> str:
    """The path of the browser, for tests that look at a page as a visitor does."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, found), None) or pytest.skip("needs Chromium")


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `zoo doctor` import plugins in this process, which takes no seconds."""
    from zoo.commands import doctor

    monkeypatch.setattr(doctor, "tried", lambda pairs: [text for pair in pairs for text in doctor.problems_of(*pair)])


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return a function that runs `zoo` in this process: `command("fit", "--config", …)`."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        code = zoo.cli.main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Return a function that starts `zoo` in its own process, with more `environment`: `begun("fit", "--config", …)`.

    The process is a new interpreter, since a fork of a process that has trained cannot always train. It runs a file, as
    `zoo` does, since Lightning runs this file again for its other processes.
    """
    script = tmp_path / "run.py"
    script.write_text("import sys; from zoo.cli import main; sys.exit(main())")

    def begin(*words: object, environment: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
        one_thread = {"OMP_NUM_THREADS": "1"}  # as in tests, since the number changes the order of sums
        return subprocess.Popen(
            [sys.executable, script, *map(str, words)], env={**os.environ, **one_thread, **environment}
        )

    return begin


class Tiny(NamedTuple):
    """Files of the tiny dataset and configuration."""

    folder: Path
    plugin: Path
    config: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Options of a command that uses both."""
        return ("--plugin", str(self.plugin), "--config", str(self.config))


def write_tiny(folder: Path) -> Tiny:
    """Write plugin and configuration into a folder."""
    plugin, config = folder / "tiny.py", folder / "tiny.yaml"
    plugin.write_text(TINY_PLUGIN)
    config.write_text(TINY_CONFIG)
    return Tiny(folder, plugin, config)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Write the tiny dataset and configuration into the test's folder, which becomes the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_tiny(tmp_path)


@pytest.fixture(scope="session")
def shared_tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Write the tiny dataset and configuration into a folder of the session."""
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a tiny fit of two epochs, which tests share and only read."""
    tiny = write_tiny(tmp_path_factory.mktemp("fitted"))
    output = io.StringIO()
    with contextlib.chdir(tiny.folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = zoo.cli.main(["fit", *tiny.options])
        registry.forget_files()
    os.environ.pop("PL_GLOBAL_SEED", None)
    assert code == 0, output.getvalue()
    return tiny.folder / "runs" / "tiny" / "version_0"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that creates an installed distribution.

    `install("stripes", "2.3", {"zoo.selectors": {"Stripes": "stripes_plugin:Stripes"}}, {"stripes_plugin": "source"})`.
    """
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    written: set[str] = set()

    def make(
        name: str,
        version: str,
        entry_points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str] | None = None,
        metadata: str = "",
    ) -> None:
        information = site / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}")
        groups = (
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in names.items())
            for group, names in entry_points.items()
        )
        (information / "entry_points.txt").write_text("\n".join(groups))
        for module, source in (modules or {}).items():
            (site / f"{module}.py").write_text(source)
            written.add(module)
        forget()

    yield make
    for module in written:
        sys.modules.pop(module, None)
    forget()


@pytest.fixture
def selector_source() -> Callable[..., str]:
    """Return a function that writes the source of a patch selector with a name and a constructor body."""

    def write(name: str, body: str = "pass") -> str:
        return (
            "from zoo.matting.parts import PatchSelector\n\n\n"
            f"class {name}(PatchSelector):\n"
            f"    def __init__(self, rows: int = 0) -> None:\n        super().__init__()\n        {body}\n\n"
            "    def forward(self, error):\n        return error\n"
        )

    return write


def forget() -> None:
    """Clear the caches of installed distributions."""
    importlib.invalidate_caches()
    distributions.announced.cache_clear()


@dataclass
class Page:
    """File of a server at one address.

    Args:
        content: the bytes of the file.
        version: its ETag; none if empty.
        ranges: whether the server supports ranges.
        cuts: for each answer in order, the number of bytes after which the server closes the connection.
        headers: additional or replaced headers; None removes one.
        status: status code of the answer.
        seconds: delay of the answer.
    """

    content: bytes
    version: str = '"1"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str | None] = field(default_factory=dict)
    status: int = 200
    seconds: float = 0


@dataclass
class FileServer:
    """Local web server, with the path and range of each request."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class PageHandler(BaseHTTPRequestHandler):
    """Request handler of a server of files."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files: FileServer = self.server.files  # type: ignore[attr-defined]
        asked = self.headers.get("Range")
        files.asked.append((self.path, asked))
        page = files.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        threading.Event().wait(page.seconds)
        start = 0
        if asked and page.ranges and self.headers.get("If-Range") in (None, page.version):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
        if start and start >= len(page.content):
            self.send_response(416)
            self.end_headers()
            return
        rest = page.content[start:]
        self.send_response(206 if start else page.status)
        headers: dict[str, str | None] = {"Content-Length": str(len(rest)), "ETag": page.version or None}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(page.content) - 1}/{len(page.content)}"
        for key, value in (headers | page.headers).items():
            if value is not None:
                self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(rest[: page.cuts.pop(0)] if page.cuts else rest)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Start a web server; `server.pages["/a.ckpt"] = page(b"…")` is at `server.address + "/a.ckpt"`."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)
    http.files = FileServer(f"http://127.0.0.1:{http.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield http.files  # type: ignore[attr-defined]
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def page() -> type[Page]:
    """Return the class of a server's files."""
    return Page


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for pulled weights."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def catalogue(install: Callable[..., None], tmp_path: Path) -> Callable[..., None]:
    """Return a function that creates a distribution with a catalogue: `catalogue({"mine-v1": {"source": …}})`.

    Required fields of an entry other than its source are filled in. Importing the package raises an error.
    """

    def make(entries: Any, name: str = "lab") -> None:
        filled = {"task": "matting", "licence": {"name": "MIT", "non_commercial": False}, "training_data": "none"}
        if isinstance(entries, dict):
            entries = yaml.safe_dump({key: filled | entry for key, entry in entries.items()})
        package = tmp_path / "site-packages" / f"{name}_weights"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        (package / "catalogue.yaml").write_text(entries)
        if not list(package.parent.glob(f"{name}_weights-*.dist-info")):
            install(f"{name}-weights", "1.0", {"zoo.catalogues": {name: f"{name}_weights:catalogue.yaml"}})
        registry.get_slot("catalogues").forget(name)

    return make


@pytest.fixture
def checksum() -> Callable[[bytes], str]:
    """Return a function for SHA-256 in hexadecimal."""
    return lambda content: hashlib.sha256(content).hexdigest()


SMALL_PLUGIN = '''
"""A backbone."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.parts import Backbone


class FourConvolutions(Backbone):
    """Backbone that is fast on CPUs."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.width = width

    def build(self, in_channels: int, strides: Sequence[int]) -> None:
        self.channels, self.strides = [self.width, 8, 10, 12], list(strides)
        pairs = zip([in_channels, *self.channels[:-1]], self.channels, strict=True)
        self.stages = nn.ModuleList(nn.Conv2d(before, after, 3, 2, 1) for before, after in pairs)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(F.relu(stage(features[-1])))
        return features[1:]
'''


class Small(NamedTuple):
    """Checkpoint of a very small matting network, and the plugin file of its backbone."""

    plugin: Path
    checkpoint: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Write a checkpoint of a very small, untrained matting network, which tests share and only read."""
    import torch
    import yaml

    from zoo.core.plugin_files import load_plugin
    from zoo.core.registry import get_slot
    from zoo.core.spec import build
    from zoo.weights.checkpoint import describe

    folder = tmp_path_factory.mktemp("small")
    plugin, file = folder / "small.py", folder / "small.ckpt"
    plugin.write_text(SMALL_PLUGIN)
    load_plugin(str(plugin))
    settings = yaml.safe_load(TINY_CONFIG)
    settings["model"]["init_args"]["backbone"] = {"class_path": "FourConvolutions"}
    module = build(settings["model"])
    entry = describe(module, None) | {"name": "small", "data": settings["data"]}
    entry["plugins"] |= {"Tiny": str(folder / "tiny.py")}
    version = lightning.pytorch.__version__
    torch.save({"state_dict": module.state_dict(), "zoo": entry, "pytorch-lightning_version": version}, file)
    get_slot("backbones").forget("FourConvolutions")
    registry.forget_files()
    return Small(plugin, file)
