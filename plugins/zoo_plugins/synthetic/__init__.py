"""Generators of the synthetic datasets.

`drawing` holds what mattes and heads share (shapes, colours, layers, backgrounds), `mattes` generates cut-outs with
exact alpha, `heads` renders head models. Every image depends on (seed, split, index) and nothing else.
"""


def check_arguments(split: str, **arguments: tuple[int, int]) -> None:
    """Raise ValueError for an unknown split, or for an argument `name=(value, smallest)` below its smallest value."""
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split is {split!r}: choose train, validation or test.")
    for name, (value, smallest) in arguments.items():
        if value < smallest:
            raise ValueError(f"{name} is {value}: it must be at least {smallest}.")


def check_index(index: int, count: int, items: str) -> None:
    """Raise IndexError where there is no item of this number."""
    if not 0 <= index < count:
        raise IndexError(f"index {index} is out of range: the dataset has {count} {items}.")
