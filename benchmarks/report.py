"""Time how long Chromium takes to show the graph of Inception v4 in a report, and the page's size.

    python benchmarks/report.py [--save]

The graph is laid out by Graphviz where the report is made, or by the browser (Viz.js), as on a
machine without Graphviz.  Each page is opened in turns, each time in a new context of the browser.
``graph`` is the time from the navigation to the graph that can be used, ``layout`` the time of
Viz.js alone.  The figures are medians in milliseconds.  ``load`` is the load average of the machine
before, which is near 0 on an idle one.  ``--save`` writes benchmarks/results/report.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import netspec

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.browser import chromium, missing
from netspec.files.writing import write_whole
from netspec.reporting.layout import needs_browser
from netspec.reporting.page import asset
from netspec.timing.machine import machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NET = "inception_v4"
ROUNDS = 9
RESULTS = Path(__file__).parent / "results" / "report.json"

SHOWN = """() => {
    const [graph] = performance.getEntriesByName("graph");
    const [layout] = performance.getEntriesByName("layout");
    return { graph: graph.startTime, layout: layout?.duration ?? 0 };
}"""


def pages() -> dict[str, str]:
    """Return the report with the graph laid out here, and by the browser."""
    here = netspec.report(NET).html
    path = os.environ.pop("PATH")
    try:
        os.environ["PATH"] = ""
        in_browser = netspec.report(NET).html
    finally:
        os.environ["PATH"] = path
    if needs_browser(here):
        raise SystemExit("the program Graphviz is not installed: apt install graphviz")
    return {"graphviz": here, "browser": in_browser}


def opened(browser: Browser, path: Path) -> dict[str, float]:
    """Return the milliseconds until the graph of a page can be used."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-drawn]")
    times: dict[str, float] = page.evaluate(SHOWN)
    context.close()
    return times


def measured(browser: Browser) -> dict[str, Any]:
    """Return the result: machine, versions, sizes and times."""
    load = os.getloadavg()[0]
    made = pages()
    times: dict[str, dict[str, list[float]]] = {name: {} for name in made}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.html" for name in made}
        for name, html in made.items():
            paths[name].write_text(html, encoding="utf-8")
        for _ in range(ROUNDS):
            for name, path in paths.items():
                for what, milliseconds in opened(browser, path).items():
                    times[name].setdefault(what, []).append(milliseconds)
    started = perf_counter()
    assert netspec.load(NET).drawing().svg
    program = 1e3 * (perf_counter() - started)
    return {
        "machine": machine() | {"date": date.today().isoformat()},
        "versions": {
            "netspec": netspec.__version__,
            "chromium": browser.version,
            "graphviz": _graphviz(),
            "viz.js": asset("viz.js").partition("Viz.js ")[2].split()[0],
        },
        "net": NET,
        "rounds": ROUNDS,
        "load": round(load, 1),
        "bytes": {name: len(html.encode()) for name, html in made.items()},
        "median_ms": {
            name: {what: round(statistics.median(samples), 1) for what, samples in own.items()}
            for name, own in times.items()
        },
        "range_ms": {
            name: [round(min(own["graph"]), 1), round(max(own["graph"]), 1)]
            for name, own in times.items()
        },
        "program_ms": round(program, 1),
    }


def _graphviz() -> str:
    done = subprocess.run(["dot", "-V"], capture_output=True, text=True, check=True)
    return done.stderr.strip().removeprefix("dot - graphviz version ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true")
    save = parser.parse_args().save
    if reason := missing():
        raise SystemExit(reason)
    with chromium() as browser:
        result = measured(browser)
    for name, times in result["median_ms"].items():
        low, high = result["range_ms"][name]
        print(
            f"laid out by {name:<9} {result['bytes'][name] / 1e6:.1f} MB, graph after "
            f"{times['graph']:,.0f} ms ({low:,.0f} to {high:,.0f}), "
            f"layout {times['layout']:,.0f} ms"
        )
    print(f"the program Graphviz takes {result['program_ms']:,.0f} ms when the report is made")
    if save:
        write_whole(RESULTS, json.dumps(result, indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
