from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from math import dist, isclose, sqrt
from xml.etree import ElementTree

import pytest
from hypothesis import example, given

from netspec import DataError, Net, loads
from netspec.ir.columns import exchanging
from netspec.views.marks import Group, Line, Text, width_of
from netspec.views.volumes import volumes
from netspec.views.volumes_drawing import MOST, Volumes
from netspec.views.volumes_layout import PAGE
from tests.helpers import load_rows, loaded
from tests.views.chains import chains

SVG = "{http://www.w3.org/2000/svg}"
OF_PAPERS = (
    "lenet5",
    "alexnet",
    "zfnet",
    "vgg16_3",
    "nin",
    "nin_imagenet",
    "googlenet",
    "vgg19",
    "resnet50",
)


def groups(net: Net, kind: str) -> list[Group]:
    return [group for group in Volumes(net).picture.groups if group.kind == kind]


def texts(group: Group) -> list[str]:
    return [mark.text for mark in group.marks if isinstance(mark, Text)]


def sides(group: Group) -> tuple[float, float, float]:
    """The lengths of the channels, of the height and of the width of a drawn volume."""
    lines = [mark.points for mark in group.marks if isinstance(mark, Line)]
    top, _, front = lines[:3]
    return dist(front[0], front[1]), dist(front[1], front[2]), dist(top[1], top[2])


@given(chains())
@example(loaded("alexnet"))
@example(loaded("vgg19"))
def test_volumes_are_in_proportion_and_have_their_sizes(net: Net) -> None:
    maps, bars = [], []
    expected = [v for v in volumes(net) for _ in range(v.columns)]
    drawn = [
        pair
        for pair in zip(groups(net, "volume"), groups(net, "sizes"), strict=True)
        if "repeated" not in pair[0].data
    ]
    for volume, (group, label) in zip(expected, drawn, strict=True):
        assert group.data["shape"] == str(volume.shape)
        assert Counter(texts(label)) == Counter(map(str, volume.shape))
        right, down, back = sides(group)
        if volume.shape.is_map:
            roots = [sqrt(size) for size in volume.shape]
            maps.append((right / roots[2], down / roots[0], back / roots[1]))
        else:
            bars.append(down / sqrt(volume.shape[0]))
    # coordinates are floats of up to a few hundred points, so lengths differ by 1e-13 at most
    for unit in maps:
        assert all(isclose(a, b, rel_tol=1e-9) for a, b in zip(unit, maps[0], strict=True))
    assert all(isclose(bar, bars[0], rel_tol=1e-9) for bar in bars)


@given(chains())
@example(loaded("alexnet"))
@example(load_rows("columns 3\na: conv 3x3, 6\nb: conv 3x3, 6\nc: conv 3x3, 6, groups=3"))
@example(load_rows("columns 2\na: conv 3x3, 8 | lrn 3, groups=2 | conv 1x1, 8, groups=2"))
def test_lines_cross_exactly_where_columns_exchange(net: Net) -> None:
    crossing = {row for g in groups(net, "crossing") for row in g.data["exchange"].split()}
    assert crossing == set(exchanging(net.graph))
    rows = {one.row for one in volumes(net) if one.exchanges}
    assert {g.data["to"] for g in groups(net, "crossing")} == rows


def test_alexnet_crosses_at_c3_and_the_fully_connected_layers() -> None:
    ways = Counter((g.data["from"], g.data["to"]) for g in groups(loaded("alexnet"), "crossing"))
    assert ways == {("C2", "C3"): 2, ("C5", "F6"): 2, ("F6", "F7"): 2, ("F7", "F8"): 2}
    links = Counter((g.data["from"], g.data["to"]) for g in groups(loaded("alexnet"), "link"))
    assert links[("image", "C1")] == links[("C3", "C4")] == links[("C5", "F6")] == 2
    assert [t for g in groups(loaded("alexnet"), "columns") for t in texts(g)] == [
        "column 1",
        "column 2",
    ]


def test_a_kernel_per_column_is_drawn_where_there_is_room() -> None:
    def numbers(net: Net) -> list[str]:
        return [t for g in groups(net, "link") if g.data["from"] == "image" for t in texts(g)]

    assert numbers(loaded("alexnet")) == ["11"] * 4  # height and width, of each column
    assert numbers(load_rows("columns 3\na: conv 3x5, 6\nb: fc 2")) == ["3", "5"]


@pytest.mark.parametrize("name", OF_PAPERS)
def test_texts_are_legible_on_a4_and_do_not_overlap(name: str) -> None:
    picture = Volumes(loaded(name)).picture
    boxes = []
    for mark in picture.marks:
        if isinstance(mark, Text):
            # matplotlib's letters are 0.9 times as large, and as wide
            assert 0.9 * mark.size * min(1.0, PAGE[0] / picture.width) >= 7
            width = width_of(mark.text, mark.size) * (1.1 if mark.is_bold else 1.0)
            left = mark.at[0] - {"start": 0.0, "middle": width / 2, "end": width}[mark.anchor]
            boxes.append((left, left + width, mark.at[1] - 0.7 * mark.size, mark.at[1], mark.text))
            assert left >= 0
            assert left + width <= picture.width
            assert mark.at[1] <= picture.height
        else:
            for x, y in mark.points:
                assert 0 <= x <= picture.width
                assert 0 <= y <= picture.height
    for one, other in combinations(boxes, 2):
        is_apart = one[1] <= other[0] or other[1] <= one[0]
        is_apart |= one[3] <= other[2] or other[3] <= one[2]
        assert is_apart, f"{one} and {other}"


@pytest.mark.parametrize("name", ["alexnet", "vgg16_3", "lenet5"])
def test_kernels_are_inside_the_volume_before(name: str) -> None:
    for group in groups(loaded(name), "link"):
        panes = [mark for mark in group.marks if isinstance(mark, Line) and mark.is_closed]
        (before,) = [
            g
            for g in groups(loaded(name), "volume")
            if g.data["row"] == group.data["from"] and g.data.get("column", "1") == "1"
        ]
        front, side = (before.marks[i] for i in (2, 1))
        assert isinstance(front, Line)
        assert isinstance(side, Line)
        left, right = front.points[0][0], side.points[2][0]
        for pane in panes:
            assert all(left - 1e-9 <= x <= right + 1e-9 for x, _ in pane.points)


def test_a_long_net_continues_below_with_its_last_volume() -> None:
    drawn = groups(loaded("vgg19"), "volume")
    (place,) = (i for i, group in enumerate(drawn) if "repeated" in group.data)
    before, again = drawn[place - 1], drawn[place]
    assert (before.data["row"], before.data["shape"]) == (again.data["row"], again.data["shape"])
    assert sides(before) == pytest.approx(sides(again), rel=1e-9)
    lows = [
        max(y for mark in g.marks if isinstance(mark, Line) for _, y in mark.points) for g in drawn
    ]
    highs = [
        min(y for mark in g.marks if isinstance(mark, Line) for _, y in mark.points) for g in drawn
    ]
    assert max(lows[:place]) < min(highs[place:])
    # each volume but the input has the link that leads to it, once
    assert len(groups(loaded("vgg19"), "link")) == len(volumes(loaded("vgg19"))) - 1
    assert repr(Volumes(loaded("vgg19"))) == "<Drawing of vgg19, 20 volumes>"


def test_the_svg_has_a_group_per_volume_and_says_what_it_is() -> None:
    root = ElementTree.fromstring(Volumes(loaded("alexnet")).svg.encode())
    assert root.find(f"{SVG}title") is not None
    assert (root.get("role"), root.get("width")) == (
        "img",
        f"{root.get('viewBox', '').split()[2]}pt",
    )
    found = [g for g in root.iter(f"{SVG}g") if g.get("class") == "volume"]
    shown = [(g.get("data-row"), g.get("data-shape"), g.get("data-column")) for g in found]
    assert shown[:3] == [
        ("image", "224x224x3", None),
        ("C1", "55x55x48", "1"),
        ("C1", "55x55x48", "2"),
    ]
    assert len(found) == 1 + 2 * 7 + 1
    assert found[1].findtext(f"{SVG}title") == "C1: 55x55x48 on each of 2 columns"


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ("\n".join(f"c{n}: conv 1x1, 6" for n in range(500)), 501),
        ("columns 100\n" + "\n".join(f"c{n}: conv 1x1, 100" for n in range(6)) + "\nf: fc 2", 602),
    ],
)
def test_a_net_that_is_too_large_is_not_laid_out(rows: str, count: int) -> None:
    with pytest.raises(DataError, match=f"it has {count}, and at most {MOST} are laid out"):
        Volumes(load_rows(rows))


def test_hostile_titles_are_text() -> None:
    title = r"a <b>x</b> &amp; $\N$ 'q' ]]> ü"
    svg = Volumes(loads(f'net a "{title}"\ninput image 8x8x3\na: fc 2')).svg
    shown = ["".join(t.itertext()) for t in ElementTree.fromstring(svg.encode()).iter(f"{SVG}text")]
    assert title in shown


def test_the_same_net_gives_the_same_drawing() -> None:
    svg = Volumes(loaded("alexnet")).svg
    assert svg == Volumes(loaded("alexnet")).svg
    assert not re.search(r"\d\.\d{3}", svg)  # two decimals
