"""The syntax tree: what was written, with its places, before any of it means something.

Every node knows where it stands: ``at`` is its (start, end) offsets in the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from netspec.language.source import Source

At = tuple[int, int]

# ------------------------------------------------------------------------------------ expressions


class Name(NamedTuple):
    text: str
    at: At


class Number(NamedTuple):
    text: str
    at: At


class KernelLiteral(NamedTuple):
    """``11x11x3/4``: a kernel, or a size such as ``55x55x96``."""

    text: str
    at: At


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Expression, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Operation:
    """``a + b - c``: a chain of operators of one precedence, applied from left to right."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    at: At


@dataclass(frozen=True, slots=True)
class Power:
    """``a ** b ** c``, applied from right to left."""

    operands: tuple[Expression, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Signed:
    sign: str
    operand: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Expression
    operator: str
    right: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Logical:
    """``not a``, ``a and b``, ``a or b``."""

    operator: str
    operands: tuple[Expression, ...]
    at: At


Expression = (
    Name | Number | KernelLiteral | Tuple | Operation | Power | Signed | Comparison | Logical
)

# ------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class Argument:
    """``key=value``, or a positional value when ``key`` is None."""

    key: Name | None
    value: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipe: an operator or a block with its arguments, perhaps with branches."""

    name: Name
    arguments: tuple[Argument, ...]
    branches: tuple[Pipe, ...] | None
    condition: Expression | None
    at: At


@dataclass(frozen=True, slots=True)
class Pipe:
    stages: tuple[Stage, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Size:
    """A size as claimed or declared: one literal, or dimensions that stand alone."""

    dimensions: tuple[Expression, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Measure:
    """``params 34944``: a claimed count."""

    kind: str
    value: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Claims:
    size: Size | None
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """``first..last from sources: pipe -> claims``; ``last`` is None for a single row."""

    first: Name
    last: Name | None
    sources: tuple[Name, ...]
    pipe: Pipe
    claims: Claims
    at: At


@dataclass(frozen=True, slots=True)
class Head:
    name: Name
    source: Name
    arguments: tuple[Argument, ...]
    pipe: Pipe
    claims: Claims
    at: At


# ------------------------------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class Parameter:
    name: Name
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Net:
    name: Name
    parameters: tuple[Parameter, ...]
    title: str
    at: At


@dataclass(frozen=True, slots=True)
class Default:
    operator: Name | None
    arguments: tuple[Argument, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Let:
    name: Name
    value: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Block:
    """A macro; its body is one pipe, or rows with their own labels."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: Pipe | tuple[Inner, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Input:
    name: Name
    size: Size
    at: At


@dataclass(frozen=True, slots=True)
class Output:
    labels: tuple[Name, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Claim:
    measures: tuple[Measure, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that could not be parsed and was reported; what it would have defined."""

    keyword: str
    names: tuple[Name, ...]
    at: At


Inner = Row | Let | Output
Statement = Net | Default | Let | Block | Input | Row | Head | Output | Claim | Broken


@dataclass(frozen=True, slots=True)
class Tree:
    source: Source
    statements: tuple[Statement, ...]
