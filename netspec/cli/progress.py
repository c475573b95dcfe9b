"""Reports of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import click

from netspec.cli.common import print_note
from netspec.language.diagnostics import printable
from netspec.training.progress import Moment, Report
from netspec.views import training

if TYPE_CHECKING:
    from rich.progress import Progress

    from netspec.training.checkpoint import State
    from netspec.training.metrics import Epoch
    from netspec.training.run import Run

EVERY = 60.0
"""Seconds between lines inside an epoch."""


def report(*, as_json: bool) -> Report:
    """Return the report that fits standard output; only notes if JSON is printed there."""
    if as_json:
        return Notes()
    return Bar() if sys.stdout.isatty() else Lines()


class Notes(Report):
    """Only notes for the user, on standard error."""

    def note(self, text: str) -> None:
        print_note(text)


class Lines(Notes):
    """One line per epoch, and one per minute within an epoch."""

    def begin(self, run: Run, steps: int, state: State) -> None:
        self._told = perf_counter()
        title = f"  {printable(run.net.title)}" if run.net.title else ""
        click.echo(click.style(run.net.name, bold=True) + title)
        for line in training.head(run, steps, state):
            click.echo(f"  {line}")
        click.echo(training.HEADER)

    def step(self, moment: Moment) -> None:
        if perf_counter() - self._told > EVERY and moment.step < moment.steps:
            self._told = perf_counter()
            click.echo(training.between(moment))

    def epoch(self, row: Epoch, left: float) -> None:
        self._told = perf_counter()
        click.echo(training.row(row, left))


class Bar(Lines):
    """One line per epoch, and below it a bar that shows the progress of the current epoch."""

    _bar: Progress | None = None

    def begin(self, run: Run, steps: int, state: State) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().begin(run, steps, state)
        epoch, says = TextColumn("{task.fields[epoch]:>5}"), TextColumn("{task.fields[says]}")
        self._bar = Progress(
            epoch, BarColumn(16, complete_style="cyan", finished_style="cyan"), says, transient=True
        )
        self._task = self._bar.add_task("", total=steps, epoch=state.epoch + 1, says="")
        self._bar.start()

    def step(self, moment: Moment) -> None:
        assert self._bar is not None
        says = training.beside_the_bar(moment)
        self._bar.update(self._task, completed=moment.step, epoch=moment.epoch, says=says)

    def epoch(self, row: Epoch, left: float) -> None:
        with self._without_the_bar():
            super().epoch(row, left)

    def note(self, text: str) -> None:
        with self._without_the_bar():
            super().note(text)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextmanager
    def _without_the_bar(self) -> Iterator[None]:
        """Remove the bar while a line is printed, which would otherwise begin at its end."""
        if self._bar is None:  # before the first epoch
            yield
            return
        self._bar.stop()
        yield
        self._bar.start()
