"""A net: a spec that was read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from numbers import Number
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
from netspec.errors import LabelError, require_type, warn_user
from netspec.ir.expects import Expects
from netspec.ir.graph import Graph, Totals
from netspec.ir.guess import did_you_mean
from netspec.ir.recipe import Recipe
from netspec.ir.rows import Rows, TableRow, find, table
from netspec.ir.shapes import Shape
from netspec.ir.source import Source
from netspec.ir.symbols import names
from netspec.ir.values import Value
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.language.diagnostics import Diagnostic, Problems, SpecError, SpecWarning
from netspec.language.elaborate import elaborate
from netspec.language.files import Files, ResolvedFiles
from netspec.language.read import NAMED, accept
from netspec.language.saved import opened
from netspec.language.variant import derive
from netspec.printing import plain_data, printer

LISTED = 30
"""Rows that an error lists."""


@dataclass(eq=False, repr=False)
class Net:
    """A network as its spec describes it: every shape is derived, every claim is checked.

    ``repr`` is the table of the paper, with derived values; a notebook shows it as HTML.
    ``net["C1"]`` is a row.

    Attributes:
        name: Name in the header.
        title: Title in the header, often that of the paper.
        graph: Stages and their connections.
        source: Text of the spec.
        settings: Parameters that were set by the caller.
        parameters: Parameters in the header with their defaults; one without is a symbol.
        notes: Claims that do not apply with these settings.
        warnings: Parts of the spec that are valid and probably a mistake.
        claims: Number of claims that hold.
        documents: Printed tables, each cell with its derived value.
        recipe: Learning recipe, if the spec has one.
        expects: How input images are prepared, and what the outputs mean.
        files: Other files that the spec was made from.
        seconds: Time of each step of reading.
        has_heads: False if the auxiliary heads, which only training needs, were removed.
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
    def rows(self) -> Rows:
        """Rows of the table in order: labels, operators, shapes, counts."""
        return table(self.graph)

    def __getitem__(self, label: str) -> TableRow:
        """Return the row of a label, or a stage by its name.

        Args:
            label: Label of a row (``"3a"``), also inside a block, or name of a stage (``"3a.b1"``).

        Raises:
            LabelError: The net does not have it. LabelError is a KeyError.
        """
        require_type("label", label, str, "the label of a row")
        try:
            return find(self.graph, label)
        except KeyError:
            labels = [row.label for row in self.rows]
            guess = did_you_mean(label, [*labels, *self.graph.rows, *self.graph.nx])
            more = f", ... ({counted(len(labels), 'row')})" if len(labels) > LISTED else ""
            raise LabelError(
                f"{self.name} does not have a row `{label}`{f'; {guess}' if guess else ''}\n"
                f"its rows: {', '.join(labels[:LISTED])}{more}"
            ) from None

    def __contains__(self, label: object) -> bool:
        return any(row.label == label for row in self.rows)

    def __iter__(self) -> Iterator[TableRow]:
        return iter(self.rows)

    @cached_property
    def symbols(self) -> list[str]:
        """Symbols in the sizes and counts; a net with symbols cannot run."""
        sizes = [d for stage in self.graph.stages() for d in stage.known_shape]
        counts = self.totals_with_heads
        return sorted({name for value in (*sizes, *counts) for name in names(value)})

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input: (height, width, channels) or (n,)."""
        return self.graph.stage(self.graph.inputs[0]).known_shape

    @property
    def answers_by(self) -> str:
        """``most`` if the largest output is the answer, ``least`` if the smallest is."""
        return self.graph.stage(self.graph.outputs[0]).op.answers_by

    def require_numbers(self) -> None:
        """Raise SpecError if sizes or counts are symbols: such a net can be checked but not run."""
        if not self.symbols:
            return
        listed = ", ".join(self.symbols)
        message = f"{self.name} has symbols without a value: {listed}"
        help = f"give each a number: {' '.join(f'--set {name}=8' for name in self.symbols)}"
        span = self.graph.stage(self.graph.inputs[0]).span
        raise SpecError([Diagnostic("NS121", message, span, help=help)])

    @cached_property
    def totals(self) -> Totals:
        """Parameters, buffers, multiply-accumulates and neurons for one image, without heads."""
        return self.graph.totals([s.name for s in self.graph.stages() if not s.head])

    @cached_property
    def totals_with_heads(self) -> Totals:
        """The same totals with the auxiliary heads."""
        return self.graph.totals([s.name for s in self.graph.stages()])

    def without_heads(self) -> Net:
        """Return the net without its auxiliary heads and their parameters, for inference."""
        graph = self.graph.copy()
        heads, graph.heads = graph.heads, {}
        graph.sweep([head.output for head in heads.values()])
        graph.rows = {k: row for k, row in self.graph.rows.items() if row.output in graph}
        return replace(self, graph=graph, has_heads=False)

    def drawing(self, style: str = "graph", direction: str | None = None) -> Any:
        """Return a drawing of the net, which a notebook shows; see ``netspec.draw``."""
        return printer("Drawing").drawing_of(self, style, direction)

    def exchanges(self) -> Any:
        """Return what the columns of the net exchange, as ``netspec summary --columns`` prints it.

        Raises:
            DataError: The net does not have columns.
            SpecError: The net has symbols.
        """
        return printer("Exchanges").exchanges(self)

    def as_json(self) -> dict[str, Any]:
        """Return what ``netspec summary --json`` prints."""
        data: dict[str, Any] = plain_data(printer("Summary").summary(self))
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a net as its text; unpickling reads and checks it again."""
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
    net = from_source(Source(name, text), settings, {k: Source(*f) for k, f in files.items()})
    return net if has_heads else net.without_heads()


Spec = Net | str | Path
"""A spec as the functions that are named after commands take it."""

NET = f"a net, {NAMED}"
"""The same in words, for messages."""


def load(spec: str | Path, /, **settings: Setting) -> Net:
    """Read and check a spec.

    Args:
        spec: Path of a ``.net`` file or of a run directory, or name of a bundled spec.
            ``"mynet"`` is the file ``mynet.net`` if there is one, else the bundled spec.
        settings: Values of the net's parameters. A string is parsed as in a spec.

    Raises:
        SpecError: The spec has mistakes. Its text shows all of them, ``diagnostics`` lists them.
        TypeError: An argument has a wrong type.

    Warns:
        SpecWarning: The spec is valid, and a part of it is probably a mistake.
        UserWarning: A local file hides a bundled spec of the same name.
    """
    return _warned(from_source(*opened(spec, settings)))


def loads(text: str, name: str = "<text>", /, **settings: Setting) -> Net:
    """Read and check a spec that is a string.

    It may be a variant of bundled specs and import from them, but not from other files.

    Args:
        text: The spec.
        name: Its name in messages.
        settings: Values of the net's parameters. A string is parsed as in a spec.

    Raises:
        SpecError: The spec has mistakes.
        TypeError: An argument has a wrong type.

    Warns:
        SpecWarning: The spec is valid, and a part of it is probably a mistake.
    """
    require_type("text", text, str, "the text of a spec")
    require_type("name", name, str, "a name for messages, as text")
    return _warned(from_source(accept(Source(name, text)), settings))


def net_of(
    spec: Spec, settings: Mapping[str, Setting] | None = None, *, argument: str = "spec"
) -> Net:
    """Return a net as it is, or load a spec.

    Args:
        spec: A net, a path or a name.
        settings: Values of the parameters of a spec.
        argument: Name of ``spec`` in messages.

    Raises:
        SpecError: The spec has mistakes.
        TypeError: ``spec`` is not a net, a path or a name, or a net comes with settings.
    """
    require_net(spec, argument)
    if isinstance(spec, Net):
        refuse_settings(settings)
        return spec
    return _warned(from_source(*opened(spec, settings or {})))


def examined_spec(
    spec: Spec, settings: Mapping[str, Setting] | None = None
) -> tuple[Net, Problems]:
    """Return the net of a spec and its problems, as :func:`examined`.

    A net is examined again from its text.
    """
    require_net(spec, "spec")
    if isinstance(spec, Net):
        refuse_settings(settings)
        return examined(spec.source, spec.settings, spec.files)
    return examined(*opened(spec, settings or {}))


def require_net(spec: object, argument: str) -> None:
    """Raise TypeError if an argument is not a net, a path or a name."""
    require_type(argument, spec, (Net, str, os.PathLike), NET)


def refuse_settings(settings: Mapping[str, Setting] | None) -> None:
    """Raise TypeError if a net comes with settings."""
    if settings:
        _require_settings(settings)
        listed = ", ".join(settings)
        raise TypeError(f"a Net has its settings already: load its spec again to set {listed}")


def _require_settings(settings: object) -> None:
    expected = "a dictionary of names and values"
    require_type("settings", settings, Mapping, expected)
    assert isinstance(settings, Mapping)
    for name in settings:
        require_type("each name in settings", name, str, "the name of a parameter")


def _warned(net: Net) -> Net:
    if net.warnings:
        warn_user(SpecWarning(net.warnings))
    return net


def from_source(
    source: Source, settings: Mapping[str, Setting], files: ResolvedFiles | None = None
) -> Net:
    """Return the net of a spec; raise SpecError if it has mistakes.

    ``files`` are the files that it asks for, where they are known.
    """
    net, problems = examined(source, settings, files)
    if problems.errors:
        raise SpecError(problems.errors)
    return net


def examined(
    source: Source, settings: Mapping[str, Setting], files: ResolvedFiles | None = None
) -> tuple[Net, Problems]:
    """Parse, elaborate, infer and check a net; return it and its problems.

    Raise SpecError if shapes cannot be derived; wrong claims and printed tables do not raise.
    """
    _require_settings(settings)
    for key, value in settings.items():
        require_type(key, value, (str, Number, tuple), 'a number or a text such as "3x3"')
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
        if claims_hold:  # if a claim is wrong, cells are wrong for the same reason
            for problem in (problem for _, diagnostics in examinations for problem in diagnostics):
                # settings may make a table inapplicable, or an erratum right by chance
                is_note = elaborated.is_changed or (settings and problem.code == "NS402")
                problems.diagnostics.append(not_applying(problem) if is_note else problem)
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
