"""Weights: read, write, describe and publish checkpoints."""
