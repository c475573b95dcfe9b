"""Operators as text: complete, as a spec writes them, or short, for a box of a drawing.

``Operator.kernel_text`` is the kernel alone, as a printed table shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from netspec.ir.graph import Input
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.deconv import Deconv
from netspec.ir.shapes import Kernel
from netspec.ir.symbols import by
from netspec.ir.values import Codes, Table


def operator_text(op: Operator, written: Mapping[str, Any] | None = None) -> str:
    """Return an operator with every attribute that is not its default.

    With ``written``, the attributes as the spec wrote them, else as a spec would write them.
    Operators that only passes make have more attributes, and operators inside them.
    """
    if isinstance(op, Input):
        return op.name
    declared = {attribute.name: attribute for attribute in op.attributes()}
    values = {name: one.default for name, one in declared.items()}
    values |= written or _written(op)
    texts = [_shown(values[name]) for name, one in declared.items() if one.is_positional]
    for name, one in declared.items():
        value = values[name]
        if not one.is_positional and value != one.default:
            texts.append(f"{name}={_shown(value)}")
    own = {f.name: getattr(op, f.name) for f in fields(op) if f.name not in declared}  # type: ignore[arg-type]
    texts += [f"{n}={value}" for n, value in own.items() if not isinstance(value, Operator)]
    parts = " | ".join(operator_text(part) for part in own.values() if isinstance(part, Operator))
    return " ".join(filter(None, (op.name, ", ".join(texts), parts and f"({parts})")))


def short_text(op: Operator) -> str:
    """Return an operator with its required attributes and its stride: ``conv 3x3/1, 64``."""
    values = {one.name: getattr(op, one.name) for one in op.attributes() if one.is_positional}
    if isinstance(op, WindowOperator | Deconv):
        values["kernel"] = f"{by(op.kernel)}/{op.stride_text}"
    elif "kernel" in values:
        values["kernel"] = by(values["kernel"])
    texts = [_shown(value) for value in values.values()]
    if isinstance(op, Conv) and op.groups != 1:
        texts.append(f"groups={op.groups}")
    return f"{op.name} {', '.join(texts)}".strip()


def _written(op: Operator) -> dict[str, Any]:
    """Return the attributes of an operator as a spec writes them; the kernel has the stride."""
    values = {attribute.name: getattr(op, attribute.name) for attribute in op.attributes()}
    if isinstance(op, WindowOperator | Deconv):
        down, right = op.stride
        in_kernel = down if down == right != 1 else None
        values["kernel"] = Kernel(*op.kernel, stride=in_kernel)
        values["stride"] = (1, 1) if in_kernel else op.stride
    elif "kernel" in values:
        values["kernel"] = Kernel(*values["kernel"])
    return values


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Table | Codes):
        return value.name
    if isinstance(value, tuple) and not isinstance(value, Kernel):
        return _sides(value)
    return str(value)


def _sides(value: tuple[int, ...]) -> str:
    """Return height and width, or four sides, in the shortest form that a spec accepts."""
    if len(set(value)) == 1:
        return str(value[0])
    pair = value[:: len(value) // 2]
    is_pair = len(value) == 2 or value == (pair[0], pair[0], pair[1], pair[1])
    return by(pair) if is_pair else f"({', '.join(map(str, value))})"
