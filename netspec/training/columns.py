"""A net on several ranks: what each of them computes, and its part of the parameters.

Parameters of a column have the names of the spec, and are slices of its own along their first axis:
the kernels that the column has.  What is saved and loaded is the spec's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch.distributed as dist
from torch import Tensor

from netspec.ir import collectives
from netspec.ir.graph import Graph
from netspec.ir.parameter_names import parameter_names
from netspec.lowering.passes import exchange, synchronise
from netspec.net import Net
from netspec.training.parallel import Ranks


class ColumnSlice(NamedTuple):
    """A column's part of a tensor of the spec: ``length`` long from ``start`` on, of ``whole``."""

    start: int
    length: int
    whole: int


class Spread:
    """A net spread over ranks.

    Attributes:
        net: what this rank computes; the net itself on a rank that is alone.

    Args:
        net: the net of the spec.
        ranks: that train it together.  ``columns`` is 1 where each has the whole net, or else the
            number that the spec says.
    """

    def __init__(self, net: Net, ranks: Ranks) -> None:
        self.ranks = ranks
        self.net = net
        if ranks.processes > 1:
            self.net = replace(net, graph=_graph_of(net.graph, ranks, ranks.column))
        self._slices = _slices(net.graph, ranks)

    def part(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this rank's part of the spec's tensors, or of others of their names and sizes."""
        column = self.ranks.column
        return {name: self._own(tensor, name, column) for name, tensor in tensors.items()}

    def _own(self, tensor: Tensor, name: str, column: int) -> Tensor:
        if name not in self._slices:
            return tensor
        own = self._slices[name][column]
        return tensor.narrow(0, own.start, own.length).clone()

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the spec's tensors, joined from the columns; every column has to call this."""
        return {name: self._joined(tensor, name) for name, tensor in tensors.items()}

    def _joined(self, mine: Tensor, name: str) -> Tensor:
        if name not in self._slices:
            return mine
        slices, group = self._slices[name], collectives.GROUPS["column"]
        joined = mine.new_empty(slices[0].whole, *mine.shape[1:])
        for column, own in enumerate(slices):  # which need not be of one size
            piece = joined.narrow(0, own.start, own.length)
            if column == self.ranks.column:
                piece.copy_(mine.detach())
            dist.broadcast(piece, group=group, group_src=column)
        return joined


def _graph_of(graph: Graph, ranks: Ranks, column: int) -> Graph:
    """Return the graph of one column, with batch normalisations over the images of all ranks."""
    rewritten = graph.copy()
    if ranks.columns > 1:
        exchange.rewrite(rewritten, column)
    if ranks.ranks > 1:
        synchronise.rewrite(rewritten)
    rewritten.verify()
    return rewritten


def _slices(graph: Graph, ranks: Ranks) -> dict[str, list[ColumnSlice]]:
    """Return the part of each column, for every tensor that the columns divide."""
    wholes = {name: parameter.shape for name, parameter, _ in parameter_names(graph)}
    slices: dict[str, list[ColumnSlice]] = {}
    if ranks.columns == 1:
        return slices
    for column in range(ranks.columns):
        for name, parameter, _ in parameter_names(_graph_of(graph, ranks, column)):
            if parameter.shape != wholes[name]:
                before = slices.setdefault(name, [])
                start = before[-1].start + before[-1].length if before else 0
                before.append(ColumnSlice(start, parameter.shape[0], wholes[name][0]))
    return slices
