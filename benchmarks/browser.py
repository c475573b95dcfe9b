"""Chromium of the system, without a window, for tests, measurements and pictures of reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """Return why no browser can be opened, and the way out; an empty string if one can."""
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install 'netspec-compiler[dev]'"
    if not any(map(which, NAMES)):
        return f"no browser is installed ({', '.join(NAMES)}): apt install chromium"
    return ""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the browser; call it if nothing is :func:`missing`."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(which, NAMES)))
    # Chromium's sandbox does not start for root, which runs the tests in a container
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
