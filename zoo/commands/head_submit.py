"""Run a model over a split of DAD-3DHeads and write the benchmark's submission file.

Items whose image cannot be read, or whose prediction is not finite, are printed; the exit code is then 1.
"""

import argparse
from pathlib import Path

from zoo.commands.head import load_head_model
from zoo.runner.model_arguments import add_model_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("data", metavar="DATA_ROOT", type=Path, help="the folder of DAD-3DHeads")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the submission, such as submission.json"
    )
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="test", help="which items (default: test, the benchmark's)"
    )
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and write; return 0 when every item has a prediction that the benchmark can measure.

    Raises:
        ZooError: bad input; then nothing is written.
    """
    if arguments.output.is_dir():
        raise ValueError(f"{arguments.output} is a folder; expected a file, such as submission.json.")
    from zoo.heads.dad_format import read_items
    from zoo.heads.inference import submission_items
    from zoo.heads.submission import write_submission

    items = read_items(arguments.data, arguments.split)
    model = load_head_model(arguments)
    report = write_submission(arguments.output, submission_items(model, items), [item.name for item in items])
    print(f"{arguments.output}: predictions for {report.items} of {len(items)} items")
    for problem in report.problems:
        print(f"problem: {problem}")
    return 1 if report.problems else 0
