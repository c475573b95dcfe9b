"""Bind the arguments of a stage to the attributes of an operator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from netspec.ir.attributes import Attribute, HasAttributes
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops import OPERATORS
from netspec.ir.source import Span
from netspec.ir.symbols import is_symbolic
from netspec.ir.values import BlockName, Word, describe
from netspec.language import foreign, syntax
from netspec.language.diagnostics import Note
from netspec.language.expressions import evaluate
from netspec.language.scope import Reported, Scope

R = TypeVar("R", bound=HasAttributes)


class Bound(NamedTuple, Generic[R]):
    """An operator or recipe step, made from its arguments.

    Attributes:
        value: the operator or step.
        written: the values of the attributes that the spec sets, as written.
        spans: the places of these values.
    """

    value: R
    written: dict[str, Any]
    spans: dict[str, Span]


def bind(
    owner: type[R],
    name: syntax.Name,
    arguments: Sequence[syntax.Argument],
    scope: Scope,
) -> Bound[R]:
    """Return the operator or step that a name and its arguments describe.

    Args:
        owner: the class of the operator or step.
        name: the name in the spec, where mistakes without a place of their own are shown.
        arguments: the arguments in the spec.
        scope: the names that the arguments may use.

    Raises:
        Reported: an argument is wrong, or a default with a mistake may apply.
    """
    matched, defaults = _match(owner, name, arguments, scope), scope.net.defaults
    values: dict[str, Any] = {}
    places: dict[str, tuple[syntax.At, Scope]] = {}
    failed = False
    for attribute in owner.attributes():
        argument, where = matched.get(attribute.name), scope
        if attribute.name == "stride" and _has_stride(values):
            # the kernel's own stride replaces a default, of the file or of a block's argument
            if argument is not None and scope.is_default(argument.value):
                argument = None
        elif argument is None:
            argument, where = _default(owner, attribute.name, defaults) or (None, scope)
        if argument is None:
            if attribute.is_required:
                _missing(owner, attribute, name, scope)
                failed = True
            continue
        try:
            values[attribute.name] = read(owner, attribute, argument, where)
        except Reported:
            failed = True
        places[attribute.name] = argument.value.at, where
    if failed or _depends_on_lost_default(owner, matched, scope):
        raise Reported
    op = owner(**values)
    for code, key, reason in (*owner.written_mistakes(values), *op.mistakes()):
        at, where = places.get(key, (name.at, scope))
        attribute = next(a for a in owner.attributes() if a.name == key)
        help = f"write {key}={attribute.kind.description}" if key not in places else _OR_REMOVE
        notes = [Note(f"{key} of {owner.name}: {attribute.help}")]
        if where is not scope:  # a default, perhaps far from the stage that it does not fit
            notes.append(Note(f"the default is for this {owner.name}", scope.span(name.at)))
        scope.problem(code, f"{owner.name}: {reason}", at, help=help, notes=notes)
        failed = True
    if failed:
        raise Reported
    spans = {key: where.span(at) for key, (at, where) in places.items()}
    return Bound(op, values, spans)


_OR_REMOVE = "change it, or remove it"


def _default(
    owner: type[HasAttributes],
    key: str,
    defaults: Mapping[tuple[str, str], tuple[syntax.Argument, Scope]],
) -> tuple[syntax.Argument, Scope] | None:
    """Return the `default` of an operator's attribute; steps of recipes do not have defaults."""
    if not issubclass(owner, Operator):
        return None
    return defaults.get((owner.name, key)) or defaults.get(("", key))


def _depends_on_lost_default(
    owner: type[HasAttributes], matched: Mapping[str, syntax.Argument], scope: Scope
) -> bool:
    """Return True if a `default` with a mistake may have been for an attribute of this stage."""
    if not issubclass(owner, Operator):
        return False
    attributes = {a.name for a in owner.attributes()}
    return any(
        operator in ("", owner.name) and (not key or (key in attributes and key not in matched))
        for operator, key in scope.net.lost_defaults
    )


def _has_stride(values: Mapping[str, object]) -> bool:
    return getattr(values.get("kernel"), "stride", None) is not None


def _match(
    owner: type[HasAttributes],
    name: syntax.Name,
    arguments: Sequence[syntax.Argument],
    scope: Scope,
) -> dict[str, syntax.Argument]:
    """Return the argument of each attribute that has one; report arguments that fit none."""
    places = [a.name for a in owner.attributes() if a.is_positional]
    _refuse_other_notations(owner, name, arguments, scope)
    known = [a.name for a in owner.attributes()]
    matched: dict[str, syntax.Argument] = {}
    failed = seen_keyword = False
    for index, argument in enumerate(arguments):
        if argument.key is None:
            if seen_keyword:
                message = "a value without a name comes after a named value"
                help = "write values without a name first, then key=value"
                raise scope.problem("NS134", message, argument.at, help=help)
            if index >= len(places):
                message = f"too many arguments: {owner.name} takes {_listed(places)}"
                help = usage(owner)
                if len(known) == len(arguments) == 1:
                    help = f"write `{name.text} {known[0]}={scope.span(argument.at).text}`"
                if issubclass(owner, Operator) and owner.takes == "many":
                    help = f"name rows with `from`, as in `LABEL from A, B: {owner.name}`"
                if isinstance(argument.value, syntax.Name) and argument.value.text in OPERATORS:
                    message = f"`{argument.value.text}` is an operator, not a value of {owner.name}"
                    help = "join stages with `|`; end a branch with `;` or its line"
                scope.problem("NS135", message, argument.at, help=help)
                failed = True
                continue
            matched[places[index]] = argument
            continue
        seen_keyword = True
        key = argument.key
        if key.text not in known:
            value = argument.value
            number = scope.span(value.at).text if isinstance(value, syntax.Number) else ""
            help = foreign.attribute(key.text, known, number)
            help = help or scope.problems.did_you_mean(key.text, known) or usage(owner)
            scope.problem("NS130", f"{owner.name} has no `{key.text}`", key.at, help=help)
            failed = True
        elif key.text in matched:
            first = scope.span(matched[key.text].at)
            notes = [Note(f"first given on line {first.line}", first)]
            message = f"`{key.text}` is given twice"
            scope.problem("NS131", message, argument.at, help="keep one of the two", notes=notes)
            failed = True
        else:
            matched[key.text] = argument
    if failed:
        raise Reported
    return matched


def _refuse_other_notations(
    owner: type[HasAttributes],
    name: syntax.Name,
    arguments: Sequence[syntax.Argument],
    scope: Scope,
) -> None:
    """Report arguments in the notation of other frameworks as one mistake; raise Reported."""
    places = [a.name for a in owner.attributes() if a.is_positional]
    if len(arguments) == 1 and places and isinstance(arguments[0].value, syntax.Tuple):
        items = [scope.span(item.at).text for item in arguments[0].value.items]
        if places[0] == "kernel" and items[0].isdecimal():
            items[0] = f"{items[0]}x{items[0]}"
            if len(places) == 1 and len(items) == 2 and items[1].isdecimal():
                items = [f"{items[0]}/{items[1]}"]  # PyTorch's MaxPool2d(2, 2): then the stride
        message = f"the values of {owner.name} are written without parentheses"
        help = f"write `{name.text} {', '.join(items)}`"
        raise scope.problem("NS132", message, arguments[0].at, help=help)
    if places == ["kernel", "count"] and _is_in_other_order(arguments):
        count, kernel = (scope.span(argument.at).text for argument in arguments[:2])
        message = f"{owner.name} takes its kernel first, then its count"
        help = f"write `{name.text} {kernel}, {count}`"
        raise scope.problem("NS132", message, arguments[0].at, help=help)


def _is_in_other_order(arguments: Sequence[syntax.Argument]) -> bool:
    """Return True for a number and then a kernel, the order of Keras."""
    first = arguments[:2]
    kinds = [type(argument.value) for argument in first if argument.key is None]
    return kinds == [syntax.Number, syntax.KernelLiteral]


_PRODUCT = re.compile(r"(\d+)\s*[*×]\s*(\d+(?:/\d+)?)")
"""A kernel as a product: ``3*3``, ``3 × 3/2``."""


def read(
    owner: type[HasAttributes], attribute: Attribute, argument: syntax.Argument, scope: Scope
) -> object:
    """Return the value of an argument, converted to the kind of the attribute.

    Raises:
        Reported: the attribute does not accept the value.
    """
    value = evaluate(argument.value, scope)
    try:
        if is_symbolic(value) and not issubclass(owner, Operator):
            raise attribute.kind.refuse()
        return attribute.kind.read(value)
    except ValueError as error:
        reason = str(error)
    if isinstance(value, Word) and not scope.knows_word(value.text):
        candidates = scope.names() | set(attribute.kind.words)
        guess = foreign.value(value.text) if attribute.kind.words else ""
        guess = guess or scope.problems.did_you_mean(value.text, candidates)
        help = guess or (
            usage(owner) if attribute.kind.words else f"define it: let {value.text} = ..."
        )
        message = f"`{value.text}` is not defined; for {attribute.name} of {owner.name}, {reason}"
        raise scope.problem("NS113", message, argument.value.at, help=help)
    message = f"{attribute.name} of {owner.name}: {reason}, and this is {describe(value)}"
    help = usage(owner)
    if isinstance(argument.value, syntax.Tuple) and isinstance(value, tuple) and len(value) == 2:
        help = f"write {attribute.name}={value[0]}x{value[1]}"
    if isinstance(value, BlockName) and value.text in attribute.kind.words:
        help = f"rename the block: it hides the word `{value.text}` of {attribute.name}"
    if attribute.name == "kernel" and isinstance(argument.value, syntax.Number):
        help = f"a kernel is height x width: write {value}x{value}"
        if issubclass(owner, WindowOperator) and owner.clips:  # a pool
            help += f"/{value} for a stride of {value}; without /{value} the stride is 1"
    product = _PRODUCT.fullmatch(scope.span(argument.value.at).text)
    if attribute.name == "kernel" and product:
        help = f"write {product[1]}x{product[2]}"
    if is_symbolic(value):
        help = "symbols are whole dimensions and counts: divide with //, or use --set"
    raise scope.problem("NS132", message, argument.value.at, help=help)


def _missing(
    owner: type[HasAttributes], attribute: Attribute, name: syntax.Name, scope: Scope
) -> None:
    written = attribute.name if attribute.is_positional else f"{attribute.name}="
    message = f"{owner.name} needs {written}: {attribute.help}"
    help = usage(owner)
    if issubclass(owner, Operator) and "\n" not in owner.example:
        help += f"; for example, {owner.example.rpartition('|')[2].strip()}"
    scope.problem("NS133", message, name.at, help=help)


def usage(owner: type[HasAttributes]) -> str:
    """Return the usage of an operator: ``usage: conv KERNEL, COUNT, stride=, pad=``."""
    places = [a.name.upper() for a in owner.attributes() if a.is_positional]
    keys = [f"{a.name}=" for a in owner.attributes() if not a.is_positional]
    joins = issubclass(owner, Operator) and owner.takes == "many"
    branches = " { branch; branch }" if joins else ""
    return f"usage: {owner.name} {', '.join(places + keys)}".rstrip() + branches


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no arguments without a name"
    return f"{len(names)} without a name, {' and '.join(names)}"
