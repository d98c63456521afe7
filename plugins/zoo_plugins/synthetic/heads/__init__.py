"""Renderings of any head model with exact ground truth."""
