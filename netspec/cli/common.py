"""Shared parts of the commands: options, error reports, exit codes.

Exit codes: 0 fine, 1 the spec or the data is wrong, 2 the command is wrong.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

import click

from netspec.errors import ArgumentError, DataError, OptionError
from netspec.language.diagnostics import Diagnostic, SpecError, render
from netspec.net import Net
from netspec.views.check import note_lines

Command = Callable[..., Any]

COLOURS = {
    "error": "red",
    "warning": "yellow",
    "note": "cyan",
    "help": "green",
    "gutter": "blue",
    "erratum": "yellow",
    "strong": None,
    "quiet": "bright_black",
}


def styled(text: str, role: str) -> str:
    """Return a text in the colour of its role; click removes colours if there is no terminal."""
    if os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=COLOURS[role], bold=role not in ("gutter", "quiet"))


def _read_settings(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals or not value.strip():
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
        if key in settings:
            raise click.BadParameter(f"{key} is set twice")
        settings[key] = value
    return settings


class Finite(click.FloatRange):
    """Numbers in a range; click's own range accepts NaN."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> float:
        number: float = super().convert(value, parameter, context)
        if isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", parameter, context)
        return number


MOST_EPOCHS, MOST_IMAGES = 1_000_000, 100_000
EPOCHS = click.IntRange(1, MOST_EPOCHS)
IMAGES = click.IntRange(1, MOST_IMAGES)
"""Images per batch."""
WORKERS = click.IntRange(0, 1024)
FACTOR = 1e6
"""The largest learning rate and decay: far more than any net learns with, and products of two of
them are still in float32's range."""


def numbers(text: str, least: int, most: int) -> tuple[int, ...]:
    """Return the numbers of a list such as ``1,64``, each once.

    Raises:
        click.BadParameter: A word is not a number from ``least`` to ``most``.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        is_short = word.isascii() and word.isdecimal() and len(word) <= len(str(most))
        if not is_short or not least <= int(word) <= most:
            raise click.BadParameter(f"{word[:40]!r} is not a number from {least:,} to {most:,}")
    return tuple(dict.fromkeys(map(int, words)))


def set_option(command: Command) -> Command:
    """Add ``--set KEY=VALUE``: a parameter of the net."""
    return setting("--set", "settings", "the net")(command)


def setting(flag: str, name: str, whose: str) -> Callable[[Command], Command]:
    """Return an option that takes KEY=VALUE, a parameter of one of several nets."""
    return click.option(
        flag,
        name,
        metavar="KEY=VALUE",
        multiple=True,
        callback=_read_settings,
        help=f"Set a parameter of {whose}; repeatable.",
    )


def json_option(command: Command) -> Command:
    """Add ``--json``: print data for programs, also for errors."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(data: Any) -> None:
    """Print data as JSON."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
    click.echo(
        text.encode("utf-8", "backslashreplace").decode()
    )  # names of files may hold any bytes


def print_note(text: str) -> None:
    """Print a note for the user on standard error."""
    click.echo(f"{styled('note', 'note')}: {text}", err=True)


def diagnostics_json(diagnostics: list[Diagnostic]) -> list[dict[str, Any]]:
    """Return diagnostics as the data that ``--json`` prints."""
    return [d.as_json() for d in diagnostics]


def reports_errors(command: Command) -> Command:
    """Report errors that the user can fix as a message and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        with _reporting(kwargs.get("as_json", False)):
            command(*args, **kwargs)

    return wrapped


_TOO_LARGE = ("allocate memory", "Storage size calculation overflowed", "multiplication overflow")
"""Texts in PyTorch's errors for tensors that do not fit in memory, or have 2**63 bytes or more."""


@contextmanager
def _reporting(as_json: bool) -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        if as_json:
            print_json(diagnostics_json(error.diagnostics))
        else:
            click.echo(render(error.diagnostics, styled), err=True)
        raise click.exceptions.Exit(exit_code(error.diagnostics)) from None
    except OptionError as error:
        flag = "--set" if error.option == "settings" else f"--{error.option}"
        raise click.UsageError(f"{flag} {error.why}") from None
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None
    except (DataError, MemoryError, RuntimeError) as error:
        message = str(error) or "the machine does not have enough memory"
        if isinstance(error, RuntimeError):  # torch raises it when memory cannot be allocated
            if not any(text in message for text in _TOO_LARGE):
                raise
            message = (
                "the machine does not have enough memory: use a smaller batch or a smaller input"
            )
        if as_json:
            print_json({"error": message})
        else:
            click.echo(f"{styled('error', 'error')}: {message}", err=True)
        raise click.exceptions.Exit(1) from None


def texts_of(net: Net) -> list[Path]:
    """Return the files that a net was read from."""
    return [source.path for source in (net.source, *net.files.values()) if source.path is not None]


def print_notes(net: Net) -> None:
    """Print the claims that do not apply with the net's settings, one line per claim."""
    for line in note_lines(net.notes, styled):
        click.echo(line)


def exit_code(diagnostics: Sequence[Diagnostic]) -> int:
    """Return 2 if all errors are in ``--set`` options, else 1."""
    in_command = all(d.span.source.name.startswith("--set") for d in diagnostics)
    return 2 if in_command else 1


@contextmanager
def progress(length: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on a terminal; yield what to call when a step begins."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    shown = click.progressbar(
        length=length, file=sys.stderr, item_show_func=str, show_eta=False, width=24
    )
    with shown as bar:
        yield lambda step: bar.update(1, step)
