"""Fused operators, one per file.  A pass makes each from several operators of the language.

A fused operator computes the same as its parts in sequence, and its reference calls theirs.  A spec
cannot name it.
"""
