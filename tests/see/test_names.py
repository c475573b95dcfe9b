"""Names in pictures: any text can be drawn, in the place that it has."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

import netspec
from netspec.see.figures import SMALL, Visualisation, new_figure, rendered, styled
from netspec.see.names import DOTS, fitted, glyphs_noted
from tests.see.nets import corner_net, white
from tests.see.noise import folder_of

ODD = "_$\\frac$\x07\x00\n\t\u2028\udcff<&]]>%s{}" + "W" * 300


def width_of(text: str, points: float = SMALL) -> float:
    font = FontProperties(size=points)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


@pytest.mark.parametrize(
    "name", ["i" * 100, "W" * 100, "W" * 100_000, "German short-haired pointer"]
)
def test_a_name_is_as_long_as_its_place_allows(name: str) -> None:
    with styled():
        for inches in (0.3, 1.0, 1.3):
            text = fitted(name, inches, SMALL)
            assert width_of(text) <= inches
            assert text.endswith(DOTS)
            more = name[: len(text)].rstrip() + DOTS
            assert width_of(more) > inches
        assert fitted(name, 0.0, SMALL) == ""
        assert fitted("dog", 1.0, SMALL) == "dog"


def test_a_name_has_one_line_without_control_characters() -> None:
    with styled():
        assert fitted("a\nb\x07c\td\udcff", 9, SMALL) == "a·b·c d·"


def test_characters_that_the_font_does_not_have_are_named_once() -> None:
    def drawn(form: str) -> list[str]:
        figure = new_figure(1, 1)
        figure.text(0, 0.5, "\u6c49 \u5b57 \u6c49")
        figure.text(0, 0, "\u6c49")
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            rendered(figure, form)
        return [str(warning.message) for warning in raised]

    (told,) = drawn("png")
    assert told.startswith("the font of pictures does not have \u6c49, \u5b57: a box is drawn")
    assert drawn("svg") == []
    with pytest.warns(UserWarning, match="of another kind"), glyphs_noted("png"):
        warnings.warn("of another kind", stacklevel=1)


def pictures(name: str, folder: Path) -> list[Visualisation]:
    """Pictures of a net with a class of a name, of an image in a file of this name."""
    net, image = corner_net((name, "dark")), white()
    data = folder_of(folder / "data", 8, 2)
    see = netspec.see
    resized = "resize 16x16 | range low=0, high=1"
    confusion = see.confusion(corner_net(("a", "b")), data, prepare=resized)
    near = see.neighbours(net, image, data=data, row="C1", prepare=resized)
    there = tuple(tuple((name,) * len(row) for row in space) for space in near.names)
    return [
        replace(see.predictions(net, image), images=(name,)),
        see.occlusion(net, image, size=8, stride=8),
        replace(see.invariance(net, [image, image]), images=(name, name)),
        see.activations(net, image, row="F2"),
        replace(confusion, classes=(name, "b")),
        replace(near, names=there, labels=(name,)),
        replace(near, labels=("",), images=(name,), caption=name),
    ]


def test_every_picture_can_have_any_name(tmp_path: Path) -> None:
    for picture in pictures(ODD, tmp_path):
        svg = ElementTree.fromstring(rendered(picture.figure(), "svg"))
        texts = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert any(text.strip().startswith("_$") for text in texts), picture
        assert str(picture).replace("\n", "").isprintable()


def test_dollar_signs_are_no_formulas() -> None:
    net = corner_net(("$a$", "dark"))
    figure = netspec.see.predictions(net, white()).figure()
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    assert "$a$" in [text.get_text() for text in figure.findobj(Text)]


def test_long_names_do_not_overlap(tmp_path: Path) -> None:
    for picture in pictures("American Staffordshire terrier, pit bull terrier", tmp_path):
        figure = picture.figure()
        with styled():
            FigureCanvasAgg(figure).draw()
            for axes in figure.axes:
                places = [
                    text.get_window_extent()
                    for text in (*axes.texts, axes.xaxis.label)
                    if text.get_text() and text.get_visible()
                ]
                for number, one in enumerate(places):
                    assert not any(one.overlaps(other) for other in places[number + 1 :])
            labels = [
                axes.xaxis.label.get_window_extent()
                for axes in figure.axes
                if axes.get_visible() and axes.get_xlabel()
            ]
            for number, one in enumerate(labels):
                assert not any(one.overlaps(other) for other in labels[number + 1 :]), picture
                assert -1 <= one.x0 < one.x1 <= figure.bbox.width + 1
