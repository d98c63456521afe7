"""Load a state dict into a network, and name the weights that do not fit."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from zoo.core.errors import ZooError

LOSSES = "losses."
"""Prefix of the weights of loss terms, which only training reads."""


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without the prefixes that wrappers of a network add: `module.`, `model.`, `_orig_mod.`.

    They are from DataParallel and AveragedModel, a LightningModule of another project, and torch.compile.

    Example:
        >>> list(unwrapped({"module._orig_mod.decoder.bias": None, "n_averaged": None}))
        ['decoder.bias']
    """
    weights = {key.replace("_orig_mod.", ""): value for key, value in state.items() if key != "n_averaged"}
    for prefix in ("module.", "model.", "module."):
        if all(key.startswith(prefix) for key in weights):
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return weights


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's weights of a training module's state dict (keys under `network.`); any other as it is."""
    weights = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    return weights or dict(state)


def load_all(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Load every weight; ZooError where they do not fit."""
    check_fit(module, state, path)
    module.load_state_dict(state, strict=False)


def check_fit(module: nn.Module, state: Mapping[str, Tensor], path: str) -> None:
    """Raise ZooError for weights that are missing, unexpected or of another shape."""
    if problems := list(mismatches(module, state)):
        raise mismatch_error(path, problems)


def load_parts(network: nn.Module, state: Mapping[str, Tensor], path: str) -> tuple[list[str], list[str]]:
    """Load a network's weights, except for children that have weights only in the network or only in `state`.

    Returns:
        Names of the children that keep their initial weights, since `state` has none for them, and names of the
        children whose weights in `state` are ignored, since they have none in the network, such as `NoRefiner`.

    Raises:
        ZooError: any other mismatch, or nothing fits.
    """
    children = {name: bool(child.state_dict()) for name, child in network.named_children()}
    prefixes = {key.partition(".")[0] for key in state if "." in key}
    fresh = [name for name, has_weights in children.items() if has_weights and name not in prefixes]
    ignored = [name for name, has_weights in children.items() if not has_weights and name in prefixes]
    state = {key: value for key, value in state.items() if key.partition(".")[0] not in ignored}
    problems = [
        problem for problem in mismatches(network, state) if problem.split(".")[0].removeprefix("missing ") not in fresh
    ]
    if problems or len(fresh) == sum(children.values()):
        raise mismatch_error(path, problems or ["none of its weights belongs to this network"])
    network.load_state_dict(state, strict=False)
    return fresh, ignored


def mismatches(module: nn.Module, state: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield a phrase for each weight that keeps a state dict from fitting a module; loss terms may come and go."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key not in state:
            if not key.startswith(LOSSES):
                yield f"missing {key}"
        elif not isinstance(state[key], Tensor):
            yield f"{key} is a {type(state[key]).__name__}, expected a tensor"
        elif state[key].shape != value.shape:
            yield f"{key} has shape {tuple(state[key].shape)}, expected {tuple(value.shape)}"
    yield from (f"unexpected {key}" for key in state if key not in expected and not key.startswith(LOSSES))


def mismatch_error(path: str, problems: list[str]) -> ZooError:
    """Return an error that names the first few mismatches."""
    more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
    return ZooError(
        f"{path} does not fit this model: {'; '.join(problems[:4])}{more}. Choose the model and the parts that it "
        f"was made with, which zoo show {path} lists."
    )
