"""Passes: rewrites of the graph, one per file, each described by its equation.

A pass is a module with ``rewrite(graph) -> number of rewrites``, its equation, and the numbered
cases in which it does not rewrite.  ``graph.journal`` records rewrites and refusals.
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
    fuse_activation,
    fuse_add,
    fuse_bn_relu,
    fuse_lrn_maxpool,
    fuse_relu,
    merge_siblings,
)


class Pass(Protocol):
    """The interface of a module in this folder.

    Attributes:
        RULE: the name of the pass.
        EQUATION: "before => after".
        REMARK: the reason for the rewrite, or its place, in half a sentence.
        REFUSALS: for each case in which it does not rewrite, by its number in the journal: the
            reason, a clause that can follow "because".
    """

    RULE: str
    EQUATION: str
    REMARK: str
    REFUSALS: dict[int, str]

    def rewrite(self, graph: Graph, /) -> int:
        """Rewrite the graph in place wherever the equation applies; return the number of
        rewrites."""


PIPELINE: tuple[Pass, ...] = (
    # First: a head is one more reader of its operand, and an identity separates two stages that
    # could be fused.  Later passes rewrite only operands with one reader.
    drop_training,
    # Before fold_dropout: a fully connected layer then reads the dropout directly.
    drop_flatten,
    # Before commute_avgpool, which needs a bias, and before fuse_relu, which needs the ReLU to read
    # the convolution.
    fold_batchnorm,
    # Before fuse_relu: the avgpool + b that it puts last can then be fused with the ReLU.
    commute_avgpool,
    # Before fuse_relu: a ReLU that cannot be fused with its operand is then fused with the pool.
    commute_maxpool,
    # Before merge_siblings: the readers of the dropout and of its operand are then siblings.
    fold_dropout,
    # Before fuse_relu: the sum can then be fused with the ReLU that reads it.
    fuse_add,
    # After all passes that move a ReLU next to an operator.  Before merge_siblings, because a ReLU
    # cannot be fused with a slice.
    fuse_relu,
    # After fold_batchnorm, which puts most normalisations into convolutions.
    fuse_bn_relu,
    # After fold_batchnorm and drop_training, so that the activation reads the convolution.
    fuse_activation,
    # After fuse_relu: a pool that was fused with a ReLU is not fused with LRN, because there is no
    # kernel for all three.
    fuse_lrn_maxpool,
    # After all passes that change a convolution: only equal convolutions are siblings.
    merge_siblings,
    # Anywhere: it changes only concatenations, and no other pass creates or needs one.
    flatten_concat,
)
"""Every pass, in order: together they turn the net of the spec into the net that runs."""

TRAINING: tuple[Pass, ...] = (commute_maxpool, fuse_relu, merge_siblings, flatten_concat)
"""The passes that keep gradients, dropout, heads and batch statistics unchanged."""


PASSES: dict[str, Pass] = {one.RULE: one for one in PIPELINE}
"""Every pass by its name."""


def summary(one: Pass) -> str:
    """Return the equation of a pass with its remark."""
    return f"{one.EQUATION}: {one.REMARK}"


class PassError(RuntimeError):
    """A pass failed or left an invalid graph. This is a bug in netspec."""


class Outcome(NamedTuple):
    """The rewritten graph, and the number of rewrites of each pass, in order."""

    graph: Graph
    rewrites: dict[str, int]


def optimise(graph: Graph, passes: Sequence[Pass] = PIPELINE) -> Outcome:
    """Run passes on a copy of a graph, and verify the graph after each pass.

    Raises:
        PassError: a pass failed or left an invalid graph; the message names the pass and the
            passes before it.
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
