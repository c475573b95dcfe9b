"""A net as the difference from another: the statements of its base, changed by its own.

    net alexnet_six(classes=21841) from alexnet {
        C6 after S5: conv 3x3, 256, pad=1 | relu
        F8: fc classes | softmax
    }

A row with a label of the base replaces it, ``after`` inserts one, ``drop`` leaves one out.  Inputs,
heads, constants, blocks, tables and parameters of the same name are replaced, and so are
``output``, ``columns`` and ``train``.  Totals and printed tables speak of the base alone and are
not inherited; what an inherited row claims is told when it does not hold, not failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netspec.language import syntax
from netspec.language.diagnostics import did_you_mean
from netspec.language.files import Files
from netspec.language.limits import MAX_STAGES
from netspec.language.naming import label_range

Named = syntax.Let | syntax.Block | syntax.Connect | syntax.Codes
Single = syntax.Output | syntax.Columns | syntax.Train


def derive(tree: syntax.Tree, files: Files) -> syntax.Tree:
    """The whole net of a file: its own statements, on top of those of the net it is made from."""
    header = next((s for s in tree.statements if isinstance(s, syntax.Net)), None)
    if header is None or header.base is None:
        _refuse_changes(tree, files)
        return tree
    with files.reading(tree):
        found = files.find(header.base)
        base = derive(found, files) if found else None
    if base is None:  # reported; what the base would have defined is not missed
        return replace(tree, statements=(header, syntax.Broken("net", (), header.at)))
    variant = _Variant(base, header, files)
    for statement in tree.statements:
        variant.change(statement)
    return replace(tree, statements=tuple(variant.statements), dropped=variant.dropped)


def _refuse_changes(tree: syntax.Tree, files: Files) -> None:
    """Report what only a variant can say."""
    for statement in tree.statements:
        is_insertion = isinstance(statement, syntax.Row) and statement.after is not None
        if is_insertion or isinstance(statement, syntax.Drop):
            word = "after" if is_insertion else "drop"
            at = statement.after.at if is_insertion else statement.at  # type: ignore[union-attr]
            message = (
                f"`{word}` changes the net that this one is made from, and it is made from none"
            )
            help = "write the row where it belongs, or begin with `net name from base`"
            files.problems.add("NS105", message, files.sources.span(at), help=help)


class _Variant:
    """The statements of a base while a variant changes them."""

    def __init__(self, base: syntax.Tree, header: syntax.Net, files: Files) -> None:
        self.files = files
        self.base = base.source.name
        self.dropped = dict(base.dropped)
        self.own: set[syntax.At] = set()
        given = {p.name.text for p in header.parameters}
        self.statements = [
            _inherited(statement, header)
            for statement in base.statements
            if not isinstance(statement, syntax.Claim | syntax.Document)
            and not (isinstance(statement, syntax.Let) and statement.name.text in given)
        ]

    def change(self, statement: syntax.Statement) -> None:
        """Let a statement of the variant take effect."""
        if isinstance(statement, syntax.Row):
            self._row(statement)
        elif isinstance(statement, syntax.Drop):
            for name in statement.labels:
                self._drop(name)
        elif isinstance(statement, syntax.Head | syntax.Input):
            self._replace_or_add(statement)
        elif isinstance(statement, Named):
            self._name(statement)
        elif isinstance(statement, Single):
            self._keep(lambda s: not (isinstance(s, type(statement)) and s.at not in self.own))
            self.statements.append(statement)
        elif isinstance(statement, syntax.Default):
            self._default(statement)
        elif not isinstance(statement, syntax.Net):
            self.statements.append(statement)
        self.own.add(statement.at)

    def _keep(self, condition: Callable[[syntax.Statement], bool]) -> None:
        self.statements = [s for s in self.statements if condition(s)]

    # --------------------------------------------------------------------------------------- rows

    def _row(self, statement: syntax.Row) -> None:
        if statement.after is not None:
            place = self._position(statement.after.text)
            if place is None:
                self._no_row(statement.after, "NS111", "`after` names a row of the base")
            else:
                self.statements.insert(place + 1, statement)
            return
        for row in _single(statement):
            place = self._position(row.first.text)
            if place is None:
                help = f"say where it goes: `{row.first.text} after ROW: ...`"
                self._no_row(row.first, "NS105", help)
                return
            self.statements[place] = row

    def _drop(self, name: syntax.Name) -> None:
        place = self._position(name.text)
        if place is None:
            self._no_row(name, "NS111", "`drop` names a row of the base")
        else:
            del self.statements[place]
            self.dropped[name.text] = name.at
            self.statements = [_without(s, name.text) for s in self.statements]

    def _position(self, label: str) -> int | None:
        """Where the row, head or input with a label stands; a range is split to find it."""
        for i, statement in enumerate(self.statements):
            if isinstance(statement, syntax.Row) and label in _labels(statement):
                self.statements[i : i + 1] = _single(statement)
                return i + _labels(statement).index(label)
            if isinstance(statement, syntax.Head | syntax.Input) and statement.name.text == label:
                return i
        return None

    def _no_row(self, name: syntax.Name, code: str, help: str) -> None:
        rows = [s for s in self.statements if isinstance(s, syntax.Row)]
        guess = did_you_mean(name.text, (label for row in rows for label in _labels(row)))
        span = self.files.sources.span(name.at)
        message = f"`{self.base}` has no row `{name.text}`"
        self.files.problems.add(code, message, span, help=guess or help)

    def _replace_or_add(self, statement: syntax.Head | syntax.Input) -> None:
        place = self._position(statement.name.text)
        if place is not None:
            self.statements[place] = statement
            return
        kinds = [isinstance(s, syntax.Input) for s in self.statements]
        is_input = isinstance(statement, syntax.Input)
        end = len(kinds) - kinds[::-1].index(True) if is_input and any(kinds) else len(kinds)
        self.statements.insert(end, statement)

    # -------------------------------------------------------------------------------- definitions

    def _name(self, statement: Named) -> None:
        """A definition replaces the base's of the same name; a new one stands above the rows."""
        name = statement.name.text
        for i, held in enumerate(self.statements):
            if isinstance(held, Named) and held.name.text == name and held.at not in self.own:
                self.statements[i] = statement
                return
            if isinstance(held, syntax.Net) and isinstance(statement, syntax.Let):
                kept = tuple(p for p in held.parameters if p.name.text != name)
                self.statements[i] = replace(held, parameters=kept)
        new = sum(s.at in self.own and isinstance(s, Named) for s in self.statements)
        self.statements.insert(1 + new, statement)

    def _default(self, statement: syntax.Default) -> None:
        given = {a.key.text for a in statement.arguments if a.key}
        operator = statement.operator.text if statement.operator else ""
        for i, held in enumerate(self.statements):
            if isinstance(held, syntax.Default) and held.at not in self.own:
                if (held.operator.text if held.operator else "") != operator:
                    continue
                kept = tuple(a for a in held.arguments if a.key and a.key.text not in given)
                self.statements[i] = replace(held, arguments=kept)
        self.statements.append(statement)


def _inherited(statement: syntax.Statement, header: syntax.Net) -> syntax.Statement:
    if isinstance(statement, syntax.Row | syntax.Head | syntax.Train):
        return replace(statement, is_inherited=True)
    if not isinstance(statement, syntax.Net):
        return statement
    own = {p.name.text: p for p in header.parameters}
    kept = [own.pop(p.name.text, p) for p in statement.parameters]
    title = header.title or statement.title
    return replace(header, parameters=(*kept, *own.values()), title=title)


def _without(statement: syntax.Statement, label: str) -> syntax.Statement:
    """An inherited recipe does not speak of a row that is left out."""
    if not isinstance(statement, syntax.Train) or not statement.is_inherited:
        return statement
    kept = []
    for directive in statement.directives:
        rows = tuple(row for row in directive.rows if row.text != label)
        if rows or not directive.rows:
            kept.append(replace(directive, rows=rows))
    return replace(statement, directives=tuple(kept))


def _labels(row: syntax.Row) -> list[str]:
    if row.last is None:
        return [row.first.text]
    found = label_range(row.first.text, row.last.text)
    small = found is not None and len(found) <= MAX_STAGES
    return list(found.labels()) if found and small else [row.first.text]


def _single(row: syntax.Row) -> list[syntax.Row]:
    """The rows that a range stands for; each but the first reads the one before it."""
    labels = _labels(row)
    if len(labels) == 1:
        return [row]
    return [
        replace(
            row,
            first=syntax.Name(label, row.first.at),
            last=None,
            sources=() if i else row.sources,
        )
        for i, label in enumerate(labels)
    ]
