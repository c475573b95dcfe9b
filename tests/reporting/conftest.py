"""A report of a short run, and pages that a browser opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import netspec
from tests.see.conftest import run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from netspec.reporting.report import Report

__all__ = ["run"]


@pytest.fixture(scope="session")
def of_run(run: Path) -> Report:
    """The report of the run of three epochs, with all its sections."""
    return netspec.report(run)


Open = Callable[..., "Page"]


@contextmanager
def opening(browser: Browser, folder: Path) -> Iterator[Open]:
    """Yield a function that opens a page.  After the block, no page may have reported an error.

    Errors are exceptions of scripts, messages of the console (the policy of the page reports what
    it blocks there), and requests of anything but the file itself.
    """
    errors: list[str] = []
    contexts = []

    def requested(url: str) -> None:
        if not url.startswith(("file:", "data:")):
            errors.append(f"the page requests {url}")

    def open_page(html: str, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: requested(request.url))
        path = folder / f"{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True) and "data-graph" in html and not errors:
            page.wait_for_selector("[data-drawn]")
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert not errors, "\n".join(errors)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """A function that opens a page, which may not report an error until the end of the test."""
    with opening(browser, tmp_path) as open_page:
        yield open_page
