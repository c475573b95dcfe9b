"""The error handbook: one page per code, with an example that fails and a fixed one.

The pages are Markdown under ``handbook/``; a test runs every example.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, overload

from netspec.errors import require_type
from netspec.ir.guess import did_you_mean
from netspec.printing import Listing

PAGES = Path(__file__).parent / "handbook"


class Explanation(NamedTuple):
    """A page of the handbook; ``repr`` is what ``netspec explain CODE`` prints.

    Attributes:
        code: Code of the diagnostic.
        title: First line of the page.
        text: The page as plain text.
        wrong: A spec with the mistake, or an empty string.
        right: The spec without the mistake, or an empty string.
    """

    code: str
    title: str
    text: str
    wrong: str
    right: str

    @property
    def line(self) -> str:
        """Code and title in one line."""
        return f"{self.code}  {self.title}"

    def __repr__(self) -> str:
        return self.text


@overload
def explain() -> Listing[Explanation]: ...
@overload
def explain(code: str, /) -> Explanation: ...
def explain(code: Any = None, /) -> Explanation | Listing[Explanation]:
    """Explain a diagnostic with an example and its fix; without a code, list all diagnostics.

    Args:
        code: Code of the diagnostic, such as ``"NS112"``, in upper or lower case.

    Raises:
        TypeError: ``code`` is not a string.
        ValueError: There is no such diagnostic.
    """
    if code is None:
        return Listing(map(explanation, codes()))
    require_type("code", code, str, "the code of a diagnostic")
    known = code.upper()
    if known not in codes():
        guess = did_you_mean(known, codes()) or "`netspec explain` lists them all"
        raise ValueError(f"there is no diagnostic {code}; {guess}")
    return explanation(known)


@cache
def codes() -> tuple[str, ...]:
    """Return every code that a diagnostic can have."""
    return tuple(sorted(page.stem for page in PAGES.glob("NS*.md")))


def explanation(code: str) -> Explanation:
    """Return the page of a code."""
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8").strip()
    title = text.partition("\n")[0].removeprefix(f"# {code}: ")
    examples = dict(re.findall(r"## (Wrong|Right)\n+```net\n(.*?)```", text, flags=re.DOTALL))
    shown = re.sub(r"^```\w*\n?", "", text, flags=re.MULTILINE)
    return Explanation(code, title, shown, examples.get("Wrong", ""), examples.get("Right", ""))
