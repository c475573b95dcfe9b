"""A net: a spec that was read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

from netspec.checking.claims import check, not_applying
from netspec.checking.columns import check_columns
from netspec.checking.sizes import infer
from netspec.checking.tables import Document, examine
from netspec.collecting import without_collecting
from netspec.ir.graph import Graph, Totals
from netspec.ir.recipe import Recipe
from netspec.ir.shapes import Shape
from netspec.ir.source import Source
from netspec.ir.symbols import names
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, Problems, SpecError
from netspec.language.elaborate import elaborate
from netspec.language.files import Files, Found
from netspec.language.read import accept, read
from netspec.language.variant import derive
from netspec.printing import printer


@dataclass(eq=False, repr=False)
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
        claims: how many claims hold.
        documents: printed tables, cell by cell beside what is derived.
        recipe: how the net is trained, if the spec says so.
        files: other files that the spec was made from.
        seconds: how long each step took.
    """

    name: str
    title: str
    graph: Graph
    source: Source
    settings: Mapping[str, Setting]
    _: KW_ONLY
    notes: tuple[Diagnostic, ...]
    claims: int
    documents: tuple[Document, ...]
    recipe: Recipe | None
    files: Found
    seconds: Mapping[str, float]

    def __post_init__(self) -> None:
        self.settings, self.files = dict(self.settings), dict(self.files)
        self.seconds = dict(self.seconds)

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols in the net's sizes; a net that has any cannot run."""
        sizes = [d for stage in self.graph.stages() for d in stage.known_shape]
        counts = self.totals_with_heads
        return sorted({name for value in (*sizes, *counts) for name in names(value)})

    @property
    def input_shape(self) -> Shape:
        """Of the first input."""
        return self.graph.stage(self.graph.inputs[0]).known_shape

    def require_numbers(self) -> None:
        """Raise SpecError when sizes or counts are symbols: such a net can be checked, not run."""
        if not self.symbols:
            return
        listed = ", ".join(self.symbols)
        message = f"{self.name} has symbols without a value: {listed}"
        help = f"give each a number: {' '.join(f'--set {name}=8' for name in self.symbols)}"
        place = self.graph.stage(self.graph.inputs[0]).span
        raise SpecError([Diagnostic("NS121", message, place, help=help)])

    @cached_property
    def totals(self) -> Totals:
        """Parameters, buffers, multiply-accumulates and neurons, without the heads."""
        return self.graph.totals([s.name for s in self.graph.stages() if not s.head])

    @cached_property
    def totals_with_heads(self) -> Totals:
        return self.graph.totals([s.name for s in self.graph.stages()])

    def __reduce__(self) -> tuple[Any, ...]:
        """A net is pickled as its text, and read and checked again."""
        files = {key: (file.name, file.text) for key, file in self.files.items()}
        return _reread, (self.source.name, self.source.text, self.settings, files)

    def __repr__(self) -> str:
        return str(printer("Net").as_text(self))

    def _repr_html_(self) -> str:
        return str(printer("Net").as_html(self))


def _reread(
    name: str,
    text: str,
    settings: dict[str, Setting],
    files: dict[tuple[str, str], tuple[str, str]],
) -> Net:
    found = {key: Source(*file) for key, file in files.items()}
    return from_source(Source(name, text), settings, found)


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
    """A net from a spec without errors; ``files`` are those it asks for, where they are known."""
    net, problems = examined(source, settings, files)
    if problems.errors:
        raise SpecError(problems.errors)
    return net


def examined(
    source: Source, settings: Mapping[str, Setting], files: Found | None = None
) -> tuple[Net, Problems]:
    """The one way from text to a net: parse, elaborate, infer, check; and all that is wrong.

    Raises SpecError when the net has no shapes; what it claims and prints may still be wrong.
    """
    problems = Problems()
    started = perf_counter()
    with without_collecting():
        reader = Files(problems, files)
        tree = derive(reader.tree(source), reader)
        parsed = perf_counter()
        made = elaborate(tree, reader, settings)
        graph = made.graph
        infer(graph, problems)
        check_columns(graph, problems)
        if problems.errors:
            check(graph, problems, is_changed=made.is_changed)
            raise SpecError(problems.errors)
        before = len(problems.found)
        claims = check(graph, problems, is_changed=made.is_changed)
        claims -= len(problems.found) - before
        claims_hold = not problems.errors
        held = [examine(document, made.scope, graph) for document in made.documents]
        if claims_hold:  # otherwise cells are wrong for the same reason
            for problem in (problem for _, found in held for problem in found):
                # under settings a table need not apply, and what is false may be right by chance
                is_told = made.is_changed or (settings and problem.code == "NS402")
                problems.found.append(not_applying(problem) if is_told else problem)
    net = Net(
        made.name,
        made.title,
        graph,
        source,
        settings,
        notes=tuple(d for d in problems.found if d.severity == "note"),
        claims=claims,
        documents=tuple(document for document, _ in held),
        recipe=made.recipe,
        files=reader.found,
        seconds={"parse": parsed - started, "check": perf_counter() - parsed},
    )
    return net, problems
