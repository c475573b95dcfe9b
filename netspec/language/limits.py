"""Limits of a spec.  They keep every check within seconds and a gigabyte of memory."""

MAX_BYTES = 2**20
"""Size of a file, in bytes."""

MAX_STAGES = 100_000
"""Stages, counted before parsing and again while blocks expand."""

MAX_DEPTH = 100
"""Nesting of brackets, and of blocks that call blocks."""

MAX_LABEL = 100
"""Characters of a label in quotes."""

MAX_INTEGER = 2**63 - 1
"""The largest whole number, written or computed."""

MAX_VALUES = 2_000_000
"""Evaluated parts of expressions; those of a block count in each call."""

MAX_PROBLEMS = 1_000
"""Problems after which reading stops."""

MAX_FRACTION = 2**256
"""The largest numerator and denominator of a number that is not whole."""
