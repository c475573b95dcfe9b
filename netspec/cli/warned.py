"""How commands print warnings of the library: as a line, or as the diagnostics of a spec."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from netspec.cli.common import styled
from netspec.language.diagnostics import SpecWarning, printable, render


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each warning once to standard error, without the line of code that they come from."""
    with warnings.catch_warnings():
        shown = set[str]()

        def show(message: Warning | str, *args: Any, **options: Any) -> None:
            if str(message) not in shown:  # data is opened more than once
                shown.add(str(message))
                _show(message, *args, **options)

        warnings.showwarning = show
        yield


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if isinstance(message, SpecWarning):
        click.echo(render(message.diagnostics, styled), err=True)
    else:
        text = printable(" ".join(str(message).split()))
        click.echo(f"{styled('warning', 'warning')}: {text}", err=True)
