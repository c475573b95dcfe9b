"""Build the syntax tree from the parser's reductions: one method per rule of the grammar."""

from __future__ import annotations

import re
from typing import Any

from lark import Token, Transformer

from netspec.language import syntax
from netspec.language.syntax import At


class Builder(Transformer[Token, Any]):
    """Build a node of the syntax tree for each reduction of the parser.

    Lark calls the method that has the name of the rule, with the children of the rule.

    Attributes:
        offset: the start of the statement among all sources of the net.
    """

    offset = 0

    def _at(self, token: Token) -> At:
        start, end = token.start_pos, token.end_pos
        assert start is not None
        assert end is not None
        return self.offset + start, self.offset + end

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(str(token), self._at(token))

    def _text(self, token: Token) -> syntax.Text:
        return syntax.Text(str(token)[1:-1], self._at(token))

    # expressions

    def number(self, c: list[Token]) -> syntax.Number:
        return syntax.Number(str(c[0]), self._at(c[0]))

    def name(self, c: list[Token]) -> syntax.Name:
        return self._name(c[0])

    def quantity(self, c: list[Token]) -> syntax.Quantity:
        return syntax.Quantity(str(c[0]).replace('"', ""), self._at(c[0]))

    def kernel(self, c: list[Token]) -> syntax.KernelLiteral:
        return syntax.KernelLiteral(str(c[0]), self._at(c[0]))

    def tuple_(self, c: list[Any]) -> syntax.Tuple:
        return syntax.Tuple(tuple(c), _around(c))

    def sum(self, c: list[Any]) -> syntax.Operation:
        pairs = tuple((str(c[i]), c[i + 1]) for i in range(1, len(c), 2))
        return syntax.Operation(c[0], pairs, _around(c))

    term = sum

    def power(self, c: list[Any]) -> syntax.Power:
        return syntax.Power(tuple(c), _around(c))

    def factor(self, c: list[Any]) -> syntax.Signed:
        *signs, operand = c
        sign = "-" if signs.count("-") % 2 else "+"
        return syntax.Signed(sign, operand, (self._at(signs[0])[0], operand.at[1]))

    exponent = factor

    def comparison(self, c: list[Any]) -> syntax.Comparison:
        return syntax.Comparison(c[0], str(c[1]), c[2], _around(c))

    def negation(self, c: list[Any]) -> Any:
        *nots, operand = c
        if len(nots) % 2 == 0:
            return syntax.Logical("and", (operand,), operand.at)
        return syntax.Logical("not", (operand,), (self._at(nots[0])[0], operand.at[1]))

    def conjunction(self, c: list[Any]) -> syntax.Logical:
        return syntax.Logical("and", tuple(c), _around(c))

    def expression(self, c: list[Any]) -> syntax.Logical:
        return syntax.Logical("or", tuple(c), _around(c))

    # rows

    def keyword(self, c: list[Any]) -> syntax.Argument:
        key = self._name(c[0])
        return syntax.Argument(key, c[1], (key.at[0], c[1].at[1]))

    def arguments(self, c: list[Any]) -> list[syntax.Argument]:
        return [a if isinstance(a, syntax.Argument) else syntax.Argument(None, a, a.at) for a in c]

    def branches(self, c: list[Any]) -> list[syntax.Pipe]:
        return c

    def stage(self, c: list[Any]) -> syntax.Stage:
        name, arguments, branches, condition = self._name(c[0]), c[1] or [], c[2], c[3]
        end = arguments[-1].at[1] if arguments else name.at[1]
        branches = None if branches is None else tuple(branches)
        return syntax.Stage(name, tuple(arguments), branches, condition, (name.at[0], end))

    def pipe(self, c: list[Any]) -> syntax.Pipe:
        return syntax.Pipe(tuple(c), _around(c))

    def size(self, c: list[Any]) -> syntax.Size:
        dims = [
            syntax.KernelLiteral(str(d), self._at(d)) if isinstance(d, Token) else d
            for d in _without_crosses(c)
        ]
        return syntax.Size(tuple(dims), _around(dims))

    def measure(self, c: list[Any]) -> syntax.Measure:
        return syntax.Measure(str(c[0]), c[1], (self._at(c[0])[0], c[1].at[1]))

    def claims(self, c: list[Any]) -> syntax.Claims:
        size = c[0] if isinstance(c[0], syntax.Size) else None
        return syntax.Claims(size, tuple(m for m in c if isinstance(m, syntax.Measure)))

    def label(self, c: list[Token]) -> syntax.Name:
        text = str(c[0])[1:-1] if c[0].type == "STRING" else str(c[0])
        return syntax.Name(text, self._at(c[0]))

    def counted(self, c: list[Any]) -> syntax.Counted:
        return syntax.Counted(str(c[0])[:-1], c[1], (self._at(c[0])[0], c[1].at[1] + 1))

    def labels(self, c: list[Any]) -> list[Any]:
        return c

    def sources(self, c: list[Any]) -> list[Any]:
        return c

    def row(self, c: list[Any]) -> syntax.Row:
        (first, last), after, sources, pipe, then, claims = c
        at = (first.at[0], (last or first).at[1])
        sources = tuple(sources or ())
        return syntax.Row(first, last, after, sources, pipe, then, claims or _NO_CLAIMS, at)

    def head(self, c: list[Any]) -> syntax.Head:
        name, source, *arguments, pipe, claims = c
        written = tuple(a for a in arguments if a is not None)
        return syntax.Head(name, source, written, pipe, claims or _NO_CLAIMS, name.at)

    # statements

    def parameter(self, c: list[Any]) -> syntax.Parameter:
        return syntax.Parameter(self._name(c[0]), c[1])

    def parameters(self, c: list[Any]) -> list[Any]:
        return [p for p in c if p is not None]

    def net(self, c: list[Any]) -> syntax.Net:
        name = self._name(c[0])
        title = str(c[3])[1:-1] if c[3] else ""
        return syntax.Net(name, tuple(c[1] or ()), c[2], title, name.at)

    def base(self, c: list[Token]) -> syntax.Name | syntax.Text:
        return self._text(c[0]) if c[0].type == "STRING" else self._name(c[0])

    def import_(self, c: list[Token]) -> syntax.Import:
        path = self._text(c[0])
        return syntax.Import(path, path.at)

    def columns(self, c: list[Any]) -> syntax.Columns:
        return syntax.Columns(c[0], c[0].at)

    def drop(self, c: list[Any]) -> syntax.Drop:
        return syntax.Drop(tuple(c), _around(c))

    def cells(self, c: list[Any]) -> tuple[tuple[syntax.Text, ...], ...]:
        return tuple(c)

    def line(self, c: list[Token]) -> tuple[syntax.Text, ...]:
        return tuple(syntax.Text(str(part), self._at(part)) for part in c)

    def connect(self, c: list[Any]) -> syntax.Connect:
        name = self._name(c[0])
        return syntax.Connect(name, c[1], name.at)

    def codes(self, c: list[Any]) -> syntax.Codes:
        name = self._name(c[0])
        return syntax.Codes(name, self.kernel(c[1:2]), c[2], name.at)

    def default(self, c: list[Any]) -> syntax.Default:
        operator = self._name(c[0]) if c[0] else None
        return syntax.Default(operator, tuple(c[1:]), _around(c[1:]))

    def let(self, c: list[Any]) -> syntax.Let:
        name = self._name(c[0])
        return syntax.Let(name, c[1], name.at)

    def rows(self, c: list[Any]) -> tuple[syntax.Inner, ...]:
        return tuple(c)

    def block(self, c: list[Any]) -> syntax.Block:
        name = self._name(c[0])
        return syntax.Block(name, tuple(c[1] or ()), c[2], name.at)

    def input(self, c: list[Any]) -> syntax.Input:
        name = self._name(c[0])
        return syntax.Input(name, c[1], name.at)

    def output(self, c: list[Any]) -> syntax.Output:
        return syntax.Output(tuple(c), _around(c))

    def claim(self, c: list[Any]) -> syntax.Claim:
        return syntax.Claim(tuple(c), _around(c))

    # the learning recipe

    def word(self, c: list[Token]) -> syntax.Name:
        return self._name(c[0])

    def step(self, c: list[Any]) -> syntax.Step:
        start, *items = c
        if isinstance(start, Token):
            signed = syntax.Signed(str(start), items[0], (self._at(start)[0], items[0].at[1]))
            c = [signed, *items[1:]]
        return syntax.Step(tuple(self.arguments(c)), _around(c))

    def steps(self, c: list[Any]) -> tuple[syntax.Step, ...]:
        return tuple(c)

    def directive(self, c: list[Any]) -> syntax.Directive:
        name, run, steps, *rows = c
        run = self._text(run) if run else None
        written = tuple(row for row in rows if row is not None)
        return syntax.Directive(self._name(name), run, steps or (), written, self._at(name))

    def prepare(self, c: list[Any]) -> syntax.Prepare:
        keyword, steps = c
        return syntax.Prepare(steps, self._at(keyword))

    def classes(self, c: list[Token]) -> syntax.Classes:
        keyword, *names = c
        return syntax.Classes(tuple(map(self._text, names)), self._at(keyword))

    def train(self, c: list[Any]) -> syntax.Train:
        return syntax.Train(tuple(c), (self.offset, self.offset + len("train")))

    # the printed tables

    def _numbers(self, token: Token) -> list[syntax.Number]:
        start = self._at(token)[0]
        return [
            syntax.Number(m[0], (start + m.start(), start + m.end()))
            for m in re.finditer(r"\d+", token)
        ]

    def extent(self, c: list[Any]) -> Any:
        """Return a dimension of a printed size, and the number after its slash."""
        first, over = c
        if isinstance(first, Token):
            kind = self.number if first.type == "NUMBER" else self.name
            first = kind([first])
        return first, self._numbers(over)[0] if over else None

    def extents(self, c: list[Any]) -> Any:
        return _without_crosses(c)

    def printed_size(self, c: list[Any]) -> syntax.Printed:
        return self._printed(c)

    def printed_kernel(self, c: list[Any]) -> syntax.Printed:
        return self._printed(c)

    def _printed(self, c: list[Any]) -> syntax.Printed:
        """Return a printed cell in any of its notations."""
        first, *suffixes = c
        ends = [self._at(token)[1] for token in suffixes if token is not None]
        copies: syntax.Expression | None = None
        count = None
        for token in suffixes:
            if token is not None and token.type == "COPIES":
                copies = self._numbers(token)[0]
            elif token is not None:
                count = self.number([token])
        if isinstance(first, list):
            *some, (last, stride) = first
            dims = [syntax.Operation(d, (("/", over),), d.at) if over else d for d, over in some]
            at = (first[0][0].at[0], max([(stride or last).at[1], *ends]))
            return syntax.Printed((*dims, last), at, stride, count, copies)
        at = (self._at(first)[0], max([self._at(first)[1], *ends]))
        if first.type == "JOINED":
            return syntax.Printed((), at)
        numbers = self._numbers(first)
        stride = numbers.pop() if "/" in first else None
        if first.endswith("GPU"):
            devices = numbers.pop()
            copies = syntax.Operation(devices, (("*", copies),), at) if copies else devices
        grouped = len(re.findall(r"\d+", first.partition(")")[0])) if "(" in first else 0
        return syntax.Printed(tuple(numbers), at, stride, count, copies, grouped)

    def erratum(self, c: list[Token]) -> syntax.Erratum:
        column, why = c
        at = (self._at(column)[0], self._at(why)[1])
        return syntax.Erratum(self._name(column), str(why)[1:-1], at)

    def printed(self, c: list[Any]) -> syntax.PrintedRow:
        label, size_in, kernel, size_out, params, *errata = c
        return syntax.PrintedRow(label, size_in, kernel, size_out, params, tuple(errata), label.at)

    def says(self, c: list[Any]) -> syntax.Says:
        quote, content, *quoted = c
        quote = self._text(quote)
        if isinstance(content, Token):
            return syntax.Says(quote, None, "", str(content), str(quoted[0])[1:-1], quote.at)
        erratum = str(quoted[0])[1:-1] if quoted else ""
        return syntax.Says(quote, content, erratum, "", "", quote.at)

    def document(self, c: list[Any]) -> syntax.Document:
        title = self._text(c[0])
        arguments = tuple(a for a in c[1:] if isinstance(a, syntax.Argument))
        rows = tuple(r for r in c if isinstance(r, syntax.PrintedRow))
        sentences = tuple(s for s in c if isinstance(s, syntax.Says))
        return syntax.Document(title, arguments, rows, sentences, title.at)


_NO_CLAIMS = syntax.Claims(None, ())


def _without_crosses(children: list[Any]) -> list[Any]:
    """Return the dimensions between the `×` of a size."""
    return [c for c in children if not (isinstance(c, Token) and c.type == "CROSS")]


def _around(nodes: list[Any]) -> At:
    return nodes[0].at[0], nodes[-1].at[1]
