"""Loss terms: one module per task.

A term is found by its entry point in `pyproject.toml`, chosen with its weight in a configuration or in `models.py`, and
added up in `zoo/training/module.py`.
"""
