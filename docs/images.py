"""Draw the images of the README from the real output of the commands: python docs/images.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

import netspec
from netspec.cli.common import styled
from netspec.language.diagnostics import SpecError, render
from netspec.views.drawing import rendered
from netspec.views.table import as_text

IMAGES = Path(__file__).parent / "images"


def draw(name: str, command: str, shown: object, width: int) -> None:
    """Save an SVG of a terminal with a command and its output."""
    with tempfile.TemporaryFile("w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {command}", style="bold"))
        console.print(shown, highlight=False)
        console.save_svg(str(IMAGES / f"{name}.svg"), title="netspec")


def mistaken_alexnet() -> Text:
    """Return the errors of an AlexNet with floor instead of ceil, and with F8 counted twice."""
    text = netspec.load("alexnet").source.text
    text = text.replace("default round=ceil\n", "default maxpool round=ceil\n")
    text = text.replace("params (4096+1)*1000\n", "params (4096+1)*1000*2\n")
    try:
        netspec.loads(text, "mine.net")
    except SpecError as error:
        return Text.from_ansi(render(error.diagnostics, styled))
    raise AssertionError("the mistakes were not found")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    draw("summary", "netspec summary alexnet", Text(as_text(netspec.load("alexnet"))), 112)
    draw("errors", "netspec check mine.net", mistaken_alexnet(), 104)
    (IMAGES / "googlenet-graph.svg").write_bytes(rendered(netspec.load("googlenet"), "svg"))
