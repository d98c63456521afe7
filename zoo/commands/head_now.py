"""Evaluate a model on the NoW benchmark, on your copy of it: median, mean and standard deviation in millimetres.

First the predictions: for each image the mesh of the predicted shape, without expression and with its mouth closed, and
its seven points, as `DIR/SUBJECT/CHALLENGE/NAME.obj` and `.npy`, which the benchmark's own program reads as well. An
interrupted command resumes with those it has. Then the distances of the scans to them; the scans of the test split are
not published, so for it there are only predictions. `--predictions` measures meshes of any other method, without a
model. An image without a usable mesh enters no number: it is counted and printed, and the exit code is 1.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.commands.head import load_head_model
from zoo.runner.model_arguments import add_model_arguments

if TYPE_CHECKING:
    import numpy as np

PROVENANCE = "predictions.json"
"""File in the folder of the predictions: the model that made them."""
IDENTITY = ("weights", "head_model", "versions")
"""Entries that must be equal in two calls that fill one folder."""
MAX_PRINTED = 10
"""Missing images that are printed; all are in the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("data", metavar="NOW_FOLDER", type=Path, help="the folder of NoW: lists, images, scans")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder of predictions and now.json")
    parser.add_argument(
        "--predictions",
        metavar="DIR",
        type=Path,
        help="measure the meshes in this folder instead of a model's (now.json is written there, unless -o is given)",
    )
    parser.add_argument(
        "--challenge",
        metavar="NAME",
        help="only this one, such as multiview_neutral, then in now-NAME.json (default: each, and all of them)",
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="which images (default: validation)"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and measure; return 0 when every image has a prediction and, in the validation split, a distance.

    Raises:
        ZooError: bad input.
    """
    check(arguments)
    from zoo.heads.metrics.now_folder import has_scans, list_images, measure, read_scans, subjects_of

    images = list_images(arguments.data / f"imagepaths{arguments.split}.txt", arguments.challenge)
    subjects = subjects_of(images)
    scanned = has_scans(arguments.data, subjects)
    where = f"{arguments.data / 'scans'} holds no scan of the subjects of these images"
    if arguments.predictions is not None and not scanned:
        raise ValueError(f"{where}, so there is nothing to measure: expected --split validation, or their scans.")
    model = None if arguments.predictions is not None else load_head_model(arguments)
    scans = read_scans(arguments.data, subjects, progress("scans")) if scanned else {}
    failed = {} if model is None else predict(model, arguments, images)
    predictions = arguments.predictions or arguments.output
    if not scanned:
        print(f"{where}, so the predictions in {predictions} are all there is; nothing was measured.")
        print_missing(failed, len(images))
        return 1 if failed or arguments.split == "validation" else 0
    made_by = read_provenance(predictions)
    measured = measure(images, scans, predictions, progress("distances"))
    return report(arguments, made_by, {name: failed.get(name, distances) for name, distances in measured.items()})


def check(arguments: argparse.Namespace) -> None:
    """Raise a ValueError unless the folders exist and the options go together."""
    if not arguments.data.is_dir():
        raise ValueError(f"there is no folder {arguments.data}; expected the folder of the NoW data set.")
    if arguments.predictions is None and arguments.output is None:
        raise ValueError("no folder was given for the predictions; expected -o DIR, or --predictions DIR to measure.")
    if arguments.predictions is not None and arguments.model is not None:
        raise ValueError("both --model and --predictions were given; expected one: a model's meshes, or those made.")
    if arguments.predictions is not None and not arguments.predictions.is_dir():
        raise ValueError(f"{arguments.predictions}: there is no such folder of predictions.")
    if arguments.output is not None and arguments.output.exists() and not arguments.output.is_dir():
        raise ValueError(f"-o {arguments.output} is a file; expected a folder.")


def predict(model: Any, arguments: argparse.Namespace, images: list[str]) -> dict[str, str]:
    """Write the missing predictions, and return the reason for each image that has none at the end."""
    import numpy as np

    from zoo.core.files import replacing
    from zoo.heads.inference import neutral_head
    from zoo.heads.mesh_files import write_obj
    from zoo.heads.metrics.now_folder import find_image, find_image_folder, is_predicted, read_face_box

    source, output = find_image_folder(arguments.data), arguments.output
    claim(output, model, arguments.model, images)
    done = [name for name in images if is_predicted(output, name)]
    if done:
        print(f"{len(done)} of {len(images)} predictions are in {output} already, made by this model: not recomputed")
    failed: dict[str, str] = {}
    boxes: Counter[str] = Counter()
    for name in progress("heads")([name for name in images if name not in set(done)]):
        try:
            head = neutral_head(model, find_image(source, name), read_face_box(source, name))
            write_obj(output / f"{name}.obj", head.vertices, model.head_model.faces.cpu().numpy())
            with replacing(output / f"{name}.npy") as unfinished:
                np.save(unfinished, head.points7)
            boxes[head.how] += 1
        except ValueError as error:
            failed[name] = str(error)
    for how, count in boxes.most_common():
        print(f"images in which the head was {how}: {count}")
    print(f"{output}: predictions for {len(images) - len(failed)} of {len(images)} images")
    return failed


def claim(output: Path, model: Any, name: str, images: list[str]) -> None:
    """Record in the folder which model makes its predictions; ValueError when it holds those of another origin."""
    from zoo.core.files import write_json
    from zoo.heads.metrics.now_folder import MESH_ENDINGS, POINT_ENDINGS

    made_by, recorded = provenance(model, name), read_provenance(output)
    if recorded is None:
        files = (output / f"{image}{ending}" for image in images for ending in MESH_ENDINGS + POINT_ENDINGS)
        foreign = next((file for file in files if file.exists()), None)
        if foreign is not None:
            raise ValueError(
                f"{foreign} was not made by this command; expected another folder, or --predictions {output} to "
                "measure what is there."
            )
        write_json(output / PROVENANCE, made_by)
    elif differing := [key for key in IDENTITY if recorded.get(key) != made_by[key]]:
        raise ValueError(
            f"{output} holds predictions of {recorded.get('model')}, made with other {' and '.join(differing)}: "
            "expected another folder; or delete this one to predict again."
        )


def read_provenance(predictions: Path) -> dict[str, Any] | None:
    """Return which model made the predictions in a folder, or None without a record; ValueError if it is damaged."""
    path = predictions / PROVENANCE
    if not path.is_file():
        return None
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        recorded = None
    if not isinstance(recorded, dict):
        raise ValueError(f"{path} is damaged, so the origin of the predictions is unknown: give another folder.")
    return recorded


def provenance(model: Any, name: str) -> dict[str, Any]:
    """Return what predictions depend on, for their folder's record: a hash of the weights, head model, versions,
    commit and device, with the model's `name`.
    """
    import torch

    from zoo.measure.device import device_of
    from zoo.measure.environment import environment

    digest = hashlib.sha256()
    for key, values in model.state_dict().items():
        digest.update(key.encode())
        digest.update(values.detach().cpu().flatten().view(torch.uint8).numpy())
    head, machine, device = model.head_model, environment(), device_of(model)
    return {
        "model": name,
        "weights": digest.hexdigest(),
        "head_model": {"name": head.name, "licence": head.licence, "sha256": head.sha256},
        "versions": machine["versions"],
        "commit": machine["commit"],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def report(
    arguments: argparse.Namespace, made_by: dict[str, Any] | None, measured: "Mapping[str, np.ndarray | str]"
) -> int:
    """Print and write the numbers; return 1 when an image is missing in them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from zoo.core.files import write_json
    from zoo.heads.metrics.now_folder import by_challenge, pool
    from zoo.measure.environment import environment

    overall = pool(measured)
    results = by_challenge(measured) if arguments.challenge else {**by_challenge(measured), "all": overall}
    table = Table("NoW, mm", box=box.SIMPLE, caption="over the points of all measured scans", caption_justify="left")
    for column in ("median", "mean", "std", "measured", "missing"):
        table.add_column(column, justify="right")
    rows: dict[str, dict[str, float | int | None]] = {}
    for name, result in results.items():  # without a measured scan the numbers are NaN, which JSON lacks
        numbers = {key: getattr(result, key) if result.measured else None for key in ("median", "mean", "std")}
        counts = {"measured": result.measured, "missing": len(result.missing)}
        rows[name] = numbers | counts
        table.add_row(name, *("—" if n is None else f"{n:.2f}" for n in numbers.values()), *map(str, counts.values()))
    Console(highlight=False).print(table)
    print_missing(overall.missing, len(measured))
    predictions = arguments.predictions or arguments.output
    path = (arguments.output or predictions) / (
        f"now-{arguments.challenge}.json" if arguments.challenge else "now.json"
    )
    content = {"benchmark": "NoW", "split": arguments.split, "unit": "mm", "results": rows, "missing": overall.missing}
    origin = {"predictions": str(predictions), "made_by": made_by, "measured_with": environment()}
    write_json(path, content | origin)
    print(f"Wrote {path}.")
    return 1 if overall.missing else 0


def print_missing(missing: Mapping[str, str], images: int) -> None:
    """Print which images have no usable prediction, and why."""
    if not missing:
        return
    print(f"{len(missing)} of {images} images have no usable prediction and are in no number")
    for name, reason in list(missing.items())[:MAX_PRINTED]:
        print(f"missing: {name}: {reason}")
    if len(missing) > MAX_PRINTED:
        print(f"and {len(missing) - MAX_PRINTED} more")


def progress(description: str) -> Callable[[list[str]], Iterable[str]]:
    """Return a function that iterates over a list with a progress bar."""
    from zoo.media.progress import tracked

    return lambda items: tracked(items, len(items), description)
