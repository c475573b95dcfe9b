"""Convert a trace to text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from netspec.ir.symbols import by
from netspec.language.diagnostics import cells_wide, printable
from netspec.runtime.dtypes import dtype_name
from netspec.tracing.data import as_data
from netspec.tracing.trace import BufferSlice, StageTrace, StepTrace, Sums, Trace, summed
from netspec.views.bench import Style, digits, others

WIDTH = 100
SHORTEST = 8
"""The width below which names are not shortened, even if the table is then too wide."""
STAGES = ("stage", "operator", "kernel", "output", "parameters", "MACs", "step")
TIMES = ("step", "operator", "MACs", "MB", "weights MB", "floor ms", "ms", "share", "of floor")
WITHOUT_STEP = {
    "dropped": "passes dropped it",
    "view": "it is a view of what it reads",
    "in place": "its parts are written where they belong",
}


def as_text(trace: Trace) -> str:
    """Return what ``netspec trace`` prints, without colours."""
    return "\n".join(lines(trace, lambda text, role: text))


def as_json(trace: Trace) -> dict[str, Any]:
    """Return what ``netspec trace --json`` prints."""
    return as_data(trace)


def lines(trace: Trace, style: Style) -> Iterator[str]:
    """Yield lines: the row, its rewrites and refusals, its steps and their times.

    Args:
        trace: of the row.
        style: returns a text with the colours of a role.
    """
    net, dtype = trace.net, dtype_name(trace.dtype)
    row = "" if trace.label in net.graph.rows else f", of row {trace.row}"
    asked = f"{net.name} {trace.label}"
    title = fitted(f"{row}  {printable(net.title)}".rstrip(), WIDTH - len(asked))
    yield style(asked, "strong") + title
    yield f"{trace.backend}, {dtype}, batch {trace.batch}{_machine(trace)}"
    yield ""
    yield style(f"{trace.span.source.name}, line {trace.span.line}", "quiet")
    for line in trace.text.splitlines():
        yield f"  {fitted(printable(line), WIDTH - 2)}"
    yield ""
    yield from _stages(trace, style)
    for rewrite in trace.rewrites:
        yield ""
        yield from _rule(rewrite.rule, rewrite.summary, style)
        for stages, results in rewrite.made:
            became = ", ".join(results) or "removed, with the stages that only it reads"
            yield from _wrapped(f"{', '.join(stages)}  =>  {became}", 4)
    for refusal in trace.refusals:
        yield ""
        yield from _rule(f"{refusal.rule}, not applied", refusal.summary, style, "note")
        yield from _wrapped(f"because {refusal.reason}:", 2)
        yield from _wrapped("; ".join(", ".join(stages) for stages in refusal.stages), 4)
    yield ""
    yield from _steps(trace, style)


def _machine(trace: Trace) -> str:
    if trace.profile is None:
        return ""
    product, memory, _ = trace.profile.rates
    return (
        f"; this machine multiplies {digits(product / 1e9)} GFLOP/s "
        f"and moves {digits(memory / 1e9)} GB/s"
    )


def _stages(trace: Trace, style: Style) -> Iterator[str]:
    body = [_stage(stage) for stage in trace.stages]
    if len(body) > 1:
        parameters, macs = (
            f"{sum(counts):,}" if any(counts) else ""
            for counts in zip(*((s.parameters, s.macs) for s in trace.stages), strict=True)
        )
        body.append((trace.label, "", "", "", parameters, macs, ""))
    rows = list(aligned([STAGES, *body], left=4))
    yield style(rows[0], "strong")
    for i, line in enumerate(rows[1:]):
        yield style(line, "strong") if i == len(trace.stages) else line


def _stage(stage: StageTrace) -> tuple[str, ...]:
    return (
        stage.name,
        stage.op,
        stage.kernel or "",
        by(stage.output),
        f"{stage.parameters:,}" if stage.parameters else "",
        f"{stage.macs:,}" if stage.macs else "",
        _becomes(stage),
    )


def _becomes(stage: StageTrace) -> str:
    numbers = ", ".join(map(str, stage.steps))
    return (
        f"{numbers} in {', '.join(stage.elsewhere)}"
        if stage.elsewhere
        else numbers or stage.becomes
    )


def _rule(rule: str, summary: str, style: Style, role: str = "help") -> Iterator[str]:
    first, *more = wrap(f"{rule}  {summary}", WIDTH, subsequent_indent="  ")
    yield style(first[: len(rule)], role) + first[len(rule) :]
    yield from more


def _steps(trace: Trace, style: Style) -> Iterator[str]:
    if trace.profile is None:
        reasons = dict.fromkeys(WITHOUT_STEP[stage.becomes] for stage in trace.stages)
        yield f"No step of the plan computes it: {', '.join(reasons)}."
        return
    for step in trace.steps:
        yield from _step(step, style)
    yield ""
    own, whole = trace.own, trace.profile.seconds
    rows = [TIMES, *(_time(step, whole) for step in trace.steps)]
    if own:
        rows.append((trace.label, "", *_figures(summed(own), whole)))
    table = list(aligned(rows, left=2))
    yield style(table[0], "strong")
    for line, step in zip(table[1:], trace.steps, strict=False):
        yield line if step.is_own else style(line, "quiet")
    if own:
        yield style(table[-1], "strong")
    for step in trace.steps:
        if not step.is_own:
            yield style(f"step {step.number} is counted to row {step.row}", "quiet")
    rounds = "one run" if trace.rounds == 1 else f"{trace.rounds} runs"
    yield f"medians of {rounds}; the net's {trace.count} steps take {digits(whole * 1e3)} ms"
    yield from others(trace.profile.others, style)


def _step(step: StepTrace, style: Style) -> Iterator[str]:
    head = f"step {step.number}"
    kernel = step.problem.op.kernel_text(step.problem.inputs)
    title = f"  {step.problem.op.name}{f' {kernel}' if kernel else ''}  {step.stage}"
    title += "" if step.is_own else f", of row {step.row}"
    first, *more = wrap(head + title, WIDTH, subsequent_indent="    ")
    yield style(head, "strong") + first[len(head) :]
    yield from more
    if len(step.made_of) > 1:
        yield from _wrapped(f"made of {', '.join(step.made_of)}", 4)
    yield from _wrapped(f"by {_choice(step)}", 4)
    for slot in step.places:
        yield from _wrapped(_placed(slot, apart=len(step.places) > 1), 4)


def _choice(step: StepTrace) -> str:
    choice = step.choice
    times = choice.candidates
    if len(times) < 2:
        return f"{choice.implementation}, the only implementation"
    measured = {name: time for name, time in times.items() if time is not None}
    failed = "".join(f"; {name} failed: {why}" for name, why in choice.failures.items())
    if not measured:
        others = ", ".join(name for name in times if name != choice.implementation)
        chosen = f"{choice.implementation}, {choice.origin} to {others}; not measured"
        return chosen + failed
    shown = ", ".join(f"{name} {digits(time * 1e3)} ms" for name, time in measured.items())
    return f"{choice.implementation}, {choice.origin}: {shown}{failed}"


def _placed(slot: BufferSlice, *, apart: bool) -> str:
    size = f"{slot.stage}, {by(slot.shape)}," if apart else by(slot.shape)
    if slot.whole:
        end = slot.start + slot.shape.channels - 1
        size += f" as channels {slot.start:,} to {end:,} of {slot.whole}"
    ends = "kept as an output" if slot.last is None else f"freed after step {slot.last}"
    where = f"buffer {slot.buffer}, planned at element {slot.offset:,} of the arena"
    return f"writes {size} to {where}, {ends}"


def _time(step: StepTrace, whole: float) -> tuple[str, ...]:
    return str(step.number), step.problem.op.name, *_figures(summed([step]), whole)


def _figures(of: Sums, whole: float) -> tuple[str, ...]:
    return (
        f"{of.macs:,}" if of.macs else "",
        digits(of.bytes / 1e6),
        digits(of.weight_bytes / 1e6) if of.weight_bytes else "",
        digits(of.floor * 1e3) if of.floor else "",
        digits(of.seconds * 1e3),
        f"{of.seconds / whole:.1%}",
        f"{of.floor / of.seconds:.0%}" if of.floor else "",
    )


# ---------------------------------------------------------------------------------------- layout


def aligned(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Yield the lines of a table: ``left`` columns aligned to the left, the others to the right.

    If the table is too wide, names in the first column are shortened at their beginning.
    """
    widths = [max(map(cells_wide, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], max(SHORTEST, WIDTH - sum(widths[1:]) - 2 * len(widths[1:])))
    for name, *more in rows:
        first = name if len(name) <= widths[0] else f"…{name[1 - widths[0] :]}"
        cells = []
        for i, (cell, width) in enumerate(zip((first, *more), widths, strict=True)):
            space = " " * (width - cells_wide(cell))
            cells.append(cell + space if i < left else space + cell)
        yield "  ".join(cells).rstrip()


def fitted(text: str, width: int) -> str:
    """Return a text, shortened to ``width`` characters if it is longer."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _wrapped(text: str, indent: int) -> list[str]:
    space = " " * indent
    return wrap(text, WIDTH, initial_indent=space, subsequent_indent=space + "  ")
