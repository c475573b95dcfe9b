"""The syntax tree: the text of a spec as nodes with places, before names have meanings.

Every node knows its place: ``at`` is its (start, end) offsets in the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netspec.ir.source import Source

At = tuple[int, int]

# ------------------------------------------------------------------------------------ expressions


class Text(NamedTuple):
    """A text in quotes, without them."""

    text: str
    at: At


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


class Tuple(NamedTuple):
    items: tuple[Expression, ...]
    at: At


class Operation(NamedTuple):
    """``a + b - c``: a chain of operators of one precedence, applied from left to right."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    at: At


class Power(NamedTuple):
    """``a ** b ** c``, applied from right to left."""

    operands: tuple[Expression, ...]
    at: At


class Signed(NamedTuple):
    sign: str
    operand: Expression
    at: At


class Comparison(NamedTuple):
    left: Expression
    operator: str
    right: Expression
    at: At


class Logical(NamedTuple):
    """``not a``, ``a and b``, ``a or b``."""

    operator: str
    operands: tuple[Expression, ...]
    at: At


class Quantity(NamedTuple):
    """``C1.neurons``: a quantity of a row, in a sentence about the net."""

    text: str
    at: At


Expression = (
    Name
    | Number
    | KernelLiteral
    | Quantity
    | Tuple
    | Operation
    | Power
    | Signed
    | Comparison
    | Logical
)

# ------------------------------------------------------------------------------------------- rows


class Argument(NamedTuple):
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


class Size(NamedTuple):
    """A size as claimed or declared: one literal, or separate dimensions."""

    dimensions: tuple[Expression, ...]
    at: At


class Measure(NamedTuple):
    """``params 34944``: a claimed count."""

    kind: str
    value: Expression
    at: At


class Claims(NamedTuple):
    size: Size | None
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """``first..last from sources: pipe -> claims``; ``last`` is None for a single row.

    ``after`` is the row after which a variant inserts this one; ``is_inherited`` is true if the row
    is from the base of a variant.
    """

    first: Name
    last: Name | None
    after: Name | None
    sources: tuple[Name, ...]
    pipe: Pipe
    claims: Claims
    at: At
    is_inherited: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    name: Name
    source: Name
    arguments: tuple[Argument, ...]
    pipe: Pipe
    claims: Claims
    at: At
    is_inherited: bool = False


# ------------------------------------------------------------------------------------- statements


class Parameter(NamedTuple):
    name: Name
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Net:
    """``base`` names the net that this one is a variant of, or the file of that net."""

    name: Name
    parameters: tuple[Parameter, ...]
    base: Name | Text | None
    title: str
    at: At


class Import(NamedTuple):
    path: Text
    at: At


class Columns(NamedTuple):
    number: Expression
    at: At


class Drop(NamedTuple):
    labels: tuple[Name, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Default:
    operator: Name | None
    arguments: tuple[Argument, ...]
    at: At


class Let(NamedTuple):
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


class Connect(NamedTuple):
    """A table drawn with ``X`` and ``.``, a line a row."""

    name: Name
    lines: tuple[tuple[Text, ...], ...]
    at: At


class Codes(NamedTuple):
    """Images drawn with ``X`` and ``.``, side by side, in bands of height ``size``."""

    name: Name
    size: KernelLiteral
    lines: tuple[tuple[Text, ...], ...]
    at: At


class Input(NamedTuple):
    name: Name
    size: Size
    at: At


class Output(NamedTuple):
    labels: tuple[Name, ...]
    at: At


class Claim(NamedTuple):
    measures: tuple[Measure, ...]
    at: At


# -------------------------------------------------------------------------------- learning recipe


class Step(NamedTuple):
    """``sgd lr=0.01, momentum=0.9``: a step of a directive, with words and values."""

    items: tuple[Argument, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Directive:
    """``bias 1 for C2 C4``: steps of a recipe, the run they are from, and their rows."""

    name: Name
    run: Text | None
    steps: tuple[Step, ...]
    rows: tuple[Name, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Prepare:
    """``prepare`` outside a recipe: what is done to an image before the net sees it."""

    steps: tuple[Step, ...]
    at: At
    is_inherited: bool = False


class Classes(NamedTuple):
    """Names of the outputs, or the one name of a list of them."""

    names: tuple[Text, ...]
    at: At


@dataclass(frozen=True, slots=True)
class Train:
    directives: tuple[Directive, ...]
    at: At
    is_inherited: bool = False


# --------------------------------------------------------------------------------- printed tables


class Printed(NamedTuple):
    """A size or kernel as it is printed.

    ``dimensions`` are its numbers, each an expression, ``stride`` is the number after the slash,
    ``filters`` the number of filters after a comma, ``copies`` the devices that have one each.
    """

    dimensions: tuple[Expression, ...]
    at: At
    stride: Expression | None = None
    filters: Expression | None = None
    copies: Expression | None = None
    grouped: int = 0
    """The number of dimensions in parentheses, as in ``(7x7x512)x4096``."""


class Erratum(NamedTuple):
    column: Name
    why: str
    at: At


class PrintedRow(NamedTuple):
    """A row of a printed table; a cell is None where the table has none."""

    label: Name
    input: Printed | None
    kernel: Printed | None
    output: Printed | None
    params: Expression | None
    errata: tuple[Erratum, ...]
    at: At


class Says(NamedTuple):
    """A sentence of the text: a condition, or ``how`` (measured or needs) and ``by`` what."""

    quote: Text
    condition: Expression | None
    erratum: str
    how: str
    by: str
    at: At


class Document(NamedTuple):
    title: Text
    arguments: tuple[Argument, ...]
    rows: tuple[PrintedRow, ...]
    sentences: tuple[Says, ...]
    at: At


class Broken(NamedTuple):
    """A statement that did not parse and was reported, with the names that it would define."""

    keyword: str
    names: tuple[Name, ...]
    at: At


Inner = Row | Let | Output
Definition = Default | Columns | Let | Block | Connect | Codes
Statement = (
    Net | Import | Definition | Input | Row | Head | Drop | Output | Claim | Prepare | Classes
    | Train | Document | Broken
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tree:
    """The statements of a file; ``at`` is the place of its beginning.

    ``dropped`` has the places where a variant drops labels of its base.
    """

    source: Source
    statements: tuple[Statement, ...]
    at: At
    dropped: Mapping[str, At] = field(default_factory=dict)
