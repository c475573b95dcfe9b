"""Statements of a base and its variant: their keys, and how they are inherited."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from netspec.language import syntax
from netspec.language.labels import label_range
from netspec.language.limits import MAX_STAGES

Named = syntax.Let | syntax.Block | syntax.Connect | syntax.Codes
Single = syntax.Output | syntax.Columns | syntax.Prepare | syntax.Classes | syntax.Train
Own = syntax.Claim | syntax.Document
"""Statements about one net only, which are not inherited."""
DEFINITION = "let."
COMPUTED = "[...]"


def inherited(statement: syntax.Statement, dropped: Container[str]) -> syntax.Statement:
    """Return a statement of the base, marked as inherited; a recipe without dropped rows."""
    if isinstance(statement, syntax.Row | syntax.Head):
        return replace(statement, is_inherited=True)
    if isinstance(statement, syntax.Prepare):
        return replace(statement, is_inherited=True)
    if not isinstance(statement, syntax.Train):
        return statement
    directives = []
    for directive in statement.directives:
        rows = tuple(row for row in directive.rows if row.text not in dropped)
        if rows or not directive.rows:
            directives.append(replace(directive, rows=rows))
    return replace(statement, directives=tuple(directives), is_inherited=True)


def names_of(statement: syntax.Statement) -> list[str]:
    """Return the keys of a statement: the labels of a row, or the name of a definition.

    Names of definitions begin with ``DEFINITION``; labels have no dot.
    """
    if isinstance(statement, syntax.Row):
        return labels_of(statement)
    if isinstance(statement, syntax.Head | syntax.Input):
        return [statement.name.text]
    if isinstance(statement, Named):
        return [f"{DEFINITION}{statement.name.text}"]
    if isinstance(statement, syntax.Broken):
        is_definition = statement.keyword in ("let", "block", "connect", "codes")
        if is_definition or statement.keyword in ("row", "input", "head"):
            return [f"{DEFINITION}{n.text}" if is_definition else n.text for n in statement.names]
    return []


def kinds_of(statement: syntax.Statement) -> list[str]:
    """Return the keys of a statement without a name: its kind; a default's attributes."""
    if isinstance(statement, Single):
        return [type(statement).__name__]
    if isinstance(statement, syntax.Default):
        operator = statement.operator.text if statement.operator else ""
        return [f"default {operator}:{a.key.text}" for a in statement.arguments if a.key]
    return []


def labels_of(row: syntax.Row) -> list[str]:
    """Return the labels of a row: one, or those of a range.

    A range whose length is computed has one key, which no label equals: its rows are not known
    before the parameters have values, so a variant replaces them all.
    """
    if row.last is None:
        return [row.first.text]
    if isinstance(row.last, syntax.Counted):
        return [f"{row.first.text}..{row.last.prefix}{COMPUTED}"]
    labels = label_range(row.first.text, row.last.text)
    if labels is None or labels.count > MAX_STAGES:  # reported when the net is made
        return [row.first.text]
    return list(labels.labels())


def is_counted(label: str, key: str) -> bool:
    """Return True if a label may be one of a range whose length is computed."""
    prefix = key.removesuffix(COMPUTED).rpartition("..")[2]
    number = label.removeprefix(prefix)
    return key.endswith(COMPUTED) and label.startswith(prefix) and number.isdecimal()


def lost(rows: Sequence[syntax.Row]) -> syntax.Broken:
    """Return reported rows as one lost statement, whose labels are not missed."""
    return syntax.Broken("row", tuple(row.first for row in rows), rows[0].at)


def single_rows(row: syntax.Row) -> list[syntax.Row]:
    """Return the rows of a range; each row after the first reads the row before it."""
    labels = labels_of(row)
    if len(labels) == 1:
        return [row]
    return [
        replace(
            row,
            first=syntax.Name(label, row.first.at),
            last=None,
            sources=() if i else row.sources,
            pipe=row.others if i and row.others else row.pipe,
            others=None,
        )
        for i, label in enumerate(labels)
    ]
