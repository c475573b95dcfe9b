"""Backends that checked nets are lowered to."""
