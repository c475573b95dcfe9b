"""Scopes: the meanings of names at a place of a spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from netspec.ir.ops import OPERATORS
from netspec.ir.source import Call, Sources, Span
from netspec.ir.symbols import MAX_OPERATIONS
from netspec.ir.values import BlockName, Value, Word
from netspec.language import syntax
from netspec.language.diagnostics import Note, Problems, SpecError, call_notes
from netspec.language.incoming import CHANNELS, Incoming, Later
from netspec.language.limits import MAX_VALUES

WORDS = {
    word for operator in OPERATORS.values() for a in operator.attributes() for word in a.kind.words
} | {"on", "off"}
"""Words that are values of attributes."""


class Reported(Exception):
    """Raised after a mistake is reported; the code that catches it continues without the value."""


class Unknown:
    """The value of a definition with a mistake; its uses are not reported."""


@dataclass(slots=True)
class Budget:
    """The remaining cost of expressions; those of a block cost again in each call."""

    values: int = MAX_VALUES
    operations: int = MAX_OPERATIONS
    """Those with symbols."""


@dataclass(slots=True, eq=False)
class Macro:
    """A block, and the names of the file that defines it."""

    block: syntax.Block
    home: Scope


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a file, or of one call of a block; ``outer`` is the enclosing scope."""

    sources: Sources
    problems: Problems
    bound: dict[str, Value | Unknown | Later] = field(default_factory=dict)
    blocks: dict[str, Macro] = field(default_factory=dict)
    defaults: dict[tuple[str, str], tuple[syntax.Argument, Scope]] = field(default_factory=dict)
    """``default`` statements by (operator or empty, attribute)."""
    lost_defaults: list[tuple[str, str]] = field(default_factory=list)
    """``default`` statements with a mistake: the operator and attribute, empty if unknown."""
    outer: Scope | None = None
    calls: tuple[Call, ...] = ()
    budget: Budget = field(default_factory=Budget)
    below: set[str] = field(default_factory=set)
    """Constants that are defined further down."""
    is_broken: bool = False
    """True if a statement does not parse: the rows that it reads are not reported as unused."""
    derived: Callable[[syntax.Quantity], Value] | None = None
    """Returns a derived quantity of a row or stage; set where sentences may use them."""
    dropped: Mapping[str, syntax.At] = field(default_factory=dict)
    """The places where a variant drops labels of its base."""
    kinds: dict[str, str] = field(default_factory=dict)
    """The labels above, each with what it is: an input, a row or a head."""
    lost_names: bool = False
    """True if a definition does not parse: unknown names may be a consequence."""
    incoming: Incoming | None = None
    """The input of the stage whose arguments are evaluated; None outside of arguments."""
    later: set[str] = field(default_factory=lambda: {CHANNELS})
    """``channels``, and the arguments of the block whose values depend on it."""
    defaulted: set[str] = field(default_factory=set)
    """The arguments of the block that its call does not give."""

    def value(self, name: syntax.Name) -> Value:
        """Return the value of a name; an undefined name is a word.

        Raises:
            Reported: its definition has a mistake, is further down, or may be lost.
        """
        scope: Scope | None = self
        while scope is not None:
            if name.text in scope.bound:
                value = scope.bound[name.text]
                if isinstance(value, Later):
                    value = value.value()
                if isinstance(value, Unknown):
                    raise Reported
                return value
            if name.text in scope.blocks:
                return BlockName(name.text, scope.blocks[name.text])
            scope = scope.outer
        if name.text == CHANNELS:
            return self._channels(name)
        if name.text in self.net.below:
            help = "move its `let` above this line"
            raise self.problem("NS113", f"`{name.text}` is defined below", name.at, help=help)
        if self.net.lost_names and not self.knows_word(name.text):
            raise Reported
        return Word(name.text)

    def _channels(self, name: syntax.Name) -> int:
        """Return the channels of the input of the stage whose arguments are evaluated."""
        if self.incoming is None:
            message = "`channels` is the channels of a stage's input, and no stage has it here"
            help = "only arguments of stages and of calls of blocks can use it: `groups=channels`"
            raise self.problem("NS146", message, name.at, help=help)
        operands = self.incoming.operands
        if operands is not None and len(operands) != 1:
            message = f"`channels` needs one input, and this stage has {len(operands)}"
            help = "join the inputs first, or write the number of channels"
            raise self.problem("NS208", message, name.at, help=help)
        shape = self.incoming.shape()
        if shape is None:  # reported, now or when the sizes are inferred
            self.net.is_broken = True
            raise Reported
        return shape.channels

    def quantity(self, node: syntax.Quantity) -> Value:
        """Return a quantity of a row or stage; only sentences of a document may use them."""
        if self.derived is None:
            message = f"`{node.text}` is derived from the finished net, and cannot be used here"
            help = "only `says` in a document can use derived values"
            raise self.problem("NS145", message, node.at, help=help)
        return self.derived(node)

    @property
    def net(self) -> Scope:
        """The scope of the file: of the net, or of an import."""
        return self if self.outer is None else self.outer.net

    def knows_word(self, word: str) -> bool:
        """Return True if a word belongs to the language."""
        return word in OPERATORS or word in WORDS

    def names(self) -> set[str]:
        """Return every name that is valid here, for `did you mean`."""
        inherited = self.outer.names() if self.outer else set()
        return inherited | set(self.bound) | set(self.blocks) | {CHANNELS}

    def inside(self, calls: tuple[Call, ...], bound: dict[str, Value | Unknown | Later]) -> Scope:
        """Return the scope of a call of a block of this file, at the end of a chain of calls."""
        return Scope(
            self.sources, self.problems, bound, outer=self.net, calls=calls, budget=self.budget
        )

    def reading(self, incoming: Incoming) -> Scope:
        """Return the scope of the arguments of a stage that reads ``incoming``."""
        return Scope(
            self.sources,
            self.problems,
            outer=self,
            calls=self.calls,
            budget=self.budget,
            incoming=incoming,
        )

    def is_default(self, node: syntax.Expression) -> bool:
        """Return True if an expression is an argument of the block that its call does not give."""
        if not isinstance(node, syntax.Name):
            return False
        scope: Scope | None = self
        while scope is not None and node.text not in scope.bound:
            scope = scope.outer
        return scope is not None and node.text in scope.defaulted

    def spend(self, at: syntax.At) -> None:
        """Count an evaluated part of an expression against the limit."""
        self.budget.values -= 1
        if self.budget.values < 0:
            message = f"expressions are evaluated more than {MAX_VALUES:,} times"
            help = "compute a value once, with `let`, outside the block that is called so often"
            raise self.stop("NS005", message, at, help=help)

    def spend_on_symbols(self, at: syntax.At) -> None:
        """Count an operation with symbols against its own limit."""
        self.budget.operations -= 1
        if self.budget.operations < 0:
            message = f"the net has more than {MAX_OPERATIONS:,} operations with symbols"
            help = "give the symbols values with --set, or check the net in parts"
            raise self.stop("NS005", message, at, help=help)

    def span(self, at: syntax.At) -> Span:
        return self.sources.span(at)

    def problem(
        self,
        code: str,
        message: str,
        at: syntax.At,
        *,
        help: str,
        notes: Iterable[Note] = (),
    ) -> Reported:
        """Report a mistake; return the exception for the caller to raise."""
        remarks = (*notes, *call_notes(self.calls))
        self.problems.add(code, message, self.span(at), help=help, notes=remarks)
        return Reported()

    def stop(self, code: str, message: str, at: syntax.At, *, help: str) -> SpecError:
        """Report an exceeded limit; return the exception for the caller to raise."""
        self.problem(code, message, at, help=help)
        return SpecError(self.problems.diagnostics)
