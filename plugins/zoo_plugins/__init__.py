"""The built-in parts. `zoo` never imports this package: it finds each part by its entry point, as it finds a
stranger's.
"""
