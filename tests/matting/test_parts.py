"""The records and slots of matting: what a stranger's part may rely on."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.matting.parts import ErrorMap, MattingBatch, MattingDataset, MattingOutput, PatchSelector, Refiner, resize


@pytest.mark.parametrize("slot", [ErrorMap, PatchSelector, Refiner, MattingDataset])
def test_a_slot_is_abstract_until_its_methods_are_there(slot: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        slot()


def test_a_selector_needs_nothing_but_forward() -> None:
    class Everywhere(PatchSelector):
        def forward(self, error: Tensor) -> Tensor:
            return torch.ones_like(error)

    selector = Everywhere()
    assert selector.patches is None
    assert not selector.uses_error
    assert selector.spec == {"class_path": "Everywhere", "init_args": {}}


def test_the_fields_that_losses_and_metrics_may_name() -> None:
    assert MattingOutput._fields == ("alpha", "foreground", "coarse_alpha", "coarse_foreground", "error", "refined")
    assert MattingBatch._fields[:6] == ("source", "background", "alpha", "foreground", "trimap", "name")
    assert MattingBatch(*[torch.zeros(1)] * 4).trimap is None


def test_resize_to_half_is_the_mean_of_two_by_two() -> None:
    picture = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(picture, (6, 10)), F.avg_pool2d(picture, 2))


def test_resize_to_a_quarter_takes_the_middle_without_antialias() -> None:
    picture = torch.tensor([[[[9.0, 1.0, 3.0, 9.0]] * 4]])
    assert resize(picture, (1, 1)).item() == 2.0


def test_resize_does_not_align_corners() -> None:
    assert resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4)).flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 2e-6), (torch.bfloat16, 0.005), (torch.float16, 0.0006)],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(5, 6), (23, 41)])
def test_resize_is_bilinear_for_any_number_of_channels_in_any_order(
    channels: int, size: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    for given in ((12, 20), (13, 19), (1, 1)):
        generator = torch.Generator().manual_seed(0)
        maps = torch.rand(2, channels + 2, *given, dtype=torch.float64, generator=generator).to(dtype)
        inner = maps.to(memory_format=torch.channels_last)[:, 1 : channels + 1]
        for x in (maps[:, :channels], inner, maps[:, -channels:]):
            result = resize(x, size)
            assert result.dtype == dtype
            expected = F.interpolate(x.double(), size, mode="bilinear")
            torch.testing.assert_close(result.double(), expected, rtol=0, atol=tolerance)


def test_gradients_flow_through_resize() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    into = torch.rand(2, 3, 11, 4, dtype=torch.float64, generator=generator)
    ours, theirs = (
        torch.autograd.grad(larger(pictures, (11, 4)), pictures, into)
        for larger in (resize, lambda x, size: F.interpolate(x, size, mode="bilinear"))
    )
    torch.testing.assert_close(ours, theirs)
