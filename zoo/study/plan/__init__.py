"""From a study file to resolved, checked rows and runs."""
