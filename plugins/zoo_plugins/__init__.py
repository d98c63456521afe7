"""The built-in parts. `zoo` never imports this package: it finds each by its entry point, as a stranger's."""
