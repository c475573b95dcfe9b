"""Options that name the files and folders that commands write, and rules for replacing files.

Each of these options is an :class:`Output`, which a test looks for. Each command calls
:func:`guard` before it begins.
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
    """Return an option that names a file or a folder to write."""
    kind = click.Path(path_type=Path)
    return click.option(*flags, cls=Output, type=kind, **attributes)


def require_folder(path: Path) -> None:
    """Raise BadParameter if the folder of a file to write does not exist."""
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")


def force_option(command: Command) -> Command:
    """Add ``--force``: replace a file of another kind."""
    return click.option(
        "--force", is_flag=True, help="Replace the existing file even if it is of another kind."
    )(command)


def guard(
    output: Path | None,
    kind: FileKind,
    reads: Iterable[Path | str | None] = (),
    *,
    force: bool = False,
) -> None:
    """Check that a command may write ``output``; if that is standard output, redirect messages.

    Messages then go to standard error.

    Args:
        output: Path to write.
        kind: Kind of file that is written.
        reads: Files and folders that the command reads. A file is never replaced; in a folder only
            files of ``kind`` are.
        force: Replace a file of another kind.

    Raises:
        click.UsageError: The command reads the file at ``output``, a file of another kind is there,
            or the suffix is that of another kind.
    """
    if output is None:
        return
    for path in reads:
        if path is not None and (replaced := _replaced(output, Path(path), kind)):
            raise click.UsageError(
                f"{output} would replace {replaced}, which the command reads: use another name"
            )
    if problem := misnamed(output, kind):
        raise click.UsageError(f"cannot write {output}: {problem}")
    if not force and (problem := replaced_kind(output, kind)):
        raise click.UsageError(f"cannot write {output}: {problem}: use another name, or --force")
    if descriptor_of(output) == STDOUT:
        click.get_current_context().with_resource(redirect_stdout(sys.stderr))


def _replaced(output: Path, path: Path, kind: FileKind) -> str:
    """Return the part of ``path`` that writing ``output`` would replace, or an empty string.

    It replaces something if ``output`` is ``path``, a folder that contains it, or a file in it.
    """
    try:
        if any(output.samefile(one) for one in (path, *path.resolve().parents[:2])):
            return str(path)
        if path.is_dir() and _is_within(output, path) and replaced_kind(output, kind):
            return f"a file in {path}"
    except OSError:  # one of them does not exist
        pass
    return ""


def _is_within(file: Path, folder: Path) -> bool:
    """Return True if a file lies in a folder, also under another name (a link, a hard link)."""
    if Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
        return True
    status = file.stat()
    return status.st_nlink > 1 and any(
        os.path.samestat(status, other.stat()) for other in folder.rglob("*") if other.is_file()
    )
