"""Convert files of other projects to the formats of the zoo.

`zoo convert head flame.pkl` reads a FLAME pickle without executing anything in it, and writes the head model as
safetensors with its licence and source. The file stays under FLAME's licence: do not share it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.heads.asset import HeadAsset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of files and their arguments."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="{head}")
    head = kinds.add_parser("head", help="convert a FLAME pickle to a head model")
    head.add_argument("file", type=Path, metavar="FILE", help="FLAME's pickle, such as flame2023.pkl")
    head.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: FILE with the suffix .safetensors")
    head.add_argument(
        "--landmarks",
        metavar="F",
        help="FLAME's landmark embedding, a file or its folder (default: transferred from the open head)",
    )
    head.add_argument(
        "--subsets",
        metavar="F",
        help="a folder or file of the vertex indices of face, head and face_with_ears (default: transferred likewise)",
    )
    head.add_argument("--licence", metavar="TEXT", help="the licence of your copy (default: FLAME's own)")
    head.add_argument("--source", metavar="TEXT", help="the origin of your copy (default: the name of FILE)")
    head.add_argument("--force", action="store_true", help="replace OUT if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Write the converted file; return 0.

    Raises:
        ValueError: the input cannot be converted, or the output exists.
    """
    from zoo.heads.asset import save
    from zoo.heads.flame import read_flame

    output = arguments.output or arguments.file.with_suffix(".safetensors")
    if output.suffix != ".safetensors":
        raise ValueError(f"-o {output}: expected a name ending in .safetensors.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: pass --force to replace it, or another name with -o.")
    head = read_flame(arguments.file, arguments.landmarks, arguments.subsets, reference=open_head)
    origin = {"licence": arguments.licence, "source": arguments.source}
    head = replace(head, **{name: value for name, value in origin.items() if value is not None})
    save(head, output)
    print(f"Wrote {output}.")
    print(summary(head, arguments.landmarks, arguments.subsets))
    return 0


def open_head() -> "HeadAsset":
    """Return the head model that comes with the package."""
    from zoo.core.registry import get_slot

    return get_slot("head_models").get("OpenHead")().asset()


def summary(head: "HeadAsset", landmarks: str | None, subsets: str | None) -> str:
    """Return the properties of a head model, one in a line."""
    sizes = ", ".join(f"{name} {len(indices):,}" for name, indices in head.subsets.items())
    lines = [
        f"  vertices    {len(head.template):,}, {len(head.faces):,} triangles",
        f"  parameters  {head.shape_basis.shape[2]} shape, {head.expression_basis.shape[2]} expression",
        f"  joints      {', '.join(head.joints)}",
        f"  subsets     {sizes} vertices" + (f", from {subsets}" if subsets else ""),
        f"  landmarks   {len(head.landmark_faces)}" + (f", from {landmarks}" if landmarks else ""),
        f"  licence     {head.licence}",
        f"  source      {head.source}",
        *(f"  note        {note}" for note in head.notes),
    ]
    return "\n".join(lines)
