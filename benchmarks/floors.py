"""Where the time of a matting network goes: `python benchmarks/floors.py [--threads N]`.

For the base network and the refiner of `zoo bench matting`'s settings it prints the multiply-adds that they compute,
what these would take at the rate that one large matrix product reaches here (the floor), what they take, and the
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
from zoo.measure.timing import by_turns, threads

SIDE = 2048
"""Of the matrices whose product says how fast this processor multiplies and adds."""
REPEATS = 9
SHOWN = 6
"""How many operations of a part are listed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
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


def parts(wanted: Setting) -> dict[str, Callable[[], Any]]:
    """The base network, and the refiner, of a network made fast."""
    source, background = pictures(wanted.size)
    network, setting = matting_network(wanted)
    fast = FastMatting(network).network
    seen, behind = (fast.prepare(picture) for picture in (source, background))
    halves = [each.reduced.contiguous(memory_format=torch.channels_last) for each in (seen, behind)]
    coarse = fast.base(*halves)
    score, patches = fast._score(coarse, seen.whole, behind.whole, None)
    return {
        f"{network_name(setting)}, base, {setting.picture}, c={setting.reduction}": lambda: fast.base(*halves),
        f"{network_name(setting)}, refiner, {setting}": lambda: fast.refiner(
            seen.whole, behind.whole, coarse, score, patches
        ),
    }


def median(function: Callable[[], Any]) -> float:
    """Seconds of a call, warm."""
    function()
    return by_turns([function], REPEATS)[0].median


def multiply_adds(function: Callable[[], Any]) -> float:
    """Of all convolutions and matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 2


def operations(function: Callable[[], Any]) -> str:
    """The operations that take most of a call, with their shares."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    found = sorted(profiled.key_averages(), key=lambda each: -each.self_cpu_time_total)
    total = sum(each.self_cpu_time_total for each in found)
    return ", ".join(
        f"{each.key.removeprefix('aten::')} {each.self_cpu_time_total / total:.0%}" for each in found[:SHOWN]
    )


if __name__ == "__main__":
    main()
