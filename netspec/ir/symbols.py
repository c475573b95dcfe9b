"""Symbols: dimensions and counts without a value, as in ``H x W x C1``.

A symbol is a sympy expression that is used instead of a whole number of at least 1.  It supports
the arithmetic of numbers and is typed as one.  sympy is imported with the first symbol of a spec,
because its import is slow.

The limits below keep every answer within seconds.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from fractions import Fraction
from math import comb, prod
from typing import Any, cast

MAX_SIZE = 400
"""The largest number of parts of an expression."""

MAX_NESTED = 40
"""The largest number of nested roundings and brackets in an expression."""

MAX_DEGREE = 8
"""The largest exponent, and the degree up to which expressions are expanded."""

MAX_TERMS = 1_000
"""The largest number of terms to which an expression is expanded for a comparison."""

MAX_COMPARED = 8
"""The largest number of values whose maximum or minimum is computed."""

MAX_NUMBER = 2**256
"""The largest number in an expression."""

MAX_OPERATIONS = 5_000
"""The largest number of operations with symbols in a net."""

MAX_STAGES = 1_000
"""The largest number of stages of a net whose sizes are symbols."""

_TRIALS = 12
"""The number of points at which expressions with different expansions are compared."""


class TooLarge(Exception):
    """An expression of symbols exceeds the limits of this module."""


def symbol(name: str) -> int:
    """Return a symbol: a whole number of at least 1 without a value."""
    from sympy import Symbol

    return cast(int, Symbol(name, integer=True, positive=True))


def is_symbolic(value: object) -> bool:
    """Return True if a value is an expression of symbols."""
    return "sympy" in sys.modules and isinstance(value, sys.modules["sympy"].Expr)


def any_symbolic(values: Any) -> bool:
    """Return True if any of ``values`` is an expression of symbols."""
    return any(is_symbolic(value) for value in values)


def names(value: object) -> list[str]:
    """Return the names of the symbols in a value, sorted; none for a number."""
    return sorted(s.name for s in cast(Any, value).free_symbols) if is_symbolic(value) else []


def operate(sign: str, left: Any, right: Any) -> int | Fraction:
    """Return ``left sign right`` for numbers and symbols.

    Raises:
        ZeroDivisionError: the divisor is 0.
        TooLarge: the result exceeds the limits.
    """
    from sympy import Integer, floor

    a, b = _exact(left), _exact(right)
    if sign in ("/", "//", "%") and b == 0:
        raise ZeroDivisionError
    if sign == "**" and not (isinstance(b, Integer) and abs(int(b)) <= MAX_DEGREE):
        raise TooLarge
    result = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "×": lambda: a * b,
        "/": lambda: a / b,
        "//": lambda: floor(a / b),
        # sympy's own remainder factorises its operands, which can take hours
        "%": lambda: a - b * floor(a / b),
        "**": lambda: a**b,
    }[sign]()
    if not is_small(result):
        raise TooLarge
    return cast(int, _plain(result))


def is_small(value: Any) -> bool:
    """Return True if a value is a number, or an expression of symbols within the limits."""
    if not is_symbolic(value):
        return True
    parts, level = 0, [value]
    for _ in range(MAX_NESTED):
        parts += len(level)
        if parts > MAX_SIZE:
            return False
        numbers = [n for part in level if part.is_Rational for n in (part.p, part.q)]
        if any(abs(n) > MAX_NUMBER for n in numbers):
            return False
        if any(part.is_Pow and abs(part.exp) > 8 * MAX_DEGREE for part in level):
            return False
        level = [inner for part in level for inner in part.args]
        if not level:
            return True
    return False


def total(values: Iterable[Any]) -> int:
    """Return the sum of numbers and symbols.

    Symbols are added all at once: sympy is slow when a long sum grows term by term.
    """
    values = list(values)
    symbolic = [value for value in values if is_symbolic(value)]
    known: int = sum(value for value in values if not is_symbolic(value))
    if not symbolic:
        return known
    from sympy import Add

    return cast(int, _plain(Add(known, *symbolic)))


def divides(divisor: Any, value: Any) -> bool | None:
    """Return True if ``value`` is a multiple of ``divisor``; None if it depends on the symbols."""
    if divisor == 1:
        return True
    if not any_symbolic((divisor, value)):
        return bool(value % divisor == 0)
    try:
        remainder = operate("%", value, divisor)
    except TooLarge:
        return None
    return None if is_symbolic(remainder) else remainder == 0


def may_count(value: Any) -> bool:
    """Return True if an expression is a whole number for all symbols and not clearly negative."""
    coefficient, factor = value.as_coeff_Mul()
    return _is_whole(value) and (coefficient > 0 or factor.is_Add)


def _is_whole(value: Any) -> bool:
    """Return True if the form of an expression shows that it is whole.

    ``is_integer`` of sympy can take minutes.
    """
    if value.is_Rational:
        return bool(value.q == 1)
    if value.is_Pow and not (value.exp.is_Integer and value.exp > 0):
        return False
    return value.func.__name__ == "floor" or all(_is_whole(part) for part in value.args)


def same(left: Any, right: Any) -> bool | None:
    """Return True if two values are equal for all values of the symbols; None if undecided."""
    if not any_symbolic((left, right)) or isinstance(left, str) or isinstance(right, str):
        return bool(left == right)
    import sympy

    difference = _exact(left) - _exact(right)
    if difference != 0 and _is_expandable(difference):
        difference = sympy.expand(_with_plain_floors(sympy.expand(difference)))
    if difference == 0:
        return True
    # One point at which the values differ proves that they are not equal.
    free = sorted(difference.free_symbols, key=str)
    for i in range(_TRIALS):
        there = difference.subs({s: 5 + 11 * i + (7 + i) * j for j, s in enumerate(free)})
        if there.is_finite and there != 0:
            return False
    return None


def _with_plain_floors(value: Any) -> Any:
    """Return an expression with its roundings in a canonical form.

    Whole numbers move out of roundings: floor(H/2 + 1/2) becomes floor(H/2 - 1/2) + 1.  A rounding
    inside a rounded quotient disappears: floor(floor(H/2)/2) becomes floor(H/4).
    """
    from sympy import floor

    def outside(rounded: Any) -> Any:
        constant, variable = rounded.args[0].as_coeff_Add()
        part, inner = variable.as_coeff_Mul()
        if isinstance(inner, floor) and part.p == 1:
            whole = floor(constant * part.q)
            constant, variable = (part * (inner.args[0] + whole)).as_coeff_Add()
        whole = constant.p // constant.q
        return floor(variable + constant - whole) + whole

    while True:  # a change inside a rounding may allow a change of the rounding itself
        plain = value.replace(lambda part: isinstance(part, floor), outside)
        if plain == value:
            return value
        value = plain


def order(sign: str, left: Any, right: Any) -> bool | None:
    """Return True if ``left sign right`` holds, sign being one of ``< <= > >=``.

    Return None if it depends on the symbols.
    """
    signs = _signs(_exact(left) - _exact(right))
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
    answers = {compare(possible, 0) for possible in signs}
    return answers.pop() if len(answers) == 1 else None


def _signs(value: Any) -> set[int]:
    """Return the signs (-1, 0, 1) that a value may have.

    Each symbol is replaced by 1 + t with t >= 0.  If then all coefficients of a polynomial have the
    same sign, so has the polynomial; it is 0 only if it does not have a constant term.
    """
    import sympy

    symbols = value.free_symbols
    above = value.subs({s: 1 + sympy.Dummy(nonnegative=True) for s in symbols})
    if not above.is_polynomial() or not _is_expandable(above):
        return {-1, 0, 1}
    terms = sympy.Add.make_args(sympy.expand(above))
    signs = {int(sympy.sign(term.as_coeff_Mul()[0])) for term in terms}
    has_constant = any(term.is_Rational and term != 0 for term in terms)
    return signs if has_constant and len(signs) == 1 else signs | {0}


def _exact(value: Any) -> Any:
    from sympy import Rational

    return value if is_symbolic(value) else Rational(value.numerator, value.denominator)


def _plain(value: Any) -> Any:
    """Return a result of arithmetic: an int or a Fraction if the symbols cancelled."""
    if not value.is_Rational:
        return value
    exact = Fraction(int(value.p), int(value.q))
    return int(exact) if exact.denominator == 1 else exact


def _is_expandable(expression: Any) -> bool:
    return _degree(expression) <= MAX_DEGREE and _terms(expression) <= MAX_TERMS


def _degree(expression: Any) -> int:
    """Return an upper bound of the degree of an expression, without expanding it."""
    if expression.is_Symbol:
        return 1
    if expression.is_Pow:
        power = expression.exp
        return _degree(expression.base) * abs(int(power)) if power.is_Integer else 99
    parts = [_degree(part) for part in expression.args]
    return sum(parts) if expression.is_Mul else max(parts, default=0)


def _terms(expression: Any) -> int:
    """Return an upper bound of the number of terms of the expanded expression."""
    parts = [_terms(part) for part in expression.args]
    if expression.is_Add:
        return sum(parts)
    if expression.is_Mul:
        return prod(parts)
    if expression.is_Pow and expression.exp.is_Integer:
        power = min(abs(int(expression.exp)), 99)
        return comb(parts[0] + power - 1, power)
    return max(parts, default=1)


def largest(*values: Any) -> int:
    """Return the largest of numbers and symbols; raise TooLarge if there are too many."""
    return _extreme("Max", values)


def smallest(*values: Any) -> int:
    """Return the smallest of numbers and symbols; raise TooLarge if there are too many."""
    return _extreme("Min", values)


def _extreme(which: str, values: Iterable[Any]) -> int:
    distinct = list(dict.fromkeys(values))
    if not any_symbolic(distinct):
        return cast(int, max(distinct) if which == "Max" else min(distinct))
    if len(distinct) > MAX_COMPARED:
        raise TooLarge
    import sympy

    return cast(int, _plain(getattr(sympy, which)(*distinct)))


def by(sizes: Iterable[Any]) -> str:
    """Return sizes separated by x: ``55x55x96``, ``H x W x (4*C)``."""
    sizes = list(sizes)
    if not any_symbolic(sizes):
        return "x".join(map(str, sizes))
    return " x ".join(f"({d})" if " " in f"{d}" or "*" in f"{d}" else f"{d}" for d in sizes)


def show(value: Any) -> str:
    """Return a count as text, with separators: ``60,965,224``, ``C2*(9*C1 + 1)``."""
    return str(value) if is_symbolic(value) else f"{value:,}"
