from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.ir.shapes import Kernel
from netspec.ir.source import Source, Sources
from netspec.ir.values import OFF, ON, Value, Word
from netspec.language.diagnostics import Problems
from netspec.language.expressions import evaluate
from netspec.language.parse import parse_value
from netspec.language.scope import Reported, Scope
from netspec.language.syntax import Expression


def parsed(text: str, bound: dict[str, Value]) -> tuple[Expression, Scope]:
    sources, problems = Sources(), Problems()
    source = Source("x", text)
    node = parse_value(source, problems, sources.add(source))
    assert node is not None, problems.diagnostics
    return node, Scope(sources, problems, dict(bound))


def value(text: str, **bound: Value) -> Value:
    return evaluate(*parsed(text, bound))


def code(text: str, **bound: Value) -> str:
    node, scope = parsed(text, bound)
    with pytest.raises(Reported):
        evaluate(node, scope)
    (diagnostic,) = scope.problems.diagnostics
    return diagnostic.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(11*11*3+1)*96", 34944),
        ("7 - 2 - 1", 4),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 % 4", 3),
        ("7 / 2", Fraction(7, 2)),
        ("6 / 2", 3),
        ("2 ** 3 ** 2", 512),
        ("2 ** -1", Fraction(1, 2)),
        ("-2 ** 2", -4),
        ("--3", 3),
        ("1e-4/5", Fraction(1, 50000)),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("3 × 4", 12),
        ("0 ** 0", 1),
        ("(-1) ** 999999999999", -1),
    ],
)
def test_arithmetic_is_exact(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 > 2", ON),
        ("2 >= 3", OFF),
        ("act == relu", ON),
        ("act != relu", OFF),
        ("not deep", OFF),
        ("not not deep", ON),
        ("deep and 3 < 2", OFF),
        ("off or deep", ON),
        ("k == 3x3", ON),
    ],
)
def test_comparisons_are_on_or_off(text: str, expected: Word) -> None:
    assert value(text, act=Word("relu"), deep=ON, k=Kernel(3, 3)) == expected


def test_other_values_stand_for_themselves() -> None:
    assert value("11x11x3/4") == Kernel(11, 11, 3, 4)
    assert value("relu") == Word("relu")
    assert value("(1, 2, 3, 4/2)") == (1, 2, 3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/0", "NS141"),
        ("1//0", "NS141"),
        ("1 % (2-2)", "NS141"),
        ("0 ** -1", "NS141"),
        ("2 ** 63", "NS007"),
        ("9223372036854775808", "NS007"),
        ("2 ** 10 ** 10", "NS007"),
        ("1e999999999", "NS007"),
        ("1e-999", "NS007"),
        ("9" * 5000, "NS007"),
        ("99999999999999999999x3", "NS007"),
        ("4 ** (1/2)", "NS140"),
        ("relu + 1", "NS140"),
        ("k * 2", "NS140"),
        ("not 5", "NS140"),
        ("widht + 1", "NS113"),
        ("not depe", "NS113"),
        ("act == rleu", "NS113"),
        ("deep == 1", "NS140"),
    ],
)
def test_mistakes_are_reported(text: str, expected: str) -> None:
    assert code(text, k=Kernel(3, 3), width=3, deep=ON, act=Word("relu")) == expected


def test_the_largest_whole_number_is_fine() -> None:
    assert value("9223372036854775807") == 2**63 - 1
    assert value("2**62 - 1 + 2**62") == 2**63 - 1


def combined(
    pair: tuple[tuple[str, int], tuple[str, int], str],
) -> tuple[str, int]:
    (left, a), (right, b), sign = pair
    return f"({left} {sign} {right})", {"+": a + b, "-": a - b, "*": a * b}[sign]


@given(
    st.recursive(
        st.integers(0, 99).map(lambda n: (str(n), n)),
        lambda inner: st.tuples(inner, inner, st.sampled_from("+-*")).map(combined),
        max_leaves=8,
    )
)
def test_arithmetic_agrees_with_python(pair: tuple[str, int]) -> None:
    text, expected = pair
    assert value(text) == expected
