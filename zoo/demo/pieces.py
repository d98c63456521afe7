"""What the tabs share: places for images, the choice of a model, and how errors are shown."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from zoo.core.errors import ZooError
from zoo.hub.catalogue import all_entries


def model_menu(task: str, default: str | None = None) -> gr.Dropdown:
    """Return a choice of all weights of a task in the catalogues; without a default, of none of them too."""
    names = sorted(name for name, (entry, *_) in all_entries().items() if entry.task == task and name == entry.name)
    automatic = [] if default else [("by what is given", "")]
    return gr.Dropdown([*automatic, *((name, name) for name in names)], value=default or "", label="Model")


def upload(label: str, **settings: Any) -> gr.Image:
    """Return a place for an image, which is handed on as a file without loss."""
    return gr.Image(type="filepath", format="png", label=label, sources=["upload", "clipboard"], **settings)


def shown_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose errors and warnings the page shows, each as its sentence."""

    @wraps(function)
    def run(*inputs: Any) -> Any:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            try:
                result = function(*inputs)
            except (ZooError, ValueError) as error:
                raise gr.Error(str(error), duration=None, print_exception=False) from error
        for sentence in dict.fromkeys(str(warning.message) for warning in said):
            gr.Warning(sentence)
        return result

    return run
