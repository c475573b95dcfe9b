"""Symbols: dimensions and counts without a value, as in ``H x W x C1``.

A symbol is a sympy expression that stands where a whole number of at least 1 would; it follows the
arithmetic of numbers, and is typed as one.  sympy is imported when a spec has its first symbol.
"""

from __future__ import annotations

import operator
import sys
from fractions import Fraction
from typing import Any, cast

MAX_SIZE = 400
"""Operations in an expression of symbols."""

MAX_DEGREE = 8
"""The degree up to which expressions are expanded, so that every answer comes within seconds."""

_TRIALS = 12
"""Points at which expressions are compared that are not the same when expanded."""


class TooLarge(Exception):
    """An expression of symbols that would take too long to work with."""


def symbol(name: str) -> int:
    """A whole number of at least 1 whose value is not known."""
    from sympy import Symbol

    return cast(int, Symbol(name, integer=True, positive=True))


def is_symbolic(value: object) -> bool:
    """Whether a value is an expression of symbols."""
    return "sympy" in sys.modules and isinstance(value, sys.modules["sympy"].Expr)


def any_symbolic(values: Any) -> bool:
    """Whether any of some values is an expression of symbols."""
    return any(is_symbolic(value) for value in values)


def names(value: object) -> list[str]:
    """The symbols in an expression."""
    return sorted(s.name for s in cast(Any, value).free_symbols) if is_symbolic(value) else []


def operate(sign: str, left: Any, right: Any) -> int | Fraction:
    """Arithmetic in which a symbol takes part; ZeroDivisionError, TooLarge."""
    from sympy import Integer, Mod, floor

    a, b = _exact(left), _exact(right)
    if sign in ("/", "//", "%") and b == 0:
        raise ZeroDivisionError
    if sign == "**" and not (isinstance(b, Integer) and abs(int(b)) <= MAX_DEGREE):
        raise TooLarge
    made = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "×": lambda: a * b,
        "/": lambda: a / b,
        "//": lambda: floor(a / b),
        "%": lambda: Mod(a, b),
        "**": lambda: a**b,
    }[sign]()
    if made.count_ops() > MAX_SIZE:
        raise TooLarge
    if made.is_Rational:
        exact = Fraction(int(made.p), int(made.q))
        return int(exact) if exact.denominator == 1 else exact
    return cast(int, made)


def same(one: Any, other: Any) -> bool | None:
    """Whether two values are equal whatever the symbols are; None if neither can be shown."""
    if not any_symbolic((one, other)) or isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    import sympy

    difference = _exact(one) - _exact(other)
    if difference != 0 and _degree(difference) <= MAX_DEGREE and difference.count_ops() <= MAX_SIZE:
        difference = sympy.expand(difference)
    if difference == 0:
        return True
    free = sorted(difference.free_symbols, key=str)
    for i in range(_TRIALS):
        if difference.subs({s: 5 + 3 * i + (7 + i) * j for j, s in enumerate(free)}) != 0:
            return False
    return None


def order(sign: str, left: Any, right: Any) -> bool | None:
    """Whether one is less than another, and so on; None if that depends on the symbols."""
    from sympy import false, true

    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
    answer = compare(_exact(left), _exact(right))
    return True if answer == true else False if answer == false else None


def _exact(value: Any) -> Any:
    from sympy import Rational

    return value if is_symbolic(value) else Rational(value.numerator, value.denominator)


def _degree(expression: Any) -> int:
    """At most the degree of an expression, found without expanding it."""
    if expression.is_Symbol:
        return 1
    if expression.is_Pow:
        return (
            _degree(expression.base) * abs(int(expression.exp)) if expression.exp.is_Integer else 99
        )
    parts = [_degree(part) for part in expression.args]
    return sum(parts) if expression.is_Mul else max(parts, default=0)


def largest(values: Any) -> int:
    """The largest of values, of which some may be symbols."""
    held = list(values)
    if not any_symbolic(held):
        return cast(int, max(held))
    from sympy import Max

    return cast(int, Max(*held))


def show(value: Any) -> str:
    """A count as a person reads it: ``60,965,224``, ``C2*(9*C1 + 1)``."""
    return str(value) if is_symbolic(value) else f"{value:,}"
