"""Evaluate expressions, with exact arithmetic."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import cast

from netspec.ir.ops import OPERATORS
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.symbols import MAX_DEGREE, MAX_SIZE, TooLarge, is_symbolic, operate, order, same
from netspec.ir.values import OFF, ON, BlockName, Value, Word, describe
from netspec.language import foreign, syntax
from netspec.language.limits import MAX_FRACTION, MAX_INTEGER
from netspec.language.scope import WORDS, Reported, Scope, Unknown

_ARITHMETIC: dict[str, Callable[[Fraction, Fraction], Fraction | int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "×": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_WHOLE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "×": operator.mul,
}
_ORDER: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(node: syntax.Expression, scope: Scope) -> Value:
    """Return the value of an expression.

    Raises:
        Reported: the expression has a mistake, which is reported.
    """
    scope.spend(node.at)
    if isinstance(node, syntax.Name):
        return scope.value(node)
    if isinstance(node, syntax.Number):
        return _literal(node, scope)
    if isinstance(node, syntax.KernelLiteral):
        return _kernel(node, scope)
    if isinstance(node, syntax.Operation):
        return _operation(node, scope)
    if isinstance(node, syntax.Quantity):
        return scope.quantity(node)
    if isinstance(node, syntax.Signed):
        value = number(node.operand, scope)
        if is_symbolic(value):
            return _symbolic("*", -1 if node.sign == "-" else 1, value, node, scope)
        return _bounded(-value if node.sign == "-" else value, node, scope)
    if isinstance(node, syntax.Power):
        return _power(node, scope)
    if isinstance(node, syntax.Comparison):
        return _comparison(node, scope)
    if isinstance(node, syntax.Logical):
        return _logical(node, scope)
    return tuple(number(item, scope) for item in node.items)


def value_or_unknown(node: syntax.Expression, scope: Scope) -> Value | Unknown:
    """Return the value of an expression, or Unknown after reporting a mistake in it."""
    try:
        return evaluate(node, scope)
    except Reported:
        return Unknown()


def number(node: syntax.Expression, scope: Scope) -> int | Fraction:
    """Return the value of an expression; report it if it is not a number or symbol."""
    value = evaluate(node, scope)
    if isinstance(value, int | Fraction):
        return value
    if is_symbolic(value):
        return cast(int, value)
    _require_definition(value, node, scope)
    message = f"expected a number, and this is {describe(value)}"
    raise scope.problem("NS140", message, node.at, help="arithmetic needs numbers")


def whole(node: syntax.Expression, scope: Scope, quantity: str, minimum: int = 0) -> int:
    """Return the value of an expression; report it if it is not a whole number >= ``minimum``."""
    value = number(node, scope)
    if is_symbolic(value):
        return cast(int, value)
    if isinstance(value, int) and value >= minimum:
        return value
    shown = value if isinstance(value, int) else f"{value} = {float(value):g}"
    message = f"{quantity} must be a whole number of at least {minimum}, and this is {shown}"
    rounds = "use // to divide and round down"
    help = rounds if isinstance(value, Fraction) else "check the arithmetic"
    raise scope.problem("NS142", message, node.at, help=help)


def condition(node: syntax.Expression, scope: Scope) -> bool:
    """Return the value of a condition; report it if it is not on or off."""
    value = evaluate(node, scope)
    if value in (ON, OFF):
        return value == ON
    _require_definition(value, node, scope)
    message = f"a condition must be on or off, and this is {describe(value)}"
    help = "compare it, as in `act == relu` or `depth > 3`"
    raise scope.problem("NS140", message, node.at, help=help)


def _require_definition(value: Value, node: syntax.Expression, scope: Scope) -> None:
    """Report a name that is neither defined nor a word of the language."""
    if isinstance(value, Word) and not scope.knows_word(value.text):
        guess = foreign.value(value.text)
        if value.text in scope.net.kinds:
            kind = scope.net.kinds[value.text]
            message = f"`{value.text}` is the label of {'an' if kind[0] in 'aeiou' else 'a'} {kind}"
            help = f"rows are combined by a row of its own: `LABEL from {value.text}, ROW: add`"
            raise scope.problem("NS113", message, node.at, help=help)
        guess = guess or scope.problems.did_you_mean(value.text, scope.names())
        help = guess or f"define it: let {value.text} = ..."
        raise scope.problem("NS113", f"`{value.text}` is not defined", node.at, help=help)


def shape(size: syntax.Size, scope: Scope) -> Shape:
    """Return the value of a size, written as one literal or as separate whole numbers."""
    dims: list[int] = []
    for node in size.dimensions:
        if isinstance(node, syntax.KernelLiteral):
            kernel = _kernel(node, scope)
            if kernel.stride is not None:
                help = "remove the stride: a size is height x width x channels"
                raise scope.problem("NS101", "a size has no stride", node.at, help=help)
            dims += [d for d in kernel[:3] if d is not None]
        else:
            dims.append(whole(node, scope, "a dimension", minimum=1))
    if any(not is_symbolic(d) and d == 0 for d in dims):
        help = "every dimension is at least 1"
        raise scope.problem("NS142", "a size cannot be zero", size.at, help=help)
    return Shape(dims)


def _literal(node: syntax.Number, scope: Scope) -> int | Fraction:
    text = node.text
    if text.isdecimal() and len(text) < 19:
        return int(text)
    exponent = re.search(r"[eE]([+-]?\d+)$", text)
    if len(text) > 80 or (exponent and (len(exponent[1]) > 4 or abs(int(exponent[1])) > 80)):
        raise _out_of_range(node, scope)
    return _bounded(Fraction(text), node, scope)


def _kernel(node: syntax.KernelLiteral, scope: Scope) -> Kernel:
    size, _, stride = node.text.replace("×", "x").partition("/")
    digits = [*size.split("x"), *([stride] if stride else [])]
    if max(map(len, digits)) > 18:
        raise _out_of_range(node, scope)
    height, width, *channels = map(int, size.split("x"))
    return Kernel(height, width, channels[0] if channels else None, int(stride) if stride else None)


def _operation(node: syntax.Operation, scope: Scope) -> int | Fraction:
    value = number(node.first, scope)
    for sign, operand in node.rest:
        right = number(operand, scope)
        if is_symbolic(value) or is_symbolic(right):
            value = _symbolic(sign, value, right, node, scope)
            continue
        if isinstance(value, int) and isinstance(right, int) and sign in _WHOLE:
            value = _bounded(_WHOLE[sign](value, right), node, scope)
            continue
        if right == 0 and sign in ("/", "//", "%"):
            help = "make sure that the divisor cannot be zero"
            raise scope.problem("NS141", "division by zero", operand.at, help=help)
        value = _bounded(_ARITHMETIC[sign](Fraction(value), Fraction(right)), node, scope)
    return value


def _power(node: syntax.Power, scope: Scope) -> int | Fraction:
    *bases, last = node.operands
    value = number(last, scope)
    for operand in reversed(bases):
        base = number(operand, scope)
        if is_symbolic(value) or is_symbolic(base):
            value = _symbolic("**", base, value, node, scope)
            continue
        if not isinstance(value, int):
            help = "only whole exponents are exact"
            raise scope.problem("NS140", "an exponent must be a whole number", node.at, help=help)
        if base == 0 and value < 0:
            help = "make sure that the base cannot be zero"
            raise scope.problem("NS141", "division by zero", node.at, help=help)
        if abs(value) > 256 and base not in (-1, 0, 1):
            raise _out_of_range(node, scope)
        value = _bounded(Fraction(base) ** value, node, scope)
    return value


def _symbolic(
    sign: str, left: object, right: object, node: syntax.Expression, scope: Scope
) -> int | Fraction:
    """Return the result of an operation with symbols; report one that is too large."""
    scope.spend_on_symbols(node.at)
    try:
        return operate(sign, left, right)
    except ZeroDivisionError:
        help = "make sure that the divisor cannot be zero"
        raise scope.problem("NS141", "division by zero", node.at, help=help) from None
    except TooLarge:
        message = "this expression of symbols is too large to work with"
        help = f"use whole exponents up to {MAX_DEGREE}, and at most {MAX_SIZE} terms"
        raise scope.problem("NS007", message, node.at, help=help) from None


def _comparison(node: syntax.Comparison, scope: Scope) -> Word:
    if node.operator == "~":
        about = is_about(number(node.left, scope), number(node.right, scope))
        return _decided(about, node, scope)
    if node.operator in ("==", "!="):
        left, right = evaluate(node.left, scope), evaluate(node.right, scope)
        if is_symbolic(left) or is_symbolic(right):
            scope.spend_on_symbols(node.at)
            equal = same(number(node.left, scope), number(node.right, scope))
            return _decided(
                equal if node.operator == "==" or equal is None else not equal, node, scope
            )
        for value, compared, at in ((left, right, node.left.at), (right, left, node.right.at)):
            _require_comparable(value, compared, at, scope)
        names = [v.text if isinstance(v, Word | BlockName) else v for v in (left, right)]
        return ON if (names[0] == names[1]) == (node.operator == "==") else OFF
    low, high = number(node.left, scope), number(node.right, scope)
    if is_symbolic(low) or is_symbolic(high):
        scope.spend_on_symbols(node.at)
        decided = order(node.operator, low, high)
        return _decided(decided, node, scope)
    return ON if _ORDER[node.operator](Fraction(low), Fraction(high)) else OFF


def _decided(answer: bool | None, node: syntax.Comparison, scope: Scope) -> Word:
    if answer is None:
        message = "this can be neither proved nor refuted for every value of the symbols"
        help = (
            "give the symbols values with --set, or compare expressions that differ by a polynomial"
        )
        raise scope.problem("NS144", message, node.at, help=help)
    return ON if answer else OFF


def is_about(value: int | Fraction, printed: int | Fraction) -> bool | None:
    """Return True if a value is within 5 % of the printed value; None if symbols leave it open."""
    if is_symbolic(value) or is_symbolic(printed):
        return same(value, printed)
    return abs(Fraction(value) - Fraction(printed)) * 20 <= abs(Fraction(printed))


def _require_comparable(value: Value, compared: Value, at: syntax.At, scope: Scope) -> None:
    """Report comparisons that are never equal: a misspelt word, or a number with on or off."""
    known = isinstance(compared, Word) and scope.knows_word(compared.text)
    if known and isinstance(value, Word) and not scope.knows_word(value.text):
        guess = scope.problems.did_you_mean(value.text, [*OPERATORS, *WORDS])
        help = guess or "compare with a word of the language, or with another name"
        raise scope.problem("NS113", f"`{value.text}` is not defined", at, help=help)
    if compared in (ON, OFF) and isinstance(value, int | Fraction | Kernel):
        message = f"on or off is compared with {describe(value)}"
        raise scope.problem("NS140", message, at, help="compare with on or off")


def _logical(node: syntax.Logical, scope: Scope) -> Word:
    if node.operator == "not":
        return OFF if condition(node.operands[0], scope) else ON
    decide = all if node.operator == "and" else any
    return ON if decide(condition(operand, scope) for operand in node.operands) else OFF


def _bounded(value: int | Fraction, node: syntax.Expression, scope: Scope) -> int | Fraction:
    if value.denominator == 1:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise _out_of_range(node, scope)
        return int(value)
    if max(abs(value.numerator), value.denominator) > MAX_FRACTION:
        raise _out_of_range(node, scope)
    return value


def _out_of_range(node: syntax.Expression, scope: Scope) -> Reported:
    help = "whole numbers must be below 2**63, fractions within 256 bits"
    return scope.problem("NS007", "this number is out of range", node.at, help=help)
