"""Pages of the site that are made from the package: models, slots, results, and files that lie outside `docs/`."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mkdocs_gen_files

import zoo
from zoo.commands.show import describe_slot
from zoo.core.registry import get_slot
from zoo.core.registry import slots as all_slots
from zoo.hub.catalogue import Entry, all_entries
from zoo.study.plan.cost import measure

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "plugins" / "zoo_plugins" / "weights"
RESULTS = ROOT / "configs" / "studies" / "results"

TIMES = ROOT / "benchmarks" / "matting-intel-xeon-2-threads.json"
TIMED = {"bgmv2_mobilenetv2": "MobileNetV2", "bgmv2_resnet50": "ResNet-50"}
"""Recorded times, and the names that they have there for models of the registry."""

PORTRAIT = "A portrait, its alpha, the astronaut on another colour, and the mesh of her head"
PICTURES = {
    "bgmv2_mobilenetv2-synthetic": (
        (
            "Four photographs, each with a painted background, alpha, and the subject on another colour",
            "real_photographs.jpg",
        ),
        ("the three largest errors of 48 synthetic test images", "worst_bgmv2.jpg"),
    ),
    "bgmv2_guided_lite0-synthetic": (
        (PORTRAIT, "one_photograph.jpg"),
        ("the three largest errors of 48 synthetic persons", "worst_bgmv2_guided.jpg"),
    ),
    "dad3dnet_facemesh-synthetic": (
        (PORTRAIT, "one_photograph.jpg"),
        ("the three largest errors of 64 rendered test heads", "worst_dad3dnet.jpg"),
    ),
}
"""Captions and files of bundled weights, which `python -m benchmarks.pictures` makes: photographs, and failures."""

SIZES = {"matting": {"HD (1920×1080)": (1080, 1920)}, "heads": {}}
"""Images whose multiply-adds are counted, by task; heads are counted at the size of their crops."""


def write(page: str, text: str) -> None:
    """Write a page of the site."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)


def copy(file: Path, page: str) -> None:
    """Write a Markdown file of the repository as a page; links into `docs/` lose that folder, others become names."""
    text = re.sub(r"\]\(docs/([^)]*)\)", r"](\1)", file.read_text(encoding="utf-8"))
    text = text.replace("](CHANGELOG.md)", "](changelog.md)").replace(
        "](README.md#a-plugin-in-20-lines)", "](start.md)"
    )
    write(page, re.sub(r"\[([^\]]*)\]\((?!https?:|#)(?![\w-]+\.md)[^)]*\)", r"\1", re.sub(r"\(\w+\.py\)", "()", text)))


def table(header: list[str], lines: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    rows: list[Iterable[object]] = [header, ["---"] * len(header), *lines]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    )


def models() -> None:
    """Write a page for each entry of the catalogues, and a list of them."""
    entries = {name: entry for name, (entry, *_) in all_entries().items() if name == entry.name}
    lines = []
    for name, entry in entries.items():
        write(f"models/{name}.md", model_page(entry))
        commercial = "no" if any(origin.commercial is False for origin in entry.ledger) else "yes"
        lines.append([f"[{name}]({name}.md)", entry.task, entry.licence.name, commercial, entry.training_data])
    text = "Weights that `zoo pull NAME` gets. Those with *synthetic* in their names are bundled with the package.\n\n"
    write(
        "models/index.md",
        f"# Models\n\n{text}" + table(["name", "task", "licence", "commercial use", "trained on"], lines),
    )


def model_page(entry: Entry) -> str:
    """Return what there is to say about weights: pictures, parts, cost, metrics, licences, and the card or limits."""
    parts = [f"# {entry.name}", f"```console\nzoo pull {entry.name}\n```", entry.note or "", pictures(entry)]
    model = spec(entry)
    if model is not None:
        names = {
            key: value for key, value in model["init_args"].items() if isinstance(value, dict) and "class_path" in value
        }
        names.pop("optimizer", None)
        lines = [[key, f"`{value['class_path']}`", arguments(value)] for key, value in names.items()]
        parts += ["## Parts", table(["slot", "part", "arguments"], lines), *cost(entry, model)]
    for measured in entry.metrics:
        values = table([*measured.values], [[*measured.values.values()]])
        parts += [
            f"## On {measured.data}",
            values,
            f"Measured by {measured.source}, with the preset `{measured.preset}`.",
        ]
    ledger = [
        [o.part, o.name, o.licence, {True: "yes", False: "no", None: "unknown"}[o.commercial]] for o in entry.ledger
    ]
    parts += ["## Licences", table(["part", "name", "licence", "commercial use"], ledger)]
    card = WEIGHTS / f"{entry.name}.md"
    if card.is_file():
        text = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", card.read_text(encoding="utf-8"))
        parts.append("## Card")
        parts.append(re.sub(r"^(#+) ", r"#\1 ", text.partition("\n")[2], flags=re.MULTILINE))
    else:
        parts += ["## Limits", f"Trained by others on {entry.training_data}; not measured by this project."]
    return "\n\n".join(parts)


def pictures(entry: Entry) -> str:
    """Return the pictures of bundled weights: on photographs that they were not trained with, and where they fail."""
    if entry.name not in PICTURES:
        return "There is no picture: these weights are downloaded, and the site is built without a network."
    (caption, shown), (failures, worst) = PICTURES[entry.name]
    return f"![{caption}](../pictures/{shown})\n\nWhere they fail, {failures}:\n\n![{failures}](../pictures/{worst})"


def cost(entry: Entry, model: dict[str, Any]) -> list[str]:
    """Return sizes and multiply-adds, and frames a second where they were recorded."""
    side = model["init_args"].get("image_size")
    sizes = {f"a crop of {side}×{side}": (side, side)} if entry.task == "heads" else SIZES[entry.task]
    counted = measure(model, sizes)
    rows = [["parameters", f"{counted.parameters / 1e6:.1f} million"]]
    rows += [["file", f"{entry.size / 1e6:.1f} MB"]] if entry.size else []
    for name, number in counted.multiply_adds.items():
        rows.append([f"multiply-adds of {name}", f"{number / 1e9:.2f} G"])
    parts = ["## Size and speed", table(["quantity", "value"], rows)]
    if entry.task == "matting":
        scale, selector = model["init_args"]["base_scale"], model["init_args"]["selector"]["class_path"]
        parts.append(
            f"Counted with base scale {scale} and `{selector}`, at most as many patches as it selects. "
            "`zoo matte` chooses the scale that shows the base network images about as large as in training."
        )
    if entry.model not in TIMED:
        return [
            *parts,
            "Frames a second were not recorded; `zoo study speed` and [benchmarks](../benchmarks.md) measure them.",
        ]
    record = json.loads(TIMES.read_text(encoding="utf-8"))
    cases = [case for case in record["cases"] if case["name"] == TIMED[entry.model]]
    lines = [
        [case["setting"], f"{1 / case['fast']['median']:.1f}", f"{case['fast']['median'] * 1e3:.0f} ms"]
        for case in cases
    ]
    machine, versions = record["machine"], record["machine"]["versions"]
    return [
        *parts,
        table(["image, reduction of the base network, patches", "frames a second", "a frame"], lines),
        f"Recorded on {record['date']} on an {machine['processor']} with {machine['threads']} threads and torch "
        f"{versions['torch']}, float32, with this architecture and random weights; see [benchmarks](../benchmarks.md).",
    ]


def spec(entry: Entry) -> dict[str, Any] | None:
    """Return the spec of an entry's model."""
    if entry.model is not None:
        return get_slot("models").get(entry.model)
    return zoo.load(entry.name).spec


def arguments(part: dict[str, Any]) -> str:
    """Return a part's arguments as they are typed."""
    return ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in part.get("init_args", {}).items())


def slots() -> None:
    """Write a page for each slot with its parts and their arguments, and a list of them."""
    lines = []
    for name, slot in {slot.name: describe_slot(slot) for slot in all_slots().values()}.items():
        parts = [f"# {name}", f"Base class: `{slot['base']}`."]
        own = slot["parts"]
        for part, described in (own if isinstance(own, dict) else {key: {} for key in own}).items():
            parts += [f"## {part}", described.get("summary", "")]
            rows = [
                [
                    f"`{key}`",
                    f"`{one.get('type', '')}`",
                    f"`{one['default']!r}`" if "default" in one else "",
                    one.get("documentation", ""),
                ]
                for key, one in described.get("arguments", {}).items()
            ]
            parts += [table(["argument", "type", "default", "meaning"], rows)] if rows else []
        write(f"slots/{name}.md", "\n\n".join(parts))
        lines.append([f"[{name}]({name}.md)", len(slot["parts"]), f"`{slot['base']}`"])
    write("slots/index.md", "# Slots\n\n" + table(["slot", "parts", "base class"], lines))


def results() -> None:
    """Write the shipped reports, and a page that leads to them."""
    text = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", (RESULTS / "README.md").read_text(encoding="utf-8"))
    links = []
    for report in sorted(RESULTS.glob("*/report.html")):
        name = report.parent.name
        write(f"results/{name}.html", report.read_text(encoding="utf-8"))
        links.append(f"- [{name}](results/{name}.html)")
    write("results.md", text + "\n\n" + "\n".join(links) + "\n")


write("site.css", ".md-typeset td code { word-break: normal; overflow-wrap: normal; }\n")  # names stay whole
models()
slots()
results()
copy(ROOT / "CONTRIBUTING.md", "contributing.md")
copy(ROOT / "CHANGELOG.md", "changelog.md")
copy(ROOT / "benchmarks" / "README.md", "benchmarks.md")
