"""The handbook: a page per error code, with an example that fails and a fixed one; and topics.

The pages are Markdown files in ``handbook/``; tests load every example.
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
        code: Code of the diagnostic, or name of the topic.
        title: First line of the page.
        text: The page as plain text.
        wrong: A spec with the mistake, or an empty string.
        right: The spec without the mistake, or an empty string.
        example: The first spec of the page, or an empty string.
    """

    code: str
    title: str
    text: str
    wrong: str
    right: str
    example: str

    @property
    def line(self) -> str:
        """Code and title in one line."""
        return f"{self.code:<6} {self.title}"

    def __repr__(self) -> str:
        return self.text


@overload
def explain() -> Listing[Explanation]: ...
@overload
def explain(page: str, /) -> Explanation: ...
def explain(page: Any = None, /) -> Explanation | Listing[Explanation]:
    """Explain a diagnostic with a wrong and a right example, or a topic; without one, list all.

    Args:
        page: Code of a diagnostic, such as ``"NS112"``, or ``"syntax"``, which shows the language
            on one screen; in upper or lower case.

    Raises:
        TypeError: ``page`` is not a string.
        ValueError: There is no such page.
    """
    if page is None:
        return Listing(map(explanation, (*topics(), *codes())))
    require_type("page", page, str, "the code of a diagnostic, or syntax")
    known = {name.lower(): name for name in (*topics(), *codes())}
    if page.lower() not in known:
        guess = did_you_mean(page, known.values()) or "`netspec explain` lists the pages"
        raise ValueError(f"there is no page {page}; {guess}")
    return explanation(known[page.lower()])


@cache
def codes() -> tuple[str, ...]:
    """Return every code that a diagnostic can have."""
    return tuple(sorted(page.stem for page in PAGES.glob("NS*.md")))


@cache
def topics() -> tuple[str, ...]:
    """Return the names of the pages that are not about a code."""
    return tuple(sorted(page.stem for page in PAGES.glob("[a-z]*.md")))


def explanation(page: str) -> Explanation:
    """Return the page of a code or topic."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8").strip()
    title = text.partition("\n")[0].removeprefix(f"# {page}: ")
    examples = dict(re.findall(r"## (Wrong|Right)\n+```net\n(.*?)```", text, flags=re.DOTALL))
    first = re.search(r"```net\n(.*?)```", text, flags=re.DOTALL)
    shown = re.sub(r"^```\w*\n?", "", text, flags=re.MULTILINE)
    wrong, right = examples.get("Wrong", ""), examples.get("Right", "")
    return Explanation(page, title, shown, wrong, right, first[1] if first else "")
