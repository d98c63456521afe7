"""Measure a model by the NoW benchmark, on your copy of it: median, mean and standard deviation in millimetres.

First the predictions: for each picture the mesh of the predicted shape, without expression and with its mouth closed,
and its seven points, as `DIR/SUBJECT/CHALLENGE/NAME.obj` and `.npy`, which the benchmark's own program reads as well.
They are kept when the command is interrupted, and not made again. Then the distances of the scans to them; the test's
scans are not published, so its predictions are all there is. With `--predictions`, meshes of any other method are
measured, and no model is needed. A picture without a usable mesh enters no number: it is counted and named, and the
exit code is 1.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.commands.head import load_head_model
from zoo.runner.model_arguments import add_model_arguments

if TYPE_CHECKING:
    import numpy as np

    from zoo.heads.metrics import NowResult

MADE_BY = "predictions.json"
"""In the folder of the predictions: what made them."""
SAME = ("weights", "head_model", "versions")
"""What must not change between two calls that fill one folder."""
NAMED = 10
"""How many missing pictures are printed; all are in the JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("data", metavar="NOW_FOLDER", type=Path, help="the folder of NoW: lists, pictures, scans")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="where predictions and now.json land")
    parser.add_argument(
        "--predictions",
        metavar="DIR",
        type=Path,
        help="measure the meshes in this folder instead of a model's (now.json lands there, unless -o is given)",
    )
    parser.add_argument(
        "--challenge",
        metavar="NAME",
        help="only this one, such as multiview_neutral, then in now-NAME.json (default: each, and all of them)",
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), default="validation", help="which pictures (default: validation)"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and measure; 0 when every picture has a prediction, and of the validation also a distance.

    Raises:
        ValueError: in one sentence, whatever is wrong with the input.
    """
    check(arguments)
    from zoo.heads.metrics.now_folder import has_scans, list_images, measure, read_scans, subjects_of

    pictures = list_images(arguments.data / f"imagepaths{arguments.split}.txt", arguments.challenge)
    subjects = subjects_of(pictures)
    scanned = has_scans(arguments.data, subjects)
    where = f"{arguments.data / 'scans'} holds no scan of the subjects of these pictures"
    if arguments.predictions is not None and not scanned:
        raise ValueError(f"{where}, so there is nothing to measure: expected --split validation, or their scans.")
    model = None if arguments.predictions is not None else load_head_model(arguments)
    scans = read_scans(arguments.data, subjects, progress("scans")) if scanned else {}
    failed = {} if model is None else predict(model, arguments, pictures)
    predictions = arguments.predictions or arguments.output
    if not scanned:
        print(f"{where}, so the predictions in {predictions} are all there is; nothing was measured.")
        name_missing(failed, len(pictures))
        return 1 if failed or arguments.split == "validation" else 0
    made_by = read_maker(predictions)
    measured = measure(pictures, scans, predictions, progress("distances"))
    return report(arguments, made_by, {name: failed.get(name, found) for name, found in measured.items()})


def check(arguments: argparse.Namespace) -> None:
    """ValueError unless the folders are there and the options fit one another."""
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


def predict(model: Any, arguments: argparse.Namespace, pictures: list[str]) -> dict[str, str]:
    """Write the predictions that are not there yet; of each picture that has none at the end, the reason.

    Raises:
        ValueError: the folder holds predictions of another model, or there are no pictures.
    """
    from collections import Counter

    from zoo.heads.inference import neutral_head
    from zoo.heads.metrics.now_folder import find_image, find_image_folder, is_predicted, read_face_box

    source, output = find_image_folder(arguments.data), arguments.output
    claim(output, model, arguments.model, pictures)
    done = [name for name in pictures if is_predicted(output, name)]
    if done:
        print(f"{len(done)} of {len(pictures)} predictions are in {output} already, made by this model: not made again")
    failed: dict[str, str] = {}
    boxes: Counter[str] = Counter()
    for name in progress("heads")([name for name in pictures if name not in set(done)]):
        try:
            head = neutral_head(model, find_image(source, name), read_face_box(source, name))
            write_prediction(output / name, head.vertices, model.head_model.faces.cpu().numpy(), head.points7)
            boxes[head.how] += 1
        except ValueError as error:
            failed[name] = str(error)
    for how, count in boxes.most_common():
        print(f"pictures in which the head was {how}: {count}")
    print(f"{output}: predictions for {len(pictures) - len(failed)} of {len(pictures)} pictures")
    return failed


def claim(output: Path, model: Any, name: str, pictures: list[str]) -> None:
    """Note in the folder what makes its predictions.

    Raises:
        ValueError: predictions are there that something else made.
    """
    from zoo.core.files import write_json
    from zoo.heads.metrics.now_folder import MESH_ENDINGS, POINT_ENDINGS

    made_by, known = maker(model, name), read_maker(output)
    if known is None:
        files = (output / f"{picture}{ending}" for picture in pictures for ending in MESH_ENDINGS + POINT_ENDINGS)
        foreign = next((file for file in files if file.exists()), None)
        if foreign is not None:
            raise ValueError(
                f"{foreign} was not made by this command; expected another folder, or --predictions {output} to "
                "measure what is there."
            )
        write_json(output / MADE_BY, made_by)
        return
    differing = [key for key in SAME if known.get(key) != made_by[key]]
    if differing:
        raise ValueError(
            f"{output} holds predictions of {known.get('model')}, made with other {' and '.join(differing)}: expected "
            "another folder; or delete this one to predict anew."
        )


def read_maker(predictions: Path) -> dict[str, Any] | None:
    """What made the predictions in a folder; None where nobody noted it.

    Raises:
        ValueError: the note is damaged.
    """
    import json

    path = predictions / MADE_BY
    if not path.is_file():
        return None
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ValueError(f"{path} is damaged, so what made the predictions is unknown: give another folder.")
    return known


def maker(model: Any, name: str) -> dict[str, Any]:
    """What determines the predictions: weights, head model and versions; and what the user called the model."""
    import hashlib

    import torch

    from zoo.measure.device import device_of
    from zoo.measure.environment import environment

    digest = hashlib.sha256()
    for key, values in model.state_dict().items():
        digest.update(key.encode())
        digest.update(values.detach().cpu().flatten().view(torch.uint8).numpy())
    head, surroundings, device = model.head_model, environment(), device_of(model)
    return {
        "model": name,
        "weights": digest.hexdigest(),
        "head_model": {"name": head.name, "licence": head.licence, "sha256": head.sha256},
        "versions": surroundings["versions"],
        "commit": surroundings["commit"],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }


def write_prediction(stem: Path, vertices: "np.ndarray", faces: "np.ndarray", points7: "np.ndarray") -> None:
    """Write STEM.obj and STEM.npy."""
    import numpy as np

    from zoo.core.files import replacing
    from zoo.heads.mesh_files import write_obj

    write_obj(stem.with_name(f"{stem.name}.obj"), vertices, faces)
    with replacing(stem.with_name(f"{stem.name}.npy")) as unfinished:
        np.save(unfinished, points7)


def report(
    arguments: argparse.Namespace, made_by: dict[str, Any] | None, measured: "Mapping[str, np.ndarray | str]"
) -> int:
    """Print and write the numbers; 1 where a picture is missing in them."""
    from zoo.core.files import write_json
    from zoo.heads.metrics.now_folder import by_challenge, pool
    from zoo.measure.environment import environment

    overall = pool(measured)
    results = by_challenge(measured) if arguments.challenge else {**by_challenge(measured), "all": overall}
    show(results)
    name_missing(overall.missing, len(measured))
    predictions = arguments.predictions or arguments.output
    name = f"now-{arguments.challenge}.json" if arguments.challenge else "now.json"
    path = (arguments.output or predictions) / name
    write_json(
        path,
        {
            "benchmark": "NoW",
            "split": arguments.split,
            "unit": "mm",
            "results": {name: as_values(result) for name, result in results.items()},
            "missing": overall.missing,
            "predictions": str(predictions),
            "made_by": made_by,
            "measured_with": environment(),
        },
    )
    print(f"Wrote {path}.")
    return 1 if overall.missing else 0


def as_values(result: "NowResult") -> dict[str, float | int | None]:
    """A result for JSON, which has no NaN."""
    numbers = {name: getattr(result, name) if result.measured else None for name in ("median", "mean", "std")}
    return {**numbers, "measured": result.measured, "missing": len(result.missing)}


def show(results: "Mapping[str, NowResult]") -> None:
    """Print the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("NoW, mm", box=box.SIMPLE, caption="over the points of all measured scans", caption_justify="left")
    for column in ("median", "mean", "std", "measured", "missing"):
        table.add_column(column, justify="right")
    for name, result in results.items():
        numbers = [f"{value:.2f}" if result.measured else "—" for value in (result.median, result.mean, result.std)]
        table.add_row(name, *numbers, str(result.measured), str(len(result.missing)))
    Console(highlight=False).print(table)


def name_missing(missing: Mapping[str, str], pictures: int) -> None:
    """Print which pictures have no usable prediction, and why."""
    if not missing:
        return
    print(f"{len(missing)} of {pictures} pictures have no usable prediction and are in no number")
    for name, reason in list(missing.items())[:NAMED]:
        print(f"missing: {name}: {reason}")
    if len(missing) > NAMED:
        print(f"and {len(missing) - NAMED} more")


def progress(what: str) -> Callable[[list[str]], Iterable[str]]:
    """Shows a progress bar while a list is gone through."""
    from zoo.media.results import tracked

    return lambda items: tracked(items, len(items), what, True)
