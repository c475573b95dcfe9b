"""Pair the layers of a file with the stages of a net by structure: kind, shape and order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import networkx as nx

from netspec.ir.ops.bn import BatchNorm
from netspec.net import Net
from netspec.pretrained.layers import Layer, Weights
from netspec.pretrained.layouts import unfolded
from netspec.pretrained.matching import FOLLOWED, Flows, Matching, Node, Place
from netspec.pretrained.pairs import Pair, Pairing
from netspec.pretrained.unpaired import unpaired

Chosen = Mapping[Place, int]
"""The number of the layer that each place takes; places without a layer are omitted."""

ABSENT: Node = ("absent", None)
"""Stands for layers that the file does not have."""

UNUSED: Node = ("unused", None)
"""Stands for places that the net does not have."""


def by_structure(net: Net, weights: Weights) -> Pairing:
    """Return which layer each stage takes, by kind, shape and order; names are not used.

    1. Layers that fit the same stages, and stages that take the same layers, are the nodes of a
       graph whose edges say what fits (:class:`Matching`).  A flow through it says how many layers
       of each node go to each node of stages.
    2. Among layers of one node, order decides: the first layer goes to the first stage.  A
       normalisation goes to the stage after that of the convolution which it follows in the file.
    3. A pair is certain, of the reason ``shape``, if every complete pairing has it.  Other pairs
       are of the reason ``order`` and name their rivals.

    All stages take a layer, or all except those of auxiliary heads.  All layers are taken, or all
    except heads of the source (:func:`_with_heads_of_source`).

    Raises:
        Unpaired: a stage does not have a layer, or a layer does not have a stage.
    """
    matching = Matching(net, weights.layers)
    needed = {stage.name for stage in net.without_heads().graph.stages()}
    without_heads = [place for place in matching.places if place.stage in needed]
    for places in (matching.places, without_heads):
        flows = matching.flows(places)
        if sum(flows.values()) == len(places) == len(matching.layers):
            return _pairing(matching, _by_order(matching, places, flows))
    for places in (matching.places, without_heads):
        chosen = _with_heads_of_source(matching, places)
        if chosen is not None:
            return _pairing(matching, chosen)
    raise unpaired(matching, (matching.places, without_heads), weights.path)


# ------------------------------------------------------------------------------------------- order


def _by_order(matching: Matching, places: Sequence[Place], flows: Flows) -> Chosen:
    """Return the layer of each place, where order decides between the layers of a node."""
    orders = list(_orders(matching, places))
    in_step = (order for order in orders if all(map(matching.fits, range(len(order)), order)))
    places = next(in_step, orders[0])
    left = dict(flows)
    waiting = defaultdict[Node, dict[int, None]](dict)
    for number, node in enumerate(matching.node_of_layer):
        waiting[node][number] = None
    chosen: dict[Place, int] = {}

    def take(place: Place, number: int) -> None:
        source = matching.node_of_layer[number]
        del waiting[source][number]
        left[source, matching.node_of_place[place]] -= 1
        chosen[place] = number

    def first(place: Place) -> int:
        target = matching.node_of_place[place]
        sources = [node for node in matching.graph[target] if left.get((node, target))]
        return min(next(iter(waiting[source])) for source in sources)

    graph, follower = matching.net.graph, _followers(matching.layers)
    norms = [place for place in places if isinstance(graph.stage(place.stage).op, BatchNorm)]
    for place in places:
        if not isinstance(graph.stage(place.stage).op, BatchNorm):
            take(place, first(place))
    of_stage = {place.stage: number for place, number in chosen.items()}
    for place in norms:
        (before,) = graph.operands(place.stage)
        after = follower.get(of_stage[before]) if before in of_stage else None
        if after is not None:
            source = matching.node_of_layer[after]
            if after in waiting[source] and left.get((source, matching.node_of_place[place])):
                take(place, after)
    for place in norms:
        if place not in chosen:
            take(place, first(place))
    return chosen


def _followers(layers: Sequence[Layer]) -> dict[int, int]:
    """Return the number of the normalisation that follows each convolution or fc in the file.

    If a file has two normalisations in a row, its order does not show what they follow.
    """
    norms = [number for number, layer in enumerate(layers) if layer.kind == "norm"]
    if any(after - before == 1 for before, after in pairwise(norms)):
        return {}
    return {
        number - 1: number for number in norms if number and layers[number - 1].kind in FOLLOWED
    }


def _orders(matching: Matching, places: Sequence[Place]) -> Iterator[list[Place]]:
    """Yield places in the orders that files have: heads last, or where they leave the net."""
    yield list(places)
    graph = matching.net.graph
    stages = list(graph.stages())
    position = {stage.name: number for number, stage in enumerate(stages)}
    leaves = Counter[str]()
    for stage in stages:
        for operand in graph.operands(stage.name):
            if stage.head and graph.stage(operand).head != stage.head:
                leaves[stage.head] = max(leaves[stage.head], position[operand])

    def key(place: Place) -> tuple[int, int]:
        head, own = graph.stage(place.stage).head, position[place.stage]
        return (leaves[head], own) if head else (own, -1)

    yield sorted(places, key=key)


# ------------------------------------------------------------------------------ heads of the source


def _with_heads_of_source(matching: Matching, places: Sequence[Place]) -> Chosen | None:
    """Return the layer of each place if the other layers of the file are heads; None if not.

    The places take layers in their order, and each run of other layers between them is a head: its
    last layer has as many outputs as the net, and it has a layer that fits no stage.
    """
    if len(matching.layers) <= len(places):
        return None
    for order in _orders(matching, places):
        for is_reversed in (True, False):
            chosen = _embedded(matching, order, is_reversed=is_reversed)
            if chosen is not None and _are_heads(matching, {*chosen.values()}):
                return chosen
    return None


def _embedded(matching: Matching, places: Sequence[Place], *, is_reversed: bool) -> Chosen | None:
    """Return the first layers that the places can take in their order, or the last."""
    numbers = range(len(matching.layers))
    waiting = iter(reversed(numbers) if is_reversed else numbers)
    chosen: dict[Place, int] = {}
    for place in reversed(places) if is_reversed else places:
        number = next((number for number in waiting if matching.fits(number, place)), None)
        if number is None:
            return None
        chosen[place] = number
    return chosen


def _are_heads(matching: Matching, taken: set[int]) -> bool:
    """Return True if each run of layers that are not taken is a head."""
    graph = matching.net.graph
    outputs = {graph.stage(output).known_shape.channels for output in graph.outputs}
    is_strange = False  # whether the run has a layer that fits no stage
    for number, layer in enumerate(matching.layers):
        if number in taken:
            is_strange = False
            continue
        is_strange |= not matching.graph[matching.node_of_layer[number]]
        is_last = number + 1 in taken or number + 1 == len(matching.layers)
        has_outputs = layer.kind in ("conv", "fc") and _outputs(layer) in outputs
        if is_last and not (is_strange and has_outputs):
            return False
    return True


def _outputs(layer: Layer) -> int:
    return len(layer.tensors["weight"]) if "weight" in layer.tensors else 0


# ------------------------------------------------------------------------------------------- pairs


def _pairing(matching: Matching, chosen: Chosen) -> Pairing:
    """Return the pairs of a choice, which of them are certain, and what is left."""
    possible = _possible(matching, chosen)
    sizes = Counter(matching.node_of_place.values()) + Counter(matching.node_of_layer)
    places = defaultdict[Node, list[Place]](list)
    for place, node in matching.node_of_place.items():
        places[node].append(place)
    pairs: list[Pair] = []
    for place in matching.places:
        if place not in chosen:
            continue
        number, target = chosen[place], matching.node_of_place[place]
        layer, source = matching.layers[number], matching.node_of_layer[number]
        others = possible[source]
        is_certain = sizes[source] == sizes[target] == 1 and others == [target]
        reason = "shape" if is_certain else "order"
        rivals = [rival for node in others for rival in places[node] if rival != place]
        if place.norm:
            op = matching.net.graph.stage(place.norm).op
            assert isinstance(op, BatchNorm)
            layer, norm = unfolded(layer, op.eps)
            after = tuple(rival.norm for rival in rivals if rival.norm)
            pairs.append(Pair(norm, place.norm, reason, after))
        pairs.append(Pair(layer, place.stage, reason, tuple(rival.stage for rival in rivals)))
    order = {stage.name: number for number, stage in enumerate(matching.net.graph.stages())}
    left = [place for place in matching.places if place not in chosen]
    names = {name for place in left for name in (place.stage, place.norm) if name}
    taken = {*chosen.values()}
    return Pairing(
        tuple(sorted(pairs, key=lambda pair: order[pair.stage])),
        tuple(sorted(names, key=order.__getitem__)),
        tuple(layer for number, layer in enumerate(matching.layers) if number not in taken),
    )


def _possible(matching: Matching, chosen: Chosen) -> Mapping[Node, list[Node]]:
    """Return, for each node of layers, the nodes of places that they have in some pairing.

    UNUSED is one of them if some pairing leaves such a layer out.

    From one complete pairing every other is reached by exchanges along cycles of a graph: an edge
    forward for each pair that fits, and one back for each that is chosen.  So a pair that is not
    chosen is possible if the graph leads from its place back to its layer.  Layers that the file
    lacks could be those of any place, and layers that are unused could be any.
    """
    own, taken = matching.node_of_layer, {*chosen.values()}
    current = {
        (own[chosen[place]] if place in chosen else ABSENT, node)
        for place, node in matching.node_of_place.items()
    }
    current |= {(node, UNUSED) for number, node in enumerate(own) if number not in taken}
    edges = [tuple(sorted(edge)) for edge in matching.graph.edges]  # ("layer", ...) comes first
    nodes = {
        kind: [node for node in matching.graph if node[0] == kind] for kind in ("layer", "place")
    }
    edges += [(ABSENT, node) for node in nodes["place"]]
    edges += [(node, UNUSED) for node in nodes["layer"]]
    graph: nx.DiGraph[Node] = nx.DiGraph()
    graph.add_edges_from(edges)
    graph.add_edges_from((target, source) for source, target in current)
    part: dict[Node, int] = {}
    for number, component in enumerate(nx.strongly_connected_components(graph)):
        part |= dict.fromkeys(component, number)
    return {
        source: [
            target
            for target in (*matching.graph[source], UNUSED)
            if (source, target) in current or part[source] == part[target]
        ]
        for source in nodes["layer"]
    }
