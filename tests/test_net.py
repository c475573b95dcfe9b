from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

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
