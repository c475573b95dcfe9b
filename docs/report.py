"""Make the pictures of docs/report.md in Chromium: python docs/report.py RUN, a run of lenet5."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import netspec

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from benchmarks.browser import chromium, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parent / "images" / "report"
WIDE, PHONE = (1120, 860), (375, 720)


def opened(browser: Browser, page: Path, size: tuple[int, int], scheme: str = "light") -> Page:
    """Return a report in a window of a size, with its graph drawn."""
    width, height = size
    shown = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == PHONE else 1,
    )
    shown.goto(page.as_uri())
    shown.wait_for_selector("[data-drawn]")
    return shown


def pictures(browser: Browser, folder: Path, run: str) -> None:
    """Write the pictures of the page."""
    paths = {}
    for name, made in {
        "run": netspec.report(run),
        "net": netspec.report("googlenet"),
        "pair": netspec.report("vgg16_1", "vgg16_3"),
    }.items():
        paths[name] = folder / f"{name}.html"
        made.save(paths[name])
    opened(browser, paths["run"], WIDE).screenshot(path=IMAGES / "run.png")
    opened(browser, paths["pair"], WIDE).screenshot(path=IMAGES / "pair.png")
    phone = opened(browser, paths["run"], PHONE)
    phone.screenshot(path=IMAGES / "phone.png")
    graph = opened(browser, paths["net"], PHONE, "dark")
    graph.evaluate("location.hash = 'graph'")
    graph.screenshot(path=IMAGES / "dark.png")
    module = opened(browser, paths["net"], WIDE)
    module.evaluate("location.hash = 'graph'")
    module.fill(".tools input", "4b")
    module.locator(".cluster[aria-label^='4b ']").locator("text").first.click()
    module.locator(".node[aria-label^='4b.b2.conv1 ']").hover()
    module.wait_for_timeout(300)
    module.screenshot(path=IMAGES / "graph.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    if reason := missing():
        raise SystemExit(reason)
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, chromium() as started:
        pictures(started, Path(temporary), sys.argv[1])
