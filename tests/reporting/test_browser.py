"""Reports in a real browser: they render, nothing overflows, the graph can be used."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import netspec
from netspec.reporting import layout, page
from netspec.reporting.report import Report
from netspec.views.drawing import FILLS
from tests.reporting.conftest import Open, opening
from tests.reporting.test_nodes import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

GRAPH = ["graph", "table"]


@pytest.fixture(scope="session")
def googlenet() -> str:
    return netspec.report("googlenet", sections=GRAPH).html


@pytest.fixture(scope="session")
def in_browser() -> str:
    """A page whose graph the browser lays out, as on a machine without Graphviz."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        made = netspec.report("googlenet", sections=GRAPH).html
    assert layout.needs_browser(made)
    return made


# ---------------------------------------------------------------------------------------- the page

OVERFLOWING = """() => {
    const wide = [...document.querySelectorAll("body *")].filter((element) =>
        element.getBoundingClientRect().right > window.innerWidth + 1
        && element.closest("nav, .wide, .canvas, pre") === null);
    return [document.documentElement.scrollWidth, ...wide.map((element) => element.outerHTML)];
}"""

PICTURES = """() => [...document.images].map((image) => {
    const box = image.getBoundingClientRect(), frame = image.parentElement.getBoundingClientRect();
    return {
        isLoaded: image.complete && image.naturalWidth > 0,
        isInside: box.left >= frame.left - 1 && box.right <= frame.right + 1
            && box.bottom <= frame.bottom + 1,
        isStretched: Math.abs(box.width / box.height
            / (image.naturalWidth / image.naturalHeight) - 1) > 0.02,
        alt: image.alt,
    };
})"""


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_overflows_and_pictures_are_whole(width: int, of_run: Report, opened: Open) -> None:
    shown = opened(of_run.html, width)
    assert shown.evaluate(OVERFLOWING) == [width]
    pictures = shown.evaluate(PICTURES)
    assert len(pictures) == 7
    for picture in pictures:
        assert picture["isLoaded"]
        assert picture["isInside"]
        assert not picture["isStretched"]
        assert len(picture["alt"]) > 15


def test_a_graph_does_not_overflow_a_phone(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet, 375)
    assert shown.evaluate(OVERFLOWING) == [375]
    frame = shown.locator(".canvas").bounding_box()
    assert frame is not None
    assert frame["height"] <= 800


def test_a_picture_is_enlarged_by_a_tap_and_made_small_by_another(
    of_run: Report, opened: Open
) -> None:
    shown = opened(of_run.html, 375)
    image = shown.locator("#curves img")
    widths = [image.evaluate("image => image.width")]
    for _ in range(2):
        image.click()
        widths.append(image.evaluate("image => image.width"))
    assert widths[0] == widths[2] < 375
    assert widths[1] == 1024
    assert shown.evaluate("document.documentElement.scrollWidth") == 375


UNCHANGED = """(fills) => [...document.querySelectorAll(".canvas [fill]")].filter((element) => {
    const drawn = element.getAttribute("fill");
    if (element.matches(".graph > polygon") || drawn === "none") return false;
    const probe = document.createElement("span");
    probe.style.color = drawn;
    document.body.append(probe);
    const isUnchanged = getComputedStyle(probe).color === getComputedStyle(element).fill;
    probe.remove();
    return isUnchanged && drawn !== "#7d8590";  // lines are grey in both
}).map((element) => element.outerHTML)"""

CONTRAST = """() => {
    const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
    const luminance = (colour) => channels(colour).slice(0, 3).reduce((sum, value, place) => {
        const part = value / 255;
        const linear = part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        return sum + linear * [0.2126, 0.7152, 0.0722][place];
    }, 0);
    const isSeen = (colour) => colour.startsWith("rgb") && channels(colour)[3] !== 0;
    /** Return the colour below a text: of the shape of its layer, or the first background. */
    function paper(element) {
        for (let it = element; it !== null; it = it.parentElement) {
            const shape = it.matches(".node, .cluster") && it.querySelector("path, polygon");
            const { fill } = shape ? getComputedStyle(shape) : { fill: "none" };
            if (isSeen(fill)) return fill;
            const { backgroundColor } = getComputedStyle(it);
            if (isSeen(backgroundColor)) return backgroundColor;
        }
        throw new Error("the page has no background");
    }
    for (const folded of document.querySelectorAll("details")) folded.open = true;
    const texts = [...document.querySelectorAll("body *")].filter((element) =>
        !element.matches("script") && [...element.childNodes].some(
            (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== ""));
    const inputs = [...document.querySelectorAll("input")];
    const inks = [
        ...texts.map((it) => {
            const { color, fill } = getComputedStyle(it);
            return [it, it instanceof SVGElement ? fill : color];
        }),
        ...inputs.map((it) => [it, getComputedStyle(it, "::placeholder").color]),
    ];
    return inks.map(([element, ink]) => {
        const [low, high] = [ink, paper(element)].map(luminance).sort((a, b) => a - b);
        return [(high + 0.05) / (low + 0.05), element.outerHTML.slice(0, 100)];
    });
}"""
LEAST = 4.5
"""Contrast of normal text in level AA of the Web Content Accessibility Guidelines, 1.4.3."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(scheme: str, opened: Open, of_run: Report) -> None:
    of_nets = netspec.report("googlenet", "alexnet")
    for made in (of_run, of_nets):
        shown = opened(made.html, color_scheme=scheme)
        if made is of_nets:  # with the panel of rows
            shown.locator(".tools input").first.fill("4b")
            shown.locator(".tools input").first.press("Enter")
        contrasts = shown.evaluate(CONTRAST)
        assert len(contrasts) > 200
        assert [one for one in contrasts if one[0] < LEAST] == []


def test_every_colour_of_a_drawing_has_a_dark_one(googlenet: str, opened: Open) -> None:
    drawn = [fill for fill in FILLS.values() if f'fill="{fill}"' in googlenet]
    assert len(drawn) >= 5
    assert opened(googlenet, color_scheme="dark").evaluate(UNCHANGED, FILLS) == []
    style = page.asset("report.css")
    assert all(f'[fill="{fill}"]' in style for fill in FILLS.values())


def test_a_printed_page_has_the_whole_graph_and_no_buttons(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet, 700)
    shown.emulate_media(media="print")
    assert not shown.locator(".tools").is_visible()
    assert not shown.locator("nav").is_visible()
    hidden = shown.locator(".canvas").evaluate("it => it.scrollHeight - it.clientHeight")
    assert hidden <= 1
    assert shown.evaluate(OVERFLOWING)[0] == 700
    assert shown.pdf()[:5] == b"%PDF-"


PIECES = """(svg) => {
    window.dispatchEvent(new Event("beforeprint"));
    const pieces = [...document.querySelectorAll(".piece")].map((piece) => {
        const frame = piece.getBoundingClientRect();
        const boxes = [...piece.querySelectorAll(".node")].map((it) => it.getBoundingClientRect());
        return {
            view: [piece.viewBox.baseVal.y, piece.viewBox.baseVal.height],
            size: [frame.width, frame.height],
            layers: boxes.filter(
                (box) => box.top >= frame.top && box.bottom <= frame.bottom).length,
            isCut: boxes.some((box) => [frame.top, frame.bottom].some(
                (edge) => box.top < edge && edge < box.bottom)),
        };
    });
    window.dispatchEvent(new Event("afterprint"));
    return pieces;
}"""


@pytest.mark.parametrize("laid_out", ["googlenet", "in_browser"])
def test_printed_pages_do_not_cut_a_layer(
    laid_out: str, opened: Open, request: pytest.FixtureRequest
) -> None:
    shown = opened(request.getfixturevalue(laid_out))
    layers = shown.locator(".canvas .node").count()
    height = shown.locator(".canvas svg").evaluate("svg => svg.viewBox.baseVal.height")
    pieces = shown.evaluate(PIECES)
    assert len(pieces) > 2
    assert not any(piece["isCut"] for piece in pieces)
    assert sum(piece["layers"] for piece in pieces) == layers
    assert all(piece["size"][0] <= 681 and piece["size"][1] <= 901 for piece in pieces)
    ends = [0.0, *(sum(piece["view"]) for piece in pieces)]
    assert [piece["view"][0] for piece in pieces] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(height)
    assert shown.locator(".piece").count() == 0


def test_the_page_is_complete_without_scripts(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet, java_script_enabled=False)
    assert shown.locator(".canvas svg").is_visible()
    assert shown.locator("table.rows").is_visible()
    assert not shown.locator(".tools").is_visible()


# --------------------------------------------------------------------------------------- the graph


@pytest.mark.parametrize("laid_out", ["googlenet", "in_browser"])
def test_a_search_finds_layers_and_enter_opens_them(
    laid_out: str, opened: Open, request: pytest.FixtureRequest
) -> None:
    shown = opened(request.getfixturevalue(laid_out))
    search, count = shown.locator(".tools input"), shown.locator(".tools output")
    search.fill("5X5")
    assert count.text_content() == "1 of 11"  # nine modules, two heads
    search.press("Enter")
    assert rows_of(shown) == ["3a.b3.conv2", "3a.b3.relu2"]
    assert is_in_canvas(shown, ".current")
    search.press("Enter")
    assert count.text_content() == "2 of 11"
    search.press("Shift+Enter")
    search.press("Shift+Enter")
    assert count.text_content() == "11 of 11"
    assert is_in_canvas(shown, ".current")
    search.fill("nothing like it")
    assert count.text_content() == "none"
    assert shown.locator(".matching").count() == 0


@pytest.mark.parametrize("laid_out", ["googlenet", "in_browser"])
def test_a_click_opens_a_module_and_its_rows(
    laid_out: str, opened: Open, request: pytest.FixtureRequest
) -> None:
    shown = opened(request.getfixturevalue(laid_out))
    shown.locator(".cluster[aria-label^='4e '] text").first.click()
    rows = [row.label for row in netspec.load("googlenet")["4e"].rows]
    assert rows_of(shown) == rows
    assert shown.locator(".rows-of strong").text_content() == "4e"
    shown.locator(".rows-of button", has_text="Close").click()
    assert not shown.locator(".rows-of").is_visible()


def test_a_layer_shows_its_sizes_to_the_mouse(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet)
    shown.locator(".tools input").fill("4b")
    shown.locator(".node[aria-label^='4b.b1 ']").hover()
    tip = shown.locator(".tip")
    names, values = (tip.locator(tag).all_text_contents() for tag in ("dt", "dd"))
    facts = dict(zip(names, values, strict=True))
    assert facts == {
        "kernel": "1x1x512/1, 160",
        "input": "14x14x512",
        "shape": "14x14x160",
        "parameters": "82,080",
        "MACs": "16,056,320",
        "field": "171",
    }
    shown.mouse.move(2, 2)
    assert not tip.is_visible()


def test_the_graph_can_be_used_with_the_keyboard(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet)
    shown.locator(".tools input").focus()
    for key in "4b":
        shown.keyboard.press(key)
    shown.keyboard.press("Enter")
    panel = shown.locator(".rows-of")
    assert shown.locator(".rows-of strong").text_content() == "4b"
    for _ in range(5):  # three buttons and the drawing are before the rows
        shown.keyboard.press("Tab")
    assert focused(shown) == "Close"
    shown.keyboard.press("Enter")
    assert not panel.is_visible()
    assert focused(shown) == "Graph of googlenet; the table has the same rows"
    shown.locator(".tools input").press("Enter")
    assert panel.is_visible()
    shown.keyboard.press("Escape")
    assert not panel.is_visible()


def test_a_row_that_is_opened_with_the_keyboard_keeps_the_focus(
    googlenet: str, opened: Open
) -> None:
    shown = opened(googlenet)
    shown.locator(".tools input").fill("5x5")
    shown.locator(".tools input").press("Enter")
    button = shown.locator(".rows-of button", has_text="All of")
    button.focus()
    shown.keyboard.press("Enter")
    assert rows_of(shown) != []
    assert focused(shown) == "Close"


def focused(shown: Page) -> str:
    """Return the name of the element that has the focus."""
    return str(
        shown.evaluate("(({ ariaLabel, textContent }) => ariaLabel ?? textContent)"
                       "(document.activeElement)")
    )  # fmt: skip


def test_a_picture_is_enlarged_with_the_keyboard(of_run: Report, opened: Open) -> None:
    shown = opened(of_run.html, 375)
    picture = shown.locator("#curves [role=button]")
    picture.focus()
    for key, expected in (("Enter", "true"), (" ", "false"), (" ", "true"), ("Escape", "false")):
        shown.keyboard.press(key)
        assert picture.get_attribute("aria-expanded") == expected
        assert ("enlarged" in str(picture.get_attribute("class"))) == (expected == "true")


OUTLINE = """() => [
    document.documentElement.lang,
    [...document.querySelectorAll("h1, h2, h3")].map((it) => Number(it.tagName[1])),
    [...document.querySelectorAll("[id]")].map((it) => it.id),
]"""


def test_a_page_has_a_language_an_outline_and_unique_ids(opened: Open) -> None:
    language, levels, ids = opened(netspec.report("vgg16_1", "vgg16_3").html).evaluate(OUTLINE)
    assert language == "en"
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(ids) == len(set(ids))


def test_buttons_and_the_wheel_zoom_and_a_drag_moves(googlenet: str, opened: Open) -> None:
    shown = opened(googlenet)
    drawing = shown.locator(".canvas svg")

    def width() -> float:
        return float(drawing.get_attribute("width") or 0)

    start = width()
    shown.locator("[data-zoom=in]").click()
    assert width() == pytest.approx(1.3 * start)
    shown.locator("[data-zoom=fit]").click()
    assert width() == pytest.approx(start)
    frame = shown.locator(".canvas").bounding_box()
    assert frame is not None
    shown.mouse.move(frame["x"] + 30, frame["y"] + 200)
    shown.keyboard.down("Control")
    shown.mouse.wheel(0, -300)
    shown.keyboard.up("Control")
    shown.wait_for_function(
        "start => document.querySelector('.canvas svg').width.baseVal.value > 2 * start", arg=start
    )
    top = shown.locator(".canvas").evaluate("it => it.scrollTop")
    shown.mouse.down()
    shown.mouse.move(frame["x"] + 30, frame["y"] + 100)
    shown.mouse.up()
    assert shown.locator(".canvas").evaluate("it => it.scrollTop") == pytest.approx(
        top + 100, abs=2
    )
    assert not shown.locator(".rows-of").is_visible()  # the end of a drag is not a click


def test_labels_and_titles_are_text(opened: Open) -> None:
    made = netspec.report(netspec.loads(HOSTILE))
    shown = opened(made.html)
    assert "<script>alert(1)</script>" in str(shown.locator(".lede").text_content())
    assert shown.locator("table.rows th", has_text="<b>A&b</b>").count() == 1
    assert shown.locator("main b").count() == 0
    shown.locator(".tools input").fill("a&B<")
    assert (
        shown.locator(".matching").get_attribute("aria-label") == "<b>A&b</b> conv 3x3/1, 4 | relu"
    )
    shown.locator(".node[aria-label^='<b>']").click()
    assert "<b>A&b</b>" in str(shown.locator(".rows-of").text_content())


def rows_of(shown: Page) -> list[str]:
    """The labels of the rows that the panel of a graph shows."""
    return shown.locator(".rows-of tbody tr td:first-child").all_text_contents()


def is_in_canvas(shown: Page, selector: str) -> bool:
    """Return True if an element of the drawing is in the visible part of its canvas."""
    box, frame = (shown.locator(one).bounding_box() for one in (selector, ".canvas"))
    assert box is not None
    assert frame is not None
    below = box["y"] + box["height"] <= frame["y"] + frame["height"]
    return frame["y"] <= box["y"] and below


# ------------------------------------------------------------------------------------ the safeguard

PLANTED = {
    "an exception": ("report.js", 'document.documentElement.classList.add("js");', "missing();"),
    "a message": ("report.js", 'document.documentElement.classList.add("js");', "console.log(1);"),
    "a picture from outside": ("", "<figure>", '<img src="http://127.0.0.1:9/a.png"><figure>'),
    "a script in the page": ("", "<footer>", "<script>window.x = 1</script><footer>"),
    "a style in the page": ("", "<footer>", '<footer style="color: red">'),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_error_is_reported(
    planted: str, of_run: Report, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the tests above would hold for a broken page too."""
    name, old, new = PLANTED[planted]
    if name:
        texts = {one: page.asset(one) for one in ("report.css", "report.js")}
        assert old in texts[name]
        texts[name] = texts[name].replace(old, old + new)
        monkeypatch.setattr(page, "asset", texts.__getitem__)
        html = netspec.report("lenet5", sections=["table"]).html
    else:
        assert old in of_run.html
        html = of_run.html.replace(old, new, 1)
    with pytest.raises(AssertionError), opening(browser, tmp_path) as open_page:
        open_page(html).wait_for_timeout(100)
