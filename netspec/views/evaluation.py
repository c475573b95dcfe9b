"""The errors of nets, of each net and of their averaged outputs, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netspec.inference.testing import Evaluation
from netspec.language.diagnostics import printable
from netspec.training.testing import Errors
from netspec.views.untested import untested_classes


def as_text(evaluation: Evaluation) -> str:
    """Return what ``netspec eval`` prints, without colours."""
    return "\n".join([evaluation.data, *lines(evaluation)])


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return what ``netspec eval --json`` prints."""
    alone = [
        {"run": str(run), **_errors(errors), "applied": evaluation.applied[run]}
        for run, errors in evaluation.runs.items()
    ]
    return {"data": evaluation.data, "runs": alone, "ensemble": _errors(evaluation.ensemble)}


def _errors(errors: Errors) -> dict[str, Any]:
    return {
        "top1": errors.top1,
        "top5": errors.top5,
        "images": errors.images,
        "untested": errors.untested,
        "untested_classes": list(errors.untested_classes),
    }


def lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield lines: the preprocessing, a heading, a row per net, and one for several averaged."""
    whats = {str(run): printable(done) for run, done in evaluation.applied.items()}
    if len({*whats.values()}) == 1:
        whats = {"images": next(iter(whats.values()))}
    yield from (f"{name}: {done}" for name, done in whats.items())
    rows = [(str(run), errors) for run, errors in evaluation.runs.items()]
    if len(rows) > 1:
        rows.append((f"all {len(rows)}, averaged", evaluation.ensemble))
    width = max(len(name) for name, _ in rows)
    yield f"{'net':<{width}}     error     top-5        wrong"
    for name, errors in rows:
        yield f"{name:<{width}}  {_row(errors)}"
    yield from dict.fromkeys(
        says for _, errors in rows if (says := untested_classes(errors.untested_classes))
    )


def _row(errors: Errors) -> str:
    wrong = f"{errors.wrong1:,} of {errors.images:,}"
    untested = f", {errors.untested:,} skipped" if errors.untested else ""
    return f"{errors.top1:>6.2f} %  {errors.top5:>6.2f} %  {wrong:>11}{untested}"
