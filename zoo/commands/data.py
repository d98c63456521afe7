"""Write a synthetic data set, or any other, as files, or check a folder of your own.

`zoo data synth --out DIR` writes mattes in the official folder layout, `zoo data synth heads --out DIR` heads in the
format of DAD-3DHeads. `zoo data synth DATASET --dataset.ARGUMENT=VALUE --out DIR` does so with any registered dataset.
`zoo data check DIR` opens every file below DIR, lists every fault, and prints the dataset that reads the folder, ready
to be pasted into a config. `check` ends with exit code 0 when the folder can be used as it is.
"""

import argparse
import io
import re
import sys
import warnings
from contextlib import redirect_stdout
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.slot import nearest
from zoo.hub import defaults
from zoo.runner.help import Parser, add_json, print_json

if TYPE_CHECKING:
    from zoo.matting.folder_check import Layout, Report

DATASETS = {"matting": "SyntheticMattes", "heads": "SyntheticHeads"}  # short names
SPLITS = {"train": 64, "validation": 16, "test": 16}
"""The splits that `synth` writes, and their default counts for a dataset that generates as many as asked."""
SIZES = {"matting": 512, "heads": 256}  # default height and width of generated images by task, in pixels
VALIDATION = ("validation", "valid", "val")
SHOWN = 20  # problems of one part of the folder that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `synth` and `check`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="{synth,check}", parser_class=Parser)
    synth = actions.add_parser(
        "synth", help="write a dataset as files, in the official layout of its task", prefix="--dataset."
    )
    synth.add_argument(
        "dataset",
        nargs="?",
        default="matting",
        metavar="DATASET",
        help="matting or heads for synthetic data, or a registered name, see `zoo list datasets` (default: matting); "
        "--dataset.ARGUMENT=VALUE",
    )
    synth.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write to")
    for split, count in SPLITS.items():
        synth.add_argument(
            f"--{split}", type=_count, metavar="N", help=f"samples (default: {count}, or all that there are)"
        )
    sizes = ", ".join(f"{size} for {task}" for task, size in SIZES.items())
    synth.add_argument("--size", type=_count, metavar="S", help=f"height and width, pixels (default: {sizes})")
    synth.add_argument("--seed", type=int, metavar="N", help="another seed gives other images (default: 0)")
    synth.add_argument("--head-model", metavar="HEAD", help="for heads: a head model's name or file (default: open)")
    check = actions.add_parser("check", help="open every file of a folder and say what is wrong with it")
    check.add_argument("folder", type=Path, metavar="DIR", help="fgr/ and pha/ at any depth, cut-outs, or DAD-3DHeads")
    add_json(check, "whether the folder is usable, problems, notes, and the settings that read it")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; the exit code is 0 when all is well."""
    try:
        return _synth(arguments) if arguments.action == "synth" else _check(arguments.folder, arguments.json)
    except ZooError as error:
        print(f"zoo data {arguments.action}: {error}", file=sys.stderr)
        return 1


def _synth(arguments: argparse.Namespace) -> int:
    from zoo.media.progress import waiting

    name, out = DATASETS.get(arguments.dataset, arguments.dataset), arguments.out
    with waiting("Loading PyTorch"):
        from zoo.heads.dad_format import write_heads
        from zoo.heads.mesh import HeadModel
        from zoo.heads.parts import HeadDataset
        from zoo.matting.folder_check import find_layouts
        from zoo.matting.folders import write_mattes
        from zoo.matting.parts import MattingDataset

        cls = get_slot("datasets").get(name)
    if not issubclass(cls, MattingDataset | HeadDataset):
        raise ZooError(f"{name} is a dataset of neither mattes nor heads: choose another, see `zoo list datasets`.")
    task = "heads" if issubclass(cls, HeadDataset) else "matting"
    if task == "matting" and arguments.head_model is not None:
        raise ZooError("--head-model is for `zoo data synth heads`; mattes have no head model.")
    datasets, counts = _make_splits(cls, task, arguments)
    written = ", ".join(f"{count} {split}" for split, count in counts.items())
    if task == "heads":
        with waiting("Preparing the head model"):
            head_model = HeadModel.load(arguments.head_model or "open")
            for dataset in datasets.values():
                dataset.build(head_model)
        write_heads(out, datasets, counts)
        print(f"Wrote heads of {name}, head model '{head_model.name}', to {out}: {written}.")
        _print_data(_heads_config(out, list(counts)), "--config heads/quickstart")
    else:
        write_mattes(out, datasets, counts)
        print(f"Wrote mattes of {name} to {out}: {written}.")
        _print_config(find_layouts(out).layouts)
    return 0


def _make_splits(cls: type, task: str, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, int]]:
    """Make the dataset of each requested split, and return how many samples of it to write."""
    from zoo.core.spec import type_hints

    hints = type_hints(cls.__init__)  # type: ignore[misc]
    counts: dict[str, int | None] = {split: getattr(arguments, split) for split in SPLITS}
    if "split" not in hints:  # it can fill one folder: the one that has a count, or `train`
        counts = {split: count for split, count in counts.items() if count is not None} or {"train": None}
    elif "count" in hints:
        counts = {split: SPLITS[split] if count is None else count for split, count in counts.items()}
    counts = {split: count for split, count in counts.items() if count != 0}
    if not counts:
        raise ZooError("every split has 0 pictures; expected at least one: pass --train N.")
    if "split" not in hints and len(counts) > 1:
        raise ZooError(f"{cls.__name__} has no splits; expected a count for one of {', '.join(SPLITS)}.")
    datasets = {split: _make(cls, hints, task, split, count, arguments) for split, count in counts.items()}
    sizes = {split: counts[split] or len(dataset) for split, dataset in datasets.items()}
    for split, dataset in datasets.items():
        if sizes[split] > len(dataset):
            raise ZooError(f"{cls.__name__} has {len(dataset)} samples, got --{split} {sizes[split]}: ask for fewer.")
    return datasets, sizes


def _make(
    cls: type, hints: dict[str, Any], task: str, split: str, count: int | None, arguments: argparse.Namespace
) -> Any:
    """Make the dataset of a split; it gets split, count, size and seed if it has such arguments."""
    from zoo.study.plan.resolve import make_from_options

    for option in arguments.part_options:
        argument = re.split("[.=]", option)[1]
        if argument not in hints:
            known = nearest(argument, [name for name in hints if name != "return"])
            raise ZooError(f"{cls.__name__} has no argument '{argument}'{known}")
    for name in ("size", "seed"):
        if getattr(arguments, name) is not None and name not in hints:
            raise ZooError(f"{cls.__name__} has no argument '{name}'; leave --{name} out.")
    size = SIZES[task] if arguments.size is None else arguments.size
    numbers = {"count": count, "backgrounds": count, "size": size, "seed": arguments.seed}
    values = {name: value for name, value in numbers.items() if hints.get(name) is int and value is not None}
    if "split" in hints:  # DADHeads calls it `val`
        words = getattr(hints["split"], "__args__", SPLITS)
        values["split"] = (
            next((word for word in VALIDATION if word in words), split) if split == "validation" else split
        )
    options = [f"--dataset.{name}={value}" for name, value in values.items()]
    try:
        return make_from_options(cls, "dataset", options + arguments.part_options)
    except ValueError as error:
        raise ZooError(str(error)) from error


def _check(folder: Path, as_json: bool) -> int:
    from zoo.heads.dad_format import ARCHIVE, DAD_SPLITS
    from zoo.matting.folders import counted
    from zoo.media.images import MediaWarning

    root = folder if folder.name != ARCHIVE or not folder.is_dir() else folder.parent
    splits = [
        split for split in DAD_SPLITS for place in (root, root / ARCHIVE) if (place / split / f"{split}.json").is_file()
    ]
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(io.StringIO() if as_json else sys.stdout):
        warnings.simplefilter("ignore")  # in the threads, too
        warnings.simplefilter("always", MediaWarning)
        problems, settings = _check_heads(root, splits) if splits else _check_mattes(folder)
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    if as_json:
        print_json({"usable": not problems, "problems": problems, "notes": notes, "settings": settings})
        return 1 if problems else 0
    for note in notes:
        print(f"note: {note}")
    if problems:
        print(f"{counted(len(problems), 'problem')} to correct first; then check again.")
    return 1 if problems else 0


def _check_heads(root: Path, splits: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Open every image and annotation of DAD-3DHeads; return the problems, and the settings that read the folder."""
    from zoo.heads.crop import check_box
    from zoo.heads.dad_format import missing_files, read_annotation, read_items
    from zoo.matting.folders import counted
    from zoo.media.images import image_size
    from zoo.media.progress import tracked

    total: list[str] = []
    annotated = []
    for split in splits:
        items = read_items(root, split)
        missing = {*missing_files(items)}
        if all(item.annotation in missing for item in items):  # as published, the test split has none
            missing -= {item.annotation for item in items}
            print(f"{root}: {counted(len(items), 'head')} in split {split}, without annotations")
        else:
            annotated.append(split)
            print(f"{root}: {counted(len(items), 'head')} in split {split}")
        problems = [f"{path} is missing; expected every listed file: unpack the data set again." for path in missing]
        for item in tracked(items, len(items), f"Opening {split}"):
            try:
                if item.image not in missing:
                    check_box(item.box, image_size(item.image))
                if item.annotation not in missing and split in annotated:
                    read_annotation(item.annotation, None)
            except ValueError as error:
                problems.append(str(error) if str(root) in str(error) else f"{item.image}: {error}")
        _print_problems(sorted(problems))
        total += sorted(problems)
    settings = _heads_config(root, [{"val": "validation"}.get(split, split) for split in annotated])
    if annotated:
        _print_data(settings, "--config FILE")
        print("FILE is heads/dad3dnet for meshes of FLAME, heads/quickstart for those of OpenHead.")
    return total, settings


def _check_mattes(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Open every file of mattes; return the problems, and the settings that read the folder."""
    from zoo.matting.folder_check import find_layouts, inspect, list_files
    from zoo.media.progress import tracked

    findings = find_layouts(folder)
    reports = [list_files(layout.root, layout) for layout in findings.layouts]
    reports += [list_files(background, None) for background in findings.backgrounds]
    total = sum(len(report.tasks) for report in reports)
    for _ in tracked(chain.from_iterable(map(inspect, reports)), total, "Opening", progress=True):
        pass
    for problem in findings.problems:
        print(f"problem: {problem}")
    for report in reports:
        _print_report(report)
    layouts = [report.layout for report in reports if report.layout]
    _print_config(layouts)
    return [*findings.problems, *chain.from_iterable(report.problems for report in reports)], _config(layouts)


def _print_report(report: "Report") -> None:
    from zoo.matting.folders import counted, dimensions, listed

    reader = report.layout.reader if report.layout else None
    item = {
        None: "background",
        "CutoutFolder": "RGBA cut-out",
        "VideoMattes": "clip",
        "MatteFolder": "matte",
        "PhotographFolder": "photograph",
    }[reader]
    frames = f" with {counted(report.frames, 'frame')}" if reader == "VideoMattes" else ""
    layout = report.layout
    folders = f" ({layout.foregrounds}/ and {layout.alphas}/)" if layout and layout.foregrounds else ""
    print(f"{report.root}: {counted(report.items, item)}{frames} in order{folders}")
    sizes = sorted(report.sizes, key=lambda size: size[0] * size[1])
    if len(sizes) == 1:
        print(f"  sizes: {dimensions(sizes[0])}")
    elif sizes:
        print(f"  sizes: {dimensions(sizes[0])} to {dimensions(sizes[-1])}, {len(sizes)} different ones")
    if report.with_16_bits:
        print(f"  16 bits a channel, read as they are: {len(report.with_16_bits)} ({listed(report.with_16_bits)})")
    if report.premultiplied:
        read = "the config divides by it" if layout and layout.premultiplied else "most others do not, so check these"
        count = f"{len(report.premultiplied)} of {len(report.premultiplied) + report.straight}"
        print(f"  colours multiplied by alpha (premultiplied) in {count}, {read}: {listed(report.premultiplied)}")
    _print_problems(report.problems)


def _print_problems(problems: list[str]) -> None:
    for problem in problems[:SHOWN]:
        print(f"  problem: {problem}")
    if len(problems) > SHOWN:
        print(f"  … and {len(problems) - SHOWN} more problems")


def _print_config(layouts: "list[Layout]") -> None:
    """Print the data section of a config."""
    if not layouts:
        return
    if all(layout.reader == "PhotographFolder" for layout in layouts):
        backgrounds = all(layout.backgrounds for layout in layouts)
        weights = defaults.MATTING if backgrounds else defaults.MATTING_WITHOUT_BACKGROUND
        _print_yaml(_config(layouts))
        print(f"Next: save these lines as data.yaml, then zoo test --ckpt_path {weights} --config data.yaml")
        return
    rates, own = "--model.learning_rates.refiner=3e-4", _config(layouts)
    alone = "" if "validation" in own["data"] else " --data.validation=null"
    _print_data(own, f"--config matting/synthetic_joint --model.checkpoint={defaults.MATTING} {rates}{alone}")
    if any(layout.backgrounds is None and layout.reader != "PhotographFolder" for layout in layouts):
        print("PATH/TO/BACKGROUNDS is a folder of pictures of places, without the people or things to cut out.")


def _print_data(config: dict[str, Any], base: str) -> None:
    _print_yaml(config)
    print(f"Next: save these lines as data.yaml, then zoo fit {base} --config data.yaml")


def _print_yaml(config: dict[str, Any]) -> None:
    import yaml

    print("In a config:\n")
    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _heads_config(root: Path, splits: list[str]) -> dict[str, Any]:
    """Return the data module's `train`, `validation` and `test` of the written splits."""
    from zoo.heads.dad_format import FOLDERS

    parts: dict[str, Any] = {}
    for split in splits:
        init_args = {"root": str(root.resolve()), "split": FOLDERS.get(split, split)}
        entry = {"dataset": {"class_path": "DADHeads", "init_args": init_args}}
        parts[split] = {"synthetic": entry} if split == "test" else entry
    return {"data": parts}


def _config(layouts: "list[Layout]") -> dict[str, Any]:
    """Return the data module's `train`, `validation` and `test`, by the names of the layouts' folders."""
    parts: dict[str, dict[str, Any]] = {"train": {}, "validation": {}, "test": {}}
    for layout in layouts:
        split = layout.root.resolve().name.lower()
        entry = {"dataset": layout.spec}
        finished = layout.reader == "PhotographFolder"
        if split in VALIDATION and not parts["validation"]:
            parts["validation"] = entry
        else:
            chosen = parts["test" if finished or split in (*VALIDATION, "test") else "train"]
            chosen[_unused_name(layout, chosen)] = entry
    return {"data": {name: part for name, part in parts.items() if part}}


def _unused_name(layout: "Layout", taken: dict[str, Any]) -> str:
    """Return a name for a stage or test set, after the dataset's folder, that fits `--data.train.NAME.canvas`."""
    root = layout.root.resolve()
    folder = root.parent if root.name.lower() in ("train", "training", "test", *VALIDATION) else root
    name = re.sub(r"\W+", "_", folder.name).strip("_") or "mattes"
    return name if name not in taken else f"{name}_{len(taken) + 1}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}; expected a whole number from 0 on")
    return int(text)
