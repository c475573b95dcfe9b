"""Progress of ``netspec eval``: a bar for each net, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tested() -> Iterator[Callable[[Path, int, int], None]]:
    """Show a bar on a terminal for each net; yield a function to call with its progress."""
    if not sys.stderr.isatty():
        yield lambda net, done, images: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda net, done, images: bar.update(
            task, description=str(net), completed=done, total=images
        )
