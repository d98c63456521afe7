"""Time budget of the matting networks: `python -m benchmarks.floors [--threads N]`.

For the base network and the refiner of each setting of `benchmarks.matting` this prints their multiply-adds, the time
that these would take at the rate of one large matrix product on this machine (the floor), the measured time, and the
operations that take most of it.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.matting import SETTINGS, Setting, matting_network, network_name, pictures
from zoo.matting.fast import FastMatting
from zoo.measure.timing import threads, time_interleaved

SIDE = 2048
"""Side of the square matrices whose product gives the processor's rate of multiply-adds."""
REPEATS = 9
LISTED_OPERATIONS = 6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    with threads(parser.parse_args().threads), torch.no_grad():
        matrix = torch.rand(SIDE, SIDE)
        rate = SIDE**3 / median(lambda: matrix @ matrix)
        print(f"A product of {SIDE}² matrices: {rate / 1e9:.0f} G multiply-adds a second.\n")
        print("| part | multiply-adds | floor | reached | most of it |\n| --- | ---: | ---: | ---: | --- |")
        for setting in SETTINGS:
            for name, part in parts(setting).items():
                count = multiply_adds(part)
                floor, reached = count / rate, median(part)
                cells = f"{count / 1e9:.1f} G", f"{floor * 1e3:.0f} ms", f"{reached * 1e3:.0f} ms", operations(part)
                print(f"| {name} | {' | '.join(cells)} |", flush=True)


def parts(approximate: Setting) -> dict[str, Callable[[], Any]]:
    """Return the base network and the refiner of a `FastMatting` as functions, by name."""
    source, background = pictures(approximate.size)
    network, setting = matting_network(approximate)
    fast = FastMatting(network).network
    prepared, prepared_background = (fast.prepare(image) for image in (source, background))
    halves = [each.reduced.contiguous(memory_format=torch.channels_last) for each in (prepared, prepared_background)]
    coarse = fast.base(*halves)
    score, patches = fast._score(coarse, prepared.whole, prepared_background.whole, None)
    return {
        f"{network_name(setting)}, base, {setting.picture}, c={setting.reduction}": lambda: fast.base(*halves),
        f"{network_name(setting)}, refiner, {setting}": lambda: fast.refiner(
            prepared.whole, prepared_background.whole, coarse, score, patches
        ),
    }


def median(function: Callable[[], Any]) -> float:
    """Return the median duration of a call in seconds, after a warm-up call."""
    function()
    return time_interleaved([function], REPEATS)[0].median


def multiply_adds(function: Callable[[], Any]) -> float:
    """Return the multiply-adds of all convolutions and matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 2


def operations(function: Callable[[], Any]) -> str:
    """Return the operations that take most of a call, with their fractions of its time."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    averages = sorted(profiled.key_averages(), key=lambda each: -each.self_cpu_time_total)
    total = sum(each.self_cpu_time_total for each in averages)
    return ", ".join(
        f"{each.key.removeprefix('aten::')} {each.self_cpu_time_total / total:.0%}"
        for each in averages[:LISTED_OPERATIONS]
    )


if __name__ == "__main__":
    main()
