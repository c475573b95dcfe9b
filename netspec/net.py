"""A net: a spec that was read and checked."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import perf_counter

from netspec.check import check
from netspec.document import Document, examine
from netspec.graph import Graph, Totals
from netspec.infer import infer
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, Problems, SpecError
from netspec.language.elaborate import elaborate
from netspec.language.files import Files, Found
from netspec.language.read import accept, read
from netspec.language.source import Source
from netspec.language.variant import derive
from netspec.recipe import Recipe
from netspec.symbols import names


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
        documents: printed tables, cell by cell beside what is derived.
        recipe: how the net is trained, if the spec says so.
        files: other files that the spec was made from.
        seconds: how long each step took.
    """

    def __init__(
        self,
        name: str,
        title: str,
        graph: Graph,
        source: Source,
        settings: Mapping[str, Setting],
        *,
        notes: tuple[Diagnostic, ...],
        claims: int,
        documents: tuple[Document, ...],
        recipe: Recipe | None,
        files: Found,
        seconds: Mapping[str, float],
    ) -> None:
        self.name = name
        self.title = title
        self.graph = graph
        self.source = source
        self.settings = dict(settings)
        self.notes = notes
        self.claims = claims
        self.documents = documents
        self.recipe = recipe
        self.files = dict(files)
        self.seconds = dict(seconds)

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols in the net's sizes; a net that has any cannot run."""
        shapes = [stage.known_shape for stage in self.graph.stages()]
        return sorted({name for shape in shapes for d in shape for name in names(d)})

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
    """Read and check a spec that is already a string; ``name`` stands for it in messages.

    It may be a variant of bundled specs and import from them, but from no other file.
    """
    return from_source(accept(Source(name, text)), settings)


def from_source(source: Source, settings: Mapping[str, Setting], files: Found | None = None) -> Net:
    """The one way from text to a checked net: parse, elaborate, infer, check.

    ``files`` are those that the spec asks for, where they have been read before.
    """
    problems = Problems()
    started = perf_counter()
    with _without_collecting():
        reader = Files(problems, files)
        tree = derive(reader.tree(source), reader)
        parsed = perf_counter()
        made = elaborate(tree, reader, settings)
        graph = made.graph
        infer(graph, problems)
        is_whole = not problems.errors
        claims = check(graph, problems, is_changed=made.is_changed)
        documents = tuple(
            examine(document, made.scope, graph, is_changed=made.is_changed)
            for document in made.documents
            if is_whole
        )
    if problems.errors:
        raise SpecError(problems.found)
    return Net(
        made.name,
        made.title,
        graph,
        source,
        settings,
        notes=tuple(problems.found),
        claims=claims,
        documents=documents,
        recipe=made.recipe,
        files=reader.found,
        seconds={"parse": parsed - started, "check": perf_counter() - parsed},
    )


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
