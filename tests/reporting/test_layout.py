from __future__ import annotations

import hashlib
import json
from html import unescape
from pathlib import Path

import pytest

import netspec
from netspec.reporting import layout, page

ASSETS = Path(page.__file__).parent / "assets"


def test_graphviz_lays_out_a_net_here() -> None:
    drawing = layout.laid_out(netspec.load("lenet5"))
    assert drawing.startswith("<svg ")
    assert drawing.rstrip().endswith("</svg>")
    assert "<!--" not in drawing
    assert not layout.needs_browser(drawing)


def test_without_graphviz_the_browser_lays_out_the_same_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    net = netspec.load("lenet5")
    part = layout.laid_out(net)
    assert layout.needs_browser(part)
    text = part[part.index('"graph-source">') + len('"graph-source">') :].removesuffix("</script>")
    assert json.loads(text) == net.drawing().source
    made = page.page("a", "", [page.Block("graph", "Graph", part)], [])
    assert "script-src 'sha256-" in unescape(made)
    assert "'wasm-unsafe-eval'" in unescape(made)
    assert "Viz.js 3.31.0" in made


def test_a_page_with_a_drawing_does_not_have_viz() -> None:
    part = layout.laid_out(netspec.load("lenet5"))
    made = page.page("a", "", [page.Block("graph", "Graph", part)], [])
    assert "Viz.js" not in made
    assert "unsafe" not in made


def test_viz_is_as_its_makers_published_it_with_its_licences() -> None:
    """The digest is that of dist/viz-global.js in @viz-js/viz 3.31.0 on registry.npmjs.org."""
    about = (ASSETS / "viz-licences.txt").read_text(encoding="utf-8")
    assert hashlib.sha256((ASSETS / "viz.js").read_bytes()).hexdigest() in about
    assert all(name in about for name in ("MIT License", "Eclipse Public License", "Expat"))
