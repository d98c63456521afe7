"""Windows by Triton: equal to those by torch, where Triton interprets; compiled for GPUs, which need not be there."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from zoo_plugins.refinement.cells import Cells
from zoo_plugins.refinement.windows import pictures
from zoo_plugins.refiners import PatchRefiner

from zoo.matting.parts import Coarse

LAZY = """
import sys
import zoo, zoo.cli, zoo_plugins.refiners
from zoo_plugins.refiners import PatchRefiner
PatchRefiner(windows="triton")
assert zoo.cli.main(["list", "refiners"]) == 0
sys.exit("triton" in sys.modules)
"""


def inputs(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, Coarse]:
    coarse = Coarse(*(torch.rand(1, channels, 4, 6, dtype=dtype) for channels in (1, 3, 1, 32)))
    return torch.rand(1, 3, 16, 24, dtype=dtype), torch.rand(1, 3, 16, 24, dtype=dtype), coarse


def refine(refiner: PatchRefiner) -> torch.Tensor:
    with torch.no_grad():
        return refiner.eval()(*inputs(), torch.ones(1, 1, 4, 6), None)[0]


def test_in_the_interpreter_windows_are_those_of_torch() -> None:
    pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA on Linux")
    file = Path(__file__).with_name("interpreted_triton_windows.py")
    options = ["-q", "-rs", "-p", "no:cacheprovider", "--noconftest", "--override-ini=addopts=--import-mode=importlib"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        capture_output=True,
        text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


class Compiled:
    """In place of a kernel: compiles what would be launched, as it would be for a GPU."""

    def __init__(self, kernel: Any, architecture: int) -> None:
        self.kernel = kernel
        self.architecture = architecture
        self.code: list[dict[str, Any]] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return partial(self.compile, grid)

    def compile(self, grid: tuple[int, ...], *given: Any, **named: Any) -> None:
        assert grid[0] > 0
        assert 0 < grid[1] < 2**16  # as many as CUDA counts
        self.code.append(self.kernel.warmup(*given, grid=grid, **named).asm)

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return 100 + self.architecture  # kernels are kept by device

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.mark.parametrize("architecture", [80, 90])
def test_the_kernel_compiles_for_a_gpu(architecture: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA on Linux")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton has no compiler for CUDA")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from zoo_plugins.refinement import triton_windows

    if not isinstance(triton_windows.write_windows, triton.runtime.JITFunction):
        pytest.skip("TRITON_INTERPRET is set, under which nothing compiles")
    compiled = Compiled(triton_windows.write_windows, architecture)
    monkeypatch.setattr(triton.runtime.driver, "_active", compiled)
    monkeypatch.setattr(triton_windows, "write_windows", compiled)
    tiles = Cells(*torch.zeros(3, 2, dtype=torch.long))
    for dtype, kernel_size, side in ((torch.float16, 3, 4), (torch.bfloat16, 1, 1), (torch.float32, 3, 16)):
        source, background, coarse = inputs(dtype)
        given = pictures(source.contiguous(memory_format=torch.channels_last), background, coarse)
        with torch.no_grad():
            kernels = PatchRefiner(kernel_size).eval().to(dtype)._kernels(4)
        triton_windows.look_with_triton(given, tiles, side, kernels)
        assert f".target sm_{architecture}" in compiled.code[-1]["ptx"]
        assert compiled.code[-1]["cubin"].startswith(b"\x7fELF")


def test_without_a_cuda_device_the_refiner_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA on Linux")
    from zoo_plugins.refinement import triton_windows

    monkeypatch.setattr(triton_windows, "DEVICES", ("cuda",))
    with pytest.raises(ValueError, match=r"needs pictures on a CUDA device and got some on cpu: .* windows=torch\.$"):
        refine(PatchRefiner(windows="triton"))


def test_without_triton_the_refiner_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import zoo_plugins.refinement

    monkeypatch.delattr(zoo_plugins.refinement, "triton_windows", raising=False)
    monkeypatch.delitem(sys.modules, "zoo_plugins.refinement.triton_windows", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ValueError, match=r"needs Triton, which cannot be imported here \(.*\): take windows=torch, "):
        refine(PatchRefiner(windows="triton"))


def test_with_gradients_nothing_is_asked_of_triton() -> None:
    refiner = PatchRefiner(windows="triton")
    for mode in (True, False):
        alpha, _, _ = refiner.train(mode)(*inputs(), torch.ones(1, 1, 4, 6), 5)
        assert alpha.requires_grad


def test_triton_is_imported_where_it_is_used_only() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r'PatchRefiner\(windows="cuda"\): expected "torch" or "triton"\.'):
        PatchRefiner(windows="cuda")  # type: ignore[arg-type]
