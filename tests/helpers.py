"""What many tests need: a spec from a few lines, and the codes it is refused with."""

from __future__ import annotations

from netspec import Net, SpecError, loads
from netspec.language.diagnostics import Diagnostic

HEADER = "net example\ninput image 8x8x3\n"


def load_rows(rows: str, header: str = HEADER, **settings: object) -> Net:
    return loads(header + rows, "example.net", **settings)  # type: ignore[arg-type]


def problems(text: str, **settings: object) -> list[Diagnostic]:
    """The diagnostics of a spec; none if it is fine."""
    try:
        loads(text, "example.net", **settings)  # type: ignore[arg-type]
    except SpecError as error:
        return error.diagnostics
    return []


def codes(text: str, **settings: object) -> list[str]:
    return [d.code for d in problems(text, **settings)]


def codes_of_rows(rows: str, header: str = HEADER, **settings: object) -> list[str]:
    return codes(header + rows, **settings)
