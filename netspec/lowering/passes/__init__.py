"""Passes: rewrites of the graph, one a file, each named by its equation.

A pass is a module with ``rewrite(graph) -> number of rewrites``, its equation, and the numbered
cases in which it refuses; both what it did and what it refused stand in ``graph.journal``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from netspec.ir.graph import Graph
from netspec.lowering.passes import (
    commute_avgpool,
    commute_maxpool,
    drop_flatten,
    drop_training,
    flatten_concat,
    fold_batchnorm,
    fold_dropout,
    fuse_lrn_maxpool,
    fuse_relu,
    merge_siblings,
)


class Pass(Protocol):
    """What a file of this folder is.

    Attributes:
        RULE: its name.
        EQUATION: what it rewrites => what that becomes.
        REMARK: why, or where, in half a sentence.
        REFUSALS: the sentence of each case in which it refuses, by the number in the journal.
    """

    RULE: str
    EQUATION: str
    REMARK: str
    REFUSALS: dict[int, str]

    def rewrite(self, graph: Graph, /) -> int:
        """Rewrite wherever it applies; returns how often that was."""


PIPELINE: tuple[Pass, ...] = (
    drop_training,
    drop_flatten,
    fold_batchnorm,
    commute_avgpool,
    commute_maxpool,
    fold_dropout,
    fuse_relu,
    fuse_lrn_maxpool,
    merge_siblings,
    flatten_concat,
)
"""Every pass, in order: turns the net of the spec into the one that runs."""

TRAINING: tuple[Pass, ...] = (commute_maxpool, fuse_relu, merge_siblings, flatten_concat)
"""The passes that leave gradients, dropout, heads and the statistics of batches as they are."""


PASSES: dict[str, Pass] = {one.RULE: one for one in PIPELINE}
"""Every pass by its name."""


def summary(one: Pass) -> str:
    """Return the equation of a pass with its remark."""
    return f"{one.EQUATION}: {one.REMARK}"


class Outcome(NamedTuple):
    """The graph that passes made, and how often each rewrote, in order."""

    graph: Graph
    rewrites: dict[str, int]


def optimise(graph: Graph, passes: Sequence[Pass] = PIPELINE) -> Outcome:
    """Run passes over a copy of a graph, which is verified after each."""
    made = graph.copy()
    rewrites = {}
    for one in passes:
        rewrites[one.RULE] = one.rewrite(made)
        made.verify()
    return Outcome(made, rewrites)
