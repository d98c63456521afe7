"""BatchNorm folded into the convolution before it, which is all that it amounts to once training is over.

Names do not tell which BatchNorm follows which convolution: one forward pass is watched. Only where a convolution's
result goes into one BatchNorm and nowhere else are both made one.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


def fuse_batchnorm(network: nn.Module, run: Callable[[], object]) -> None:
    """Fold each BatchNorm of a network in evaluation mode that follows a convolution, in place.

    Afterwards the network gives what it gave before, but for rounding, and has other weights: it can neither be trained
    nor saved in place of what it was.

    Args:
        run: runs the network, or all of its parts, once, in whatever small way reaches every layer.
    """
    with Watch() as watch:
        run()
    convolutions = {id(each.weight): each for each in network.modules() if isinstance(each, nn.Conv2d)}
    norms = {id(each.running_mean): each for each in network.modules() if isinstance(each, nn.BatchNorm2d)}
    replaced: dict[nn.Module, nn.Module] = {}
    for weight, mean in watch.pairs():
        convolution, norm = convolutions.get(id(weight)), norms.get(id(mean))
        rest = None if norm is None else rest_of(norm)
        if convolution is not None and norm is not None and rest is not None:
            new_weight, new_bias = folded(convolution, norm)
            convolution.weight = nn.Parameter(new_weight.detach())
            convolution.bias = None if new_bias is None else nn.Parameter(new_bias.detach())
            replaced[norm] = rest
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in replaced:
                setattr(parent, name, replaced[child])


def folded(convolution: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the one convolution that does what both do in evaluation; gradients do not flow.

    Args:
        norm: the BatchNorm behind it, or an `nn.Identity` where it is folded already.
    """
    if isinstance(norm, nn.Identity):
        return convolution.weight, convolution.bias
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def rest_of(norm: nn.BatchNorm2d) -> nn.Module | None:
    """What is left to do of a BatchNorm that a convolution has taken over; None for a kind that is unknown here."""
    from timm.layers import BatchNormAct2d  # which brings much else with it

    if type(norm) is BatchNormAct2d:
        return nn.Sequential(norm.drop, norm.act)
    return nn.Identity() if type(norm) is nn.BatchNorm2d else None


class Watch(TorchFunctionMode):
    """Sees where the results of convolutions go."""

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[int, tuple[Tensor, Tensor]] = {}  # with the tensors themselves, so that no id is reused
        self._uses: Counter[int] = Counter()
        self._followed: list[tuple[int, Tensor]] = []
        self._calls: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(value, Tensor) for value in tree_leaves(result)):  # others, such as its shape, only ask
            self._uses.update(id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor))
        if func is F.conv2d:
            self._results[id(result)] = result, args[1]
            self._uses[id(result)] = 0  # another tensor, gone by now, may have had its id
            self._calls[id(args[1])] += 1
        elif func is F.batch_norm:
            x, mean = args[:2]
            self._calls[id(mean)] += 1
            if mean is not None:
                self._followed.append((id(x), mean))
        return result

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """The weight of each convolution whose result only went into one BatchNorm, and that one's running mean; both
        called once.
        """
        found = [(self._results[x], mean) for x, mean in self._followed if x in self._results and self._uses[x] == 1]
        return [(weight, mean) for (_, weight), mean in found if self._calls[id(weight)] == self._calls[id(mean)] == 1]
