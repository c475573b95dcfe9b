"""What a pass promises: its equation, and a sentence for each refusal, from its docstring."""

from __future__ import annotations

import re
from typing import NamedTuple

from netspec.passes import Pass

_NUMBERED = re.compile(r"^(\d+)\. (.+?)[;.]?$(?=\n^\d|\n\n|\Z)", re.MULTILINE | re.DOTALL)


class Contract(NamedTuple):
    """The equation, with what the docstring says beside it, and refusals by number."""

    equation: str
    refusals: dict[int, str]


def contract(one: Pass) -> Contract:
    """Read the docstring of a pass: its first paragraph, and the list behind ``Refuses when``."""
    text = (one.__doc__ or "").strip()
    first, *_ = text.split("\n\n")
    _, _, cases = text.partition("\nRefuses when\n")
    refusals = {int(number): _joined(said) for number, said in _NUMBERED.findall(cases)}
    return Contract(_joined(first).removesuffix("."), refusals)


def _joined(text: str) -> str:
    return " ".join(text.split())
