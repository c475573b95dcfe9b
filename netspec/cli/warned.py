"""Print warnings of the library as one line each, or as the diagnostics of a spec."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from netspec.cli.common import styled
from netspec.language.diagnostics import SpecWarning, printable, render


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each warning once to standard error, without the line of code that raised it."""
    with warnings.catch_warnings():
        shown = set[str]()

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if str(message) in shown:  # data is opened more than once, and warns each time
                return
            shown.add(str(message))
            if isinstance(message, SpecWarning):
                click.echo(render(message.diagnostics, styled), err=True)
            else:
                text = printable(" ".join(str(message).split()))
                click.echo(f"{styled('warning', 'warning')}: {text}", err=True)

        warnings.showwarning = show
        yield
