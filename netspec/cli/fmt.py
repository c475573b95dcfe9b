"""``netspec fmt``."""

from __future__ import annotations

import difflib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from netspec.cli.common import styled
from netspec.errors import DataError
from netspec.files.writing import write_named
from netspec.language.diagnostics import SpecError, render
from netspec.language.format import format
from netspec.language.limits import MAX_BYTES
from netspec.language.read import decode, read

STDIN = "-"


@click.command(short_help="Format specs.")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not formatted.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def fmt(specs: tuple[str, ...], check: bool, diff: bool) -> None:
    """Format specs in place: spaces, blank lines and the columns of tables, nothing else.

    A file with mistakes in it is left as it is. With - for a spec, from standard input to
    standard output.
    """
    code = 0
    for spec in specs:
        try:
            path, before = _read(spec)
            after = format(decode(_shown(spec), before, path).text, _shown(spec)).encode()
            is_changed = before != after
            if diff and is_changed:
                click.echo("".join(_diff(_shown(spec), before, after)), nl=False)
            if check and is_changed:
                code = 1
                if not diff:
                    click.echo(f"{_shown(spec)}: not formatted")
            if not (check or diff) and path is None:
                click.echo(after, nl=False)
            elif not (check or diff) and path is not None and is_changed:
                write_named(path, after)
                click.echo(f"{spec}: formatted")
        except SpecError as error:
            code = 1
            click.echo(render(error.diagnostics, styled), err=True)
        except (DataError, OSError) as error:
            code = 1
            click.echo(f"{styled('error', 'error')}: {error}", err=True)
    raise click.exceptions.Exit(code)


def _shown(spec: str) -> str:
    return "<stdin>" if spec == STDIN else spec


def _read(spec: str) -> tuple[Path | None, bytes]:
    """Return the file to write, None for standard input, and the bytes of the spec."""
    if spec == STDIN:
        stream = getattr(sys.stdin, "buffer", None)
        return None, stream.read(MAX_BYTES + 1) if stream else b""
    path = read(spec).path
    assert path is not None
    if not path.is_file():
        raise DataError(f"cannot format {path}: it is not a regular file")
    return path, path.read_bytes()


def _diff(name: str, before: bytes, after: bytes) -> Iterator[str]:
    """Yield the lines of a unified diff, as `patch` reads it."""
    old, new = (io.StringIO(text.decode(), newline="\n").readlines() for text in (before, after))
    for line in difflib.unified_diff(old, new, f"{name}", f"{name} (formatted)"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
