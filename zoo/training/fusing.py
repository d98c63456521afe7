"""Fuse BatchNorms into the convolutions before them, for networks that are no longer trained.

One forward pass is recorded to find which BatchNorm follows which convolution, since names do not tell. Both are fused
only if the output of the convolution goes into one BatchNorm and nowhere else.
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
    """Fuse each BatchNorm that follows a convolution into it, in place, for a network in evaluation mode.

    The outputs of the network stay the same except for rounding. Its weights change, so that it can neither be trained
    nor saved in place of the original.

    Args:
        run: a function that runs every layer of the network once, on any small input.

    Example:
        >>> from torch import rand
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).eval()
        >>> fuse_batchnorm(network, lambda: network(rand(1, 3, 8, 8)))
        >>> network[1]
        Identity()
    """
    with ConvolutionRecorder() as recorder:
        run()
    convolutions = {id(each.weight): each for each in network.modules() if isinstance(each, nn.Conv2d)}
    norms = {id(each.running_mean): each for each in network.modules() if isinstance(each, nn.BatchNorm2d)}
    replacements: dict[nn.Module, nn.Module] = {}
    for weight, mean in recorder.pairs():
        convolution, norm = convolutions.get(id(weight)), norms.get(id(mean))
        replacement = None if norm is None else replacement_of(norm)
        if convolution is not None and norm is not None and replacement is not None:
            new_weight, new_bias = fused(convolution, norm)
            convolution.weight = nn.Parameter(new_weight.detach())
            convolution.bias = None if new_bias is None else nn.Parameter(new_bias.detach())
            replacements[norm] = replacement
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in replacements:
                setattr(parent, name, replacements[child])


def fused(convolution: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of one convolution that equals convolution and BatchNorm in evaluation, without gradient.

    Args:
        norm: the BatchNorm after the convolution, or an `nn.Identity` if both are fused already.
    """
    if isinstance(norm, nn.Identity):
        return convolution.weight, convolution.bias
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def replacement_of(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Return the module in place of a fused BatchNorm, such as its activation; None for an unknown class."""
    from timm.layers import BatchNormAct2d  # slow to import

    if type(norm) is BatchNormAct2d:
        return nn.Sequential(norm.drop, norm.act)
    return nn.Identity() if type(norm) is nn.BatchNorm2d else None


class ConvolutionRecorder(TorchFunctionMode):
    """Mode that records where the outputs of convolutions go."""

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[int, tuple[Tensor, Tensor]] = {}  # with the tensors themselves, so that no id is reused
        self._uses: Counter[int] = Counter()
        self._followed: list[tuple[int, Tensor]] = []
        self._calls: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(value, Tensor) for value in tree_leaves(result)):  # not such as x.shape
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
        """Return the weight of each convolution whose output went only into one BatchNorm, and its running mean.

        Layers that were called more than once are left out.
        """
        pairs = [(self._results[x], mean) for x, mean in self._followed if x in self._results and self._uses[x] == 1]
        return [(weight, mean) for (_, weight), mean in pairs if self._calls[id(weight)] == self._calls[id(mean)] == 1]
