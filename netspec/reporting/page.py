"""The page of a report: one HTML file with its style, scripts and pictures inside.

The policy of the page (Content-Security-Policy) allows nothing from outside, and of scripts and
styles only those whose SHA-256 it names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

import netspec
from netspec.reporting.html import Html, element, joined
from netspec.reporting.layout import needs_browser

GENERATOR = "netspec report"
"""Marks a page as a report; :data:`netspec.files.kinds.REPORT` reads it."""


class Block(NamedTuple):
    """A section of a page: its id, its heading and its content."""

    name: str
    title: str
    content: Html


def page(title: str, subtitle: str, blocks: Sequence[Block], omitted: Sequence[str]) -> str:
    """Return a page.

    Args:
        title: Heading of the page.
        subtitle: Line below it.
        blocks: Its sections.
        omitted: Lines that say which sections are omitted, and why.
    """
    links = (element("a", block.title, href=f"#{block.name}") for block in blocks)
    sections = (
        element("section", element("h2", block.title), block.content, id=block.name)
        for block in blocks
    )
    body = joined(
        [
            element("header", element("h1", title), element("p", subtitle, class_="lede")),
            element("nav", *links, aria_label="Sections"),
            element("main", *sections),
            _footer(omitted),
        ]
    )
    scripts = [asset("report.js")]
    if needs_browser(body):
        scripts.insert(0, asset("viz.js"))
    style = asset("report.css")
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", name="generator", content=f"{GENERATOR} {netspec.__version__}"),
            element("meta", http_equiv="Content-Security-Policy", content=policy(style, scripts)),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Html(style)),
        ]
    )
    ends = joined(element("script", Html(script)) for script in scripts)
    content = joined([element("head", head), "\n", element("body", body, ends), "\n"])
    return f"<!doctype html>\n{element('html', content, lang='en')}\n"


def policy(style: str, scripts: Sequence[str]) -> str:
    """Return the policy of a page: nothing from outside, these styles and scripts, and pictures."""
    allowed = " ".join(map(_hash, scripts))
    if len(scripts) > 1:
        allowed += " 'wasm-unsafe-eval'"  # Graphviz in the browser is WebAssembly
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def asset(name: str) -> str:
    """Return the text of a file in ``assets/``."""
    return (files("netspec.reporting") / "assets" / name).read_text(encoding="utf-8")


def _footer(omitted: Sequence[str]) -> Html:
    made = element("p", f"Made by netspec {netspec.__version__}.")
    if not omitted:
        return element("footer", made)
    lines = (element("li", line) for line in omitted)
    return element(
        "footer", element("h2", "Not in this report"), element("ul", *lines), made, id="omitted"
    )
