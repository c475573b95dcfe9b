"""Expand pipes to stages: expand blocks, evaluate conditions, bind arguments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.ir.source import Call
from netspec.ir.values import BlockName, Value, Word, describe
from netspec.language import foreign, syntax
from netspec.language.binding import Bound, bind
from netspec.language.body import Operands
from netspec.language.expressions import condition, value_or_unknown
from netspec.language.incoming import Incoming, Later, Sizes
from netspec.language.limits import MAX_DEPTH, MAX_STAGES
from netspec.language.scope import Macro, Reported, Scope, Unknown
from netspec.language.translate import end_of_call, translated
from netspec.language.walk import named


@dataclass(slots=True)
class Planned:
    """A stage that has no name yet: an operator, perhaps with the branches that it joins.

    ``bound`` is None if an argument depends on the stage's input.
    """

    operator: type[Operator]
    bound: Bound[Operator] | None
    at: syntax.At
    scope: Scope
    stage: syntax.Stage | None = None
    branches: list[list[Plan]] | None = None
    placed: list[str] = field(default_factory=list)
    """The name of the stage in the graph."""


@dataclass(slots=True)
class PlannedRows:
    """The call of a block whose body is rows."""

    block: syntax.Block
    body: tuple[syntax.Inner, ...]
    at: syntax.At
    scope: Scope
    placed: list[str] = field(default_factory=list)
    """The names of the stages that are not in branches."""


@dataclass(slots=True)
class Entered:
    """The begin of a call of a block with arguments that depend on the call's input."""

    incoming: Incoming
    arguments: list[Later]
    placed: tuple[()] = ()

    def enter(self, operands: Operands) -> None:
        """Evaluate the arguments for the input of the call, so that mistakes are reported."""
        self.incoming.operands = operands
        for argument in self.arguments:
            argument.value()


@dataclass(slots=True)
class Lost:
    """A stage with a reported mistake: the input of the next stage is unknown."""

    placed: tuple[()] = ()


Plan = Planned | PlannedRows | Entered | Lost


class Expander:
    """Expands pipes, and counts stages against the limits of the language."""

    def __init__(self, sizes: Sizes) -> None:
        self.spent = 0
        self.sizes = sizes
        self._names: dict[int, frozenset[str]] = {}
        self._once: dict[int, frozenset[str]] = {}

    def pipe(
        self, pipe: syntax.Pipe, scope: Scope, depth: int = 0, joined_by: str = ""
    ) -> list[Plan]:
        """Return the stages of a pipe, in order."""
        return [plan for _, plans in self.named(pipe, scope, depth, joined_by) for plan in plans]

    def named(
        self, pipe: syntax.Pipe, scope: Scope, depth: int = 0, joined_by: str = ""
    ) -> list[tuple[str, list[Plan]]]:
        """Return the word of each operator or block of a pipe, with its stages.

        ``joined_by`` is the operator whose branch the pipe is, for messages.
        """
        parts: list[tuple[str, list[Plan]]] = []
        for stage in pipe.stages:
            self._spend(stage, scope)
            try:
                meaning = self._meaning(stage, scope, joined_by)
                word = meaning.block.name.text if isinstance(meaning, Macro) else meaning.name
                if stage.condition is None or self._holds(stage.condition, scope):
                    parts.append((word, self._stage(meaning, stage, scope, depth)))
            except Reported:
                parts.append((stage.name.text, [Lost()]))
        return parts

    def depends(self, node: object, scope: Scope) -> bool:
        """Return True if the value of a node of the syntax tree depends on ``channels``."""
        # A node is expanded many times; the tree keeps it, so that its id is not used again.
        if id(node) not in self._names:
            self._names[id(node)] = frozenset(name.text for name in named(node))
        return not scope.later.isdisjoint(self._names[id(node)])

    def _holds(self, node: syntax.Expression, scope: Scope) -> bool:
        """Return the value of a condition; report it if it depends on ``channels``."""
        if self.depends(node, scope):
            message = "a condition cannot depend on `channels`"
            help = "give the block an argument that is on or off, or write two blocks"
            raise scope.problem("NS146", message, node.at, help=help)
        return condition(node, scope)

    def _spend(self, stage: syntax.Stage, scope: Scope) -> None:
        self.spent += 1
        if self.spent > MAX_STAGES:
            message = f"the net expands to more than {MAX_STAGES:,} stages"
            help = "a block calls other blocks too many times: write fewer calls"
            raise scope.stop("NS005", message, stage.at, help=help)

    def _stage(
        self,
        meaning: type[Operator] | Macro,
        stage: syntax.Stage,
        scope: Scope,
        depth: int,
    ) -> list[Plan]:
        if depth + len(scope.calls) >= MAX_DEPTH:
            message = f"blocks and branches nest more than {MAX_DEPTH} deep"
            help = "use fewer levels of blocks and branches"
            raise scope.stop("NS006", message, stage.name.at, help=help)
        if isinstance(meaning, Macro):
            return self._call(meaning, stage, scope, depth)
        branches = stage.branches
        if branches is not None and meaning.takes != "many":
            message = f"{meaning.name} takes one input, not branches"
            help = "only concat, add and mul join branches"
            raise scope.problem("NS208", message, stage.name.at, help=help)
        planned = None
        if branches is not None:
            planned = [self.pipe(b, scope, depth + 1, meaning.name) for b in branches]
        is_known = not self.depends(stage.arguments, scope)
        bound = bind(meaning, stage.name, stage.arguments, scope) if is_known else None
        return [Planned(meaning, bound, stage.at, scope, stage, planned)]

    def bound(self, plan: Planned, operands: Operands) -> Bound[Operator]:
        """Return the operator of a stage whose operands are in the graph.

        Raises:
            Reported: an argument is wrong, or depends on an unknown input.
        """
        if plan.bound is not None:
            return plan.bound
        assert plan.stage is not None
        scope = plan.scope.reading(Incoming(self.sizes, operands))
        return bind(plan.operator, plan.stage.name, plan.stage.arguments, scope)

    def _meaning(self, stage: syntax.Stage, scope: Scope, joined_by: str) -> type[Operator] | Macro:
        """Return the operator or block that a stage names."""
        name = stage.name
        if name.text in scope.later:
            message = f"`{name.text}` is a number of channels, not an operator"
            raise scope.problem("NS112", message, name.at, help="name an operator or a block here")
        value = scope.value(name)
        if isinstance(value, BlockName):
            assert isinstance(value.macro, Macro)
            return value.macro
        if isinstance(value, Word):
            if value.text in OPERATORS:
                return OPERATORS[value.text]
            guess = foreign.operator(value.text)
            if stage.arguments:
                source, start, end = scope.span(stage.at)
                written = translated(source.text[start : end_of_call(source.text, start, end)])
                guess = f"write `{written}`" if written else guess
            if not stage.arguments or not guess:  # `pool 2x2` is meant as an operator
                _refuse_label(name, scope, joined_by)
            candidates = set(OPERATORS) | set(scope.net.blocks)
            guess = guess or scope.problems.did_you_mean(value.text, candidates)
            help = guess or "`netspec ops` lists the operators"
            message = f"there is no operator or block `{value.text}`"
            raise scope.problem("NS112", message, name.at, help=help)
        message = f"`{name.text}` is {describe(value)}, not an operator"
        raise scope.problem("NS112", message, name.at, help="name an operator or a block here")

    def _call(self, macro: Macro, stage: syntax.Stage, scope: Scope, depth: int) -> list[Plan]:
        block, name = macro.block, macro.block.name.text
        if any(call.defined == block.at for call in scope.calls):
            message = f"the block `{name}` calls itself"
            help = "a block is a macro: it cannot contain itself"
            raise scope.problem("NS114", message, stage.name.at, help=help)
        if stage.branches is not None:
            message = f"the block `{name}` takes no branches"
            help = "put the branches into the block's body"
            raise scope.problem("NS208", message, stage.name.at, help=help)
        incoming = Incoming(self.sizes)
        given = self._arguments(block, stage, scope)
        bound = {key: self.value(node, scope, incoming) for key, node in given.items()}
        calls = (*scope.calls, Call(name, block.at, scope.span(stage.name.at)))
        inner = macro.home.inside(calls, bound)
        # A kernel's stride replaces a default that is used in one place: in another it would stay.
        once = self._used_once(block)
        inner.defaulted = {k for k, node in given.items() if k in once and scope.is_default(node)}
        inner.later |= {key for key, value in bound.items() if isinstance(value, Later)}
        for parameter in block.parameters:
            key, default = parameter.name.text, parameter.default
            if key not in bound and default is not None:
                bound[key] = self.value(default, inner, incoming)
                inner.defaulted |= {key} & once
                if isinstance(bound[key], Later):
                    inner.later.add(key)
        later = [value for value in bound.values() if isinstance(value, Later)]
        entered: list[Plan] = [Entered(incoming, later)] if later else []
        if isinstance(block.body, syntax.Pipe):
            return [*entered, *self.pipe(block.body, inner, depth)]
        return [*entered, PlannedRows(block, block.body, stage.at, inner)]

    def _used_once(self, block: syntax.Block) -> frozenset[str]:
        """Return the names that the body and the defaults of a block use in one place."""
        if id(block) not in self._once:
            used = (block.body, *(p.default for p in block.parameters))
            uses = Counter(name.text for name in named(used))
            self._once[id(block)] = frozenset(name for name, count in uses.items() if count == 1)
        return self._once[id(block)]

    def value(
        self, node: syntax.Expression, scope: Scope, incoming: Incoming
    ) -> Value | Unknown | Later:
        """Return the value of an argument of a block; Later if it depends on ``channels``."""
        if not self.depends(node, scope):
            return value_or_unknown(node, scope)
        reading = scope.reading(incoming)
        return Later(lambda: value_or_unknown(node, reading))

    def _arguments(
        self, block: syntax.Block, stage: syntax.Stage, scope: Scope
    ) -> dict[str, syntax.Expression]:
        """Return the arguments of a call by name; raise Reported if they do not fit the block."""
        name, parameters = block.name.text, {p.name.text: p for p in block.parameters}
        usage = f"usage: {name} {', '.join(parameters)}".rstrip()
        given: dict[str, syntax.Expression] = {}
        places = iter(parameters)
        seen_keyword = failed = False
        for argument in stage.arguments:
            key = argument.key.text if argument.key else next(places, None)
            if argument.key is None and seen_keyword:
                code, message = "NS134", "a value without a name comes after a named value"
            elif key is None:
                code, message = "NS116", f"too many arguments: `{name}` takes {len(parameters)}"
            elif key not in parameters:
                code, message = "NS116", f"the block `{name}` has no argument `{key}`"
            elif key in given:
                code, message = "NS131", f"`{key}` is given twice"
            else:
                given[key] = argument.value
                seen_keyword |= argument.key is not None
                continue
            guesses = scope.problems.did_you_mean
            help = guesses(key, parameters) if key and code == "NS116" else ""
            scope.problem(code, message, argument.at, help=help or usage)
            failed = True
        missing = [n for n, p in parameters.items() if n not in given and p.default is None]
        if missing and not failed:
            words = ", ".join(f"`{m}`" for m in missing)
            message = f"the block `{name}` needs {words}"
            scope.problem("NS116", message, stage.at, help=usage)
            failed = True
        if failed:
            raise Reported
        return given


def _refuse_label(name: syntax.Name, scope: Scope, joined_by: str) -> None:
    """Raise Reported, after reporting it, if an operator's name is the label of a row or input."""
    label = name.text
    kind = scope.kinds.get(label) or scope.net.kinds.get(label)
    if kind is None:
        if label == "input" and joined_by:
            message = "`input` is not an operator"
            help = "a branch that passes on the input of the stage is `identity`"
            raise scope.problem("NS112", message, name.at, help=help)
        return
    if kind == "head":
        help = "rows cannot read a head: name the row that the head reads"
    elif label not in scope.kinds:
        help = "a block cannot read rows outside of it: it reads its input"
    elif joined_by:
        help = (
            "branches start from the input of the stage; "
            f"to join rows write `LABEL from {label}, OTHER: {joined_by}`"
        )
    else:
        help = f"name the rows to read after `from`: `LABEL from {label}: relu`"
    article = "an" if kind == "input" else "a"
    message = f"`{label}` is the label of {article} {kind}, not an operator"
    raise scope.problem("NS112", message, name.at, help=help)
