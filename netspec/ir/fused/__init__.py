"""Fused operators: what passes make of several operators of the language, one a room.

A fused operator means what its parts mean one after the other, and its reference says so by
calling theirs; there is no word for it in the language.
"""
