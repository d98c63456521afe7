"""Weights from elsewhere: what there is to pull, and what others published, in our names."""
