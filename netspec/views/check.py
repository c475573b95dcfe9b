"""Check specs: the net of each with its errors, warnings and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, SpecError, Style, plain, printable, render
from netspec.net import Net, Spec, examined_spec

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, repr=False)
class Check:
    """The result of checking a spec; ``repr`` is what ``netspec check`` prints.

    A check is true if the spec has no errors: ``if netspec.check("mynet.net"): ...``.

    Attributes:
        name: The spec as messages name it.
        net: The net, or None if its shapes cannot be derived.
        diagnostics: Errors, warnings and notes, in the order of the text.
    """

    name: str
    net: Net | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Mistakes in the spec."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Parts of the spec that are valid and probably a mistake."""
        return self._of("warning")

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        """Claims that do not apply with these settings."""
        return self._of("note")

    def as_json(self) -> list[dict[str, Any]]:
        """Return what ``netspec check --json`` prints."""
        return [diagnostic.as_json() for diagnostic in self.diagnostics]

    def _of(self, severity: str) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.severity == severity)

    def __bool__(self) -> bool:
        return not self.errors

    def __repr__(self) -> str:
        problems = problems_of(self)
        return "\n".join([*[problems] * bool(problems), *note_lines(self.notes), verdict(self)])


@overload
def check(spec: Spec, *, settings: Mapping[str, Setting] | None = None) -> Check: ...
@overload
def check(
    spec: list[S] | tuple[S, ...], *, settings: Mapping[str, Setting] | None = None
) -> list[Check]: ...
def check(spec: Any, *, settings: Mapping[str, Setting] | None = None) -> Check | list[Check]:
    """Check every shape and every claim of a spec; mistakes in it do not raise an error.

    Args:
        spec: Path, name of a bundled spec, or net; a list of them gives a list of results.
        settings: Values of the parameters of a spec. A string is parsed as in a spec.

    Raises:
        TypeError: An argument has a wrong type.

    Example:
        >>> result = netspec.check("mynet.net", settings={"classes": 10})
        >>> [error.message for error in result.errors]
    """
    if isinstance(spec, list | tuple):
        return [check(one, settings=settings) for one in spec]
    name = spec.source.name if isinstance(spec, Net) else str(spec)
    try:
        net, problems = examined_spec(spec, settings)
    except SpecError as error:
        return Check(name, None, tuple(error.diagnostics))
    return Check(name, net, tuple(SpecError(problems.diagnostics).diagnostics))


# ------------------------------------------------------------------------------------------ text


def problems_of(check: Check, style: Style = plain) -> str:
    """Return the errors and warnings of a check with excerpts of the spec."""
    return render([d for d in check.diagnostics if d.severity != "note"], style)


def note_lines(notes: tuple[Diagnostic, ...], style: Style = plain) -> Iterator[str]:
    """Yield one line per note."""
    for note in notes:
        location = f"{note.span.source.name}, line {note.span.line}"
        yield f"{style(f'note[{note.code}]', 'note')}: {note.message} ({location})"


def verdict(check: Check) -> str:
    """Return the last line of a check: what was checked, or the number of problems."""
    if check and check.net is not None:
        return f"{printable(check.name)}: {checked(check.net)}"
    problems = len(check.errors) + len(check.warnings)
    return f"{printable(check.name)}: {counted(problems, 'problem')}"


def checked(net: Net) -> str:
    """Return one line on what was checked of a net."""
    stages = len(net.graph) - len(net.graph.inputs)
    apart = len(net.notes)
    holds = f"{counted(net.claims, 'claim')} {'holds' if net.claims == 1 else 'hold'}"
    applies = f", {apart} {'does' if apart == 1 else 'do'} not apply" if apart else ""
    cells = [cell for d in net.documents for row in d.rows for cell in row.cells]
    errata = sum(cell.status == "erratum" for cell in cells)
    wrong = f" with {errata} {'erratum' if errata == 1 else 'errata'}" if errata else ""
    printed = f"; {counted(len(cells), 'printed cell')}{wrong}" if cells else ""
    rows = sum(not row.is_inner for row in net.graph.rows.values())
    return f"{counted(rows, 'row')}, {counted(stages, 'stage')}, {holds}{applies}{printed}"
