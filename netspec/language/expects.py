"""Read ``prepare`` and ``classes``: the preparation of images, and the names of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from netspec.errors import DataError
from netspec.ir.expects import Expects
from netspec.ir.graph import Graph
from netspec.ir.guess import did_you_mean
from netspec.ir.recipe import Numbers, Order, Recipe, RecipeStep, TenCrop
from netspec.ir.shapes import Shape
from netspec.ir.source import Source, Sources
from netspec.ir.symbols import is_symbolic
from netspec.language import syntax
from netspec.language.diagnostics import Diagnostic, Note, Problems, SpecError
from netspec.language.files import Files, names_in
from netspec.language.parse import parse
from netspec.language.read import CLASSES, LIST, accept, class_lists, read_text
from netspec.language.recipe import SIZE_HELP, misfit, misfit_text, read_step, require_order
from netspec.language.scope import Reported, Scope


def read_expects(
    statements: Sequence[syntax.Statement],
    graph: Graph,
    scope: Scope,
    files: Files,
    recipe: Recipe | None,
) -> Expects:
    """Return the preparation of images and the names of classes; report mistakes.

    A recipe without ``prepare`` gets that of the net.
    """
    prepare = _prepare(statements, graph, scope, recipe)
    views = (
        "tencrop" if recipe and any(isinstance(s, TenCrop) for s in recipe.evaluate) else "center"
    )
    if recipe is not None and prepare is not None:
        recipe.prepare = list(prepare)
    return Expects(prepare, views, _classes(statements, scope, files))


def _prepare(
    statements: Sequence[syntax.Statement], graph: Graph, scope: Scope, recipe: Recipe | None
) -> tuple[RecipeStep, ...] | None:
    """Return the steps of ``prepare``, outside the recipe or in it; None without any."""
    own = [s for s in statements if isinstance(s, syntax.Prepare)]
    trains = [s for s in statements if isinstance(s, syntax.Train)]
    directives = [
        directive
        for train in trains
        for directive in train.directives
        if directive.name.text == "prepare"
    ]
    for extra in own[1:]:
        _twice(extra.at, own[0].at, scope)
    if own and directives:
        is_own_inherited, is_recipe_inherited = own[0].is_inherited, trains[0].is_inherited
        if is_own_inherited == is_recipe_inherited:
            _twice(directives[0].name.at, own[0].at, scope)
        elif is_own_inherited:  # the variant replaces the `prepare` of its base
            own = []
    if not own:
        _fits(recipe.prepare if recipe else (), directives, graph, scope)
        if recipe is not None and not directives and not scope.problems.errors:
            message = "the recipe does not say how images are prepared: values stay 0 to 255"
            help = "write `prepare range low=0, high=1`, or the steps of the paper"
            scope.problems.warn("NS504", message, scope.span(trains[0].at), help=help)
        return tuple(recipe.prepare) if recipe is not None else None
    name = syntax.Name("prepare", own[0].at)
    try:
        steps = tuple(read_step(name, step, scope) for step in own[0].steps)
        require_order(steps, own[0].steps, scope)
    except Reported:
        return None
    _fits(steps, own, graph, scope)
    return steps if _has_size(steps, own[0], graph, scope, recipe) else None


def _has_size(
    steps: Sequence[RecipeStep],
    written: syntax.Prepare,
    graph: Graph,
    scope: Scope,
    recipe: Recipe | None,
) -> bool:
    """Return True if images have the size of the net's input; report if not."""
    if len(graph.inputs) != 1:
        return True
    shape = graph.stage(graph.inputs[0]).op.size  # type: ignore[attr-defined]
    step = misfit(steps, shape, recipe)
    if step is None:
        return True
    at = next(w.at for s, w in zip(steps, written.steps, strict=True) if s is step)
    message = misfit_text(step, step.size, shape)
    if written.is_inherited:
        message = f"the `prepare` of the base does not apply: {message}"
        note = Diagnostic("NS306", message, scope.span(at), help=SIZE_HELP, severity="note")
        scope.problems.diagnostics.append(note)
    else:
        scope.problem("NS154", message, at, help=SIZE_HELP)
    return False


def _fits(
    steps: Sequence[RecipeStep],
    statements: Sequence[syntax.Prepare | syntax.Directive],
    graph: Graph,
    scope: Scope,
) -> None:
    """Report steps whose numbers are not one per channel of the net's input."""
    if len(graph.inputs) != 1 or not statements:
        return
    shape = graph.stage(graph.inputs[0]).op.size  # type: ignore[attr-defined]
    channels = shape[-1]
    if len(shape) != 3 or is_symbolic(channels):
        return
    for step, written in zip(steps, statements[0].steps, strict=False):
        if isinstance(step, Numbers) and len(step.numbers) not in (1, channels):
            message = (
                f"`{step.name}` has {len(step.numbers)} numbers, and the net's input has "
                f"{channels} channel{'s' if channels != 1 else ''}"
            )
            help = "give one number, or one per channel in the order of the channels"
            scope.problem("NS155", message, written.at, help=help)
        elif isinstance(step, Order) and step.channels == "bgr" and channels != 3:
            message = f"`order bgr` is for three channels, and the net's input has {channels}"
            scope.problem("NS155", message, written.at, help="remove it")


def _twice(at: syntax.At, first: syntax.At, scope: Scope) -> None:
    span = scope.span(first)
    notes = [Note(f"the first is on line {span.line}", span)]
    scope.problem(
        "NS131", "a second `prepare` in one net", at, help="keep one of the two", notes=notes
    )


# ---------------------------------------------------------------------------------------- classes


def _classes(statements: Sequence[syntax.Statement], scope: Scope, files: Files) -> tuple[str, ...]:
    """Return the names of a net's outputs; empty without ``classes``."""
    written = [s for s in statements if isinstance(s, syntax.Classes)]
    for extra in written[1:]:
        span = scope.span(written[0].at)
        notes = [Note(f"the first is on line {span.line}", span)]
        help = "keep one of the two"
        scope.problem("NS131", "a second `classes` in one net", extra.at, help=help, notes=notes)
    if not written:
        return ()
    names = [name.text for name in written[0].names]
    if len(names) == 1:
        listed = files.class_names(written[0].names[0])
        if listed is None:
            return ()
        names = listed
    _require_different(names, written[0], scope)
    return tuple(names)


def _require_different(names: Sequence[str], written: syntax.Classes, scope: Scope) -> None:
    """Report a name that is given to two outputs."""
    for place, name in enumerate(written.names if len(written.names) > 1 else ()):
        if name.text in names[:place]:
            message = f"two outputs have the name {name.text!r}"
            scope.problem("NS156", message, name.at, help="give each output a different name")


# ------------------------------------------------------------------------------- outside of a spec


def prepare_of(text: str, name: str = "prepare") -> tuple[RecipeStep, ...]:
    """Return the steps in a text, written as after ``prepare`` in a spec.

    Args:
        text: the steps, such as ``shorter 256 | center 224``.
        name: the name of the text in messages.

    Raises:
        SpecError: the text is not a pipe of steps.
    """
    problems = Problems()
    scope = Scope(Sources(), problems)
    source = accept(Source(name, f"prepare {text}"))
    tree = parse(source, problems, scope.sources.add(source))
    steps: list[RecipeStep] = []
    for statement in tree.statements:
        if not isinstance(statement, syntax.Prepare):
            help = "write steps, as after `prepare` in a spec: shorter 256 | center 224"
            if not problems.errors:
                scope.problem("NS101", "this is not a list of steps", statement.at, help=help)
            continue
        for step in statement.steps:
            with suppress(Reported):
                steps.append(read_step(syntax.Name("prepare", statement.at), step, scope))
        if not problems.errors:
            with suppress(Reported):
                require_order(steps, statement.steps, scope)
    if problems.errors:
        raise SpecError(problems.errors)
    return tuple(steps)


def classes_of(path: Path) -> tuple[str, ...]:
    """Return names of classes: of a list that comes with netspec, or of a text file.

    Raises:
        DataError: there is no such list or file, or it does not hold names.
    """
    known = class_lists()
    advice = f"give a text file with one name per line, or one of {', '.join(known)}"
    named = CLASSES / f"{path}{LIST}" if str(path) in known and not path.exists() else path
    if not named.exists():
        guess = did_you_mean(str(path), known)
        raise DataError(
            f"cannot read names of classes from {path}: there is no such file or list; "
            f"{guess or advice}"
        )
    if named.is_dir():
        raise DataError(f"cannot read names of classes from {path}: it is a folder; {advice}")
    try:
        names, mistake = names_in(read_text(named, str(path)).text, str(path))
    except SpecError as error:
        reason = error.diagnostics[0].message
        raise DataError(f"cannot read names of classes from {path}: {reason}; {advice}") from None
    if mistake is not None:
        raise DataError("; ".join(mistake))
    return tuple(names)


# ------------------------------------------------------------------------------------------- sizes


def require_size(steps: Sequence[RecipeStep], shape: Shape, recipe: Recipe | None) -> None:
    """Raise DataError if steps of ``prepare`` give images another size than the net's input."""
    step = misfit(steps, shape, recipe)
    if step is not None:
        raise DataError(f"{misfit_text(step, step.size, shape)}: {SIZE_HELP}")
