"""Weights from elsewhere: what others published, in our names."""
