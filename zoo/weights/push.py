"""Putting a published file where others find it: a folder, or a repository of the Hugging Face hub.

A model's file `NAME.safetensors` comes with `NAME.json`, its card as data, and `README.md`, the cards of all models of
the folder for people. All three appear at once, or none.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zoo.core.errors import ZooError
from zoo.core.files import replacing
from zoo.weights.checkpoint import read
from zoo.weights.record import record

NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
REPOSITORY = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<name>[^/]+))?")


def check_name(name: str) -> str:
    """The name, or ZooError when it is none for a file."""
    if not NAMES.fullmatch(name):
        raise ZooError(
            f"'{name}' is no name for a model: expected letters, digits, '.', '_' and '-', such as "
            "bgmv2_mobilenetv2-mine; give one with --name."
        )
    return name


def make_card(path: Path, name: str) -> dict[str, Any]:
    """The card of a published file as plain data: what the file says of itself, with its size in bytes and its sum."""
    described = record(read(str(path)), str(path))
    content = path.read_bytes()
    card = {"name": name, "file": f"{name}.safetensors", "size": len(content)}
    card |= {"sha256": hashlib.sha256(content).hexdigest(), **described.get("card", {})}
    return card | {key: described[key] for key in ("model", "plugins", "versions", "seed") if key in described}


def readme(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """The cards of models by name, for people; a licence that all share is named at the head, as the hub reads it."""
    licences = {str(card.get("licence", "")) for card in cards.values()}
    (licence,) = licences if len(licences) == 1 else ("",)
    head = ["---", "library_name: ablation-zoo", *([f"license: {json.dumps(licence)}"] if licence else []), "---", ""]
    return "\n".join([*head, *(line for name in sorted(cards) for line in section(cards[name]))])


def section(card: Mapping[str, Any]) -> Iterator[str]:
    """One model's lines."""
    name = card["name"]
    yield f"# {name}"
    yield ""
    if card.get("text"):
        yield str(card["text"]).strip()
        yield ""
    yield "| | |"
    yield "|---|---|"
    facts = {
        "file": f"`{card['file']}`, {card['size'] / 1e6:.1f} MB",
        "sha256": f"`{card['sha256']}`",
        "licence": card.get("licence", "not stated"),
        "training data": card.get("training_data", "not stated"),
        "made with": ", ".join(f"{package} {version}" for package, version in card.get("versions", {}).items()),
    }
    facts |= {key: f"{value:g}" for key, value in card.get("metrics", {}).items()}
    for key, value in facts.items():
        yield f"| {key} | {' '.join(str(value).split()).replace('|', '/')} |"
    yield ""
    yield "```python"
    yield "import zoo"
    yield ""
    yield f'model = zoo.load("{card["file"]}")'
    yield "```"
    yield ""


def push(path: Path, name: str, destination: str) -> list[str]:
    """Put a published file at its destination.

    Args:
        path: the published file.
        name: what it is called there.
        destination: a folder, or `hf://owner/repository`.

    Returns:
        Where each file is now.

    Raises:
        ZooError: a destination that cannot be written.
    """
    card = make_card(path, check_name(name))
    if destination.startswith("hf://"):
        return push_to_hub(path, card, destination)
    return push_to_folder(path, card, Path(destination))


def push_to_folder(path: Path, card: Mapping[str, Any], folder: Path) -> list[str]:
    """Write the three files into a folder, which is made where there is none."""
    others = (read_card(file.read_bytes()) for file in (sorted(folder.glob("*.json")) if folder.is_dir() else ()))
    files = contents(path, card, [other for other in others if other is not None])
    try:
        with ExitStack() as stack:
            for name, content in reversed(files.items()):  # renamed when all are written, the last one first
                stack.enter_context(replacing(folder / name)).write_bytes(content)
    except OSError as error:
        raise ZooError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return [str(folder / name) for name in files]


def push_to_hub(path: Path, card: Mapping[str, Any], destination: str) -> list[str]:
    """Write the three files in one commit to a repository of the hub, which is made where there is none."""
    from huggingface_hub import CommitOperationAdd, HfApi

    repository = split_hub(destination)[0]
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        known = [name for name in api.list_repo_files(repository) if "/" not in name and name.endswith(".json")]
        others = (read_card(Path(api.hf_hub_download(repository, name)).read_bytes()) for name in known)
        files = contents(path, card, [other for other in others if other is not None])
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repository, operations, commit_message=f"Add {card['name']}")
    except Exception as error:  # the hub's own, and those of the connection to it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ZooError(
            f"{destination} cannot be written: {reason}; log in with `hf auth login` as one who may write there."
        ) from error
    return [f"hf://{repository}/{name}" for name in files]


def split_hub(destination: str) -> tuple[str, str | None]:
    """Repository and name in `hf://owner/repository[/name]`; ZooError when it is none."""
    found = REPOSITORY.fullmatch(destination)
    if not found:
        raise ZooError(f"{destination}: expected hf://owner/repository or hf://owner/repository/name.")
    return found["repository"], found["name"]


def contents(path: Path, card: Mapping[str, Any], others: list[dict[str, Any]]) -> dict[str, bytes]:
    """The three files by name."""
    cards = {other["name"]: other for other in others} | {card["name"]: card}
    return {
        card["file"]: path.read_bytes(),
        f"{card['name']}.json": (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode(),
        "README.md": readme(cards).encode(),
    }


def read_card(content: bytes) -> dict[str, Any] | None:
    """A card as data; None for any other JSON."""
    try:
        card = json.loads(content)
    except (ValueError, RecursionError):
        return None
    kinds = {"name": str, "file": str, "size": int, "sha256": str}
    return (
        card if isinstance(card, dict) and all(isinstance(card.get(key), kind) for key, kind in kinds.items()) else None
    )
