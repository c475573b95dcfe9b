"""Backends: what a checked net is lowered to."""
