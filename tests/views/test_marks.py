from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from netspec import DataError, draw
from netspec.views.marks import Group, Line, Picture, Text, as_image, as_svg

SQUARE = Line(
    points=((10, 10), (40, 10), (40, 40), (10, 40)),
    stroke="#ff0000",
    fill="#00ff00",
    is_closed=True,
)
PICTURE = Picture(
    "a & b",
    72.0,
    36.0,
    (
        Group(kind="square", title="<s>", marks=(SQUARE,), data={"row": '"C1"'}),
        Group(kind="text", title="t", marks=(Text(at=(60, 20), text="7", size=8, fill="#000000"),)),
    ),
)


def test_svg_escapes_texts() -> None:
    svg = as_svg(PICTURE)
    assert "<title>a &amp; b</title>" in svg
    assert '<g class="square" data-row="&quot;C1&quot;"><title>&lt;s&gt;</title>' in svg
    assert 'width="72pt" height="36pt" viewBox="0 0 72 36"' in svg
    assert '<polygon points="10,10 40,10 40,40 10,40" fill="#00ff00"' in svg


def test_a_png_has_the_marks_at_their_places() -> None:
    with Image.open(BytesIO(as_image(PICTURE, "png"))) as image:
        assert image.size == (200, 100)  # an inch is 200 pixels
        scale = 200 / 72
        assert image.convert("RGB").getpixel((round(25 * scale), round(25 * scale))) == (0, 255, 0)
        assert image.convert("RGB").getpixel((round(50 * scale), 10)) == (255, 255, 255)


def test_a_pdf_has_the_size_and_text_that_can_be_searched(tmp_path: Path) -> None:
    content = as_image(PICTURE, "pdf")
    assert content.startswith(b"%PDF-")
    assert re.search(rb"/MediaBox \[ ?0 0 72 36 ?\]", content)
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    page = zlib.decompress(streams[0])
    assert b" Tj" in page or b" TJ" in page or b"(7)" in page


@pytest.mark.parametrize(("form", "stamp"), [("png", b"Software"), ("pdf", b"CreationDate")])
def test_equal_pictures_give_equal_files(form: str, stamp: bytes) -> None:
    assert as_image(PICTURE, form) == as_image(PICTURE, form)
    assert stamp not in as_image(PICTURE, form)  # it would differ on another day


def test_titles_are_not_formulas() -> None:
    text = Text(at=(20, 20), text=r"$\frac{$", size=8, fill="#000000", anchor="start")
    picture = Picture("a", 72.0, 36.0, (Group(kind="text", title="t", marks=(text,)),))
    assert as_image(picture, "pdf").startswith(b"%PDF-")


def test_missing_matplotlib_is_an_error_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("netspec.views.bench_chart.find_spec", lambda name: None)
    drawing = draw("lenet5", tmp_path / "a.svg", style="volumes")
    with pytest.raises(DataError, match="pip install 'netspec-compiler\\[plot\\]'"):
        drawing.save(tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]
