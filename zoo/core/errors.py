"""`ZooError`, the base class of all errors raised on purpose, and the sentence that a user reads about an error."""

import re


class ZooError(ValueError):
    """Bad input, with a message of one sentence: what was received, what was expected, what to do.

    The command line prints the sentence instead of a traceback and exits with `exit_code`. Parts may raise a plain
    `ValueError`, which is treated the same.

    Example:
        >>> raise ZooError("the batch has 3 images; expected at least 4: lower --data.batch_size.")
        Traceback (most recent call last):
        zoo.core.errors.ZooError: the batch has 3 images; expected at least 4: lower --data.batch_size.
    """

    exit_code = 1


def explain(error: BaseException) -> str:
    """Return the message of an error in one line, or that of the `ZooError` that it was raised from.

    Example:
        >>> explain(OSError(28, "No space left on device"))
        '[Errno 28] No space left on device'
    """
    current: BaseException | None = error
    while current is not None and not isinstance(current, ZooError):
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    text = str(current or error)
    # An error of a DataLoader worker carries the worker's traceback before its message.
    caught = re.match(r"Caught (\w+) in DataLoader worker", text)
    if caught:
        text = text.rpartition(f"{caught[1]}: ")[2]
    return " ".join(text.split()) or type(error).__name__


def is_on_purpose(error: BaseException) -> bool:
    """Return whether the message of an error suffices: ours, a part's `ValueError`, or one about files and numbers.

    Subclasses of `ValueError`, such as a JSON reader's, come from inside a library: where they happened matters.

    Example:
        >>> is_on_purpose(ValueError("expected rows ≥ 1.")), is_on_purpose(KeyError("rows"))
        (True, False)
    """
    return isinstance(error, ZooError | OSError | FloatingPointError) or type(error) is ValueError
