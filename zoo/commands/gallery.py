"""Show the images of a run or a study on one page, two at a time behind a slider.

The page is one file and needs no network. A study's folder (`studies/NAME`) shows the inputs and the output of every
row for some samples of each test set, that of a training (`runs/NAME/version_0`) its contact sheets of validation.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="the folder of a run or of a study")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="the page to write (default: gallery.html in the folder)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the page; return 0.

    Raises:
        ZooError: the folder keeps no images, or the file cannot be written.
    """
    if not arguments.folder.is_dir():
        raise ValueError(f"RUN {arguments.folder} does not exist; expected the folder of a run or of a study.")
    from zoo.core.files import write_text, writing
    from zoo.study.report.gallery import gallery

    file = arguments.output or arguments.folder / "gallery.html"
    page = gallery(arguments.folder)
    with writing(file, "choose another file with --output"):
        write_text(file, page)
    print(f"{file} opens in any browser.")
    return 0
