"""The sessions in docs/python.md print what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netspec

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
SECTIONS = [section for section in re.split(r"^(?=## )", PAGE, flags=re.M) if ">>> " in section]
(SPEC,) = re.findall(r"```net\n(.*?)```", PAGE, re.DOTALL)


def statements(section: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of a section's sessions, and the output that is shown below it."""
    for session in re.findall(r"```pycon\n(.*?)```", section, re.DOTALL):
        for part in re.split(r"^>>> ", session, flags=re.M)[1:]:
            lines = part.splitlines(keepends=True)
            more = next(
                (i for i, s in enumerate(lines[1:], 1) if not s.startswith("... ")), len(lines)
            )
            code = [lines[0], *(line[4:] for line in lines[1:more])]
            yield "".join(code), "".join(lines[more:])


def output(code: str, names: dict[str, Any]) -> str:
    """Return what Python prints for a statement that is typed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(f"{code}\n", "<page>", "single"), names)
        except Exception as error:
            print("Traceback (most recent call last):\n  File ...")
            print(*traceback.format_exception_only(error), sep="", end="")
    return printed.getvalue()


@pytest.mark.parametrize("section", SECTIONS, ids=[s.splitlines()[0][3:] for s in SECTIONS])
def test_a_session_prints_what_the_page_shows(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mynet.net").write_text(SPEC, encoding="utf-8")
    names: dict[str, Any] = {"netspec": netspec}
    for code, shown in statements(section):
        pattern = re.escape(shown).replace(re.escape("..."), ".*?")  # what the page omits
        printed = output(code, names)
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{code}prints\n{printed}"


def test_the_page_names_every_function_and_its_result() -> None:
    for function in ("check", "diff", "document", "draw", "explain", "fmt", "load", "ops"):
        assert re.search(rf"netspec\.{function}\(", PAGE)
