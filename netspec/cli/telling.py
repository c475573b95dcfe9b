"""Progress of a comparison: one line per run, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from netspec.cli.progress import Notes
from netspec.compare.comparing import Telling
from netspec.training.progress import Moment, Report


class Lines(Telling):
    """Prints one line per finished run, and on a terminal the step of the current run."""

    def begin(self, number: int, of: int, name: str) -> Report:
        return _Step(_head(number, of, name)) if sys.stderr.isatty() else Notes()

    def done(self, number: int, of: int, name: str, values: Mapping[str, float | None]) -> None:
        measures = ", ".join(
            f"{measure} {'not reached' if value is None else f'{value:.4g}'}"
            for measure, value in values.items()
        )
        click.echo(f"{_head(number, of, name)}: {measures}", err=True)


def _head(number: int, of: int, name: str) -> str:
    return f"{number:>3} of {of}  {name}"


class _Step(Notes):
    """Shows the last step in a line that it overwrites."""

    def __init__(self, head: str) -> None:
        self._head = head

    def step(self, moment: Moment) -> None:
        where = f"epoch {moment.epoch}, step {moment.step:,} of {moment.steps:,}"
        click.echo(f"\r\033[K{self._head}: {where}", err=True, nl=False)

    def end(self) -> None:
        click.echo("\r\033[K", err=True, nl=False)
