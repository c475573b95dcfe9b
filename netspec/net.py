"""A net: a spec that was read and checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

from netspec.checking.claims import check, not_applying
from netspec.checking.classes import check_classes
from netspec.checking.columns import check_columns
from netspec.checking.mistakes import warn_of_idle, warn_of_order, warn_of_unused
from netspec.checking.sizes import infer
from netspec.checking.tables import Document, examine
from netspec.collecting import without_collecting
from netspec.ir.expects import Expects
from netspec.ir.graph import Graph, Totals
from netspec.ir.recipe import Recipe
from netspec.ir.shapes import Shape
from netspec.ir.source import Source
from netspec.ir.symbols import names
from netspec.ir.values import Value
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, Problems, SpecError, SpecWarning
from netspec.language.elaborate import elaborate
from netspec.language.files import Files, ResolvedFiles
from netspec.language.read import accept
from netspec.language.saved import opened
from netspec.language.variant import derive
from netspec.printing import printer


@dataclass(eq=False, repr=False)
class Net:
    """A network as its spec describes it, with every shape derived and every claim checked.

    ``repr`` is the table of the paper, derived; a notebook shows it as HTML.

    Attributes:
        name: the name in the header.
        title: the title in the header, often the paper's.
        graph: the stages and their connections.
        source: the spec's text.
        settings: the parameters that were set from outside.
        parameters: the parameters in the header with their defaults; one without is a symbol.
        notes: claims that do not apply under these settings.
        warnings: what is valid, and is probably a mistake.
        claims: the number of claims that hold.
        documents: printed tables, each cell with its derived value.
        recipe: the learning recipe, if the spec has one.
        expects: what the spec says of images that go in, and of the outputs.
        files: other files that the spec was made from.
        seconds: the time of each step of reading.
        has_heads: False if the heads of the spec, which only training needs, were left out.
    """

    name: str
    title: str
    graph: Graph
    source: Source
    settings: Mapping[str, Setting]
    _: KW_ONLY
    parameters: Mapping[str, Value]
    notes: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    claims: int
    documents: tuple[Document, ...]
    recipe: Recipe | None
    expects: Expects
    files: ResolvedFiles
    seconds: Mapping[str, float]
    has_heads: bool = True

    def __post_init__(self) -> None:
        self.settings, self.files = dict(self.settings), dict(self.files)
        self.seconds = dict(self.seconds)

    @cached_property
    def symbols(self) -> list[str]:
        """The symbols in the net's sizes; a net with symbols cannot run."""
        sizes = [d for stage in self.graph.stages() for d in stage.known_shape]
        counts = self.totals_with_heads
        return sorted({name for value in (*sizes, *counts) for name in names(value)})

    @property
    def input_shape(self) -> Shape:
        """Of the first input."""
        return self.graph.stage(self.graph.inputs[0]).known_shape

    @property
    def answers_by(self) -> str:
        """Whether the ``most`` or the ``least`` of the outputs is the net's answer."""
        return self.graph.stage(self.graph.outputs[0]).op.answers_by

    def require_numbers(self) -> None:
        """Raise SpecError if sizes or counts are symbols: such a net can be checked, not run."""
        if not self.symbols:
            return
        listed = ", ".join(self.symbols)
        message = f"{self.name} has symbols without a value: {listed}"
        help = f"give each a number: {' '.join(f'--set {name}=8' for name in self.symbols)}"
        span = self.graph.stage(self.graph.inputs[0]).span
        raise SpecError([Diagnostic("NS121", message, span, help=help)])

    @cached_property
    def totals(self) -> Totals:
        """Parameters, buffers, multiply-accumulates and neurons, without the heads."""
        return self.graph.totals([s.name for s in self.graph.stages() if not s.head])

    @cached_property
    def totals_with_heads(self) -> Totals:
        return self.graph.totals([s.name for s in self.graph.stages()])

    def without_heads(self) -> Net:
        """Return the net without its auxiliary heads and their parameters: for inference."""
        graph = self.graph.copy()
        heads, graph.heads = graph.heads, {}
        graph.sweep([head.output for head in heads.values()])
        graph.rows = {k: row for k, row in self.graph.rows.items() if row.output in graph}
        return replace(self, graph=graph, has_heads=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a net as its text, to be read and checked again."""
        files = {key: (file.name, file.text) for key, file in self.files.items()}
        return _reread, (
            self.source.name,
            self.source.text,
            self.settings,
            files,
            self.has_heads,
        )

    def __repr__(self) -> str:
        return str(printer("Net").as_text(self))

    def _repr_html_(self) -> str:
        return str(printer("Net").as_html(self))


def _reread(
    name: str,
    text: str,
    settings: dict[str, Setting],
    files: dict[tuple[str, str], tuple[str, str]],
    has_heads: bool = True,
) -> Net:
    known = {key: Source(*file) for key, file in files.items()}
    net = from_source(Source(name, text), settings, known)
    return net if has_heads else net.without_heads()


def load(spec: str | Path, /, **settings: Setting) -> Net:
    """Read and check a spec.

    Args:
        spec: the path of a ``.net`` file or of a run directory, or the name of a bundled spec such
            as ``"googlenet"``.
        settings: values of the net's parameters; a string is parsed as in a spec.

    Raises:
        SpecError: the spec has mistakes; its text shows all of them, ``diagnostics`` lists them.

    Warns:
        SpecWarning: it is valid, and has what is probably a mistake.
    """
    return _warned(from_source(*opened(spec, settings)))


def loads(text: str, name: str = "<text>", /, **settings: Setting) -> Net:
    """Read and check a spec that is a string; ``name`` is its name in messages.

    It may be a variant of bundled specs and import from them, but from no other file.
    """
    return _warned(from_source(accept(Source(name, text)), settings))


def _warned(net: Net) -> Net:
    if net.warnings:
        warnings.warn(SpecWarning(net.warnings), stacklevel=3)
    return net


def from_source(
    source: Source, settings: Mapping[str, Setting], files: ResolvedFiles | None = None
) -> Net:
    """Return the net of a spec; ``files`` are those it asks for, where they are known."""
    net, problems = examined(source, settings, files)
    if problems.errors:
        raise SpecError(problems.errors)
    return net


def examined(
    source: Source, settings: Mapping[str, Setting], files: ResolvedFiles | None = None
) -> tuple[Net, Problems]:
    """Parse, elaborate, infer and check a net; return it and its problems.

    Raise SpecError if the net has no shapes; wrong claims and printed tables do not raise.
    """
    problems = Problems()
    started = perf_counter()
    with without_collecting():
        reader = Files(problems, files)
        tree = derive(reader.tree(source), reader)
        parsed = perf_counter()
        elaborated = elaborate(tree, reader, settings)
        graph = elaborated.graph
        infer(graph, problems)
        warn_of_order(graph, problems)
        check_columns(graph, problems)
        if problems.errors:
            check(graph, problems, is_changed=elaborated.is_changed)
            raise SpecError([*problems.errors, *problems.warnings])
        warn_of_idle(graph, problems)
        warn_of_unused(tree, reader.sources, problems)
        classes = check_classes(
            elaborated.expects.classes,
            tree.statements,
            graph,
            elaborated.scope,
            problems,
            is_changed=elaborated.is_changed,
        )
        before = len(problems.diagnostics)
        claims = check(graph, problems, is_changed=elaborated.is_changed)
        claims -= len(problems.diagnostics) - before
        claims_hold = not problems.errors
        examinations = [
            examine(document, elaborated.scope, graph) for document in elaborated.documents
        ]
        if claims_hold:  # otherwise cells are wrong for the same reason
            for problem in (problem for _, diagnostics in examinations for problem in diagnostics):
                # under settings a table need not apply, and what is false may be right by chance
                is_told = elaborated.is_changed or (settings and problem.code == "NS402")
                problems.diagnostics.append(not_applying(problem) if is_told else problem)
    net = Net(
        elaborated.name,
        elaborated.title,
        graph,
        source,
        settings,
        parameters=elaborated.parameters,
        notes=tuple(d for d in problems.diagnostics if d.severity == "note"),
        warnings=tuple(problems.warnings),
        claims=claims,
        documents=tuple(document for document, _ in examinations),
        recipe=elaborated.recipe,
        expects=replace(elaborated.expects, classes=classes),
        files=reader.resolved,
        seconds={"parse": parsed - started, "check": perf_counter() - parsed},
    )
    return net, problems
