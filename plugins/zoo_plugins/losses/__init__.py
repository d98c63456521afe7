"""Loss terms: one module per task."""
