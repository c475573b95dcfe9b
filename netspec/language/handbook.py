"""The error handbook: one page per code, with an example that fails and a fixed one.

The pages are Markdown under ``handbook/``; a test runs every example.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

PAGES = Path(__file__).parent / "handbook"


class Explanation(NamedTuple):
    """A page of the handbook; ``wrong`` and ``right`` are specs, or empty."""

    title: str
    text: str
    wrong: str
    right: str


@cache
def codes() -> tuple[str, ...]:
    """Every code that a diagnostic can have."""
    return tuple(sorted(page.stem for page in PAGES.glob("NS*.md")))


def explanation(code: str) -> Explanation:
    """The page of a code."""
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8").strip()
    title = text.partition("\n")[0].removeprefix(f"# {code}: ")
    examples = dict(re.findall(r"## (Wrong|Right)\n+```net\n(.*?)```", text, flags=re.DOTALL))
    shown = re.sub(r"^```\w*\n?", "", text, flags=re.MULTILINE)
    return Explanation(title, shown, examples.get("Wrong", ""), examples.get("Right", ""))
