"""Write synthetic mattes as files, in the folder layout of the official code: DIR/<split>/{fgr,pha,bgr}/0000.png.

Number n of a split is number n of `SyntheticMattes(split, seed=…)` with its other arguments at their defaults;
there are as many backgrounds as mattes.
"""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.core.files import replacing
from zoo.matting.synthetic.backgrounds import draw_background
from zoo.matting.synthetic.mattes import MatteOptions, draw_matte
from zoo.matting.synthetic.photographs import ATTRIBUTION, PHOTOGRAPHS
from zoo.media.images import MediaError, write_image

KINDS = ("fgr", "pha", "bgr")
"""The folders of a split: straight foregrounds, alphas, backgrounds."""

README = """Synthetic mattes: procedural drawings, made by the Ablation Zoo (`zoo data synth`).

<split>/fgr  straight (not premultiplied) foregrounds, RGB
<split>/pha  alphas, grey, 255 is opaque
<split>/bgr  backgrounds, RGB

Every foreground is synthetic: no person or thing was photographed. Cloth and backgrounds may show pieces of these
photographs, which come with scikit-image; whose they are, as its documentation states:

{photographs}
"""


def write_dataset(directory: Path, *, splits: dict[str, int], size: int, seed: int) -> None:
    """Write synthetic mattes and backgrounds with a progress bar; a run that was interrupted may be started again.

    Args:
        directory: made if it is not there.
        splits: how many mattes, and as many backgrounds, for `train`, `validation` and `test`.
        size: height and width in pixels.
        seed: another seed gives other pictures.

    Raises:
        MediaError: an unknown split, a count below 1, a size below 32, or a folder that holds other pictures.
    """
    directory = Path(directory)
    _check(directory, splits, size)
    options = MatteOptions(size)
    with replacing(directory / "README.txt") as temporary:
        temporary.write_text(_readme(splits), encoding="utf-8")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for split, count in splits.items():
            for index in progress.track(range(count), description=f"Drawing {split}"):
                name = _name(index)
                matte = draw_matte(seed, split, index, options)
                write_image(directory / split / "fgr" / name, matte[..., :3])
                write_image(directory / split / "pha" / name, matte[..., 3])
                write_image(directory / split / "bgr" / name, draw_background(seed, split, index, size))


def _name(index: int) -> str:
    return f"{index:04d}.png"


def _readme(splits: Iterable[str]) -> str:
    names = sorted({name for split in splits for name in PHOTOGRAPHS[split]})
    return README.format(photographs="\n".join(f"{name}: {ATTRIBUTION[name]}" for name in names))


def _check(directory: Path, splits: dict[str, int], size: int) -> None:
    if size < 32:
        raise MediaError(f"size is {size}: synthetic mattes are at least 32 pixels high and wide.")
    for split, count in splits.items():
        if split not in PHOTOGRAPHS:
            raise MediaError(f"there is no synthetic split '{split}': choose from {', '.join(PHOTOGRAPHS)}.")
        if count < 1:
            raise MediaError(f"the split '{split}' is to have {count} mattes: expected at least 1.")
        ours = {_name(index) for index in range(count)}
        for kind in KINDS:
            others = [path for path in (directory / split / kind).glob("[!.]*") if path.name not in ours]
            if others:
                raise MediaError(
                    f"{directory / split / kind} holds {len(others)} other files, such as {others[0].name}: "
                    "choose an empty folder."
                )
