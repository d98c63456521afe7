"""Smoothing: a head at rest is calm, a moving one does not lag, and the frame rate does not matter."""

import pytest
import torch

from zoo.heads.mesh import HeadParams
from zoo.heads.rotation import angle_between, matrix_from_6d, matrix_from_axis_angle, matrix_from_euler, matrix_to_6d
from zoo.heads.smoothing import HeadSmoother, OneEuroFilter, RotationFilter, gain


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_first_value_passes_as_it_is() -> None:
    assert OneEuroFilter()(torch.tensor([3.0, -1.0]), 5.0).tolist() == [3.0, -1.0]


def test_two_steps_by_hand() -> None:
    filtered = OneEuroFilter(cutoff=2.0, speed_weight=0.5)
    filtered(torch.tensor([1.0]), 0.0)
    speed = gain(1.0, 0.1) * 20  # from rest towards 2 in 0.1 s
    expected = 1 + 2 * gain(2.0 + 0.5 * speed, 0.1)
    torch.testing.assert_close(filtered(torch.tensor([3.0]), 0.1), torch.tensor([expected]))


def test_jitter_at_rest_shrinks_and_the_mean_stays() -> None:
    smooth = OneEuroFilter(cutoff=1.0)
    values = 5 + noise(300, 1)
    filtered = torch.stack([smooth(value, number / 30) for number, value in enumerate(values)])[60:]
    assert filtered.std() < 0.4 * values.std()
    assert abs(float(filtered.mean()) - 5) < 0.15


def test_speed_opens_the_filter() -> None:
    def lag(speed_weight: float) -> float:
        smooth = OneEuroFilter(1.0, speed_weight)
        return max(abs(number / 3 - float(smooth(torch.tensor([number / 3]), number / 30))) for number in range(60))

    assert lag(2.0) < 0.3 * lag(0.0)


@pytest.mark.parametrize("rates", [(30, 60), (25, 10)])
def test_the_frame_rate_does_not_matter(rates: tuple[int, int]) -> None:
    """A step, seen at two rates, has settled equally far after one second."""
    settled = []
    for rate in rates:
        smooth = OneEuroFilter(cutoff=0.3)
        smooth(torch.zeros(1), 0.0)
        for number in range(1, rate + 1):
            value = smooth(torch.ones(1), number / rate)
        settled.append(float(value))
    assert settled[0] == pytest.approx(settled[1], abs=1e-5)
    assert 0.5 < settled[0] < 0.95


def test_what_was_not_seen_for_long_is_forgotten() -> None:
    smooth = OneEuroFilter(cutoff=1.0)
    smooth(torch.zeros(1), 0.0)
    assert float(smooth(torch.ones(1), 10.0)) == pytest.approx(1.0)


def test_frames_out_of_order_are_refused() -> None:
    smooth = OneEuroFilter()
    smooth(torch.zeros(1), 1.0)
    with pytest.raises(ValueError, match=r"a frame at 1 s came after one at 1 s"):
        smooth(torch.zeros(1), 1.0)


def test_rotations_go_the_short_way_and_stay_rotations() -> None:
    """From yaw 170° to −170° lie 20°, through 180° and not through 0°."""
    smooth = RotationFilter(cutoff=1.0)
    smooth(matrix_from_euler(torch.tensor([0.0, 170.0, 0.0])), 0.0)
    turned = smooth(matrix_from_euler(torch.tensor([0.0, -170.0, 0.0])), 0.05)
    back = matrix_from_euler(torch.tensor([0.0, 180.0, 0.0]))
    assert torch.rad2deg(angle_between(turned, back)) < 10
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(turned) == pytest.approx(1)


def test_a_rotation_moves_along_the_turn_by_its_share() -> None:
    smooth = RotationFilter(cutoff=1.0)
    smooth(torch.eye(3), 0.0)
    turned = smooth(matrix_from_axis_angle(torch.tensor([0.0, 0.3, 0.0])), 0.1)
    assert float(angle_between(turned, torch.eye(3))) == pytest.approx(0.3 * gain(1.0, 0.1), rel=1e-3)


def head(yaw: float, *, scale: float = 3.0) -> HeadParams:
    return HeadParams(
        shape=torch.ones(1, 5),
        expression=torch.zeros(1, 4),
        jaw=torch.zeros(1, 3),
        rotation=matrix_to_6d(matrix_from_euler(torch.tensor([[0.0, yaw, 0.0]]))),
        translation=torch.tensor([[0.2, -0.1, 0.0]]),
        scale=torch.tensor([[scale]]),
    )


def test_a_head_that_does_not_change_is_not_changed() -> None:
    smooth = HeadSmoother()
    for number in range(5):
        result = smooth(head(20.0), number / 25)
    for got, expected in zip(result, head(20.0), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_a_jittering_head_calms_down_in_every_parameter() -> None:
    smooth = HeadSmoother()
    jitter = 0.02 * noise(90, 1, 5 + 4 + 3 + 6 + 3 + 1)
    seen = [HeadParams.from_vector(head(20.0).to_vector() + change, 5, 4) for change in jitter]
    calm = [smooth(params, number / 30) for number, params in enumerate(seen)]
    for name in HeadParams._fields:

        def steps(frames: list[HeadParams], field: str = name) -> float:
            values = torch.cat([getattr(params, field) for params in frames])
            values = matrix_from_6d(values).flatten(1) if field == "rotation" else values
            return float((values[1:] - values[:-1]).norm())

        assert steps(calm) < 0.75 * steps(seen), name


def test_a_turning_head_is_followed() -> None:
    smooth = HeadSmoother()
    for number in range(46):  # 60° a second, for 1.5 s
        yaw = number * 2.0
        result = smooth(head(yaw - 45), number / 30)
    expected = matrix_from_6d(head(yaw - 45).rotation)
    assert float(torch.rad2deg(angle_between(matrix_from_6d(result.rotation), expected))) < 6


def test_the_same_head_far_away_is_smoothed_alike() -> None:
    """Speeds count in heads: half the size and half the way give half the result."""
    results = []
    for size in (1.0, 0.5):
        smooth = HeadSmoother()
        for number in range(6):
            params = head(0.0, scale=4 * size - 1)
            params = params._replace(translation=torch.tensor([[0.1 * number * size, 0.0, 0.0]]))
            result = smooth(params, number / 30)
        results.append(float(result.translation[0, 0]) / size)
    assert results[0] == pytest.approx(results[1], rel=1e-4)
