"""Names of stages, and ranges of labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from netspec.ir.operator import Operator
from netspec.language.expand import Plan, Planned, PlannedRows


class Names:
    """The names of the stages of one row or branch: ``ROW[.bN][.opN]``.

    Branches, and operators of the same name, are numbered from 1 if there are several.  The name of
    the operator is omitted if it is the only operator with parameters.
    """

    def __init__(self, prefix: str, plans: list[Plan]) -> None:
        self.prefix = prefix
        ops = [plan.bound.value for plan in plans if isinstance(plan, Planned)]
        self.how_many = Counter(op.name for op in ops)
        self.is_alone = sum(op.is_trained for op in ops) == 1
        self.rows = sum(isinstance(plan, PlannedRows) for plan in plans)
        self.seen: Counter[str] = Counter()

    def of(self, op: Operator) -> str:
        self.seen[op.name] += 1
        if op.is_trained and self.is_alone:
            return self.prefix
        number = self.seen[op.name] if self.how_many[op.name] > 1 else ""
        return f"{self.prefix}.{op.name}{number}"

    def of_branch(self) -> str:
        self.seen["b"] += 1
        return f"{self.prefix}.b{self.seen['b']}"

    def of_rows(self, plan: PlannedRows) -> str:
        if self.rows == 1:
            return self.prefix
        name = plan.block.name.text
        self.seen[f"block {name}"] += 1
        return f"{self.prefix}.{name}{self.seen[f'block {name}']}"


@dataclass(frozen=True, slots=True)
class Range:
    """A range of labels that differ only in their last letter or number."""

    prefix: str
    first: int
    last: int
    width: int | None
    """Digits of a number with leading zeros; None for letters."""

    def __len__(self) -> int:
        return self.last - self.first + 1

    def labels(self) -> Iterator[str]:
        for i in range(self.first, self.last + 1):
            yield self.prefix + (chr(i) if self.width is None else f"{i:0{self.width}}")


def label_range(first: str, last: str) -> Range | None:
    """Return the range between two labels, or None if they do not make a range."""
    a, b = (re.fullmatch(r"(.*?)(\d{1,18}|[A-Za-z])", text) for text in (first, last))
    if a is None or b is None or a[1] != b[1] or a[2].isdigit() != b[2].isdigit():
        return None
    if a[2].isdigit():
        width = len(a[2]) if a[2].startswith("0") else 1
        labels = Range(a[1], int(a[2]), int(b[2]), width)
    else:
        labels = Range(a[1], ord(a[2]), ord(b[2]), None)
        if a[2].isupper() != b[2].isupper():
            return None
    return labels if labels.first <= labels.last else None
