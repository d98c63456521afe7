"""What is said of matting metrics beside their values."""

from zoo.matting.measures import HIGHER_IS_BETTER, LOWER_IS_BETTER
from zoo.matting.metrics import PRESETS, matting_metrics


def test_every_metric_is_known() -> None:
    for preset in PRESETS.values():
        assert set(LOWER_IS_BETTER) == set(preset.metrics())
    metrics = matting_metrics(similarity=True)
    assert {*LOWER_IS_BETTER, *HIGHER_IS_BETTER} == set(metrics)
    assert all(metrics[name].higher_is_better == (name in HIGHER_IS_BETTER) for name in metrics)
