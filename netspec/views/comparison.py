"""The result of a comparison as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netspec.comparing.compare import Comparison
from netspec.comparing.experiment import BEDS, Experiment
from netspec.ir.words import plural

Entry = dict[str, Any]


def as_text(result: Comparison) -> str:
    """Return what ``netspec compare`` prints."""
    return "\n".join(lines(result.results))


def as_json(result: Comparison) -> Entry:
    """Return what ``netspec compare --json`` prints."""
    return result.results


def lines(answer: Entry) -> Iterator[str]:
    """Yield a heading, one row per arm, and one line per difference."""
    yield f"{answer['title']} ({answer['source']})"
    yield f"  paper  {answer['says']}"
    yield f"  here   {setting(answer)}"
    if answer["note"]:
        yield f"         {answer['note']}"
    yield ""
    yield from table(answer)
    yield ""
    for entry in answer["differences"]:
        yield difference(answer, entry)


def setting(answer: Entry) -> str:
    """Return the net and data, the number of runs and their length."""
    asked = answer["asked"]
    runs = [run for arm in answer["arms"] for run in arm["runs"]]
    epochs = {len(run["epochs"]) for run in runs}
    steps = {run["epochs"][0][1] for run in runs if run["epochs"]}
    seeds = _range({asked["seeds"]}, "seed")
    length = f"{_range(epochs, 'epoch')} of {_range(steps, 'step')}"
    return f"{answer['net']} on {asked['data']}, {seeds}, {length}"


def _range(numbers: set[int], noun: str) -> str:
    low, high = min(numbers), max(numbers)
    shown = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{shown} {plural(noun, high)}"


def header(answer: Entry) -> list[str]:
    """Return the columns of the table."""
    searched = ["learning rate"] if _is_searched(answer) else []
    return ["arm", *searched, *(measure["name"] for measure in answer["measures"])]


def rows(answer: Entry) -> Iterator[list[str]]:
    """Yield the cells of the table, one row per arm."""
    for arm in answer["arms"]:
        searched = [f"{arm['search']['best']:g}"] if _is_searched(answer) else []
        cells = [value(measure, arm["measures"][measure["name"]]) for measure in answer["measures"]]
        yield [arm["name"], *searched, *cells]


def table(answer: Entry) -> Iterator[str]:
    """Yield the lines of the table."""
    all_rows = [header(answer), *rows(answer)]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    for row in all_rows:
        first, *others = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        aligned = [
            f"{cell.strip():>{width}}" for cell, width in zip(others, widths[1:], strict=True)
        ]
        yield "  ".join([first, *aligned]).rstrip()


def _is_searched(answer: Entry) -> bool:
    return any("search" in arm for arm in answer["arms"])


def value(measure: Entry, result: Entry) -> str:
    """Return a mean and its deviation, and the number of runs if some did not reach it."""
    if result["mean"] is None:
        return "not reached"
    places = 0 if measure["unit"] == "steps" else 2
    text = f"{result['mean']:.{places}f}"
    if result["deviation"] is not None:
        text += f" ± {result['deviation']:.{places}f}"
    if measure["unit"] == "%":
        text += " %"
    if result["runs"] < result["of"]:
        text += f" ({result['runs']} of {result['of']})"
    return text


def difference(answer: Entry, compared: Entry) -> str:
    """Return the difference of an arm from the first, and whether it is more than noise."""
    (measure,) = (entry for entry in answer["measures"] if entry["name"] == compared["measure"])
    heading = f"{compared['arm']} minus {compared['from']}, {compared['measure']}"
    if compared["difference"] is None:
        return f"{heading}: too few runs to tell"
    places = 0 if measure["unit"] == "steps" else 2
    low, middle, high = (f"{compared[key]:+.{places}f}" for key in ("low", "difference", "high"))
    verdict = "larger than" if compared["is_larger_than_noise"] else "within"
    return f"{heading}: {middle} {measure['unit']} [{low}, {high}], {verdict} the noise"


def listed(experiments: tuple[Experiment, ...]) -> Iterator[str]:
    """Yield every comparison with the paper's claim, and the data that it has nets for."""
    width = max(len(experiment.name) for experiment in experiments)
    for experiment in experiments:
        data = ", ".join(kind for kind, bed in BEDS.items() if bed in experiment.arms)
        yield f"{experiment.name:<{width}}  {experiment.title} ({experiment.source})"
        yield f"{'':<{width}}  {experiment.says}"
        yield f"{'':<{width}}  {data}"
