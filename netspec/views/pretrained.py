"""Converted weights, and the known families of weights, as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap
from typing import Any

from netspec.ir.symbols import by
from netspec.ir.words import as_size, counted
from netspec.language.diagnostics import printable
from netspec.pretrained.convert import Converted
from netspec.pretrained.families import Family
from netspec.pretrained.grouping import COUNTERS
from netspec.runtime.expects import as_json as expects_json

Style = Callable[[str, str], str]
"""Styles a text by its role."""

SHOWN_AT_MOST = 4
WIDTH = 80


def as_text(converted: Converted) -> str:
    """Return what ``netspec weights`` prints, without colours."""
    return "\n".join(lines(converted, lambda text, role: text))


def lines(converted: Converted, style: Style, *, table: bool = False) -> Iterator[str]:
    """Yield how layers were paired, what was omitted, what images are expected, and the check.

    Args:
        converted: the weights.
        style: styles a text by its role.
        table: show all pairs; without it, only those that names do not decide.
    """
    weights, pairing = converted.weights, converted.pairing
    origin = f"the names of {converted.family.title}" if converted.family else "names"
    by_name = sum(pair.reason == "name" for pair in pairing.pairs)
    how = f"by {origin}" if by_name else "by kind, shape and order"
    yield (
        f"{printable(str(weights.path))}, {weights.format}: "
        f"{counted(len(pairing.pairs), 'layer')} for {converted.net.name}, paired {how}"
    )
    for fact in ("state dict", "not read", "shared"):
        if fact in weights.facts:
            yield f"{fact}: {printable(weights.facts[fact])}"
    if table or not by_name:
        yield from _table(converted, style)
    if unused := _unused(converted):
        yield f"not used: {unused}"
    if pairing.without:
        yield f"without weights, which only training needs: {_some(pairing.without)}"
    yield f"images: {_expected(converted)}"
    yield str(converted.checked)
    for note in converted.family.notes if converted.family else ():
        yield f"{style('note', 'note')}: {note}"
    if uncertain := converted.uncertain:
        yield (
            f"{style('note', 'note')}: {counted(len(uncertain), 'pair')} of equal shape "
            f"{'is' if len(uncertain) == 1 else 'are'} decided by order alone (marked ?)"
        )
    if converted.path is not None:
        size = converted.path.stat().st_size if converted.path.is_file() else 0
        yield f"{converted.path}, {as_size(size)}"


def _unused(converted: Converted) -> str:
    """Return what of the file is not used; counters of batches, which all norms have, as one."""
    layers, skipped = converted.pairing.unused, converted.weights.skipped
    counters = [name for name in skipped if name.rpartition(".")[2] in COUNTERS]
    others = [layer.name for layer in layers] + [name for name in skipped if name not in counters]
    counted_once = [f"{counted(len(counters), 'counter')} of batches"] if counters else []
    return ", ".join([*([_some(others)] if others else []), *counted_once])


def _table(converted: Converted, style: Style) -> Iterator[str]:
    """Yield one line per pair: the row's stage, the layer, and its shape."""
    uncertain = {pair.stage for pair in converted.uncertain}
    rows = [
        (
            pair.stage + (" ?" if pair.stage in uncertain else ""),
            printable(pair.layer.name),
            by(tuple(next(iter(pair.layer.tensors.values())).shape)),
        )
        for pair in converted.pairing.pairs
    ]
    rows.insert(0, ("row", "layer", "weight"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for number, (stage, layer, shape) in enumerate(rows):
        line = f"  {stage:<{widths[0]}}  {layer:<{widths[1]}}  {shape}"
        yield style(line, "strong") if number == 0 else line


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:SHOWN_AT_MOST])
    more = len(names) - SHOWN_AT_MOST
    return f"{shown} and {more:,} more" if more > 0 else shown


def _expected(converted: Converted) -> str:
    expects = converted.expects
    if expects.prepare is None:
        return 'nothing says how they are prepared: give --prepare "STEPS"'
    classes = f"; {counted(len(expects.classes), 'name')} of classes" if expects.classes else ""
    return f"{expects}{classes}"


def as_json(converted: Converted) -> dict[str, Any]:
    """Return what ``netspec weights --json`` prints."""
    weights, pairing = converted.weights, converted.pairing
    return {
        "net": converted.net.name,
        "source": str(weights.path),
        "format": weights.format,
        "family": converted.family.name if converted.family else None,
        "pairs": [
            {
                "stage": pair.stage,
                "layer": pair.layer.name,
                "reason": pair.reason,
                "rivals": list(pair.rivals),
                "shapes": {role: list(one.shape) for role, one in pair.layer.tensors.items()},
            }
            for pair in pairing.pairs
        ],
        "without": list(pairing.without),
        "unused": [layer.name for layer in pairing.unused],
        "skipped": list(weights.skipped),
        "expects": expects_json(converted.expects),
        "checked": {
            "source": converted.checked.source or None,
            "error": converted.checked.error,
            "reason": converted.checked.reason or None,
        },
        "uncertain": len(converted.uncertain),
        "output": None if converted.path is None else str(converted.path),
    }


def family_lines(families: Sequence[Family], style: Style) -> Iterator[str]:
    """Yield the known families: spec, weights, files, and where they are published."""
    if not families:
        yield "no published weights are known; without SPEC, --list prints all known families"
    for family in families:
        yield style(f"{family.spec}: {family.title}", "strong")
        twin = [f"Not {family.twin}: names and shapes are the same."] if family.twin else []
        for text in (*family.published, f"images: {family.expects}", *family.notes, *twin):
            yield from wrap(
                text,
                WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
