"""The metrics of background matting by name; the preset defines their units."""

LOWER_IS_BETTER = ("sad", "mad", "mse", "grad", "conn", "foreground_mse")
"""Keys of every `matting_metrics`."""
HIGHER_IS_BETTER = ("psnr", "ssim", "composite_psnr", "composite_ssim")
"""Keys of `matting_metrics` on request (`similarity=True`)."""
