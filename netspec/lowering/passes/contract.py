"""What a pass promises: its rule in short, and a sentence for each refusal, from its docstring."""

from __future__ import annotations

import re
from typing import NamedTuple

from netspec.lowering.passes import Pass

_NUMBERED = re.compile(r"^(\d+)\. (.+?)[;.]?$(?=\n\d|\Z)", re.MULTILINE | re.DOTALL)


class Contract(NamedTuple):
    """The first paragraph of the docstring, which opens with the equation; refusals by number."""

    summary: str
    refusals: dict[int, str]

    @property
    def equation(self) -> str:
        """The summary up to its colon."""
        return self.summary.partition(":")[0]


def contract(one: Pass) -> Contract:
    """Read the docstring of a pass."""
    text = (one.__doc__ or "").strip()
    first, *_ = text.split("\n\n")
    cases = text.partition("\nRefuses when\n\n")[2].partition("\n\n")[0]
    refusals = {int(number): _joined(said) for number, said in _NUMBERED.findall(cases)}
    return Contract(_joined(first).removesuffix("."), refusals)


def _joined(text: str) -> str:
    return " ".join(text.split())
