"""Contexts: the official one is segmentation_models_pytorch's, and trains with a batch of one."""

import pytest
import torch
from segmentation_models_pytorch.decoders.deeplabv3 import decoder
from torch import nn
from zoo_plugins.contexts import ASPP, NoContext, PooledBatchNorm


def test_aspp_has_the_weights_and_values_of_the_library() -> None:
    torch.manual_seed(0)
    library = decoder.ASPP(8, 256, (3, 6, 9), separable=False, dropout=0.5).eval()
    torch.manual_seed(0)
    context = ASPP()
    torch.manual_seed(0)
    context.build(8)
    assert list(context.state_dict()) == list(library.state_dict())
    features = torch.rand(2, 8, 7, 5)
    assert torch.equal(context.eval()(features), library(features))


@pytest.mark.parametrize("context", [ASPP, NoContext])
def test_a_width_without_channels_is_refused(context: type) -> None:
    with pytest.raises(ValueError, match=rf"{context.__name__}\(width=0\): expected at least one channel"):
        context(width=0)


def test_pooled_batchnorm_keeps_its_statistics_with_one_value_and_learns_them_with_more() -> None:
    norm = PooledBatchNorm(3)
    norm.running_mean.fill_(2.0)
    x = torch.rand(1, 3, 1, 1)
    torch.testing.assert_close(norm.train()(x), (x - 2) / (1 + 1e-5) ** 0.5)
    assert norm.running_mean.tolist() == [2.0] * 3
    plain, two = nn.BatchNorm2d(3), torch.rand(2, 3, 1, 1)
    plain.running_mean.fill_(2.0)
    assert torch.equal(norm(two), plain(two))
    assert torch.equal(norm.running_mean, plain.running_mean)
    assert torch.equal(norm.eval()(x), plain.eval()(x))
