"""Draw the images of README.md and docs/commands.md from real output: python docs/images.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

import netspec
from netspec.views.table import as_text

IMAGES = Path(__file__).parent / "images"


def draw(name: str, command: str, shown: object, width: int) -> None:
    """Save a terminal window with a command and its output as an SVG."""
    with tempfile.TemporaryFile("w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {command}", style="bold"))
        console.print(shown, highlight=False)
        console.save_svg(str(IMAGES / f"{name}.svg"), title="netspec")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    draw("summary", "netspec summary alexnet", Text(as_text(netspec.load("alexnet"))), 112)
    netspec.draw("googlenet", IMAGES / "googlenet-graph.svg", force=True)
    netspec.draw("alexnet", IMAGES / "alexnet-volumes.svg", style="volumes", force=True)
