"""What came of a comparison, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netspec.compare.experiment import BEDS, Experiment
from netspec.ir.words import plural

Entry = dict[str, Any]


def lines(answer: Entry) -> Iterator[str]:
    """A head, a row an arm, and a line for each difference."""
    yield f"{answer['title']} ({answer['source']})"
    yield f"  paper  {answer['says']}"
    yield f"  here   {setting(answer)}"
    if answer["note"]:
        yield f"         {answer['note']}"
    yield ""
    yield from table(answer)
    yield ""
    for found in answer["differences"]:
        yield difference(answer, found)


def setting(answer: Entry) -> str:
    """What was trained on what, how often and how long."""
    asked = answer["asked"]
    runs = [run for arm in answer["arms"] for run in arm["runs"]]
    epochs = {len(run["epochs"]) for run in runs}
    steps = {run["epochs"][0][1] for run in runs if run["epochs"]}
    seeds = _range({asked["seeds"]}, "seed")
    length = f"{_range(epochs, 'epoch')} of {_range(steps, 'step')}"
    return f"{answer['net']} on {asked['data']}, {seeds}, {length}"


def _range(numbers: set[int], what: str) -> str:
    low, high = min(numbers), max(numbers)
    shown = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{shown} {plural(what, high)}"


def header(answer: Entry) -> list[str]:
    """The columns of the table."""
    searched = ["learning rate"] if _is_searched(answer) else []
    return ["arm", *searched, *(measure["name"] for measure in answer["measures"])]


def rows(answer: Entry) -> Iterator[list[str]]:
    """The cells of the table, an arm a row."""
    for arm in answer["arms"]:
        searched = [f"{arm['search']['best']:g}"] if _is_searched(answer) else []
        cells = [value(measure, arm["measures"][measure["name"]]) for measure in answer["measures"]]
        yield [arm["name"], *searched, *cells]


def table(answer: Entry) -> Iterator[str]:
    """The table, in columns."""
    all_rows = [header(answer), *rows(answer)]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    for row in all_rows:
        first, *rest = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        aligned = [f"{cell.strip():>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join([first, *aligned]).rstrip()


def _is_searched(answer: Entry) -> bool:
    return any("search" in arm for arm in answer["arms"])


def value(measure: Entry, found: Entry) -> str:
    """A mean and its deviation; how many runs came to it, where it was not all."""
    if found["mean"] is None:
        return "not reached"
    places = 0 if measure["unit"] == "steps" else 2
    text = f"{found['mean']:.{places}f}"
    if found["deviation"] is not None:
        text += f" ± {found['deviation']:.{places}f}"
    if measure["unit"] == "%":
        text += " %"
    if found["runs"] < found["of"]:
        text += f" ({found['runs']} of {found['of']})"
    return text


def difference(answer: Entry, found: Entry) -> str:
    """How an arm differs from the first, and whether by more than noise."""
    (measure,) = (one for one in answer["measures"] if one["name"] == found["measure"])
    what = f"{found['arm']} less {found['from']}, {found['measure']}"
    if found["difference"] is None:
        return f"{what}: too few runs to tell"
    places = 0 if measure["unit"] == "steps" else 2
    low, middle, high = (f"{found[key]:+.{places}f}" for key in ("low", "difference", "high"))
    verdict = "larger than" if found["is_larger_than_noise"] else "within"
    return f"{what}: {middle} {measure['unit']} [{low}, {high}], {verdict} the noise"


def listed(experiments: tuple[Experiment, ...]) -> Iterator[str]:
    """Every comparison with what the paper says of it, and the data that it has nets for."""
    width = max(len(one.name) for one in experiments)
    for one in experiments:
        data = ", ".join(kind for kind, bed in BEDS.items() if bed in one.arms)
        yield f"{one.name:<{width}}  {one.title} ({one.source})"
        yield f"{'':<{width}}  {one.says}"
        yield f"{'':<{width}}  {data}"
