"""The syntax tree of a spec, before names have meanings.

Every node has its place: ``at`` is the (start, end) of its text among all sources of the net.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netspec.ir.source import Source

At = tuple[int, int]


class Text(NamedTuple):
    """A text in quotes, without the quotes."""

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
    """``C1.neurons``: a derived quantity of a row, in a sentence of a document."""

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
    """A size in a claim or an input: one literal, or separate dimensions."""

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


class Counted(NamedTuple):
    """``r[n]``: the last label of a range, whose number is computed."""

    prefix: str
    number: Expression
    at: At


@dataclass(frozen=True, slots=True)
class Row:
    """``first..last after after from sources: pipe then others -> claims``.

    ``last`` is None for a single row.  ``others`` is the pipe of the rows after the first, or None.
    """

    first: Name
    last: Name | Counted | None
    after: Name | None
    sources: tuple[Name, ...]
    pipe: Pipe
    others: Pipe | None
    claims: Claims
    at: At
    is_inherited: bool = False
    """True if it is from the base of a variant."""


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
    """The header; ``base`` is the name or file of the net that this one is a variant of."""

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
    """A connection table drawn with ``X`` and ``.``."""

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
    """``prepare`` outside a recipe: the steps from an image to the input of the net."""

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


class Printed(NamedTuple):
    """A size or kernel as a paper prints it.

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
    """A row of a printed table; an empty cell is None."""

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
    """A statement with a reported mistake, and the names that it would define."""

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
    """The statements of a file; ``at`` is the place of its beginning."""

    source: Source
    statements: tuple[Statement, ...]
    at: At
    dropped: Mapping[str, At] = field(default_factory=dict)
    """The places where a variant drops labels of its base."""
