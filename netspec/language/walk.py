"""Walk over the names in a part of the syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from netspec.language import syntax


def named(node: object) -> Iterator[syntax.Name | syntax.Quantity]:
    """Yield each name and each derived quantity in a part of the tree, in no particular order.

    Keys of arguments are not names of anything.
    """
    nodes: list[Any] = [node]
    while nodes:  # a long expression is deeper than Python's stack
        node = nodes.pop()
        if isinstance(node, syntax.Name | syntax.Quantity):
            yield node
        elif isinstance(node, syntax.Argument):
            nodes.append(node.value)  # the key is no use of what has its name
        elif isinstance(node, tuple):
            nodes += node
        elif is_dataclass(node):
            nodes += [getattr(node, field) for field in node.__dataclass_fields__]
