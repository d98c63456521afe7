"""The metrics of background matting by name; the preset defines their units."""

LOWER_IS_BETTER = ("sad", "mad", "mse", "grad", "conn", "foreground_mse")
"""All keys of `matting_metrics`."""
