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
    # first: a head or an identity would be one more reader, or stand between two that are fused
    drop_training,
    # before fold_dropout: a fully connected layer then reads the dropout itself
    drop_flatten,
    # before the next one, which needs a bias, and fuse_relu: the ReLU then reads the convolution
    fold_batchnorm,
    # before fuse_relu: what it puts last, avgpool + b, then takes the ReLU in
    commute_avgpool,
    # before fuse_relu: a ReLU that has no operator to go into then goes into the pool
    commute_maxpool,
    # before merge_siblings: what read the dropout and what reads its operand are then siblings
    fold_dropout,
    # after all that bring a ReLU to its operator; before merge_siblings, whose slices take no ReLU
    fuse_relu,
    # after fuse_relu: a pool that took a ReLU stays alone, because there is no kernel of all three
    fuse_lrn_maxpool,
    # after all that changes a convolution: siblings are compared as they will run
    merge_siblings,
    # last, but nothing before it needs that: it takes concatenations only, and none makes one
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


class PassError(RuntimeError):
    """A pass failed or left an invalid graph, which is a bug of netspec."""


class Outcome(NamedTuple):
    """The graph that passes made, and how often each rewrote, in order."""

    graph: Graph
    rewrites: dict[str, int]


def optimise(graph: Graph, passes: Sequence[Pass] = PIPELINE) -> Outcome:
    """Run passes over a copy of a graph, which is verified after each.

    Raises:
        PassError: a pass failed or left an invalid graph; it names the pass and those before it.
    """
    rewritten = graph.copy()
    rewrites: dict[str, int] = {}
    for one in passes:
        try:
            count = one.rewrite(rewritten)
            rewritten.verify()
        except Exception as error:
            before = f" (after {', '.join(rewrites)})" if rewrites else ""
            raise PassError(
                f"the pass {one.RULE}{before} left an invalid graph: {error}"
            ) from error
        rewrites[one.RULE] = count
    return Outcome(rewritten, rewrites)
