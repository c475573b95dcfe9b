"""Pair the layers of a file with the stages of a net by structure: kind, shape and order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise

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
    """Yield places in the orders that files have: with heads last, next to last, or in place."""
    yield list(places)
    graph = matching.net.graph
    stages = list(graph.stages())
    position = {stage.name: number for number, stage in enumerate(stages)}
    leaves = Counter[str]()  # the position of the stage that a head reads
    for stage in stages:
        for operand in graph.operands(stage.name):
            if stage.head and graph.stage(operand).head != stage.head:
                leaves[stage.head] = max(leaves[stage.head], position[operand])
    heads = [place for place in places if graph.stage(place.stage).head]
    others = [place for place in places if not graph.stage(place.stage).head]
    yield [*others[:-1], *heads, *others[-1:]]

    def key(place: Place) -> tuple[int, int]:
        head, own = graph.stage(place.stage).head, position[place.stage]
        return (leaves[head], own) if head else (own, -1)

    yield sorted(places, key=key)


# ------------------------------------------------------------------------------ heads of the source


def _with_heads_of_source(matching: Matching, places: Sequence[Place]) -> Chosen | None:
    """Return the layer of each place if the other layers of the file are heads; None if not.

    The places take layers in their order, and each run of other layers between them is a head: its
    last layer has as many outputs as the net, and it has a layer that fits no stage.  Heads have
    no more layers than the net.
    """
    layers, graph = matching.layers, matching.net.graph
    extra = len(layers) - len(places)
    if not 0 < extra <= len(places):
        return None
    outputs = {graph.stage(output).known_shape.channels for output in graph.outputs}
    ends = [number for number, layer in enumerate(layers) if _outputs(layer) in outputs]
    strange = [not matching.graph[node] for node in matching.node_of_layer]
    strange_before = [0, *accumulate(strange)]
    for order in _orders(matching, places):
        paths: dict[int, list[range]] = {0: []}  # the runs before a place, by their total length
        for step, place in enumerate([*order, None]):
            for skipped, runs in [*paths.items()]:
                start = step + skipped
                for end in ends:
                    is_strange = end >= start and strange_before[start] < strange_before[end + 1]
                    if is_strange and end + 1 - step <= extra:
                        paths.setdefault(end + 1 - step, [*runs, range(start, end + 1)])
            if place is not None:
                paths = {
                    skipped: runs
                    for skipped, runs in paths.items()
                    if matching.fits(step + skipped, place)
                }
        if extra in paths:
            unused = {number for run in paths[extra] for number in run}
            taken = [number for number in range(len(layers)) if number not in unused]
            return dict(zip(order, taken, strict=True))
    return None


def _outputs(layer: Layer) -> int:
    """Return the number of outputs of a convolution or an fc; 0 for others."""
    is_product = layer.kind in ("conv", "fc") and "weight" in layer.tensors
    return len(layer.tensors["weight"]) if is_product else 0


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
    nodes = {
        kind: [node for node in matching.graph if node[0] == kind] for kind in ("layer", "place")
    }
    edges = [(source, target) for source in nodes["layer"] for target in matching.graph[source]]
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
