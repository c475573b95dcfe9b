"""A saved net as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netspec.inference.saving import Saved
from netspec.ir.expects import Expects
from netspec.ir.words import as_size, counted
from netspec.language.diagnostics import printable


def as_text(saved: Saved) -> str:
    """Return what ``netspec compile -o`` prints of the file."""
    return "\n".join(lines(saved))


def lines(saved: Saved) -> Iterator[str]:
    """Yield the file and its size, the root digest, what was omitted, and what is said in it."""
    path = saved.path
    size = sum(f.stat().st_size for f in [path, *path.rglob("*")] if f.is_file())
    is_kept = path.is_file() or path.is_dir()  # otherwise it is a pipe or a device
    yield f"{path}, {as_size(size)}" if is_kept else str(path)
    if saved.digest:
        yield f"root digest {saved.digest}"
    if saved.heads:
        kept = ", which --heads keeps" if saved.format == "artifact" else ""
        yield f"without {counted(saved.heads, 'head')}{kept}"
    if saved.format == "artifact":
        yield f"it says: {_said(saved.expects)}"
    elif saved.description is not None:
        yield f"{saved.description} next to it says: {_said(saved.expects)}"


def _said(expects: Expects) -> str:
    """Return in a line what is saved with a net."""
    steps = str(expects) or "images are not changed"
    if expects.prepare is None:
        steps = "nothing about images"
    names = f"{counted(len(expects.classes), 'name')} of classes" if expects.classes else "no names"
    return printable(f"{steps}; {names}")


def as_json(saved: Saved) -> dict[str, Any]:
    """Return what ``netspec compile -o --json`` prints of the file."""
    description = saved.description
    return {
        "output": str(saved.path),
        "description": None if description is None else str(description),
        "digest": saved.digest or None,
    }
