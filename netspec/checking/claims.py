"""Compare the claims of a spec about sizes and counts with derived values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import prod

from netspec.checking.sizes import suggest
from netspec.ir.graph import Claim, Graph, Row, Stage
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.symbols import by, same, show, total
from netspec.ir.words import plural
from netspec.language.diagnostics import Diagnostic, Note, Problems, call_notes

TERMS_SHOWN = 6
FOLLOWERS_SHOWN = 3


def check(graph: Graph, problems: Problems, *, is_changed: bool = False) -> int:
    """Compare every claim with the graph; return the number of claims.

    One mistake is one error: claims that are false because of another one are notes of its
    diagnostic.  After a false size these are the sizes and counts of the rows that read the row,
    and the totals; after false channels of a kernel the counts of its row; after a false count of
    a row the total of the same kind.

    Claims are about the defaults of the net's parameters: with other settings (``is_changed``)
    false ones are notes, not errors.  So are those of rows that a variant inherits: they are about
    its base.
    """
    roots: list[_Cause] = []
    causes: dict[str, _Cause] = {}  # the false size that a row's own follows from, by output
    inherited: list[Diagnostic] = []
    checked: set[str] = set()
    claims = 0
    for row in graph.rows.values():
        false = Problems()
        for claim in row.claims:
            claims += 1
            _check_row(row, claim, graph, false)
        for name in row.stages:
            stage = graph.stage(name)
            if name not in checked and isinstance(stage.op, Conv) and _channels(stage):
                claims += 1
                _check_channels(stage, stage.op, graph, false)
            checked.add(name)
        if row.is_inherited:
            inherited += false.diagnostics
            continue
        cause = next((causes[n] for n in (row.output, *row.inputs) if n in causes), None)
        is_wrong = any(d.code == "NS301" for d in false.diagnostics)
        if is_wrong and cause is None:
            cause = _Cause(false.diagnostics.pop(0))
            roots.append(cause)
        if cause is not None and (is_wrong or not any(c.kind == "size" for c in row.claims)):
            causes[row.output] = cause
        kernel = next((d for d in false.diagnostics if d.code == "NS303"), None)
        if cause is None and kernel is not None:
            false.diagnostics.remove(kernel)
            cause = _Cause(kernel)
            roots.append(cause)
        if cause is not None:
            cause.follows += false.diagnostics
        else:
            roots += map(_Cause, false.diagnostics)
    if not problems.errors:  # otherwise rows may be missing from the totals
        names = [stage.name for stage in graph.stages() if not stage.head]
        for claim in graph.claims:
            claims += 1
            false = Problems()
            _check_count("the net", claim, names, graph.outputs[0], graph, false)
            cause = next((root for root in roots if root.explains(claim)), None)
            if cause is not None:
                cause.follows += false.diagnostics
            else:
                roots += map(_Cause, false.diagnostics)
    if is_changed:
        false_claims = [d for root in roots for d in (root.diagnostic, *root.follows)]
        problems.diagnostics += [not_applying(d) for d in false_claims]
    else:
        problems.diagnostics += [root.with_followers() for root in roots]
    problems.diagnostics += [not_inherited(d) for d in inherited]
    return claims


@dataclass
class _Cause:
    """A false claim, and the claims that are false because of it."""

    diagnostic: Diagnostic
    follows: list[Diagnostic] = field(default_factory=list)

    def explains(self, total: Claim) -> bool:
        """Return True if a total of the net may be false because of this claim of a row."""
        is_count = self.diagnostic.message.startswith(f"{_MEASURED[total.kind]} of row")
        return is_count or self.diagnostic.code in ("NS301", "NS303")

    def with_followers(self) -> Diagnostic:
        shown = [_with_arithmetic(d) for d in self.follows[:FOLLOWERS_SHOWN]]
        if len(self.follows) > len(shown):
            shown.append(f"{len(self.follows) - len(shown)} more")
        notes = [Note(f"claims that are false with it: {'; '.join(shown)}")] if shown else []
        return replace(self.diagnostic, notes=(*self.diagnostic.notes, *notes))


def _with_arithmetic(diagnostic: Diagnostic) -> str:
    """Return the message, for a count with how it comes about: ``..., not 7 (3*2 + 3 = 9)``."""
    is_count = diagnostic.code in ("NS302", "NS304") and diagnostic.notes
    return diagnostic.message + (f" ({diagnostic.notes[0].message})" if is_count else "")


def not_applying(diagnostic: Diagnostic) -> Diagnostic:
    """Return a false claim as a note: it is about other values of the parameters."""
    message = f"a claim does not apply with these settings: {diagnostic.message}"
    help = "claims are about the defaults of the net's parameters"
    return Diagnostic("NS305", message, diagnostic.span, help=help, severity="note")


def not_inherited(diagnostic: Diagnostic) -> Diagnostic:
    """Return a false claim as a note: it is a claim of the base about itself."""
    message = f"a claim of the base does not apply: {diagnostic.message}"
    help = "write the row in the variant, with its own claims"
    return Diagnostic("NS306", message, diagnostic.span, help=help, severity="note")


def _check_row(row: Row, claim: Claim, graph: Graph, problems: Problems) -> None:
    output = graph.stage(row.output)
    if claim.kind == "size":
        assert isinstance(claim.value, Shape)
        agrees = output.shape is None or output.shape.agreement(claim.value)
        if _is_decided(agrees, claim, problems) and not agrees:
            _report_size(row, claim.value, claim, graph, problems)
    else:
        _check_count(f"row {row.label}", claim, row.stages, row.output, graph, problems)


def _report_size(row: Row, claimed: Shape, claim: Claim, graph: Graph, problems: Problems) -> None:
    output = graph.stage(row.output)
    derived = output.known_shape
    help = f"change the claim to {derived}, or change the row"
    notes = []
    for name in row.stages:
        stage = graph.stage(name)
        if stage.shape is None:
            continue
        inputs = graph.shapes_into(name)
        for axis, size in enumerate(stage.shape):
            derivation = stage.op.derivation(axis, inputs)
            is_last = axis == len(stage.shape) - 1
            if derivation is not None and (is_last or size != inputs[0][axis]):
                notes.append(f"{name}: {stage.op.name} makes {size} = {derivation}")
        if len(claimed) == 3 and stage.shape[:2] == derived[:2]:
            changes = list(suggest(stage, 0, claimed[0], graph))[:2]
            if changes and claimed[0] != derived[0]:
                help = (
                    f"with {' or '.join(changes)}, {stage.op.name} of `{name}` gives {claimed[0]}"
                )
    shown = [Note(text) for text in dict.fromkeys(notes)][:TERMS_SHOWN]
    message = f"row {row.label} is {derived}, not {claimed}"
    problems.add("NS301", message, claim.span, notes=shown, help=help)


def _channels(stage: Stage) -> int | None:
    """Return the input channels in the written kernel of a convolution, or None."""
    kernel: Kernel = stage.written["kernel"]
    return kernel.channels


def _check_channels(stage: Stage, op: Conv, graph: Graph, problems: Problems) -> None:
    if stage.shape is None:
        return
    inputs = graph.shapes_into(stage.name)
    seen, claimed = op.channels_seen(inputs), _channels(stage)
    if seen == claimed:
        return
    share = f": {inputs[0].channels} / {op.groups} groups = {seen}" if op.groups != 1 else ""
    problems.add(
        "NS303",
        f"each filter of {stage.name} sees {seen} {plural('channel', seen)}, not {claimed}",
        stage.spans.get("kernel", stage.span),
        notes=[Note(f"its input is {inputs[0]}{share}"), *call_notes(stage.calls)],
        help=f"write {by(op.kernel)}x{seen}, or omit the channels",
    )


def _check_count(
    subject: str,
    claim: Claim,
    names: Iterable[str],
    output: str,
    graph: Graph,
    problems: Problems,
) -> None:
    stages = [graph.stage(name) for name in names]
    if any(stage.shape is None for stage in stages):
        return
    terms = [term for stage in stages for term in count_terms(claim.kind, stage, graph)]
    if claim.kind == "field":
        seen = graph.stage(output).field
        assert seen is not None
        value = claim.value
        claimed_size = tuple(value) if isinstance(value, Shape) else (value, value)
        agrees, derived, claimed = seen.size == claimed_size, str(seen), str(value)
        notes = _field_steps(stages, graph)
    else:
        derived_count = total(value for _, value in terms)
        if not _is_decided(equal := same(derived_count, claim.value), claim, problems):
            return
        agrees, derived, claimed = equal is True, show(derived_count), show(claim.value)
        notes = sum_notes(terms)
    if agrees:
        return
    code = "NS302" if subject != "the net" else "NS304"
    message = f"{_MEASURED[claim.kind]} of {subject}: {derived}, not {claimed}"
    help = f"change the claim to {derived.replace(',', '')}, or change {subject}"
    problems.add(code, message, claim.span, notes=notes, help=help)


def _is_decided(equal: bool | None, claim: Claim, problems: Problems) -> bool:
    """Return True if a claim is proved or refuted; report it if symbols leave it open."""
    if equal is None:
        message = "this can be neither proved nor refuted for every value of the symbols"
        help = "claim it as a polynomial of the symbols, or give them values with --set"
        problems.add("NS144", message, claim.span, help=help)
    return equal is not None


_MEASURED = {
    "params": "parameters",
    "macs": "multiply-accumulates",
    "neurons": "neurons",
    "field": "receptive field",
}


def count_terms(kind: str, stage: Stage, graph: Graph) -> Iterator[tuple[str, int]]:
    """Yield the terms that a stage adds to a count: arithmetic as text, and value."""
    inputs = graph.shapes_into(stage.name)
    if kind == "params":
        for parameter in stage.op.parameters(inputs).values():
            yield _product(parameter.shape), parameter.elements
    elif kind == "macs":
        factors = stage.op.macs(inputs)
        if prod(factors):
            yield _product(factors), prod(factors)
    elif kind == "neurons" and stage.op.neurons(inputs):
        yield _product(stage.known_shape), stage.op.neurons(inputs)


def _product(factors: Iterable[int]) -> str:
    """Return a product as text: ``3*3*(C + 1)``."""
    texts = list(map(str, factors))
    return "*".join(f"({text})" if " " in text and len(texts) > 1 else text for text in texts)


def sum_notes(terms: list[tuple[str, int]]) -> list[Note]:
    """Return a note with the sum of terms, written out; none if there is only one number."""
    whole = total(value for _, value in terms)
    shown = [text for text, _ in terms[:TERMS_SHOWN]]
    if len(terms) > TERMS_SHOWN:
        remaining = total(value for _, value in terms[TERMS_SHOWN:])
        shown.append(f"{show(remaining)} in {len(terms) - TERMS_SHOWN} more terms")
    written = " + ".join(shown) or "0"
    return [Note(f"{written} = {show(whole)}")] if written != show(whole) else []


def _field_steps(stages: list[Stage], graph: Graph) -> list[Note]:
    steps = []
    for stage in stages:
        operands = [graph.stage(name) for name in graph.operands(stage.name)]
        if operands and stage.field != operands[0].field:
            steps.append(f"{operands[0].field} to {stage.field} in {stage.name}")
    return [Note(f"it grows from {', '.join(steps[-TERMS_SHOWN:])}")] if steps else []
