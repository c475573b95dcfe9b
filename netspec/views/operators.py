"""The operator reference: the docstring and attributes of each operator."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from typing import Any

from netspec.ir.attributes import Attribute
from netspec.ir.operator import Operator
from netspec.language.binding import usage


def as_data(operator: type[Operator]) -> dict[str, Any]:
    """Return an operator with its attributes, as plain data."""
    text = inspect.getdoc(operator) or ""
    return {
        "name": operator.name,
        "summary": text.partition("\n")[0],
        "description": text,
        "usage": usage(operator).removeprefix("usage: "),
        "example": operator.example,
        "attributes": [
            {
                "name": a.name,
                "positional": a.is_positional,
                "takes": a.kind.description,
                "default": _default(a),
                "help": a.help,
            }
            for a in operator.attributes()
        ],
    }


def as_text(operator: type[Operator]) -> str:
    """Return an operator as text for the terminal."""
    data = as_data(operator)
    lines = [data["usage"], "", data["description"]]
    if data["attributes"]:
        width = max(len(a["name"]) for a in data["attributes"])
        lines += ["", "Attributes:"]
        for a in data["attributes"]:
            default = "required" if a["default"] is None else f"default {a['default']}"
            lines.append(f"  {a['name']:<{width}}  {a['help']}")
            lines.append(f"  {'':<{width}}  {a['takes']}; {default}")
    lines += ["", f"Example: {data['example']}"]
    return "\n".join(lines)


def as_markdown(operators: list[type[Operator]]) -> str:
    """Return all operators as a page of the documentation."""
    parts = ["# Operators", "", "Written by `netspec ops --markdown`; do not edit.", ""]
    for operator in operators:
        data = as_data(operator)
        parts += [f"## {data['name']}", "", f"`{data['usage']}`", "", *_quoted(data["description"])]
        if data["attributes"]:
            parts += ["", "| attribute | takes | default | |", "|---|---|---|---|"]
            for a in data["attributes"]:
                default = "required" if a["default"] is None else f"`{a['default']}`"
                parts.append(f"| `{a['name']}` | {a['takes']} | {default} | {a['help']} |")
        parts += ["", f"Example: `{data['example']}`", ""]
    return "\n".join(parts)


def _quoted(text: str) -> list[str]:
    return ["```text", text, "```"]


def _default(attribute: Attribute) -> str | None:
    """Return a default as a spec writes it, or ``none``; None if the attribute is required."""
    value = attribute.default
    if value is MISSING:
        return None
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
