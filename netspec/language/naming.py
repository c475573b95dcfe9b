"""Names of stages."""

from __future__ import annotations

from collections import Counter

from netspec.ir.operator import Operator
from netspec.language.expand import Plan, Planned, PlannedRows


class Names:
    """The names of the stages of one row or branch: ``ROW[.bN][.opN]``.

    Branches, and operators of the same name, are numbered from 1 if there are several.  The name of
    the operator is omitted if it is the only operator with parameters.
    """

    def __init__(self, prefix: str, plans: list[Plan]) -> None:
        self.prefix = prefix
        ops = [plan.operator for plan in plans if isinstance(plan, Planned)]
        self.how_many = Counter(op.name for op in ops)
        self.is_alone = sum(op.is_trained for op in ops) == 1
        self.rows = sum(isinstance(plan, PlannedRows) for plan in plans)
        self.seen: Counter[str] = Counter()

    def of(self, op: type[Operator]) -> str:
        self.seen[op.name] += 1
        if op.is_trained and self.is_alone:
            return self.prefix
        if self.how_many[op.name] == 1:
            return f"{self.prefix}.{op.name}"
        # relu6_1 is the first relu6, and relu61 would also be the 61st relu
        separator = "_" if op.name[-1].isdigit() else ""
        return f"{self.prefix}.{op.name}{separator}{self.seen[op.name]}"

    def of_branch(self) -> str:
        self.seen["b"] += 1
        return f"{self.prefix}.b{self.seen['b']}"

    def of_rows(self, plan: PlannedRows) -> str:
        if self.rows == 1:
            return self.prefix
        name = plan.block.name.text
        self.seen[f"block {name}"] += 1
        return f"{self.prefix}.{name}{self.seen[f'block {name}']}"
