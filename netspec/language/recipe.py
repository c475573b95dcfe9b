"""Read ``train { ... }`` as a recipe, and check it against the net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from netspec.ir.expects import misplaced
from netspec.ir.graph import Graph, Input
from netspec.ir.guess import did_you_mean
from netspec.ir.recipe import (
    BY_KIND,
    BY_ROW,
    DIRECTIVES,
    MANY,
    NEEDED,
    Assigned,
    Center,
    Crop,
    Numbers,
    Recipe,
    RecipeStep,
    Resize,
)
from netspec.ir.shapes import Pair, Shape
from netspec.ir.symbols import any_symbolic
from netspec.language import syntax
from netspec.language.binding import bind, usage
from netspec.language.diagnostics import Diagnostic, Note
from netspec.language.scope import Reported, Scope


def read_recipe(
    statements: Sequence[syntax.Statement], graph: Graph, scope: Scope
) -> Recipe | None:
    """Return the recipe of a net, if its spec has one; report its mistakes."""
    recipes = [s for s in statements if isinstance(s, syntax.Train)]
    for extra in recipes[1:]:
        first = scope.span(recipes[0].at)
        notes = [Note(f"the first is on line {first.line}", first)]
        message = "a second `train` in one net"
        scope.problem("NS131", message, extra.at, help="keep one of the two", notes=notes)
    return _Reader(graph, scope).recipe(recipes[0]) if recipes else None


class _Reader:
    """The recipe of a net while its directives are read."""

    def __init__(self, graph: Graph, scope: Scope) -> None:
        self.graph = graph
        self.scope = scope
        self.result = Recipe()
        self.directives: dict[tuple[str, str], syntax.Name] = {}
        self.is_whole = True
        self.sized: tuple[Resize | Center | Crop, syntax.At] | None = None

    def recipe(self, statement: syntax.Train) -> Recipe | None:
        """Return the recipe; None if it is inherited and does not fit the input of the variant."""
        names = {directive.name.text for directive in statement.directives}
        in_order = sorted(statement.directives, key=lambda d: d.name.text == "augment")
        for directive in in_order:  # the size of an image is that after augment
            try:
                self._directive(directive)
            except Reported:
                self.is_whole = False
        missing = [f"`{name}`" for name in NEEDED if name not in names]
        if missing and names <= set(DIRECTIVES):
            message = f"the recipe does not have {' and '.join(missing)}"
            help = f"every recipe needs {', '.join(NEEDED)}"
            self.scope.problem("NS150", message, statement.at, help=help)
        return self.result if self._fits(is_inherited=statement.is_inherited) else None

    def _directive(self, directive: syntax.Directive) -> None:
        name = directive.name
        if name.text not in DIRECTIVES:
            guess = did_you_mean(name.text, DIRECTIVES)
            help = guess or f"a recipe has {', '.join(DIRECTIVES)}"
            message = f"a recipe has no `{name.text}`"
            raise self.scope.problem("NS151", message, name.at, help=help)
        rows = self._rows(directive)
        for target in directive.rows or (name,):
            key = "" if target is name else target.text
            first = self.directives.setdefault((name.text, key), target)
            if first is not target:
                span = self.scope.span(first.at)
                notes = [Note(f"first given on line {span.line}", span)]
                message = f"`{name.text}` is given twice" + (f" for {key}" if key else "")
                help = "keep one of the two"
                raise self.scope.problem("NS131", message, target.at, help=help, notes=notes)
        steps = [self._step(name, step) for step in directive.steps]
        if name.text == "prepare":
            require_order(steps, directive.steps, self.scope)
        if name.text in BY_ROW:
            self._assign(directive, rows, steps)
            return
        if not steps or (name.text not in MANY and len(steps) != 1):
            takes = "at least one step" if name.text in MANY else "one step"
            message = f"`{name.text}` has {takes}, and this has {len(steps) or 'none'}"
            help = usages(name.text)
            raise self.scope.problem("NS152", message, name.at, help=help)
        getattr(self.result, name.text).extend(steps)

    def _assign(
        self, directive: syntax.Directive, rows: tuple[str, ...], steps: list[RecipeStep]
    ) -> None:
        name, run = directive.name, directive.run
        if len(steps) != (run is None):
            needs = "takes its weights from a run" if run else "has one step"
            has = "none" if not steps else "a step as well" if run else len(steps)
            message = f"`{name.text}` {needs}, and this has {has}"
            help = usages(name.text)
            raise self.scope.problem("NS152", message, name.at, help=help)
        step = steps[0] if steps else None
        getattr(self.result, name.text).append(Assigned(step, rows, run.text if run else ""))

    def _rows(self, directive: syntax.Directive) -> tuple[str, ...]:
        """Return the rows that a directive names; report unknown and untrained ones."""
        name = directive.name.text
        if directive.run is not None and name != "init":
            at = directive.run.at
            help = 'write: init from "RUN" for ROWS'
            raise self.scope.problem("NS152", "only `init` reads a run", at, help=help)
        if directive.rows and name not in BY_ROW:
            at, help = directive.rows[0].at, f"write `for` only after {', '.join(BY_ROW)}"
            message = f"`{name}` applies to the whole net"
            raise self.scope.problem("NS152", message, at, help=help)
        known = {r.label: r for r in self.graph.rows.values() if not r.is_inner}
        words = ("bias", "weight") if name in BY_KIND else ()
        for row in directive.rows:
            if row.text in words:
                continue
            if row.text not in known:
                if self.scope.is_broken or self.scope.problems.errors:
                    continue
                help = did_you_mean(row.text, [*known, *words]) or "`for` names rows of the net"
                message = f"there is no row `{row.text}`"
                raise self.scope.problem("NS111", message, row.at, help=help)
            stages = (self.graph.stage(s) for s in known[row.text].stages)
            if not any(stage.op.is_trained for stage in stages):
                message = f"row {row.text} has no parameters"
                help = "name rows with trained parameters"
                raise self.scope.problem("NS153", message, row.at, help=help)
        return tuple(row.text for row in directive.rows)

    def _step(self, directive: syntax.Name, step: syntax.Step) -> RecipeStep:
        bound = read_step(directive, step, self.scope)
        if isinstance(bound, Resize | Center | Crop):
            self.sized = bound, step.at
        return bound

    def _fits(self, *, is_inherited: bool) -> bool:
        """Return True if the recipe's images have the size of the net's input; report if not."""
        inputs = [self.graph.stage(name) for name in self.graph.inputs]
        if self.sized is None or len(inputs) != 1 or not self.is_whole:
            return True
        op, (step, at) = inputs[0].op, self.sized
        assert isinstance(op, Input)
        if not op.size.is_map or any_symbolic(op.size) or op.size[:2] == step.size:
            return True
        message, help = misfit_text(step, step.size, op.size), SIZE_HELP
        if is_inherited:
            message = f"the recipe of the base does not apply: {message}"
            note = Diagnostic("NS306", message, self.scope.span(at), help=help, severity="note")
            self.scope.problems.diagnostics.append(note)
            return False
        self.scope.problem("NS154", message, at, help=help)
        return False


def read_step(directive: syntax.Name, step: syntax.Step, scope: Scope) -> RecipeStep:
    """Return a step of a directive.

    Raises:
        Reported: the directive does not have such a step, or its values are wrong.
    """
    kinds = DIRECTIVES[directive.text]
    names = list(dict.fromkeys(kind.name for kind in kinds))
    first, *values = step.items
    if directive.text in names:  # `batch 128`: the directive is the step
        name, arguments = directive, list(step.items)
    else:
        name = first.value  # type: ignore[assignment]
        known = isinstance(name, syntax.Name) and first.key is None and name.text in names
        if not known:
            text = scope.span(first.at).text
            message = f"`{directive.text}` has no step `{text}`"
            help = did_you_mean(text, names) or f"its steps are {', '.join(names)}"
            raise scope.problem("NS151", message, first.at, help=help)
        arguments = values
    named = [kind for kind in kinds if kind.name == name.text]
    # `subtract mean image` and `subtract 104 117 123` are two steps with one name
    takes_numbers = bool(arguments) and not isinstance(arguments[0].value, syntax.Name)
    kind = next((k for k in named if issubclass(k, Numbers) == takes_numbers), named[0])
    return bind(kind, name, _with_filter(kind, arguments), scope).value


def require_order(
    steps: Sequence[RecipeStep], written: Sequence[syntax.Step], scope: Scope
) -> None:
    """Check that each step of ``prepare`` can come after those before it.

    Raises:
        Reported: a step cannot.
    """
    if mistake := misplaced(steps):
        at = written[mistake.place].at
        raise scope.problem("NS157", mistake.message, at, help=mistake.help)


def _with_filter(
    kind: type[RecipeStep], arguments: Sequence[syntax.Argument]
) -> Sequence[syntax.Argument]:
    """Return arguments in which ``with bilinear`` is ``filter=bilinear``."""
    if "filter" not in (attribute.name for attribute in kind.attributes()):
        return arguments
    for place, (word, filter) in enumerate(pairwise(arguments)):
        if word.key is None and isinstance(word.value, syntax.Name) and word.value.text == "with":
            key = syntax.Name("filter", word.value.at)
            named = syntax.Argument(key, filter.value, (word.at[0], filter.at[1]))
            return [*arguments[:place], named, *arguments[place + 2 :]]
    return arguments


def usages(directive: str) -> str:
    """Return the usage of the steps of a directive."""
    written = [usage(kind).removeprefix("usage: ") for kind in DIRECTIVES[directive]]
    if directive == "init":
        written.append('from "RUN"')
    return f"write {'one of: ' if len(written) > 1 else ''}{'; '.join(written)}"


def misfit(
    steps: Sequence[RecipeStep], shape: Shape, recipe: Recipe | None
) -> Resize | Center | None:
    """Return the step of ``prepare`` that gives images another size than that of the net's input.

    It is the last of ``resize`` and ``center``.  Where a recipe cuts crops, they have that size,
    and images may be larger.
    """
    crops = recipe is not None and any(isinstance(step, Crop) for step in recipe.augment)
    sizes = [step for step in steps if isinstance(step, Resize | Center)]
    if not sizes or crops or not shape.is_map or any_symbolic(shape):
        return None
    return None if shape[:2] == sizes[-1].size else sizes[-1]


def misfit_text(step: RecipeStep, size: Pair, shape: Shape) -> str:
    """Return what is wrong with the size of images after a step."""
    height, width = size
    return f"images come out of `{step.name}` as {height}x{width}, and the net takes {shape}"


SIZE_HELP = "the last of resize, center and crop must give the size of the net's input"
