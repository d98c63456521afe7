"""Load a state dict into a network, and name what does not fit."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from zoo.core.errors import ZooError


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's share of a training module's state dict (keys under `network.`); another one as it is."""
    share = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    return share or dict(state)


def load_all(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Load every weight; ZooError where they do not fit."""
    check_fit(module, state, path)
    module.load_state_dict(state)


def check_fit(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """ZooError lists what is missing, unexpected or of another shape."""
    problems = list(mismatches(module, state))
    if problems:
        raise ZooError(mismatch_message(path, problems))


def load_parts(network: nn.Module, state: Mapping[str, Tensor], path: str) -> list[str]:
    """Load a network's weights, except for the children that have none at all in `state`; returns these children's
    names.

    Raises:
        ZooError: any other mismatch, or nothing fits.
    """
    fresh = [
        name
        for name, part in network.named_children()
        if part.state_dict() and not any(key.startswith(f"{name}.") for key in state)
    ]
    problems = [
        problem for problem in mismatches(network, state) if problem.split(".")[0].removeprefix("missing ") not in fresh
    ]
    if problems or len(fresh) == sum(1 for part in network.children() if part.state_dict()):
        raise ZooError(mismatch_message(path, problems or ["none of its weights belongs to this network"]))
    network.load_state_dict(state, strict=False)
    return fresh


def mismatches(module: nn.Module, state: Mapping[str, Tensor]) -> Iterator[str]:
    """What keeps a state dict from fitting a module, an entry a weight."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key not in state:
            yield f"missing {key}"
        elif not isinstance(state[key], Tensor):
            yield f"{key} is a {type(state[key]).__name__}, expected a tensor"
        elif state[key].shape != value.shape:
            yield f"{key} has shape {tuple(state[key].shape)}, expected {tuple(value.shape)}"
    for key in state:
        if key not in expected:
            yield f"unexpected {key}"


def mismatch_message(path: str, problems: list[str]) -> str:
    """One sentence with the first few mismatches."""
    more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
    return (
        f"{path} does not fit this model: {'; '.join(problems[:4])}{more}. Choose the model and the parts that it "
        "was made with."
    )
