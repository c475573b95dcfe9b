"""Fused operators, one per file: passes make each from several operators of the language.

A fused operator computes what its parts compute one after the other; its reference calls theirs.
The language has no word for it.
"""
