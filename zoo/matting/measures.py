"""What is measured of background matting; in which unit, the preset says."""

LOWER_IS_BETTER = ("sad", "mad", "mse", "grad", "conn", "foreground_mse")
"""All keys of `matting_metrics`."""
