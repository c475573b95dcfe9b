"""The handbook: a page per error code, with an example that fails and a fixed one; and topics.

The pages are Markdown files in ``handbook/``; tests load every example.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

PAGES = Path(__file__).parent / "handbook"


class Explanation(NamedTuple):
    """A page of the handbook.

    Attributes:
        title: the title, without the code.
        text: the page as text, without the marks of code blocks.
        wrong: a spec with the mistake, or empty.
        right: the same spec without the mistake, or empty.
        example: the first spec of the page, or empty.
    """

    title: str
    text: str
    wrong: str
    right: str
    example: str


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
    return Explanation(
        title,
        re.sub(r"^```\w*\n?", "", text, flags=re.MULTILINE),
        examples.get("Wrong", ""),
        examples.get("Right", ""),
        first[1] if first else "",
    )
