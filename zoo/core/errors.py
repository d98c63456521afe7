"""`ZooError`, the base class of all errors raised on purpose, and the sentence that a user reads about an error."""

import re
import textwrap


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
    """Return the message of an error in one line, with the kind of error unless it was raised on purpose.

    Example:
        >>> explain(ZooError("expected rows ≥ 1.")), explain(KeyError("rows"))
        ('expected rows ≥ 1.', "KeyError: 'rows'")
    """
    text = str(on_purpose(error) or error)
    # An error of a DataLoader worker carries the worker's traceback before its message.
    caught = re.match(r"Caught (\w+) in DataLoader worker", text)
    if caught:
        text = re.sub(r"\n(It was raised in)", r". \1", text.rpartition(f"{caught[1]}: ")[2])
    text = textwrap.shorten(text, 1000, placeholder=" …")
    return text if on_purpose(error) and text else f"{type(error).__name__}{f': {text}' * bool(text)}"


def on_purpose(error: BaseException) -> BaseException | None:
    """Return the error whose message suffices: a `ZooError` that this one was raised from, or the error itself if it is
    a part's `ValueError` or is about files and numbers; None for any other, where it matters where it happened.
    """
    current: BaseException | None = error
    while current is not None and not isinstance(current, ZooError):
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    suffices = isinstance(error, OSError | FloatingPointError) or type(error) is ValueError
    return current or (error if suffices else None)
