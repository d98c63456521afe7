"""Put a published file into a folder or a repository of the Hugging Face Hub.

`NAME.safetensors` comes with `NAME.json`, its card as data, and `README.md`, the cards of all models of the folder for
readers. The three files are written atomically.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.core.registry import get_slot
from zoo.core.spec import is_spec
from zoo.weights.checkpoint import record
from zoo.weights.reading import read

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
REPOSITORY = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<name>[^/]+))?")

HUB_LICENCES = re.compile(r"apache-2\.0|mit|bsd-[23]-clause|[al]?gpl-3\.0|mpl-2\.0|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-4\.0")
"""Licences that the Hugging Face Hub knows by these names."""


def check_name(name: str) -> str:
    """Return the name of a model; ZooError unless it has letters, digits, `.`, `_` and `-` only."""
    if not NAME.fullmatch(name):
        raise ZooError(
            f"'{name}' is no name for a model: expected letters, digits, '.', '_' and '-', such as "
            "bgmv2_mobilenetv2-mine; give one with --name."
        )
    return name


def make_card(path: Path, name: str) -> dict[str, Any]:
    """Return the card of a published file as plain data, with the file's size in bytes and checksum."""
    entry = record(read(str(path)), str(path))
    content = path.read_bytes()
    card = {"name": name, "file": f"{name}.safetensors", "size": len(content)}
    card |= {"sha256": hashlib.sha256(content).hexdigest(), **entry.get("card", {})}
    tests = ((entry.get("data") or {}).get("init_args") or {}).get("test")
    card["test_data"] = {
        name: settings["dataset"]["class_path"]
        for name, settings in (tests.items() if isinstance(tests, dict) else ())
        if isinstance(settings, dict) and is_spec(settings.get("dataset"))
    }
    card["task"] = getattr(get_slot("modules").get(entry["model"]["class_path"]), "hub_task", None)
    return card | {key: entry[key] for key in ("model", "plugins", "versions", "seed") if key in entry}


def readme(cards: Mapping[str, Mapping[str, Any]], repository: str | None = None) -> str:
    """Return the cards of models, by name, as Markdown that begins with the metadata of a model card of the Hub."""
    ordered = [cards[name] for name in sorted(cards)]
    head = ["---", yaml.safe_dump(metadata(ordered), sort_keys=False).strip(), "---", ""]
    return "\n".join([*head, *(line for card in ordered for line in section(card, repository, len(ordered) > 1))])


def metadata(cards: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metadata of a model card: licence and task if all models share one, and an index of their results."""
    from huggingface_hub import ModelCardData

    licences, tasks = ({card.get(key) for card in cards} for key in ("licence", "task"))
    content: dict[str, Any] = {"library_name": "ablation-zoo"}
    if len(licences) == 1 and (licence := next(iter(licences))):
        known = str(licence).lower().replace(" ", "-")
        content["license"] = known if HUB_LICENCES.fullmatch(known) else "other"
        content |= {"license_name": licence} if content["license"] == "other" else {}
    if len(tasks) == 1 and (task := next(iter(tasks))):
        content["pipeline_tag"] = task
    index = [
        entry
        for card in cards
        if (results := evaluations(card))
        for entry in ModelCardData(model_name=card["name"], eval_results=results).to_dict()["model-index"]
    ]
    return content | ({"model-index": index} if index else {})


def evaluations(card: Mapping[str, Any]) -> list[Any]:
    """Return the metrics of a card as `EvalResult` of huggingface_hub; those that are no finite number are left out.

    The name of a metric is `test/SET/METRIC`, with a preset `test_PRESET/SET/METRIC`, or METRIC alone.
    """
    from huggingface_hub import EvalResult

    sets = card.get("test_data") or {}
    results = []
    for name, value in card.get("metrics", {}).items():
        stage, _, rest = name.rpartition("/")[0].partition("/")
        test_set = rest or (next(iter(sets)) if len(sets) == 1 else "test")
        if card.get("task") and type(value) in (int, float) and math.isfinite(value):
            results.append(
                EvalResult(
                    task_type=card["task"],
                    dataset_type=sets.get(test_set, test_set),
                    dataset_name=f"{sets[test_set]}, test set {test_set}" if test_set in sets else test_set,
                    metric_type=name.rpartition("/")[2],
                    metric_value=value,
                    metric_name=name,
                    metric_config=stage.partition("_")[2] or None,
                )
            )
    return results


def section(card: Mapping[str, Any], repository: str | None = None, several: bool = False) -> Iterator[str]:
    """Yield the lines of one model's card; it is loaded from the Hub if `repository` names one."""
    address = card["file"] if repository is None else f"hf://{repository}" + (f"/{card['file']}" if several else "")
    yield from (f"# {card['name']}", "")
    if card.get("text"):
        yield from (str(card["text"]).strip(), "")
    yield from ("| | |", "|---|---|")
    facts = {
        "file": f"`{card['file']}`, {card['size'] / 1e6:.1f} MB",
        "sha256": f"`{card['sha256']}`",
        "licence": card.get("licence", "not stated"),
        "training data": card.get("training_data", "not stated"),
        "made with": ", ".join(f"{package} {version}" for package, version in card.get("versions", {}).items()),
    }
    others = sorted({origin for origin in card.get("plugins", {}).values() if not origin.startswith("ablation-zoo ")})
    facts |= {"needs parts of": ", ".join(others)} if others else {}
    facts |= {key: f"{value:g}" for key, value in card.get("metrics", {}).items()}
    for key, value in facts.items():
        yield f"| {key} | {' '.join(str(value).split()).replace('|', '/')} |"
    yield from ("", "```python", "import zoo", "", f'model = zoo.load("{address}")', "```", "")


def push(path: Path, name: str, destination: str) -> list[str]:
    """Write a published file, its card and the README to a destination.

    Args:
        path: the published file.
        name: of the model at the destination.
        destination: a folder, or `hf://owner/repository`.

    Returns:
        The address of each written file.

    Raises:
        ZooError: the destination cannot be written.
    """
    card = make_card(path, check_name(name))
    if destination.startswith("hf://"):
        return push_to_hub(path, card, destination)
    return push_to_folder(path, card, Path(destination))


def push_to_folder(path: Path, card: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the three files to a folder, which is created where there is none."""
    others = (read_card(file.read_bytes()) for file in (sorted(folder.glob("*.json")) if folder.is_dir() else ()))
    files = contents(path, card, [other for other in others if other is not None])
    try:
        with ExitStack() as stack:
            for name, content in reversed(files.items()):  # renamed after all are written, the last first
                stack.enter_context(replacing(folder / name)).write_bytes(content)
    except OSError as error:
        raise ZooError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return [str(folder / name) for name in files]


def push_to_hub(path: Path, card: Mapping[str, Any], destination: str) -> list[str]:
    """Write the three files in one commit to a repository of the hub, which is created where there is none."""
    from huggingface_hub import CommitOperationAdd, HfApi

    repository = split_hub(destination)[0]
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        known = [name for name in api.list_repo_files(repository) if "/" not in name and name.endswith(".json")]
        others = (read_card(Path(api.hf_hub_download(repository, name)).read_bytes()) for name in known)
        files = contents(path, card, [other for other in others if other is not None], repository)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repository, operations, commit_message=f"Add {card['name']}")
    except Exception as error:  # of the hub, or of the connection
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ZooError(
            f"{destination} cannot be written: {reason}; log in with `hf auth login` as one who may write there."
        ) from error
    return [f"hf://{repository}/{name}" for name in files]


def split_hub(destination: str) -> tuple[str, str | None]:
    """Return repository and name of `hf://owner/repository[/name]`; ZooError for another form."""
    match = REPOSITORY.fullmatch(destination)
    if match is None:
        raise ZooError(f"{destination}: expected hf://owner/repository or hf://owner/repository/name.")
    return match["repository"], match["name"]


def contents(
    path: Path, card: Mapping[str, Any], others: list[dict[str, Any]], repository: str | None = None
) -> dict[str, bytes]:
    """Return the content of the three files by name."""
    cards = {other["name"]: other for other in others} | {card["name"]: card}
    return {
        card["file"]: path.read_bytes(),
        f"{card['name']}.json": (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode(),
        "README.md": readme(cards, repository).encode(),
    }


def read_card(content: bytes) -> dict[str, Any] | None:
    """Return a card from its JSON; None for any other JSON."""
    try:
        card = json.loads(content)
    except (ValueError, RecursionError):
        return None
    types = {"name": str, "file": str, "size": int, "sha256": str}
    is_card = isinstance(card, dict) and all(isinstance(card.get(key), kind) for key, kind in types.items())
    return card if is_card else None
