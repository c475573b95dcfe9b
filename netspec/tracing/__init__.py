"""Trace a row through the compiler: its rewrites, its steps and their times."""
