"""Datasets of mattes and heads: synthetic ones, folders in the official layouts, cut-outs, videos."""
