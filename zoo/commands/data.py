"""Write a synthetic data set as files, or say what is wrong with a folder of your own.

`zoo data synth --out DIR` writes mattes in the official folder layout, `zoo data synth heads --out DIR` heads in the
format of DAD-3DHeads; `zoo data check DIR` opens every file below DIR, lists every fault, and prints the dataset that
reads the folder, ready to be pasted into a config. `check` ends with exit code 0 when the folder can be used as it is.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.matting.folder_check import Inspector, Layout, Report

SPLITS = {"train": 64, "validation": 16, "test": 16}
"""The splits that `synth` writes, and how many pictures each has when nothing is said."""

SIZES = {"matting": 512, "heads": 256}
"""What `synth` makes pictures for, and how high and wide they are when nothing is said, in pixels."""

VALIDATION = ("validation", "valid", "val")

SHOWN = 20
"""How many problems of one part of the folder are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `synth` and `check`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="{synth,check}")
    synth = actions.add_parser("synth", help="write synthetic mattes or heads as files, in the official layout")
    synth.add_argument("task", nargs="?", choices=list(SIZES), default="matting", help="what for (default: matting)")
    synth.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write to")
    for split, count in SPLITS.items():
        synth.add_argument(
            f"--{split}", type=_count, default=count, metavar="N", help=f"pictures for {split} (default: {count})"
        )
    sizes = ", ".join(f"{size} for {task}" for task, size in SIZES.items())
    synth.add_argument("--size", type=_count, metavar="S", help=f"height and width, pixels (default: {sizes})")
    synth.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed gives other pictures (default: 0)"
    )
    synth.add_argument("--head-model", metavar="HEAD", help="for heads: a head model's name or file (default: open)")
    check = actions.add_parser("check", help="open every file of a folder and say what is wrong with it")
    check.add_argument("folder", type=Path, metavar="DIR", help="fgr/ and pha/ at any depth, or cut-outs")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; the exit code is 0 when all is well."""
    from zoo.media.images import MediaError

    try:
        return _synth(arguments) if arguments.action == "synth" else _check(arguments.folder)
    except MediaError as error:
        print(f"zoo data {arguments.action}: {error}", file=sys.stderr)
        return 1


def _synth(arguments: argparse.Namespace) -> int:
    from zoo.matting.folder_check import find_layouts

    if arguments.task == "matting" and arguments.head_model is not None:
        print("zoo data synth: --head-model is for `zoo data synth heads`; mattes have no head model.", file=sys.stderr)
        return 1
    splits = {split: getattr(arguments, split) for split in SPLITS if getattr(arguments, split)}
    if not splits:
        print("zoo data synth: every split has 0 pictures; expected at least one: pass --train N.", file=sys.stderr)
        return 1
    size = SIZES[arguments.task] if arguments.size is None else arguments.size
    made = (
        _write_heads(arguments, splits, size) if arguments.task == "heads" else _write_mattes(arguments, splits, size)
    )
    counts = ", ".join(f"{count} {split}" for split, count in splits.items())
    print(f"Wrote {made} of {size}×{size} pixels to {arguments.out}: {counts}.")
    if arguments.task == "heads":
        _print_data(_heads_config(arguments.out, splits))
    else:
        _print_config(find_layouts(arguments.out).layouts)
    return 0


def _write_mattes(arguments: argparse.Namespace, splits: dict[str, int], size: int) -> str:
    """Write mattes, and say what was written."""
    from zoo.matting.synthetic import write_dataset

    write_dataset(arguments.out, splits=splits, size=size, seed=arguments.seed)
    return "synthetic mattes"


def _write_heads(arguments: argparse.Namespace, splits: dict[str, int], size: int) -> str:
    """Write heads, and say what was written."""
    from zoo.heads.mesh import HeadModel
    from zoo.heads.synthetic import write_heads

    head_model = HeadModel.load(arguments.head_model or "open")
    write_heads(arguments.out, head_model, splits=splits, size=size, seed=arguments.seed)
    return f"synthetic heads of the head model '{head_model.name}',"


def _check(folder: Path) -> int:
    from zoo.matting.folder_check import Inspector, find_layouts
    from zoo.matting.folders import counted

    findings = find_layouts(folder)
    inspectors = [Inspector(layout.root, layout) for layout in findings.layouts]
    inspectors += [Inspector(background, None) for background in findings.backgrounds]
    _open_all(inspectors)
    for problem in findings.problems:
        print(f"problem: {problem}")
    for inspector in inspectors:
        _print_report(inspector.report)
    _print_config(findings.layouts)
    problems = len(findings.problems) + sum(len(inspector.report.problems) for inspector in inspectors)
    if problems:
        print(f"{counted(problems, 'problem')} to correct first; then check again.")
    return 1 if problems else 0


def _open_all(inspectors: "list[Inspector]") -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Opening", total=sum(map(len, inspectors)))
        for inspector in inspectors:
            for _ in inspector.run():
                progress.advance(bar)


def _print_report(report: "Report") -> None:
    from zoo.matting.folders import listed

    print(f"{report.root}: {_contents(report)}")
    if report.sizes:
        print(f"  sizes: {_sizes(report)}")
    if report.with_16_bits:
        print(f"  16 bits a channel, read as they are: {len(report.with_16_bits)} ({listed(report.with_16_bits)})")
    for problem in report.problems[:SHOWN]:
        print(f"  problem: {problem}")
    if len(report.problems) > SHOWN:
        print(f"  … and {len(report.problems) - SHOWN} more problems")


def _contents(report: "Report") -> str:
    from zoo.matting.folders import counted

    if report.layout is None:
        return f"{counted(report.items, 'background')} in order"
    if report.layout.reader == "CutoutFolder":
        return f"{counted(report.items, 'RGBA cut-out')} in order"
    folders = f"({report.layout.foregrounds}/ and {report.layout.alphas}/)"
    if report.layout.reader == "VideoMattes":
        return f"{counted(report.items, 'clip')} with {counted(report.frames, 'frame')} in order {folders}"
    return f"{counted(report.items, 'matte')} in order {folders}"


def _sizes(report: "Report") -> str:
    """`512×512`, or the smallest and the largest by area, width first."""
    from zoo.matting.folders import dimensions

    sizes = sorted(report.sizes, key=lambda size: size[0] * size[1])
    if len(sizes) == 1:
        return dimensions(sizes[0])
    return f"{dimensions(sizes[0])} to {dimensions(sizes[-1])}, {len(sizes)} different ones"


def _print_config(layouts: "list[Layout]") -> None:
    """What to paste into a config."""
    if not layouts:
        return
    _print_data(_config(layouts))
    if any(layout.backgrounds is None for layout in layouts):
        print("PATH/TO/BACKGROUNDS is a folder of pictures of places, without the people or things to cut out.")


def _print_data(config: dict[str, Any]) -> None:
    import yaml

    print("In a config:\n")
    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _heads_config(root: Path, splits: dict[str, int]) -> dict[str, Any]:
    """The data module's `train`, `validation` and `test`, of those splits that were written."""
    from zoo.heads.synthetic import FOLDERS

    parts: dict[str, Any] = {}
    for split in splits:
        init_args = {"root": str(root.resolve()), "split": FOLDERS[split]}
        entry = {"dataset": {"class_path": "DADHeads", "init_args": init_args}}
        parts[split] = {"synthetic": entry} if split == "test" else entry
    return {"data": parts}


def _config(layouts: "list[Layout]") -> dict[str, Any]:
    """The data module's `train`, `validation` and `test`, by what the layouts' folders are called."""
    train: dict[str, Any] = {}
    test: dict[str, Any] = {}
    validation: list[Any] = []
    for layout in layouts:
        split = layout.root.resolve().name.lower()
        entry = {"dataset": layout.spec}
        if split in VALIDATION and not validation:
            validation.append(entry)
        else:
            chosen = test if split in (*VALIDATION, "test") else train
            chosen[_unused_name(layout, chosen)] = entry
    parts = {"train": train, "validation": validation[0] if validation else {}, "test": test}
    return {"data": {name: part for name, part in parts.items() if part}}


def _unused_name(layout: "Layout", taken: dict[str, Any]) -> str:
    """A name for a stage or test set, after the dataset's folder, fit to be typed in `--data.train.NAME.canvas`."""
    root = layout.root.resolve()
    folder = root.parent if root.name.lower() in ("train", "training", "test", *VALIDATION) else root
    name = re.sub(r"\W+", "_", folder.name).strip("_") or "mattes"
    return name if name not in taken else f"{name}_{len(taken) + 1}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a whole number from 0 on")
    return int(text)
