"""Properties of the machine's processor."""

import pytest
import torch

from zoo.measure.machine import emulates_bfloat16


@pytest.mark.parametrize(
    ("machine", "capability", "emulates"),
    [("x86_64", "AVX2", True), ("AMD64", "DEFAULT", True), ("x86_64", "AVX512", False), ("aarch64", "DEFAULT", False)],
)
def test_old_x86_processors_emulate_bfloat16(
    machine: str, capability: str, emulates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    assert emulates_bfloat16(torch.device("cpu")) is emulates
    assert not emulates_bfloat16(torch.device("cuda"))
