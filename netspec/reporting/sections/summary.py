"""The most important figures of a net, and of its run."""

from __future__ import annotations

from netspec.errors import DataError
from netspec.ir.symbols import by, show
from netspec.reporting.facts import Facts, as_list, as_table
from netspec.reporting.html import Html, element, joined
from netspec.reporting.subject import Subject


def content(subject: Subject) -> Html:
    """Return the figures, and a warning if a weight is NaN or infinite."""
    return joined([_warnings(subject), as_list(facts(subject), "figures")])


def compared(a: Subject, b: Subject) -> Html:
    """Return the figures of two subjects side by side."""
    return joined([_warnings(a), _warnings(b), as_table(a, b, facts(a), facts(b))])


def facts(subject: Subject) -> Facts:
    """Return the errors of a run, and the sizes and counts of its net."""
    net = subject.net
    inputs = ", ".join(str(net.graph.stage(name).known_shape) for name in net.graph.inputs)
    outputs = ", ".join(str(net.graph.stage(name).known_shape) for name in net.graph.outputs)
    heads = net.totals_with_heads.parameters
    in_heads = [("parameters with heads", show(heads))] if net.graph.heads else []
    field = net.graph.stage(net.graph.outputs[0]).field
    assert field is not None  # every stage of a checked net has it
    return [
        *_of_run(subject),
        ("parameters", show(net.totals.parameters)),
        *in_heads,
        ("multiply-accumulates", show(net.totals.macs)),
        ("rows", f"{len(net.rows):,}"),
        ("input", inputs),
        ("output", outputs),
        ("receptive field", by(field.size)),
    ]


def _of_run(subject: Subject) -> Facts:
    if subject.run is None:
        return []
    from netspec.training.metrics import read_metrics
    from netspec.views.training import clock

    rows = read_metrics(subject.run.directory)
    end = "" if subject.run.is_finished else ", not finished"
    if not rows:
        return [("epochs", f"0{end}")]
    last, best = rows[-1], min(rows, key=lambda row: row.top1)
    return [
        ("validation error", f"{last.top1:.2f} %"),
        ("top-5 error", f"{last.top5:.2f} %"),
        ("least validation error", f"{best.top1:.2f} %"),
        ("epoch of the least error", f"{best.epoch:,}"),
        ("epochs", f"{last.epoch:,}{end}"),
        ("training time", clock(last.seconds)),
    ]


def _warnings(subject: Subject) -> Html:
    """Return a warning if weights are missing, NaN or infinite, which it names; else nothing."""
    if subject.run is None:
        return Html()
    try:
        subject.run.weights()
    except DataError as error:
        return element("p", subject.without_folders(str(error)), class_="warning")
    return Html()
