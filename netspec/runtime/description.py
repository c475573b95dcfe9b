"""Describe what a net computes in the file of its weights, and compare it with another net.

Weights of one net often fit another by name and shape: LRN before or after the pool, tanh instead
of ReLU, other padding.  So the metadata of a file of weights has a description of its net under
:data:`KEY`::

    {"version": 1, "net": "alexnet", "computes": {"C2": "C1 | relu | lrn n=5 | conv ...", ...},
     "expects": {"prepare": [...], "views": "center", "classes": [...], ...}}

A key of ``computes`` is a stage with parameters, a join, a head or an output.  Its value is the
sequence of operators from the previous keys to it.  So it does not depend on how a spec divides
stages into rows, nor on the names of stages without parameters.  ``expects`` is the JSON of
:mod:`netspec.runtime.expects`.  Files of other programs do not have this metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from netspec.files.members import ANYTHING, member, parsed, table, text, whole
from netspec.ir.expects import Expects
from netspec.ir.graph import Graph, Stage
from netspec.ir.ops.dropout import Dropout
from netspec.ir.values import Codes, Table
from netspec.net import Net
from netspec.runtime.expects import EXPECTS, as_json

KEY, VERSION = "netspec", 1

_AGAIN = "restore the file from a copy, or save the weights again"

_SAME = ("identity", "flatten")
"""Operators that do not change values, and are not described."""

_MONOTONE = ("relu", "tanh", "sigmoid")
"""Elementwise monotone operators.  Before or after a maxpool they give the same values, and are
described before it."""

_OF_TRAINING = {"bn": ("momentum",)}
"""Attributes without effect at inference, which are not described."""


def notes(net: Net, expects: Expects) -> dict[str, str]:
    """Return the metadata of a file with the weights of a net."""
    about = {
        "version": VERSION,
        "net": net.name,
        "computes": computed(net.graph),
        "expects": as_json(expects),
    }
    return {KEY: json.dumps(about, separators=(",", ":"), ensure_ascii=False)}


def differences(net: Net, kept: Mapping[str, str], path: Path) -> list[str]:
    """Return the differences between a net and the net of a file of weights, one per stage.

    Args:
        net: the net.
        kept: the metadata of the file.  Without a description, or with one of a later version, the
            result is empty.
        path: the file, for errors.

    Raises:
        DataError: the description is damaged.
    """
    if KEY not in kept:
        return []
    data, name = kept[KEY].encode(), f"the description in the metadata of {path}"
    if parsed(data, name, member("version", whole()), _AGAIN) != VERSION:
        return []
    then = parsed(data, name, member("computes", table(text())), _AGAIN)
    return [
        f"{name} was `{then.get(name, 'nothing')}` and is `{way}`"
        for name, way in computed(net.graph).items()
        if then.get(name) != way
    ]


def expected(kept: Mapping[str, str], path: Path) -> Expects | None:
    """Return the preprocessing and class names in the metadata of weights; None if there are none.

    Raises:
        DataError: the description is damaged.
    """
    if KEY not in kept:
        return None
    data, name = kept[KEY].encode(), f"the description in the metadata of {path}"
    about = parsed(data, name, table(ANYTHING), _AGAIN)
    if about.get("version") != VERSION or "expects" not in about:
        return None
    return parsed(data, name, member("expects", EXPECTS), _AGAIN)


def computed(graph: Graph, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a net computes at inference: the operators that lead to each stage with
    parameters, join, head and output, by its name.

    Args:
        graph: the net.
        names: other names for the stages with parameters, to compare nets that differ in labels.
    """
    ways: dict[str, str] = {}
    paths: dict[str, list[str]] = {}  # to each stage, from the last one that is a key of ``ways``
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
            name = f"join {joins}"
            if stage.op.is_trained:
                name = stage.name if names is None else names[stage.name]
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
    """Return a path to an output without its softmax, which does not change the largest output."""
    return " | ".join(path[:-1] if path[-1] == "softmax" else path)


def _text(stage: Stage) -> str:
    """Return an operator at inference, with the attributes that differ from their defaults."""
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
    if isinstance(value, Table | Codes):  # by content, because its name does not matter
        return sha256(repr(tuple(value)[1:]).encode()).hexdigest()[:16]
    if isinstance(value, tuple):
        return "x".join(map(_shown, value))
    return repr(float(value)) if isinstance(value, Fraction) else str(value)
