"""A net split over several ranks: the graph of each rank, and its slice of the parameters.

The parameters of a column have the same names as in the spec.  Each is a slice along the first axis
of the spec's tensor: the kernels of that column.  Checkpoints hold the whole tensors of the spec.
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
    """A column's slice of a tensor: rows ``start`` to ``start + length`` of ``whole``."""

    start: int
    length: int
    whole: int


class Spread:
    """A net split over ranks.

    Attributes:
        net: the part of the net that this rank computes; the whole net if there is one rank.

    Args:
        net: the net of the spec.
        ranks: the ranks that train it.  ``ranks.columns`` is 1 if each rank has the whole net, or
            else the number of columns in the spec.
    """

    def __init__(self, net: Net, ranks: Ranks) -> None:
        self.ranks = ranks
        self.net = net
        if ranks.processes > 1:
            self.net = replace(net, graph=_graph_of(net.graph, ranks, ranks.column))
        self._slices = _slices(net.graph, ranks)

    def part(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this rank's slices of whole tensors, such as the parameters or the velocities."""
        column = self.ranks.column
        return {name: self._own(tensor, name, column) for name, tensor in tensors.items()}

    def _own(self, tensor: Tensor, name: str, column: int) -> Tensor:
        if name not in self._slices:
            return tensor
        own = self._slices[name][column]
        return tensor.narrow(0, own.start, own.length).clone()

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return whole tensors, joined from all columns; every column must call this."""
        return {name: self._joined(tensor, name) for name, tensor in tensors.items()}

    def _joined(self, mine: Tensor, name: str) -> Tensor:
        if name not in self._slices:
            return mine
        slices, group = self._slices[name], collectives.GROUPS["column"]
        joined = mine.new_empty(slices[0].whole, *mine.shape[1:])
        for column, own in enumerate(slices):
            # broadcasts, since all_gather would require slices of one size
            piece = joined.narrow(0, own.start, own.length)
            if column == self.ranks.column:
                piece.copy_(mine.detach())
            dist.broadcast(piece, group=group, group_src=column)
        return joined


def _graph_of(graph: Graph, ranks: Ranks, column: int) -> Graph:
    """Return the graph of one column, with batch normalisation over the images of all ranks."""
    rewritten = graph.copy()
    if ranks.columns > 1:
        exchange.rewrite(rewritten, column)
    if ranks.ranks > 1:
        synchronise.rewrite(rewritten)
    rewritten.verify()
    return rewritten


def _slices(graph: Graph, ranks: Ranks) -> dict[str, list[ColumnSlice]]:
    """Return the slice of each column, for every tensor that is split over columns."""
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
