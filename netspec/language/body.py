"""The labels of the rows of a net, or of one call of a block, while they are elaborated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netspec.language import labels, syntax
from netspec.language.diagnostics import Note
from netspec.language.limits import MAX_STAGES
from netspec.language.scope import Scope

Operands = tuple[str, ...] | None
"""Names of the stages that the next stage reads; None after a reported mistake."""


@dataclass(slots=True)
class Label:
    """The meaning of a label, and whether it is used."""

    operands: Operands
    at: syntax.At
    kind: str
    is_used: bool = False


@dataclass(slots=True)
class Body:
    """The rows of the net, or of one call of a block, while they are elaborated."""

    scope: Scope
    prefix: str
    labels: dict[str, Label] = field(default_factory=dict)
    previous: Label | None = None
    head: str = ""
    is_inherited: bool = False
    stages: list[str] = field(default_factory=list)
    own_stages: list[str] = field(default_factory=list)
    is_broken: bool = False
    """True if a row named an unknown row: then another row may only seem unused."""

    def define(self, name: syntax.Name, operands: Operands, kind: str) -> Label:
        """Return a new label; report one that is defined already, whose first meaning stays."""
        label = Label(operands, name.at, kind)
        labels.refuse(name, self.scope)
        first = self.labels.get(name.text)
        if first is not None:
            span = self.scope.span(first.at)
            notes = [Note(f"first used on line {span.line}", span)]
            message = f"the label `{name.text}` is used twice"
            help = "give each row a different label"
            self.scope.problem("NS110", message, name.at, help=help, notes=notes)
            label.is_used = True
            return label
        self.labels[name.text] = label
        self.scope.kinds[name.text] = kind
        return label

    def use(self, name: syntax.Name, keyword: str) -> Operands:
        """Return the stages of a label, or None after reporting that there is no such row."""
        label = self.labels.get(name.text)
        if label is not None and label.kind != "head":
            label.is_used = True
            return label.operands
        if label is not None:
            help = "inference omits heads: name the row that the head reads"
            message = f"`{name.text}` is a head, not a row"
            self.scope.problem("NS111", message, name.at, help=help)
        elif not labels.refuse(name, self.scope) and not self.scope.net.lost_names:
            rows = (n for n, known in self.labels.items() if known.kind != "head")
            guess = self.scope.problems.did_you_mean(name.text, rows)
            help = guess or f"{keyword} names a row above this one"
            message = f"there is no row `{name.text}` above this one"
            notes, dropped = [], self.scope.net.dropped.get(name.text)
            if dropped is not None:
                notes = [Note(f"`{name.text}` is dropped here", self.scope.span(dropped))]
                help = f"replace `{name.text}` instead, or the rows that read it too"
            self.scope.problem("NS111", message, name.at, help=help, notes=notes)
        self.is_broken = True
        return None

    def read(self, names: Sequence[syntax.Name], at: syntax.At) -> Operands:
        """Return the stages of the labels after ``from``, in order."""
        return self._joined([self.use(name, "`from`") for name in names], at)

    def returned(self, names: Sequence[syntax.Name], at: syntax.At) -> Operands:
        """Return the stages of the labels after ``output``, by default those of the last row."""
        seen: set[str] = set()
        for name in names:
            if name.text in seen:
                message = f"`{name.text}` is returned twice"
                self.scope.problem("NS131", message, name.at, help="name each output once")
            seen.add(name.text)
        operands = [self.use(name, "`output`") for name in names]
        if not names and self.previous is not None:
            self.previous.is_used = True
            operands = [self.previous.operands]
        self._report_unused()
        return self._joined(operands, at)

    def _joined(self, sources: Sequence[Operands], at: syntax.At) -> Operands:
        if any(operands is None for operands in sources):
            return None
        joined = tuple(name for operands in sources for name in operands or ())
        if len(joined) > MAX_STAGES:
            message = f"more than {MAX_STAGES:,} stages are read here"
            help = "a block returns the same rows many times: return fewer rows"
            raise self.scope.stop("NS005", message, at, help=help)
        return joined

    def _report_unused(self) -> None:
        if self.is_broken or self.scope.net.is_broken:
            return
        for name, label in self.labels.items():
            if not label.is_used:
                message = f"nothing uses the {label.kind} `{name}`"
                word = labels.written(name)
                help = f"remove it, read it with `from {word}`, or return it with `output {word}`"
                self.scope.problem("NS118", message, label.at, help=help)
