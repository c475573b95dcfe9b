from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import example, given

from netspec import Net, loads
from netspec.ir.columns import exchanging
from netspec.views.boxes import Box, Contents
from netspec.views.drawing import EXCHANGE, digraph, rendered
from netspec.views.lanes import Lanes
from tests.helpers import load_rows, loaded
from tests.views.chains import chains

SVG = "{http://www.w3.org/2000/svg}"
RESIDUAL = """
columns 2
a: conv 3x3, 8, pad=1 | relu
b: add {
    conv 3x3, 8, pad=1, groups=2
    identity
} | relu
c: concat { conv 1x1, 4; maxpool 3x3, pad=1 }
d: fc 6
head aux from b: fc 4
"""


def lanes(net: Net) -> dict[str, int]:
    contents = Contents(net.graph)
    found = Lanes(net.graph, contents)
    return {name: found.of(name) for name in contents.items}


def crossing_rows(net: Net) -> set[str]:
    """The rows of the boxes that an edge from another column leads to, or of the output."""
    contents = Contents(net.graph)
    found = Lanes(net.graph, contents)
    rows = set()
    for edge in contents.edges:
        if edge.is_seen and any(way.is_exchange for way in found.ways(edge.tail, edge.head)):
            head, tail = contents.items[edge.head], contents.items[edge.tail]
            box = head if isinstance(head, Box) else tail
            assert isinstance(box, Box)
            rows.add(box.row)
    return rows


def test_a_net_without_columns_has_one_lane() -> None:
    assert set(lanes(loaded("googlenet")).values()) == {1}
    assert EXCHANGE["color"] not in digraph(loaded("googlenet")).source


def test_alexnet_has_two_lanes_from_c1_to_f8() -> None:
    found = lanes(loaded("alexnet"))
    whole = [name for name, number in found.items() if number == 1]
    assert whole == ["image", "F8.softmax", "F8.softmax out"]
    assert set(found.values()) == {1, 2}


def test_alexnet_exchanges_at_c3_and_the_fully_connected_layers() -> None:
    dashed = re.findall(
        rf"^\t(.*) -> (.*) \[.*{EXCHANGE['color']}", digraph(loaded("alexnet")).source, re.MULTILINE
    )
    assert [pair for pair in dashed if "C3" in pair[1]] == [
        ('"S2.maxpool%column1"', '"C3%column2"'),
        ('"S2.maxpool%column2"', '"C3%column1"'),
    ]
    assert {head.strip('"').split("%")[0] for _, head in dashed} == {
        "C3",
        "F6",
        "F7",
        "F8.softmax",
        "F8",
    }


def test_a_lane_has_the_sizes_and_the_kernels_of_one_column() -> None:
    source = digraph(loaded("alexnet")).source
    assert "conv 5x5/1, 128<" in source  # 256 kernels in two groups
    assert source.count("27x27x128") == 2
    assert source.count(">fc 500<") == 2
    assert "groups" not in source
    assert source.count(">column 1<") == source.count(">column 2<") == 11


@given(chains())
@example(loaded("alexnet"))
@example(load_rows(RESIDUAL))
@example(load_rows("columns 3\na: conv 3x3, 6\nb: lrn 3\nc: conv 3x3, 6, groups=3"))
@example(load_rows("columns 2\na: conv 3x3, 8"))
def test_lanes_cross_exactly_where_columns_exchange(net: Net) -> None:
    assert crossing_rows(net) == set(exchanging(net.graph))


def test_columns_keep_their_order_in_the_layout() -> None:
    net = load_rows(
        "columns 3\na: conv 3x3, 12 | lrn 3\nb: conv 3x3, 30, groups=3\n"
        "c: conv 1x1, 9 | maxpool 3x3/2\nd: upsample 2, by=nearest\ne: fc 7"
    )
    svg = ElementTree.fromstring(rendered(net, "svg"))
    left: dict[str, list[float]] = {}
    for group in svg.iter(f"{SVG}g"):
        title = group.findtext(f"{SVG}title") or ""
        name, _, column = title.partition("%column")
        if column and "->" not in title:  # no edge
            left.setdefault(name, []).append(float(next(group.iter(f"{SVG}text")).get("x", "")))
    assert set(left) == {"a", "b", "c", "c.maxpool", "d.upsample"}
    for places in left.values():
        assert places == sorted(places)
        assert len(places) == 3


def test_symbols_are_divided() -> None:
    net = loads("net a(n)\ncolumns 2\ninput image 8x8x3\na: conv 3x3, 2*n\nb: fc 4")
    source = digraph(net).source
    assert source.count("conv 3x3/1, n<") == 2
    assert source.count("6 x 6 x n") == 2
