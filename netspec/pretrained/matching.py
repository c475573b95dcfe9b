"""Which layers of a file fit which stages of a net, and how many of each go where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import networkx as nx
import torch

from netspec.ir.ops.bn import BatchNorm
from netspec.net import Net
from netspec.pretrained.layers import Layer
from netspec.pretrained.layouts import (
    Misfit,
    counts_of_stage,
    fitted,
    form_of_layer,
    form_of_stage,
    kind_of_stage,
    shapes_of,
    unfolded,
)

FOLLOWED = ("conv", "deconv", "fc")
"""The kinds of layers that a normalisation follows, and can be folded into."""

Node = tuple[str, Hashable]
"""Layers of one form, ``("layer", form)``, or places of one form, ``("place", form)``."""

Flows = Mapping[tuple[Node, Node], int]
"""The number of layers of a node that go to places of another; pairs without any are omitted."""

SOURCE: Node = ("source", None)
SINK: Node = ("sink", None)


@dataclass(frozen=True)
class Place:
    """A stage that takes a layer.

    Attributes:
        stage: its name.
        norm: name of the normalisation after it, if the file has that folded into the layer.
    """

    stage: str
    norm: str = ""


class Matching:
    """The layers of a file, the places of a net, and which fit each other.

    Layers that fit the same places are one node of a bipartite graph, and so are places that take
    the same layers.  An edge joins nodes that fit; its ``cost`` is 0 if kind and tensors are those
    of the stage.

    Attributes:
        layers: in the order of the file.
        places: in order of execution, those of heads last.
        node_of_layer: the node of each layer, by its number.
        node_of_place: the node of each place.
        graph: the bipartite graph.
    """

    def __init__(self, net: Net, layers: Sequence[Layer]) -> None:
        self.net, self.layers = net, tuple(layers)
        self.places = list(_places(net, self.layers))
        self.node_of_layer: list[Node] = [("layer", form_of_layer(one)) for one in self.layers]
        self.node_of_place: dict[Place, Node] = {
            place: ("place", (form_of_stage(net, place.stage), place.norm != ""))
            for place in self.places
        }
        self.graph = self._joined()

    def _joined(self) -> nx.Graph[Node]:
        graph: nx.Graph[Node] = nx.Graph()
        samples = dict(zip(self.node_of_layer, self.layers, strict=True))
        by_count = defaultdict[int, list[Node]](list)
        for node, layer in samples.items():
            graph.add_node(node)
            by_count[max(map(torch.numel, layer.tensors.values()), default=0)].append(node)
        for place, node in self.node_of_place.items():
            if node in graph:
                continue
            graph.add_node(node)
            for count in counts_of_stage(self.net, place.stage):
                for other in by_count[count]:
                    cost = _cost(samples[other], self.net, place)
                    if cost is not None:
                        graph.add_edge(other, node, cost=cost)
        return graph

    def fits(self, number: int, place: Place) -> bool:
        """Return True if a layer, by its number, fits a place."""
        return self.graph.has_edge(self.node_of_layer[number], self.node_of_place[place])

    def components(self) -> Iterator[tuple[list[Node], list[Node]]]:
        """Yield nodes of layers and nodes of places that are joined, in their order."""
        position = {node: number for number, node in enumerate(self.graph)}
        for component in nx.connected_components(self.graph):
            nodes = sorted(component, key=position.__getitem__)
            yield (
                [node for node in nodes if node[0] == "layer"],
                [node for node in nodes if node[0] == "place"],
            )

    def flows(self, places: Sequence[Place]) -> Flows:
        """Return how many layers go where: as many as possible, and of these the least cost."""
        available = Counter(self.node_of_layer)
        needed = Counter(self.node_of_place[place] for place in places)
        flows: dict[tuple[Node, Node], int] = {}
        for sources, targets in self.components():
            if len(sources) == len(targets) == 1:  # the usual case, without a search
                flows[sources[0], targets[0]] = min(available[sources[0]], needed[targets[0]])
                continue
            network: nx.DiGraph[Node] = nx.DiGraph()
            network.add_nodes_from((SOURCE, SINK))
            for source in sources:
                network.add_edge(SOURCE, source, capacity=available[source])
                for target, edge in self.graph[source].items():
                    network.add_edge(source, target, weight=edge["cost"])
            for target in targets:
                network.add_edge(target, SINK, capacity=needed[target])
            found = nx.max_flow_min_cost(network, SOURCE, SINK)
            for source in sources:
                flows |= {(source, target): count for target, count in found[source].items()}
        return {pair: count for pair, count in flows.items() if count}


def _places(net: Net, layers: Sequence[Layer]) -> Iterator[Place]:
    """Yield the places of a net, those of folded normalisations as parts of the stages before them.

    A file has folded normalisations if it has as many normalisations with statistics as the net has
    that cannot be folded.  That is none, unless some do not directly follow a convolution.
    """
    graph = net.graph
    trained = [stage for stage in graph.stages() if stage.op.is_trained]
    norms = [stage.name for stage in trained if isinstance(stage.op, BatchNorm)]
    followed = {
        before: norm
        for norm in norms
        for before in graph.operands(norm)
        if graph.stage(before).op.is_trained
        and kind_of_stage(net, before) in FOLLOWED
        and graph.is_read_by_one(before)
    }
    in_file = sum("running_mean" in layer.tensors for layer in layers)
    if in_file != len(norms) - len(followed):
        followed = {}
    folded = {*followed.values()}
    for stage in trained:
        if stage.name not in folded:
            yield Place(stage.name, followed.get(stage.name, ""))


def _cost(layer: Layer, net: Net, place: Place) -> int | None:
    """Return by how much a layer differs in kind and tensors from a place; None if it misfits."""
    roles = layer.tensors.keys()
    outline = _outline(layer)
    try:
        if place.norm:
            if layer.kind not in FOLLOWED or roles != {"weight", "bias"}:
                return None
            outline, norm = unfolded(outline, eps=0.0)
            fitted(norm, net, place.norm)
        fitted(outline, net, place.stage)
    except Misfit:
        return None
    differing = shapes_of(net, place.stage).keys() ^ outline.tensors.keys()
    return len(differing) + (layer.kind != kind_of_stage(net, place.stage))


def _outline(layer: Layer) -> Layer:
    """Return a layer with matrices that have shapes only: to reorder large ones takes memory."""
    tensors = {
        role: torch.empty_like(tensor, device="meta") if tensor.dim() == 2 else tensor
        for role, tensor in layer.tensors.items()
    }
    return replace(layer, tensors=tensors)
