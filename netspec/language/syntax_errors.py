"""Messages for syntax errors.

A message says which text was found, what is expected there, and what to write.  The hints are a
table of malformed examples.  The parser stops at each example in some state; a statement of a user
that stops in the same state gets the same hint.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

HINTS: dict[str, list[str]] = {
    "a row is `LABEL: stage | stage -> size`; name the row and put a `:` after its label": [
        "conv 3x3, 64",
        "C1 conv 3x3, 64",
        "relu",
        "C1 = conv 3x3, 64",
    ],
    "a word of the language cannot label a row; choose another label, or write it in quotes": [
        "input: conv 3x3, 64",
        "output: fc 10",
        "head: fc 10",
        "let: fc 10",
        "block: fc 10",
        "default: fc 10",
        "net: fc 10",
        "claim: fc 10",
        "import: fc 10",
        "columns: fc 10",
        "connect: fc 10",
        "codes: fc 10",
        "drop: fc 10",
        "train: fc 10",
        "document: fc 10",
    ],
    "a connection table is drawn with X and dots: connect name { XX.. }": [
        "connect",
        "connect a",
        "connect a = 5",
        "connect a { }",
        "connect a { 5 }",
        "connect { X }",
        "connect a {\n}",
        "connect a { X O }",
        "connect a {\nXX\n1.\n}",
        "connect a {\nXX\n.Y\n}",
        "connect a {\nxX\n}",
    ],
    "images are drawn with X and dots: codes name 12x7 { .XX.. }": [
        "codes",
        "codes a",
        "codes a { XX }",
        "codes a 12 { XX }",
        "codes a 12x7",
        "codes a 12x7 {\nXX\n01\n}",
    ],
    'an import names a file in quotes: import "blocks.net"': [
        "import",
        "import blocks",
        "import blocks.net",
    ],
    "a variant is written `net name from base { ... }`": ["net a from", "net a from 5"],
    'the title comes after the base: net name from base "title" { ... }': [
        'net a "title" from base',
        'net a(n=3) "title" from base',
    ],
    "write the number of devices: columns 2": ["columns", "columns = 2"],
    "drop names rows of the base, separated by commas": ["drop", "drop C5 S5", "drop C1..C3"],
    "name the row of the base that it comes after: C6 after S5: ...": [
        "C6 after: relu",
        "C6 after S5, S4: relu",
    ],
    "a recipe is a list of directives: train { batch 128 }": [
        "train",
        "train 5",
        "train { }",
        "train {\n}",
        "train { 128 }",
        "train { batch 128 epochs = 90 | }",
    ],
    "arithmetic in a recipe is written in parentheses: batch (2*64)": [
        "train { batch 1/2 }",
        "train { batch 2**6 }",
        "train { batch 2*64 }",
    ],
    'a document is written `document "source" { rows and sentences }`': [
        "document",
        "document survey { }",
        'document "s"',
        'document "s" { }',
        'document "s" {\n}',
        'document "" { }',
    ],
    "a printed row is `LABEL | input | kernel | output | params`, a cell may be empty": [
        'document "s" { C1 }',
        'document "s" { C1 224x224x3 | 3x3 }',
        'document "s" { C1 | 224x224x3 }',
        'document "s" { C1 | 224x224x3 | 3x3 | 5x5x3 }',
        'document "s" {\nC1 | 224x224x3\n}',
        'document "s" {\nC1 | 224x224x3 | 3x3\n}',
        'document "s" {\nC1 | 224x224x3 | 3x3, 5\n}',
        'document "s" {\nC1 | 224x224x3 | 3x3 | 5x5x3\n}',
    ],
    "a printed row has four cells: `LABEL | input | kernel | output | params`": [
        'document "s" { C1 | | | | 5 | 3 }',
    ],
    "symbols in a printed size are separated by spaces: H x W x C1": [
        'document "s" { C1 | HxWxC1 | | | }',
        'document "s" { C1 | | 1 x 1 x C2 | HxW | }',
    ],
    'a sentence is `says "quote" CONDITION`, or erratum, measured or needs and a text': [
        'document "s" { says }',
        'document "s" { says params }',
        'document "s" { says "a" }',
        'document "s" {\nsays "a"\n}',
        'document "s" { says "" 1 == 1 }',
        'document "s" { says "a" needs " " }',
        'document "s" { says "a" measured this }',
    ],
    'an erratum names its column and the reason: erratum kernel "why"': [
        'document "s" { C1 | | | | 5 erratum }',
        'document "s" { C1 | | | | 5 erratum "why" }',
        'document "s" { C1 | | | | 5 erratum kernel }',
        'document "s" {\nC1 | | | | 5 erratum kernel\n}',
        'document "s" { C1 | | | | 5 erratum kernel "" }',
    ],
    "rows inside a block are not visible outside: return them with `output` in the block": [
        "b from a.x: relu",
        "output a.x",
        "head h from a.x, weight=1: relu",
    ],
    "the rows of a block hold rows, `let` and `output`, nothing else": [
        "block b = { head h from a, weight=1: relu }",
        "block b = { claim params 5 }",
        "block b = { block c = relu }",
        "block b = { input i 3x3x3 }",
    ],
    "with a variable stride write `stride=` after the kernel: conv 3x3, 64, stride=s": [
        "C1: conv 3x3/s, 64",
        "C1: conv 3x3/-1, 64",
        "C1: maxpool 3x3/(2)",
    ],
    "separate arguments with commas": [
        "C1: conv 3x3 64",
        "C1: conv k 64",
        "C1: lrn 5 k=2",
        "C1: conv 3x3, 64 pad=1",
        "C1: conv 3x3, 64, pad=1 stride=2",
    ],
    "a computed length is written `r1..r[n]`, with the number in brackets": [
        "r1..r[]: relu",
    ],
    "write the stages of the other rows after `then`: r1..r3: relu then tanh": [
        "r1..r3: relu then",
        "r1..r3: relu then -> 3x3x3",
    ],
    "write the value after the `=`": [
        "C1: conv 3x3, 64, pad=",
        "C1: conv 3x3, 64, pad= | relu",
        "default round=",
        "let a =",
    ],
    "a stage is missing between the bars: name an operator, or remove the `|`": [
        "C1: | relu",
        "C1: relu |",
        "C1: relu | | relu",
        "C1: relu || relu",
    ],
    "a row needs at least one stage, such as `identity`": ["C1:", "C1: -> 3x3x3"],
    "after `->` write the size, such as 55x55x96 or 4096, then params, macs, neurons or field": [
        "C1: relu -> ",
        "C1: relu -> , 5",
        "C1: relu -> = 5",
        "C1: relu -> 5x5x3 5",
        "C1: relu -> 5 weights 3",
    ],
    "a size is written 224x224x3, or with separate names: H x W x C": [
        "input image",
        "input image -1",
        "input image = 3x3x3",
        "input image 3, 3",
        "input image 3x3x(n)",
        "C1: relu -> 3x3x(n)",
    ],
    "attributes are written key=value, as in pad=1": [
        "C1: conv 3x3, 64, pad:1",
        "C1: conv 3x3, 64, pad 1",
        "default round",
        "default maxpool round",
    ],
    "a block is written `block name(argument, ...) = stage | stage`": [
        "block",
        "block a",
        "block a relu",
        "block a(n) conv 3x3, n",
        "block a: relu",
    ],
    'a base is the name of a net, or a path in quotes: net mine from "nets/lenet5.net"': [
        "net a from lenet5.net",
        "net a from b, c",
        "net a(n=3) from lenet5.net",
    ],
    "a new row of a variant is written `LABEL after ROW: stage | stage`": [
        "C6 after S5 relu",
        "C6 after S5",
    ],
    "a constant is written `let name = value`": ["let", "let a", "let a 5", "let 5 = 3"],
    'a net begins with `net name "title"`, or `net name(parameter=default) "title"`': [
        "net",
        "net 5",
        "net a b",
        "net a(5)",
    ],
    "a head is written `head NAME from ROW, weight=0.3: stage | stage`": [
        "head a",
        "head a: relu",
        "head a from",
        "head a from b",
    ],
    "name rows after `from`, separated by commas": ["C1 from : relu", "C1 from A B: relu"],
    "name the rows that the net returns, separated by commas": ["output", "output a b"],
    "claims of the net are written `claim params 60965224, macs 724406816`": [
        "claim",
        "claim weights 5",
        "claim 5",
        "claim params",
    ],
    "a branch is a pipe of stages; end each with a line or `;`": [
        "C1: concat { }",
        "C1: concat { a: relu }",
        "C1: concat { relu, relu }",
    ],
    "several inputs are named after `from`: C1 from A, B: add": ["C1: add A B {}"],
    "compare with == and join conditions with `and`, `or`, `not`": [
        "C1: relu if a = b",
        "C1: relu if a && b",
        "C1: relu if",
        "C1: relu if a, b",
    ],
    "texts in quotes are titles, files and names of classes": ['C1: conv "3x3", 64', 'let a = "b"'],
}

GENERAL_HELP = "`netspec explain syntax` shows the language on one screen"
FOREIGN_HELP = "use ASCII letters, digits and signs; others are allowed in texts and comments"

_WORDS = {
    "$END": "the end of the statement",
    "<END-OF-FILE>": "the end of the statement",  # Lark's word where no token has a place
    "_END": "the end of the line",
    "NAME": "a name",
    "LABEL": "a label",
    "NUMBER": "a number",
    "KERNEL": "a kernel or size such as 3x3/2",
    "STRING": "a text in quotes",
    "TEXT": "a text in quotes that is not blank",
    "COUNT": "`params`, `macs`, `neurons`",
    "FIELD": "`field`",
    "TIMES": "an arithmetic operator",
    "SIGN": "`+` or `-`",
    "COMPARE": "a comparison",
    "_X": "`x`",
    "QUANTITY": "what is derived, such as C1.params",
    "HOW": "`measured`, `needs` or `erratum` with a text",
    "CELLS": "a line of `X` and `.`",
    "PRINTED": "a printed size or kernel",
    "GROUPED": "a printed kernel such as (3x3)x16",
    "COPIES": "`(x2)`",
    "OVER": "`/` and a number",
    "JOINED": "`concat`",
}
_CONTINUE_AN_EXPRESSION = {
    "`**`",
    "`and`",
    "`or`",
    _WORDS["TIMES"],
    _WORDS["SIGN"],
    _WORDS["COMPARE"],
}


def describe(parser: Lark, text: str, error: UnexpectedInput) -> tuple[int, int, str, str]:
    """Return a syntax error as (offset, length, message, help)."""
    help = _hints(parser).get(_mistake(error), GENERAL_HELP)
    expected = _expected(parser, error)
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return error.token.end_pos or 0, 1, f"{expected}the statement ends here", help
    if isinstance(error, UnexpectedToken):
        token = error.token
        return token.start_pos or 0, len(token), f"{expected}found `{_short(token)}`", help
    assert isinstance(error, UnexpectedCharacters)
    message = f"found the character `{error.char}`"
    if not error.char.isascii():  # it may look like an ASCII character, or be invisible
        message += f", U+{ord(error.char):04X}"
        help = FOREIGN_HELP if help == GENERAL_HELP else help
    return error.pos_in_stream or 0, 1, f"{expected}{message}", help


Mistake = tuple[tuple[int, ...], str]
"""The parser's last two states, and the kind of token that they do not accept."""


@cache
def _hints(parser: Lark) -> dict[Mistake, str]:
    table: dict[Mistake, str] = {}
    for hint, examples in HINTS.items():
        for example in examples:
            try:
                parser.parse(example, start="statement")
            except UnexpectedInput as error:
                table.setdefault(_mistake(error), hint)
    return table


def _mistake(error: UnexpectedInput) -> Mistake:
    state: Any = error.state
    token = error.token.type if isinstance(error, UnexpectedToken) else ""
    return tuple(state.state_stack[-2:]), token


def _expected(parser: Lark, error: UnexpectedInput) -> str:
    names = getattr(error, "accepts", None) or getattr(error, "allowed", None) or ()
    # redundant: `x` or `*` is always possible too, `then` is rare, a label may be a text
    names = set(names) - {"CROSS", "THEN"} - ({"STRING", "COUNTED"} if "LABEL" in names else set())
    words = {_WORDS.get(name) or f"`{parser.get_terminal(name).pattern.value}`" for name in names}
    if len(words) > 4:
        words -= _CONTINUE_AN_EXPRESSION
    if not words or len(words) > 6:
        return "this does not fit: "
    *some, last = sorted(words)
    return f"expected {', '.join(some)}{' or ' if some else ''}{last}, but "


def _short(token: Token) -> str:
    return token if len(token) <= 30 else f"{token[:30]}..."
