from __future__ import annotations

import json
from html.parser import HTMLParser

from netspec.reporting.html import Html, bar, data_block, element, escaped, joined, table

HOSTILE = "<script>alert(\"1\")</script> & 'x'"


class Texts(HTMLParser):
    """What a browser would read: the tags, their attributes and the texts between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_text_is_escaped_in_content_and_in_attributes() -> None:
    read = Texts(element("p", HOSTILE, title=HOSTILE))
    assert read.tags == [("p", {"title": HOSTILE})]
    assert read.texts == [HOSTILE]


def test_markup_is_not_escaped_twice() -> None:
    assert element("p", element("b", "a<b"), "c") == "<p><b>a&lt;b</b>c</p>"
    assert joined(["a<", Html("<br>")]) == "a&lt;<br>"


def test_attributes_are_omitted_or_written_alone() -> None:
    written = element("input", type="search", hidden=True, title=None, class_="a", aria_label="b")
    assert written == '<input type="search" hidden class="a" aria-label="b">'


def test_invalid_unicode_and_control_characters_are_replaced() -> None:
    assert escaped("a\udcffb\x00c\u202ed\ne") == "a\\udcffb·c·d\ne"


def test_a_table_has_headings_numbers_and_totals() -> None:
    read = Texts(table(["row", "n"], [["a", "1"]], numbers=["n"], foot=[["total", "1"]]))
    cells = [(tag, attributes) for tag, attributes in read.tags if tag in ("th", "td")]
    assert cells == [
        ("th", {"scope": "col"}),
        ("th", {"scope": "col", "class": "num"}),
        *[("th", {"scope": "row"}), ("td", {"class": "num"})] * 2,
    ]
    assert read.texts == ["row", "n", "a", "1", "total", "1"]


def test_a_bar_is_within_its_cell() -> None:
    lengths = [dict(Texts(bar(share)).tags)["rect"]["width"] for share in (-1, 0.25, 7)]
    assert lengths == ["0.00", "25.00", "100.00"]


def test_data_cannot_end_its_block() -> None:
    data = {"a": "</script><script>alert(1)</script>"}
    block = data_block(data, "data")
    assert block.count("</script>") == 1
    assert json.loads(block[block.index(">") + 1 : -len("</script>")]) == data
