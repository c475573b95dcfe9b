"""The description of a Keras model: classes of layers, and the order in which they are executed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netspec.pretrained.formats.common import Damaged

DEEPEST = 16
"""The largest number of models that contain each other."""


@dataclass(frozen=True)
class Described:
    """A layer in the description of a model.

    Attributes:
        name: of the layer.
        type: its class, as Keras writes it in names: ``batch_normalization``.
        place: the group of its variables in files of Keras 3: ``layers/batch_normalization_1``.
        settings: its configuration.
    """

    name: str
    type: str
    place: str
    settings: Mapping[str, Any]

    @property
    def eps(self) -> float | None:
        """What a normalisation adds to the variance; None for other layers."""
        value = self.settings.get("epsilon")
        return value if isinstance(value, float) else None


class Description:
    """The layers of a model in the order of execution, with those of the models that it contains.

    Attributes:
        layers: in this order; a name may occur twice, in different inner models.
    """

    def __init__(self, layers: Sequence[Described] = ()) -> None:
        self.layers = tuple(layers)
        counts = Counter(layer.name for layer in layers if layer.name)
        self._named = {layer.name: n for n, layer in enumerate(layers) if counts[layer.name] == 1}
        self._placed = {layer.place: n for n, layer in enumerate(layers)}

    def position(self, *, name: str = "", place: str = "") -> int | None:
        """Return the position of the layer with a place, or else with a name that no other has."""
        return self._placed.get(place, self._named.get(name))

    def has(self, key: str, value: Any) -> bool:
        """Return True if a layer has a value of a setting."""
        return any(layer.settings.get(key) == value for layer in self.layers)


def described(model: Any) -> Description:
    """Return what the JSON of a model says; an unknown class of models has no layers."""
    return Description(list(_layers(model, "", 0)))


def snake_case(name: str) -> str:
    """Return the name of a class as Keras writes it in names: BatchNormalization has an ``_``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _layers(model: Any, place: str, depth: int) -> Iterator[Described]:
    if depth > DEEPEST:
        raise Damaged(f"its configuration has models in more than {DEEPEST} others")
    layers = [layer for layer in _inner(model) or () if isinstance(layer, dict)]
    names, types = [_name(layer) for layer in layers], [_type(layer) for layer in layers]
    counts, places = Counter[str](), list[str]()
    for kind in types:
        places.append(f"{place}layers/{kind}" + (f"_{counts[kind]}" if counts[kind] else ""))
        counts[kind] += 1
    order: Sequence[int] = range(len(layers))
    if layers and model.get("class_name") != "Sequential":
        order = _in_order(names, layers)
    for n in order:
        if _inner(layers[n]) is not None:
            yield from _layers(layers[n], f"{places[n]}/", depth + 1)
        else:
            settings = layers[n].get("config")
            yield Described(
                names[n], types[n], places[n], settings if isinstance(settings, dict) else {}
            )


def _inner(model: Any) -> list[Any] | None:
    """Return the layers of a model; None if it is not a model.  Keras 1 has them as its config."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else config
    return layers if isinstance(layers, list) else None


def _name(layer: Mapping[str, Any]) -> str:
    config = layer.get("config")
    name = layer.get("name", config.get("name") if isinstance(config, dict) else None)
    return name if isinstance(name, str) else ""


def _type(layer: Mapping[str, Any]) -> str:
    name = layer.get("class_name")
    return snake_case(name) if isinstance(name, str) else ""


def _in_order(names: Sequence[str], layers: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the positions of the layers of a graph in the order of execution, branch by branch.

    Keras lists layers by their distance from the output, which mixes the layers of branches.  This
    order follows the inputs of each layer, from the last layers on, as the rows of specs do.
    """
    places = {name: position for position, name in enumerate(names)}
    inputs = [
        [places[name] for name in _mentioned(layer.get("inbound_nodes"), places)]
        for layer in layers
    ]
    read = {position for positions in inputs for position in positions}
    last = [position for position in range(len(layers)) if position not in read]
    order, entered = list[int](), set[int]()
    # the positions that remain are in a cycle, as those of a layer that is used twice can be
    stack = [(position, False) for position in (*reversed(range(len(layers))), *reversed(last))]
    while stack:
        position, are_inputs_done = stack.pop()
        if are_inputs_done:
            order.append(position)
        elif position not in entered:
            entered.add(position)
            stack.append((position, True))
            stack.extend((before, False) for before in reversed(inputs[position]))
    return order


def _mentioned(nodes: Any, names: Mapping[str, int]) -> list[str]:
    """Return the names of layers in ``inbound_nodes``: in lists of a name and two numbers."""
    mentioned, stack = list[str](), [nodes]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            stack.extend(reversed(node.values()))
        elif isinstance(node, list):
            match node:
                case [str() as name, int(), int(), *_] if name in names:
                    mentioned.append(name)
            stack.extend(reversed(node))
    return mentioned
