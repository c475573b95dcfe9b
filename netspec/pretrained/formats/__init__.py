"""Formats of files of weights: one module per format, each with ``read(path) -> Weights``."""
