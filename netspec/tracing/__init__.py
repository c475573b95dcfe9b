"""Trace one row through the compiler, with times."""
