"""What a net computes, as a text that is kept beside its weights, and how it differs from another.

Weights of one net often fit another by name and shape: LRN before or after the pool, tanh for ReLU,
other padding.  So a file of weights says in its metadata, under :data:`KEY`, what they are of::

    {"version": 1, "net": "alexnet", "computes": {"C2": "C1 | relu | lrn n=5 | conv ...", ...}}

A key of ``computes`` is a stage with parameters, a join, a head or an output; its text is the way
to it from the last ones.  So it is the same wherever the rows of a spec begin and end, and whatever
those without parameters are called.  Files of other programs do not have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from hashlib import sha256
from typing import Any

from netspec.files.members import member, parsed, table, text, whole
from netspec.ir.graph import Graph, Stage
from netspec.ir.ops.dropout import Dropout
from netspec.ir.values import Codes, Table
from netspec.net import Net

KEY, VERSION = "netspec", 1

_AGAIN = "restore the file from a copy, or save the weights again"

_SAME = ("identity", "flatten")
"""Operators that change no value."""

_MONOTONE = ("relu", "tanh", "sigmoid")
"""Elementwise operators that never fall: before a maxpool or after it, the values are the same."""

_OF_TRAINING = {"bn": ("momentum",)}
"""Attributes that mean nothing at inference."""


def notes(net: Net) -> dict[str, str]:
    """Return what is written beside the weights of a net."""
    about = {"version": VERSION, "net": net.name, "computes": computed(net.graph)}
    return {KEY: json.dumps(about, separators=(",", ":"), ensure_ascii=False)}


def differences(net: Net, kept: Mapping[str, str]) -> list[str]:
    """Return how a net differs from the one whose weights have these notes, a text a stage.

    Nothing is said of weights without notes, or with those of a later version.

    Raises:
        DataError: the notes are damaged.
    """
    if KEY not in kept:
        return []
    data, name = kept[KEY].encode(), "the description beside the weights"
    if parsed(data, name, member("version", whole()), _AGAIN) != VERSION:
        return []
    then = parsed(data, name, member("computes", table(text())), _AGAIN)
    return [
        f"{name} was `{then.get(name, 'nothing')}` and is `{way}`"
        for name, way in computed(net.graph).items()
        if then.get(name) != way
    ]


def computed(graph: Graph) -> dict[str, str]:
    """Return what a net computes at inference: the way to each stage with parameters, join, head
    and output."""
    ways: dict[str, str] = {}
    paths: dict[str, list[str]] = {}  # to each stage, from the last one that has a name in ``ways``
    joins = 0
    for stage in graph.stages():
        operands = [paths[name] for name in graph.operands(stage.name)]
        if not operands:
            number = 1 + graph.inputs.index(stage.name)
            paths[stage.name] = ["input" if len(graph.inputs) == 1 else f"input {number}"]
            continue
        path = _extended(operands, stage)
        if stage.op.is_trained or len(operands) > 1:
            joins += not stage.op.is_trained
            name = stage.name if stage.op.is_trained else f"join {joins}"
            ways[name] = " | ".join(path)
            path = [name]
        paths[stage.name] = path
    for head in graph.heads.values():
        ways[f"head {head.name}"] = _without_softmax(paths[head.output])
    for number, name in enumerate(graph.outputs, 1):
        ways[f"output {number}"] = _without_softmax(paths[name])
    return ways


def _extended(operands: list[list[str]], stage: Stage) -> list[str]:
    """Return the path to a stage from those to its operands."""
    texts = [" | ".join(operand) for operand in operands]
    path = operands[0] if len(operands) == 1 else [", ".join(texts)]
    own = _text(stage)
    at = len(path)
    while stage.op.name in _MONOTONE and path[at - 1].startswith("maxpool "):
        at -= 1
    return [*path[:at], own, *path[at:]] if own else path


def _without_softmax(path: list[str]) -> str:
    """Return a path to an output; with or without a softmax, a classifier has the same answer."""
    return " | ".join(path[:-1] if path[-1] == "softmax" else path)


def _text(stage: Stage) -> str:
    """Return what an operator computes at inference, with the attributes that are not defaults."""
    op = stage.op
    if op.name in _SAME or (isinstance(op, Dropout) and op.factor == 1):
        return ""
    values = {
        one.name: getattr(op, one.name)
        for one in op.attributes()
        if one.name not in _OF_TRAINING.get(op.name, ())
    }
    told = [
        f"{one.name}={_shown(values[one.name])}"
        for one in op.attributes()
        if one.name in values and (one.is_positional or values[one.name] != one.default)
    ]
    return f"{op.name} {', '.join(told)}".strip()


def _shown(value: Any) -> str:
    if isinstance(value, Table | Codes):  # by content: its name means nothing
        return sha256(repr(tuple(value)[1:]).encode()).hexdigest()[:16]
    if isinstance(value, tuple):
        return "x".join(map(_shown, value))
    return repr(float(value)) if isinstance(value, Fraction) else str(value)
