"""Fusing BatchNorm: equal outputs, and no BatchNorm left where one can be fused, and none touched elsewhere."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo_plugins.backbones import TimmBackbone

from zoo.training.fusing import fuse_batchnorm, fused


def with_statistics(network: nn.Module) -> nn.Module:
    """In evaluation and double precision, with BatchNorms that do something."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, low, high in (
                (norm.running_mean, -0.2, 0.2),
                (norm.running_var, 0.5, 1.5),
                (norm.weight, 0.8, 1.2),
                (norm.bias, -0.2, 0.2),
            ):
                if values is not None:
                    values.data.uniform_(low, high, generator=generator)
    return network.double().eval()


def norms_in(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class Model(nn.Module):
    """A function of layers."""

    def __init__(self, compute: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.compute = compute
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


def convolution(**options: object) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, padding=1, **options)  # type: ignore[arg-type]


FUSED = {
    "in a row": lambda: nn.Sequential(convolution(bias=False), nn.BatchNorm2d(4), nn.ReLU(), convolution()),
    "grouped, with bias": lambda: nn.Sequential(convolution(groups=4), nn.BatchNorm2d(4)),
    "without weights": lambda: nn.Sequential(convolution(), nn.BatchNorm2d(4, affine=False)),
    "a shape is asked for": lambda: Model(asked, conv=convolution(), norm=nn.BatchNorm2d(4)),
}


def asked(self: nn.Module, x: Tensor) -> Tensor:
    x = self.conv(x)
    assert x.shape[1] == 4
    assert x.size(0) == 1
    return self.norm(x)


KEPT = {
    "used elsewhere": Model(
        lambda self, x: (y := self.conv(x)) + self.norm(y), conv=convolution(), norm=nn.BatchNorm2d(4)
    ),
    "changed on the way": Model(
        lambda self, x: self.norm(F.relu_(self.conv(x))), conv=convolution(), norm=nn.BatchNorm2d(4)
    ),
    "one BatchNorm for two": Model(
        lambda self, x: self.norm(self.other(self.norm(self.conv(x)))),
        conv=convolution(),
        other=convolution(),
        norm=nn.BatchNorm2d(4),
    ),
    "one convolution twice": Model(
        lambda self, x: self.norm(self.conv(self.conv(x))), conv=convolution(), norm=nn.BatchNorm2d(4)
    ),
    "before the convolution": Model(
        lambda self, x: self.conv(self.norm(x)), conv=convolution(), norm=nn.BatchNorm2d(4)
    ),
    "of the batch": nn.Sequential(convolution(), nn.BatchNorm2d(4, track_running_stats=False)),
}


def check(network: nn.Module, x: Tensor, left: int) -> None:
    """Check that fusing keeps the outputs except for rounding and leaves this number of BatchNorms."""
    with_statistics(network)
    with torch.no_grad():
        expected = network(x)
        fuse_batchnorm(network, lambda: network(x))
        torch.testing.assert_close(network(x), expected, rtol=1e-9, atol=1e-9)
    assert norms_in(network) == left


@pytest.mark.parametrize("name", FUSED)
def test_a_batchnorm_behind_a_convolution_becomes_part_of_it(name: str) -> None:
    check(FUSED[name](), torch.rand(1, 4, 8, 8, dtype=torch.float64), left=0)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_more_than_that_is_kept(name: str) -> None:
    check(KEPT[name], torch.rand(1, 4, 8, 8, dtype=torch.float64), left=1)


@pytest.mark.parametrize("name", ["mobilenetv2_050", "resnet18", "mobilenetv3_small_050"])
def test_no_batchnorm_is_left_of_timms(name: str) -> None:
    backbone = TimmBackbone(name, output_stride=32 if "v3" in name else 16)
    backbone.build(in_channels=6, strides=(2, 4, 8, 16))
    network = with_statistics(backbone)
    x = torch.rand(1, 6, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = network(x)
        fuse_batchnorm(network, lambda: network(x))
        for one, other in zip(network(x), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert norms_in(network) == 0


def test_fusing_twice_changes_nothing() -> None:
    layer = convolution()
    assert fused(layer, nn.Identity()) == (layer.weight, layer.bias)
