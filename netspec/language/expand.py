"""Expand pipes to stages: expand blocks, evaluate conditions, bind arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from netspec.ir.operator import Operator
from netspec.ir.ops import OPERATORS
from netspec.ir.source import Call
from netspec.ir.values import BlockName, Value, Word, describe
from netspec.language import foreign, syntax
from netspec.language.binding import Bound, bind
from netspec.language.expressions import condition, value_or_unknown
from netspec.language.limits import MAX_DEPTH, MAX_STAGES
from netspec.language.scope import Macro, Reported, Scope, Unknown


@dataclass(slots=True)
class Planned:
    """A stage that has no name yet: an operator, perhaps with the branches that it joins."""

    bound: Bound[Operator]
    at: syntax.At
    scope: Scope
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
class Lost:
    """A stage with a reported mistake: the input of the next stage is unknown."""

    placed: tuple[()] = ()


Plan = Planned | PlannedRows | Lost


class Expander:
    """Expands pipes, and counts stages against the limits of the language."""

    def __init__(self) -> None:
        self.spent = 0

    def pipe(self, pipe: syntax.Pipe, scope: Scope, depth: int = 0) -> list[Plan]:
        """Return the stages of a pipe, in order."""
        return [plan for _, plans in self.named(pipe, scope, depth) for plan in plans]

    def named(
        self, pipe: syntax.Pipe, scope: Scope, depth: int = 0
    ) -> list[tuple[str, list[Plan]]]:
        """Return the word of each operator or block of a pipe, with its stages."""
        parts: list[tuple[str, list[Plan]]] = []
        for stage in pipe.stages:
            self._spend(stage, scope)
            try:
                meaning = self._meaning(stage.name, scope)
                word = meaning.block.name.text if isinstance(meaning, Macro) else meaning.name
                if stage.condition is None or condition(stage.condition, scope):
                    parts.append((word, self._stage(meaning, stage, scope, depth)))
            except Reported:
                parts.append((stage.name.text, [Lost()]))
        return parts

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
        planned = None if branches is None else [self.pipe(b, scope, depth + 1) for b in branches]
        bound = bind(meaning, stage.name, stage.arguments, scope)
        return [Planned(bound, stage.at, scope, planned)]

    def _meaning(self, name: syntax.Name, scope: Scope) -> type[Operator] | Macro:
        """Return the operator or block that a stage names."""
        value = scope.value(name)
        if isinstance(value, BlockName):
            assert isinstance(value.macro, Macro)
            return value.macro
        if isinstance(value, Word):
            if value.text in OPERATORS:
                return OPERATORS[value.text]
            candidates = set(OPERATORS) | set(scope.net.blocks)
            guess = foreign.operator(value.text)
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
        bound = self._arguments(block, stage, scope)
        calls = (*scope.calls, Call(name, block.at, scope.span(stage.name.at)))
        inner = macro.home.inside(calls, bound)
        for parameter in block.parameters:
            if parameter.name.text not in bound and parameter.default is not None:
                bound[parameter.name.text] = value_or_unknown(parameter.default, inner)
        if isinstance(block.body, syntax.Pipe):
            return self.pipe(block.body, inner, depth)
        return [PlannedRows(block, block.body, stage.at, inner)]

    def _arguments(
        self, block: syntax.Block, stage: syntax.Stage, scope: Scope
    ) -> dict[str, Value | Unknown]:
        """Return the arguments of a call by name; raise Reported if they do not fit the block."""
        name, parameters = block.name.text, {p.name.text: p for p in block.parameters}
        usage = f"usage: {name} {', '.join(parameters)}".rstrip()
        bound: dict[str, Value | Unknown] = {}
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
            elif key in bound:
                code, message = "NS131", f"`{key}` is given twice"
            else:
                bound[key] = value_or_unknown(argument.value, scope)
                seen_keyword |= argument.key is not None
                continue
            guesses = scope.problems.did_you_mean
            help = guesses(key, parameters) if key and code == "NS116" else ""
            scope.problem(code, message, argument.at, help=help or usage)
            failed = True
        missing = [n for n, p in parameters.items() if n not in bound and p.default is None]
        if missing and not failed:
            words = ", ".join(f"`{m}`" for m in missing)
            message = f"the block `{name}` needs {words}"
            scope.problem("NS116", message, stage.at, help=usage)
            failed = True
        if failed:
            raise Reported
        return bound
