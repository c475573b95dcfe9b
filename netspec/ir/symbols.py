"""Symbols: dimensions and counts without a value, as in ``H x W x C1``.

A symbol is a sympy expression that stands where a whole number of at least 1 would; it follows the
arithmetic of numbers, and is typed as one.  sympy is imported when a spec has its first symbol.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from fractions import Fraction
from math import comb, prod
from typing import Any, cast

MAX_SIZE = 400
"""Parts of an expression of symbols."""

MAX_NESTED = 40
"""Levels of rounding and brackets in it."""

MAX_DEGREE = 8
"""The highest exponent, and the degree up to which expressions are expanded."""

MAX_TERMS = 1_000
"""Terms that an expression may expand to when it is compared."""

MAX_COMPARED = 8
"""Values whose largest or smallest is computed."""

MAX_NUMBER = 2**256
"""The largest number in an expression."""

MAX_OPERATIONS = 5_000
"""Operations with symbols in a net."""

MAX_STAGES = 1_000
"""Stages of a net whose sizes are symbols.  These limits keep every answer within seconds."""

_TRIALS = 12
"""Points at which expressions are compared that differ when expanded."""


class TooLarge(Exception):
    """An expression of symbols that would take too long to work with."""


def symbol(name: str) -> int:
    """A whole number of at least 1 whose value is not known."""
    from sympy import Symbol

    return cast(int, Symbol(name, integer=True, positive=True))


def is_symbolic(value: object) -> bool:
    """Return whether a value is an expression of symbols."""
    return "sympy" in sys.modules and isinstance(value, sys.modules["sympy"].Expr)


def any_symbolic(values: Any) -> bool:
    """Return whether any of some values is an expression of symbols."""
    return any(is_symbolic(value) for value in values)


def names(value: object) -> list[str]:
    """The symbols in an expression."""
    return sorted(s.name for s in cast(Any, value).free_symbols) if is_symbolic(value) else []


def operate(sign: str, left: Any, right: Any) -> int | Fraction:
    """Return the result of arithmetic with symbols; raise ZeroDivisionError or TooLarge."""
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
        "%": lambda: a - b * floor(a / b),  # sympy's own remainder factors, which can take hours
        "**": lambda: a**b,
    }[sign]()
    if not is_small(result):
        raise TooLarge
    return cast(int, _plain(result))


def is_small(value: Any) -> bool:
    """Return whether a value is a number, or an expression of symbols within the limits."""
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
    """The sum of numbers and symbols."""
    values = list(values)
    symbolic = [value for value in values if is_symbolic(value)]
    known: int = sum(value for value in values if not is_symbolic(value))
    if not symbolic:
        return known
    from sympy import Add

    return cast(int, _plain(Add(known, *symbolic)))


def divides(divisor: Any, value: Any) -> bool | None:
    """Return whether a value is a multiple of another; None if that depends on the symbols."""
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
    """Return whether an expression is whole, and not plainly negative."""
    coefficient, factor = value.as_coeff_Mul()
    return _is_whole(value) and (coefficient > 0 or factor.is_Add)


def _is_whole(value: Any) -> bool:
    """Return whether an expression is whole by its form; sympy's own answer can take minutes."""
    if value.is_Rational:
        return bool(value.q == 1)
    if value.is_Pow and not (value.exp.is_Integer and value.exp > 0):
        return False
    return value.func.__name__ == "floor" or all(_is_whole(part) for part in value.args)


def same(left: Any, right: Any) -> bool | None:
    """Return whether two values are equal for all symbols; None if that is undecided."""
    if not any_symbolic((left, right)) or isinstance(left, str) or isinstance(right, str):
        return bool(left == right)
    import sympy

    difference = _exact(left) - _exact(right)
    if difference != 0 and _is_expandable(difference):
        difference = sympy.expand(_with_plain_floors(sympy.expand(difference)))
    if difference == 0:
        return True
    free = sorted(difference.free_symbols, key=str)
    for i in range(_TRIALS):
        there = difference.subs({s: 5 + 11 * i + (7 + i) * j for j, s in enumerate(free)})
        if there.is_finite and there != 0:
            return False
    return None


def _with_plain_floors(value: Any) -> Any:
    """Move whole numbers out of roundings, and remove roundings inside a rounded quotient.

    floor(H/2 - 1/2) + 1 is floor(H/2 + 1/2), and floor(floor(H/2)/2) is floor(H/4).
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

    while True:  # a rounding whose inside became plain may have become another
        plain = value.replace(lambda part: isinstance(part, floor), outside)
        if plain == value:
            return value
        value = plain


def order(sign: str, left: Any, right: Any) -> bool | None:
    """Return whether a comparison such as ``<`` holds; None if that depends on the symbols."""
    signs = _signs(_exact(left) - _exact(right))
    compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[sign]
    answers = {compare(possible, 0) for possible in signs}
    return answers.pop() if len(answers) == 1 else None


def _signs(value: Any) -> set[int]:
    """The signs that a polynomial may have: those of its terms, each symbol being 1 + t, t >= 0."""
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
    """A result of arithmetic; a number if the symbols cancelled."""
    if not value.is_Rational:
        return value
    exact = Fraction(int(value.p), int(value.q))
    return int(exact) if exact.denominator == 1 else exact


def _is_expandable(expression: Any) -> bool:
    return _degree(expression) <= MAX_DEGREE and _terms(expression) <= MAX_TERMS


def _degree(expression: Any) -> int:
    """At most the degree of an expression, found without expanding it."""
    if expression.is_Symbol:
        return 1
    if expression.is_Pow:
        power = expression.exp
        return _degree(expression.base) * abs(int(power)) if power.is_Integer else 99
    parts = [_degree(part) for part in expression.args]
    return sum(parts) if expression.is_Mul else max(parts, default=0)


def _terms(expression: Any) -> int:
    """At most how many terms an expression expands to."""
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
    """The largest of values, of which some may be symbols."""
    return _extreme("Max", values)


def smallest(*values: Any) -> int:
    """The smallest of values, of which some may be symbols."""
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
    """Sizes with an x between them: ``55x55x96``, ``H x W x (4*C)``."""
    sizes = list(sizes)
    if not any_symbolic(sizes):
        return "x".join(map(str, sizes))
    return " x ".join(f"({d})" if " " in f"{d}" or "*" in f"{d}" else f"{d}" for d in sizes)


def show(value: Any) -> str:
    """A count as a person reads it: ``60,965,224``, ``C2*(9*C1 + 1)``."""
    return str(value) if is_symbolic(value) else f"{value:,}"
