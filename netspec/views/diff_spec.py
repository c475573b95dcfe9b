"""The differences of two specs outside their rows: header, claims, recipe, printed tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Any, TypeVar

from netspec.checking.tables import COLUMNS, Document, PrintedRow, Sentence
from netspec.ir.expects import step_text
from netspec.ir.graph import Claim, Row
from netspec.ir.recipe import MANY, Assigned, Recipe, RecipeStep
from netspec.ir.symbols import is_symbolic
from netspec.ir.values import show
from netspec.net import Net
from netspec.views.alignment import AlignedRow, align
from netspec.views.diff_stages import Changes, differing, written

_Part = TypeVar("_Part")


def of_specs(a: Net, b: Net, rows: Sequence[tuple[Row, Row]]) -> Changes:
    """Return the differences outside rows, inputs and outputs; ``rows`` are those that match."""
    columns = [net.graph.columns.number if net.graph.columns else 1 for net in (a, b)]
    return (
        differing("title", a.title, b.title)
        | differing("parameters", _parameters(a), _parameters(b))
        | differing("columns", *columns)
        | _of_claims(a, b, rows)
        | _of_recipes(a.recipe, b.recipe)
        | _of_expects(a, b)
        | _of_documents(a.documents, b.documents)
    )


def _parameters(net: Net) -> dict[str, str | None]:
    """Return the defaults of the parameters in the header; None for one without."""
    texts = {}
    for name, value in net.parameters.items():
        text = str(value) if isinstance(value, Fraction) else show(value)
        texts[name] = None if is_symbolic(value) else text
    return texts


# ----------------------------------------------------------------------------------------- claims


def _of_claims(a: Net, b: Net, rows: Sequence[tuple[Row, Row]]) -> Changes:
    """Return the claims that only one net makes, about itself and about rows that both have.

    Values are not compared: claims hold, so their values differ where the nets differ.
    """
    left, right = _kinds("", a.graph.claims), _kinds("", b.graph.claims)
    only = [[f"net {kind}" for kind in left - right], [f"net {kind}" for kind in right - left]]
    for x, y in rows:
        left, right = _of_row(a, x), _of_row(b, y)
        only[0] += [f"{x.label}{kind}" for kind in left - right]
        only[1] += [f"{y.label}{kind}" for kind in right - left]
    return {"claims": [sorted(claims) for claims in only]} if any(only) else {}


def _of_row(net: Net, row: Row) -> set[str]:
    """Return the claims of a row and of the rows of its blocks: `` output``, ``.a output``."""
    begin = f"{row.label}."
    inner = (r for r in net.graph.rows.values() if r.is_inner and r.label.startswith(begin))
    return {f" {kind}" for kind in _kinds("", row.claims)}.union(
        *(_kinds(f"{r.label.removeprefix(row.label)} ", r.claims) for r in inner)
    )


def _kinds(prefix: str, claims: Iterable[Claim]) -> set[str]:
    return {f"{prefix}{claim.kind}" for claim in claims}


# ----------------------------------------------------------------------------------------- recipe


def _of_recipes(a: Recipe | None, b: Recipe | None) -> Changes:
    """Return the directives that differ, each as its steps in the two recipes."""
    changes: Changes = {}
    for directive in fields(Recipe):
        steps = [[] if r is None else steps_of(directive.name, r) for r in (a, b)]
        changes |= differing(directive.name, *steps)
    return {"recipe": changes} if changes else {}


def _of_expects(a: Net, b: Net) -> Changes:
    """Return differences of class names, and of preprocessing that is not in both recipes."""
    changes = differing("classes", list(a.expects.classes), list(b.expects.classes))
    if a.recipe is None or b.recipe is None:
        steps = [[step_text(s) for s in net.expects.prepare or ()] for net in (a, b)]
        changes |= differing("prepare", *steps)
    return changes


def steps_of(directive: str, recipe: Recipe) -> list[str]:
    """Return the steps of a directive as a spec writes them; those of rows in any order."""
    steps = [_step(step, directive) for step in getattr(recipe, directive)]
    return steps if directive in MANY else sorted(steps)


def _step(step: RecipeStep | Assigned | None, directive: str) -> str:
    if step is None:
        return ""
    if isinstance(step, Assigned):
        of_run = f'from "{step.run}"' if step.run else ""
        rows = f"for {' '.join(sorted(step.rows))}" if step.rows else ""
        return " ".join(filter(None, (_step(step.step, directive), of_run, rows)))
    values = [
        f"{'' if attribute.is_positional else f'{attribute.name}='}"
        f"{written(getattr(step, attribute.name))}"
        for attribute in step.attributes()
        if attribute.is_required or getattr(step, attribute.name) != attribute.default
    ]
    name = "" if step.name == directive else step.name
    return f"{name} {', '.join(values)}".strip()


# -------------------------------------------------------------------------------------- documents


def _of_documents(a: Sequence[Document], b: Sequence[Document]) -> Changes:
    """Return the documents that differ in what they print; derived values are compared in rows."""

    def changes(x: Document, y: Document) -> Changes:
        rows = _aligned(x.rows, y.rows, lambda row: row.label, _of_printed)
        sentences = _aligned(x.sentences, y.sentences, lambda s: s.quote, _of_sentences)
        parts = {"rows": rows, "sentences": sentences}
        depth = differing("depth", x.depth, y.depth)
        return depth | {name: listed for name, listed in parts.items() if listed}

    documents = _aligned(a, b, lambda document: document.source, changes)
    return {"documents": documents} if documents else {}


def _of_printed(a: PrintedRow, b: PrintedRow) -> Changes:
    """Return the cells that differ, each as printed, with its erratum."""
    left, right = _cells(a), _cells(b)
    changes: Changes = {}
    for column in COLUMNS:
        x, y = left.get(column), right.get(column)
        if _without_spaces(x or "") != _without_spaces(y or ""):
            changes[column] = [x, y]
    return changes


def _cells(row: PrintedRow) -> dict[str, str]:
    errata = {c.column: f' erratum "{c.why}"' for c in row.cells if c.status == "erratum"}
    return {cell.column: cell.printed + errata.get(cell.column, "") for cell in row.cells}


def _of_sentences(a: Sentence, b: Sentence) -> Changes:
    changes = differing("status", a.status, b.status) | differing("why", a.why, b.why)
    if _without_spaces(a.condition) != _without_spaces(b.condition):
        changes["condition"] = [a.condition, b.condition]
    return changes


def _aligned(
    a: Sequence[_Part],
    b: Sequence[_Part],
    name: Callable[[_Part], str],
    changes_of: Callable[[_Part, _Part], Changes],
) -> list[dict[str, Any]]:
    """Return the parts of two lists that differ, like ``stages``: ``a`` and ``b`` are names."""
    entries = []
    names = [[AlignedRow(name(part), name(part)) for part in parts] for parts in (a, b)]
    for i, j in align(*names):
        x, y = None if i is None else a[i], None if j is None else b[j]
        changes = {} if x is None or y is None else changes_of(x, y)
        if x is None or y is None or changes:
            entries.append({"a": x and name(x), "b": y and name(y), "changes": changes})
    return entries


def _without_spaces(text: str) -> str:
    """Return a text without spaces that have no meaning: ``8 x 8`` is 8x8, ``H x W`` is not HxW."""
    text = re.sub(r"(?<=\d)\s*x\s*(?=\d)", "x", text)
    return re.sub(r"(?<=\W)\s+|\s+(?=\W)", "", text)
