"""What commands write: the options that name it, and what it may take the place of.

Each option that names what is written is an :class:`Output`, which a test looks for; each command
calls :func:`guard` before it begins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from netspec.cli.common import Command
from netspec.files.kinds import FileKind, misnamed, replaced_kind
from netspec.files.writing import STDOUT, descriptor_of


class Output(click.Option):
    """An option that names a file or a folder that the command writes."""


def output_option(*flags: str, **attributes: Any) -> Callable[[Command], Command]:
    """Return an option that names what is written."""
    kind = click.Path(path_type=Path)
    return click.option(*flags, cls=Output, type=kind, **attributes)


def force_option(command: Command) -> Command:
    """Add ``--force``: write over a file of another kind."""
    return click.option(
        "--force", is_flag=True, help="Write over a file of another kind, if one is there."
    )(command)


def guard(
    output: Path | None,
    kind: FileKind,
    reads: Iterable[Path | str | None] = (),
    *,
    force: bool = False,
) -> None:
    """Check that a command may write ``output``; print to standard error if it is standard output.

    Args:
        output: what it writes.
        kind: what it writes there.
        reads: files that it reads, which nothing takes the place of, and folders, in which only
            files of the kind that is written are replaced.
        force: write over a file of another kind.

    Raises:
        click.UsageError: the command reads what is there, or it is of another kind, or the name is.
    """
    if output is None:
        return
    for path in reads:
        if path is not None and (replaced := _replaced(output, Path(path), kind)):
            raise click.UsageError(
                f"{output} would take the place of {replaced}, which is read: name another file"
            )
    if problem := misnamed(output, kind):
        raise click.UsageError(f"cannot write {output}: {problem}")
    if not force and (problem := replaced_kind(output, kind)):
        raise click.UsageError(
            f"cannot write {output}: {problem}: name another file, or give --force"
        )
    if descriptor_of(output) == STDOUT:
        click.get_current_context().with_resource(redirect_stdout(sys.stderr))


def _replaced(output: Path, path: Path, kind: FileKind) -> str:
    """Return what of ``path`` would be lost if ``output`` were written; an empty text if nothing.

    That is the case if it is ``path``, a folder that contains it, or a file in it.
    """
    try:
        if any(output.samefile(one) for one in (path, *path.resolve().parents[:2])):
            return str(path)
        if path.is_dir() and _is_within(output, path) and replaced_kind(output, kind):
            return f"a file in {path}"
    except OSError:  # one of them is not there
        pass
    return ""


def _is_within(file: Path, folder: Path) -> bool:
    """Return whether a file lies in a folder, under another name too (a link, a hard link)."""
    if Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
        return True
    status = file.stat()
    return status.st_nlink > 1 and any(
        os.path.samestat(status, other.stat()) for other in folder.rglob("*") if other.is_file()
    )
