"""A net: a spec that was read and checked."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import perf_counter

from netspec.check import check
from netspec.graph import Graph, Totals
from netspec.infer import infer
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, Problems, SpecError
from netspec.language.elaborate import elaborate
from netspec.language.parse import parse
from netspec.language.read import accept, read
from netspec.language.source import Source


class Net:
    """A network as its spec describes it: every shape derived, every claim true.

    ``repr`` is the table of the paper, derived; a notebook shows it as HTML.

    Attributes:
        name: the name in the header.
        title: the title in the header, often the paper's.
        graph: the stages and how they are joined.
        source: the spec's text.
        settings: the parameters that were set from outside.
        notes: claims that do not apply under these settings.
        claims: how many claims were checked.
        seconds: how long each step took.
    """

    def __init__(
        self,
        name: str,
        title: str,
        graph: Graph,
        source: Source,
        settings: Mapping[str, Setting],
        notes: tuple[Diagnostic, ...],
        claims: int,
        seconds: Mapping[str, float],
    ) -> None:
        self.name = name
        self.title = title
        self.graph = graph
        self.source = source
        self.settings = dict(settings)
        self.notes = notes
        self.claims = claims
        self.seconds = dict(seconds)

    @cached_property
    def totals(self) -> Totals:
        """Parameters, buffers, multiply-accumulates and neurons, without the heads."""
        return self.graph.totals([s.name for s in self.graph.stages() if not s.head])

    @cached_property
    def totals_with_heads(self) -> Totals:
        return self.graph.totals([s.name for s in self.graph.stages()])

    def __repr__(self) -> str:
        from netspec.views.table import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from netspec.views.table import as_html

        return as_html(self)


def load(spec: str | Path, /, **settings: Setting) -> Net:
    """Read and check a spec.

    Args:
        spec: the path of a ``.net`` file, or the name of a bundled spec such as ``"googlenet"``.
        settings: values of the net's parameters; a string is read as the spec would read it.

    Raises:
        SpecError: the spec has mistakes; its text shows all of them, ``diagnostics`` lists them.
    """
    return from_source(read(spec), settings)


def loads(text: str, name: str = "<text>", /, **settings: Setting) -> Net:
    """Read and check a spec that is already a string; ``name`` stands for it in messages."""
    return from_source(accept(Source(name, text)), settings)


def from_source(source: Source, settings: Mapping[str, Setting]) -> Net:
    """The one way from text to a checked net: parse, elaborate, infer, check."""
    problems = Problems()
    started = perf_counter()
    with _without_collecting():
        tree = parse(source, problems)
        parsed = perf_counter()
        name, title, graph, is_changed = elaborate(tree, problems, settings)
        infer(graph, problems)
        claims = check(graph, problems, is_changed=is_changed)
    if problems.errors:
        raise SpecError(problems.found)
    seconds = {"parse": parsed - started, "check": perf_counter() - parsed}
    return Net(name, title, graph, source, settings, tuple(problems.found), claims, seconds)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause the cyclic garbage collector: a large spec makes many objects, and all of them stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
