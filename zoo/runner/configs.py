"""Shipped configurations, found by their short names."""

from pathlib import Path

CONFIGS = next(
    (
        folder
        for folder in (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")
        if folder.is_dir()
    ),
    Path("configs"),
)
"""Folder of the shipped configurations: next to the package in a checkout, inside it in a wheel."""


def shipped(value: str) -> Path:
    """Return the path of a configuration: the user's own file, or a shipped one by its short name.

    Example:
        >>> shipped("matting/quickstart").name
        'quickstart.yaml'
    """
    for candidate in (Path(value), CONFIGS / value, CONFIGS / f"{value}.yaml"):
        if candidate.is_file():
            return candidate
    return Path(value)
