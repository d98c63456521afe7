"""Where the shipped configurations are."""

from pathlib import Path

CONFIGS = next(
    (
        folder
        for folder in (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")
        if folder.is_dir()
    ),
    Path("configs"),
)
"""Their folder: beside the package in a checkout, inside it when installed from a wheel."""


def shipped(value: str) -> Path:
    """The configuration file: the user's own, or a shipped one by its short name (`matting/quickstart`)."""
    for candidate in (Path(value), CONFIGS / value, CONFIGS / f"{value}.yaml"):
        if candidate.is_file():
            return candidate
    return Path(value)
