from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import netspec
from netspec import SpecError, load, loads
from netspec.collecting import without_collecting
from netspec.language.read import BUNDLED
from tests.helpers import HEADER


def test_a_net_shows_its_table() -> None:
    shown = repr(load("lenet5"))
    assert "C3      conv             14x14x6    5x5x6/1, 16" in shown
    assert "60,850" in shown


def test_a_notebook_shows_html_that_cannot_be_injected() -> None:
    html = loads('net n "<script>"\ninput image 8x8x3\na: fc 10')._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert html.count("<tr>") == 3


def test_a_spec_is_a_path_or_a_bundled_name() -> None:
    assert load(BUNDLED / "alexnet.net").totals == load("alexnet").totals


def test_settings_are_keyword_arguments() -> None:
    net = loads("net n(classes=10)\ninput image 8x8x3\na: fc classes", classes=3)
    assert net.graph.stage("a").shape == (3,)


def test_errors_carry_their_diagnostics() -> None:
    with pytest.raises(SpecError) as caught:
        loads(HEADER + "a: cnov 3x3", "mine.net")
    assert [d.code for d in caught.value.diagnostics] == ["NS112"]
    assert "mine.net:3:4" in str(caught.value)


def test_importing_netspec_imports_nothing_else_of_it() -> None:
    program = (
        "import sys, netspec\n"
        "assert {m for m in sys.modules if m.startswith('netspec.')} <= {'netspec.moved'}\n"
        "assert not {'networkx', 'lark', 'torch'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_is_collected_afterwards_as_it_was_before(is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with suppress(ZeroDivisionError), without_collecting():
            assert not gc.isenabled()
            1 / 0  # noqa: B018
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_loading_and_checking_never_imports_torch() -> None:
    program = (
        "import sys, netspec, netspec.cli\n"
        "repr(netspec.load('googlenet'))\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "assert 'sympy' not in sys.modules, 'sympy was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_public_names_are_there() -> None:
    for name in netspec.__all__:
        assert getattr(netspec, name).__doc__, name
    with pytest.raises(AttributeError):
        netspec.nothing  # noqa: B018
    assert set(netspec.__all__) <= set(dir(netspec))


# -------------------------------------------------------------------------------------------- rows

NESTED = """net nested
input image 8x8x3
block pair(n) = {
    x: conv 1x1, n | relu
    y: conv 3x3, n
}
block outer(n) = {
    p: pair n
    q: pair n | relu
}
r: outer 4
s: pair 4
head h from r: gap | fc 2
t from s: fc 10
"""


def test_rows_have_the_data_of_the_table_and_the_json() -> None:
    net = load("googlenet")
    assert [row.as_json() for row in net.rows] == net.as_json()["rows"]
    row = net["conv2"]
    assert row in net.rows
    assert row.layers == ("conv", "relu", "conv", "relu", "norm")
    assert row.operators == ("conv", "relu", "conv", "relu", "lrn")
    assert (row.inputs, row.output) == (((56, 56, 64),), (56, 56, 192))
    assert row.kernel == "1x1x64/1, 64; 3x3x64/1, 192"
    assert (row.parameters, row.macs) == (114_944, 359_661_568)
    assert row.field.size == (19, 19)
    shown = [line.split() for line in repr(net).splitlines()]
    assert all(line.split() in shown for line in repr(net.rows).splitlines()[2:])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "alexnet"])
def test_the_counts_of_inner_rows_add_up(name: str) -> None:
    def check(row: netspec.TableRow) -> None:
        for inner in row.rows:
            check(inner)
        if row.rows:
            assert sum(inner.macs for inner in row.rows) == row.macs
            assert sum(inner.parameters for inner in row.rows) == row.parameters
            assert row.rows[-1].output == row.output

    for row in load(name).rows:
        check(row)


def test_a_block_is_expanded_into_its_rows() -> None:
    net = loads(NESTED)
    assert [row.label for row in net] == ["r", "s", "h", "t"]
    assert [row.label for row in net["r"].rows] == ["r.p", "r.q"]
    assert [row.label for row in net["r"].rows[0].rows] == ["r.p.x", "r.p.y"]
    assert [row.label for row in net["r.q"].rows] == ["r.q.x", "r.q.y", "r.q.relu"]
    assert net["s"].layers == ("pair",)
    assert net["s.x"].output == (4, 4, 4)
    assert net["h"].head == "h"
    assert net["t"].rows == ()


def test_a_row_that_is_missing_is_a_key_error_that_lists_the_rows() -> None:
    net = load("alexnet")
    assert "C1" in net
    assert "C9" not in net
    with pytest.raises(KeyError) as caught:
        net["c1"]
    assert str(caught.value) == (
        "alexnet does not have a row `c1`; did you mean `C1`?\n"
        "its rows: C1, S1, C2, S2, C3, C4, C5, S5, F6, F7, F8"
    )


def test_a_row_shows_its_line_of_the_table() -> None:
    row = load("lenet5")["C3"]
    assert repr(row).splitlines()[-1].startswith("C3    conv     14x14x6   5x5x6/1, 16")
    html = row._repr_html_()
    assert html.count("<tr>") == 2
    assert "5x5x6/1, 16" in html


def test_a_net_of_symbols_is_plain_data() -> None:
    net = load("inception_module")
    for data in (net.as_json(), net.rows[0].as_json(), netspec.diff(net, "lenet5").as_json()):
        assert json.loads(json.dumps(data)) == data
    assert net.as_json()["inputs"]["map"] == ["H", "W", "C1"]


def test_rows_of_equal_nets_are_equal() -> None:
    first, second = netspec.load("lenet5"), netspec.load("lenet5")
    assert first.rows == second.rows
    assert hash(first["C1"]) == hash(second["C1"])
    assert first["C1"] != first["C3"]


@pytest.mark.parametrize("name", ["", "folder"])
def test_what_is_not_the_name_of_a_spec_is_described(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    netspec.save("lenet5", "folder")
    reasons = {"": "the name is empty", "folder": "it is an artifact, not a spec"}
    with pytest.raises(SpecError, match=reasons[name]):
        load(name)
