"""Loss terms: one file a task."""
