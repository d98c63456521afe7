"""What is said of matting metrics beside their values."""

from zoo.matting.measures import LOWER_IS_BETTER
from zoo.matting.metrics import PRESETS


def test_every_metric_is_known() -> None:
    for preset in PRESETS.values():
        assert set(LOWER_IS_BETTER) == set(preset.metrics())
