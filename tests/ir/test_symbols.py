from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

from netspec import Net, SpecError, load, loads
from netspec.ir.source import Source, Sources
from netspec.ir.symbols import (
    divides,
    is_symbolic,
    largest,
    may_count,
    order,
    same,
    smallest,
    symbol,
)
from netspec.ir.symbols import total as sum_of
from netspec.language.diagnostics import Problems
from netspec.language.expressions import evaluate
from netspec.language.parse import parse_value
from netspec.language.scope import Reported, Scope
from tests.examples import examples
from tests.helpers import codes, codes_of_rows, load_rows, problems

HEADER = "net example(N)\ninput map H x W x C\n"
H, W, C, N = map(symbol, "HWCN")
NUMBERS = st.fixed_dictionaries({name: st.integers(1, 30) for name in "HWCN"})


def value(text: str, bound: dict[str, Any]) -> Any:
    source, problems = Source("x", text), Problems()
    sources = Sources()
    node = parse_value(source, problems, sources.add(source))
    assert node is not None, problems.diagnostics
    return evaluate(node, Scope(sources, problems, dict(bound)))


def at(expression: Any, numbers: dict[str, int]) -> Fraction:
    """An expression of symbols where they have these values."""
    if not is_symbolic(expression):
        return Fraction(expression)
    there = expression.subs({symbol(name): number for name, number in numbers.items()})
    return Fraction(int(there.p), int(there.q))


# ------------------------------------------------------------------------------------- arithmetic


def joined(parts: tuple[str, str, str]) -> str:
    left, right, sign = parts
    return f"({left} {sign} {right})"


expressions = st.recursive(
    st.one_of(st.sampled_from("HWCN"), st.integers(0, 9).map(str)),
    lambda inner: st.one_of(
        st.tuples(inner, inner, st.sampled_from(["+", "-", "*", "//", "%", "/"])).map(joined),
        inner.map(lambda text: f"(-{text})"),
        inner.map(lambda text: f"({text}) ** 2"),
    ),
    max_leaves=6,
)


@examples(300)
@given(expressions, NUMBERS)
def test_arithmetic_of_symbols_agrees_with_numbers(text: str, numbers: dict[str, int]) -> None:
    try:
        symbolic = value(text, {name: symbol(name) for name in numbers})
        plain = value(text, numbers)
    except Reported:  # a division by zero, with or without the numbers
        assume(False)
    there = (
        symbolic.subs({symbol(n): v for n, v in numbers.items()}) if is_symbolic(symbolic) else 0
    )
    assume(there not in (sympy.nan, sympy.zoo))
    assert at(symbolic, numbers) == plain


@examples(300)
@given(expressions, expressions, NUMBERS)
def test_what_is_decided_is_so_for_all_numbers(
    left: str, right: str, numbers: dict[str, int]
) -> None:
    symbols = {name: symbol(name) for name in numbers}
    try:
        one, other = value(left, symbols), value(right, symbols)
        a, b = value(left, numbers), value(right, numbers)
    except Reported:
        assume(False)
    if same(one, other):
        assert a == b
    for sign, holds in (("<", a < b), ("<=", a <= b), (">", a > b), (">=", a >= b)):
        assert order(sign, one, other) in (None, holds)


@examples(100)
@given(st.lists(expressions, min_size=1, max_size=5), NUMBERS)
def test_sums_and_extremes_agree_with_numbers(texts: list[str], numbers: dict[str, int]) -> None:
    texts = [text.replace("/", "+").replace("%", "*") for text in texts]
    try:
        symbolic = [value(text, {name: symbol(name) for name in numbers}) for text in texts]
        plain = [value(text, numbers) for text in texts]
    except Reported:  # a number beyond 63 bits
        assume(False)
    assert at(sum_of(symbolic), numbers) == sum(plain)
    assert at(largest(*symbolic), numbers) == max(plain)
    assert at(smallest(*symbolic), numbers) == min(plain)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((H + W) ** 2, H**2 + 2 * H * W + W**2, True),
        ((H + W) ** 2, H**2 + W**2, False),
        (H * (W + 1), H * W + H, True),
        (H, W, False),
        (H - H + 3, 3, True),
        (H, 3, False),
        ((H**3 - H) % 6, 0, None),
    ],
)
def test_equality_is_proved_refuted_or_open(left: Any, right: Any, expected: bool | None) -> None:
    assert same(left, right) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H > 0", True),
        ("H >= 1", True),
        ("H < 1", False),
        ("H > 1", None),
        ("H < H + 1", True),
        ("H * W >= H", True),
        ("H * W > H", None),
        ("H * W < W * H", False),
        ("2 * H - H <= H", True),
        ("H // 2 >= 0", None),
    ],
)
def test_order_is_decided_where_every_value_agrees(text: str, expected: bool | None) -> None:
    spec = {"rows": f"a: relu if {text}", "header": HEADER}
    if expected is None:
        assert codes_of_rows(**spec) == ["NS144"]
    else:
        (row,) = load_rows(**spec).graph.rows.values()
        assert row.words == (("relu",) if expected else ())


def test_division_is_whole_uneven_or_open() -> None:
    assert divides(2, 4 * H) is True
    assert divides(H, 3 * H) is True
    assert divides(2, 2 * H + 1) is False
    assert divides(2, H) is None
    assert (divides(3, 6), divides(4, 6)) == (True, False)


def test_counts_are_whole_and_not_negative() -> None:
    assert all(may_count(n) for n in (H, 2 * H + 1, H - 5, H**2, sympy.floor(H / 2)))
    assert not any(may_count(n) for n in (H / 2, -H, -2 * H * W, 1 / H, (H + 1) / 2, H / W))


# ------------------------------------------------------------------------------------------ claims


@pytest.mark.parametrize(
    "row",
    [
        "a: conv 3x3, N -> (H-2) x (W-2) x N params (9*C + 1)*N macs (H-2)*(W-2)*N*9*C",
        "a: conv 3x3, N, pad=1 -> H x W x N neurons N*H*W",
        "a: conv 3x3/2, N, pad=1 -> ((H+1)//2) x ((W+1)//2) x N",
        "a: conv 3x3/2, N, pad=same -> ((H+1)//2) x ((W+1)//2) x N",
        "a: maxpool 2x2/2 -> (H//2) x (W//2) x C params 0",
        "a: maxpool 3x3/2, round=ceil -> (H//2) x (W//2) x C",
        "a: gap -> C",
        "a: gap | fc N -> N params (C + 1)*N macs C*N",
        "a: fc N -> N params H*W*C*N + N",
        "a: concat { conv 1x1, N; identity } -> H x W x (C + N)",
        "a: add { conv 1x1, C; identity } -> H x W x C params C**2 + C",
        "a: conv 1x1, (N+1)**2 -> H x W x (N**2 + 2*N + 1)",
        "a: lrn 5 -> H x W x C params 0",
        "a: concat { identity; identity } | conv 3x3, 2*N, groups=2 -> params 2*N*(9*C + 1)",
        "a: conv 1x1, H | conv 1x1, W -> params (C + 1)*H + (H + 1)*W",
        "a: flatten -> (H*W*C)",
    ],
)
def test_true_claims_are_proved(row: str) -> None:
    assert load_rows(row, HEADER).claims > 0


def test_a_receptive_field_may_be_a_symbol() -> None:
    header = "net example\ninput map H x H x 3\n"
    assert load_rows("a: fc 2 -> field H", header).claims == 1
    assert load_rows("a: conv 3x3, 2 | fc 2 -> field H", header).claims == 1
    assert codes_of_rows("a: fc 2 -> field 2*H", header) == ["NS302"]


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ("H x W x N", "NS301"),
        ("(H-2) x (W-2) x C", "NS301"),
        ("(H-2) x (H-2) x N", "NS301"),
        ("N", "NS301"),
        ("params 9*C*N", "NS302"),
        ("params 0", "NS302"),
        ("macs H*W*N*9*C", "NS302"),
        ("neurons (H-2)*(W-2)*N + 1", "NS302"),
        ("field H", "NS302"),
    ],
)
def test_wrong_claims_are_refuted(claim: str, code: str) -> None:
    assert codes_of_rows(f"a: conv 3x3, N -> {claim}", HEADER) == [code]


@examples(50)
@given(st.tuples(*[st.integers(-3, 3)] * 6))
def test_polynomial_claims_are_decided(coefficients: tuple[int, ...]) -> None:
    terms = ["N*C", "N", "C", "H", "N*N", "1"]
    extra = " + ".join(f"({c})*{t}" for c, t in zip(coefficients, terms, strict=True))
    expected = ["NS302"] if any(coefficients) else []
    assert codes_of_rows(f"a: conv 1x1, N -> params (C+1)*N + {extra}", HEADER) == expected


def test_a_false_claim_shows_its_arithmetic_with_brackets() -> None:
    rows = "a: conv 3x3, N\nb: conv 1x1, C + 1 -> params 5"
    (error,) = problems(HEADER + rows)
    assert error.notes[0].message.startswith("(C + 1)*N*1*1 + C + 1 = ")
    assert error.notes[0].message.endswith("= C + N*(C + 1) + 1")


def test_totals_of_symbols_are_claimed_too() -> None:
    rows = "a: conv 1x1, N\nb: gap | fc 3\n"
    assert load_rows(rows + "claim params (C+1)*N + (N+1)*3", HEADER).claims == 1
    assert codes_of_rows(rows + "claim params (C+1)*N", HEADER) == ["NS304"]


# ---------------------------------------------------------------------- nets: symbols and numbers


@st.composite
def stages(draw: st.DrawFn) -> str:
    k, s, p = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    p = min(p, k // 2)
    rounding = draw(st.sampled_from(["floor", "ceil"]))
    count = draw(st.sampled_from(["N", "2*N", "N + C", "C*N", "3"]))
    window = f"{k}x{k}/{s}"
    pad = draw(st.sampled_from([f"{p}", f"(0, {p}, {p}, 0)", "same"]))
    return draw(
        st.sampled_from(
            [
                f"conv {window}, {count}, pad={pad}, round={rounding}",
                f"conv {k}x1/{s}, {count}, bias=off",
                f"maxpool {window}, pad={p}, round={rounding}",
                f"avgpool {window}, pad={p}, round={rounding}, count_pad=on",
                f"concat {{ conv 1x1, {count}; identity; maxpool 3x3/1, pad=1 }}",
                "add { identity; relu }",
                "subsample 2x2/2, by=sum",
                f"local 2x2, {count}",
                "relu | lrn 3 | bn eps=1e-5",
            ]
        )
    )


@examples(200)
@given(st.lists(stages(), min_size=1, max_size=5), st.booleans(), NUMBERS)
def test_nets_of_symbols_agree_with_nets_of_numbers(
    given_stages: list[str], ends: bool, numbers: dict[str, int]
) -> None:
    rows = "".join(f"r{i}: {stage}\n" for i, stage in enumerate(given_stages))
    text = HEADER + rows + ("x: gap | fc N\n" if ends else "x: fc 7\n")
    try:
        plain = loads(text, **numbers)
    except SpecError as error:  # a map too small for its window
        codes = {d.code for d in error.diagnostics if d.severity == "error"}
        assert codes <= {"NS201", "NS202"}
        assume(False)
    assert_agree(loads(text), plain, numbers)


def assert_agree(symbolic: Net, plain: Net, numbers: dict[str, int]) -> None:
    for stage in symbolic.graph.stages():
        other = plain.graph.stage(stage.name)
        assert [at(d, numbers) for d in stage.known_shape] == list(other.known_shape), stage.name
        assert stage.field is not None
        assert other.field is not None
        for one, two in zip(stage.field.size, other.field.size, strict=True):
            assert at(one, numbers) == two, stage.name
    for one, two in zip(symbolic.totals, plain.totals, strict=True):
        assert at(one, numbers) == two


@given(NUMBERS)
@examples(10)
def test_the_module_of_inception_agrees_with_its_numbers(numbers: dict[str, int]) -> None:
    sizes = {"H": numbers["H"], "W": numbers["W"], "C1": numbers["C"], "C2": numbers["N"]}
    assert_agree(load("inception_module"), load("inception_module", **sizes), sizes)


def test_a_pool_that_drops_its_last_window_does_so_for_symbols() -> None:
    for window in ("1x1/2", "2x2/2, pad=1", "2x2/3, pad=1", "1x1/3", "3x3/3, pad=1"):
        text = f"net n\ninput map H x 9 x 1\na: maxpool {window}, round=ceil"
        symbolic = loads(text).graph.stage("a.maxpool").known_shape
        for height in range(4, 12):
            plain = loads(text, H=height).graph.stage("a.maxpool").known_shape
            assert at(symbolic[0], {"H": height}) == plain[0], (window, height)


# ------------------------------------------------------------------------------ what symbols are


def test_capitalised_dimensions_and_parameters_without_default_are_symbols() -> None:
    assert load_rows("a: conv 1x1, N", HEADER).symbols == ["C", "H", "N", "W"]
    assert codes("net n\ninput map h x w x 3\na: relu") == ["NS113"]
    assert load_rows("a: relu", "net n\nlet H = 5\ninput i H x 8 x 3\n").symbols == []


def test_symbols_take_values_by_name() -> None:
    net = load_rows("a: conv 1x1, N", HEADER, H=8, W="4*2", C=3, N=5)
    assert str(net.graph.stage("a").shape) == "8x8x5"
    assert net.symbols == []
    assert net.notes == ()


def test_claims_hold_under_values_as_they_do_without() -> None:
    text = HEADER + "a: conv 3x3, N -> params (9*C + 1)*N\n"
    assert loads(text, C=3, N=2).claims == 1
    assert codes(text.replace("9*C", "8*C"), C=3, N=2, H=9, W=9) == ["NS302"]


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "relu", "3x3", True, "1/0", "H", ""])
def test_values_that_no_symbol_can_have(wrong: Any) -> None:
    assert len(codes(HEADER + "a: relu", C=wrong)) == 1


def test_a_net_of_symbols_cannot_run() -> None:
    net = load_rows("a: conv 1x1, N", HEADER)
    with pytest.raises(SpecError, match="--set C=8 --set H=8 --set N=8 --set W=8"):
        net.require_numbers()
    load_rows("a: conv 1x1, N", HEADER, H=8, W=8, C=1, N=1).require_numbers()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("N", "NS112"),
        ("N 3", "NS112"),
        ("conv N, 3", "NS132"),
        ("conv 3x3, 3, stride=N", "NS132"),
        ("conv 3x3, 3, pad=N", "NS132"),
        ("conv 3x3, 3, pad=(N, N, 0, 0)", "NS132"),
        ("conv 3x3, 3, dilation=N", "NS132"),
        ("conv 3x3, 3, bias=N", "NS132"),
        ("conv 3x3, 3, round=N", "NS132"),
        ("conv 3x3, 3, connect=N", "NS132"),
        ("conv 3x3, N/2", "NS132"),
        ("conv 3x3, -N", "NS132"),
        ("conv 3x3, N**N", "NS007"),
        ("conv 3x3, 2**N", "NS007"),
        ("conv 3x3, N**9", "NS007"),
        ("conv 3x3, N**(1/2)", "NS007"),
        ("conv 3x3, N / (N - N)", "NS141"),
        ("conv 3x3, N % 0", "NS141"),
        ("dropout N", "NS132"),
        ("dropout 1/N", "NS132"),
        ("lrn N", "NS132"),
        ("lrn 5, k=N", "NS132"),
        ("bn eps=N", "NS132"),
        ("rbf N", "NS132"),
        ("relu if N", "NS140"),
        ("relu if not N", "NS140"),
        ("relu if N > 3", "NS144"),
        ("relu if N == 3", None),
        ("relu if N == relu", "NS140"),
        ("relu if N == on", "NS140"),
        ("relu if N == 3x3", "NS140"),
        ("concat { identity; conv 3x3, 3 }", "NS204"),
        ("concat { identity; gap }", "NS204"),
        ("add { identity; conv 1x1, N }", "NS205"),
        ("conv 3x3x3, 3", "NS303"),
        ("conv 4x4, 3, pad=half", "NS203"),
    ],
)
def test_symbols_stand_where_numbers_of_maps_do(row: str, expected: str | None) -> None:
    assert codes_of_rows(f"a: {row}", HEADER) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("1..N: relu", "NS117"),
        ("a1..aN: relu", "NS117"),
        ("a: relu\nhead h from a, weight=N: gap", "NS132"),
        ("columns N\na: relu", "NS142"),
        ("a: relu\nlet b = N\nc: b", "NS112"),
        ("a: relu\nN: relu\nb from C: relu", "NS111"),
    ],
)
def test_symbols_are_no_labels_weights_or_columns(rows: str, expected: str) -> None:
    assert codes_of_rows(rows, HEADER) == [expected]


def test_a_recipe_takes_no_symbols() -> None:
    recipe = "train {\nloss cross_entropy\noptimizer sgd lr=0.1\nbatch N\nepochs 3\n}"
    (error,) = problems(f"{HEADER}a: gap | fc 3\n{recipe}")
    assert (error.code, error.span.text) == ("NS132", "N")


def test_what_has_no_value_is_named_so() -> None:
    (error,) = problems(HEADER + "a: conv 3x3, 4, stride=N")
    assert error.message.endswith("and this is `N`, which has no value")
    assert "--set" in error.help


def test_symbols_of_a_base_and_its_variant_are_one() -> None:
    net = loads("net mine from inception_module {\nC22: conv 3x3, C2, pad=1 -> H x W x C2\n}")
    assert net.symbols == ["C1", "C2", "H", "W"]
    assert net.notes == ()


# -------------------------------------------------------------------------------------- roundings


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("(H // 2) // 2", "H // 4", True),
        ("((H // 2) // 2) // 2", "H // 8", True),
        ("((H - 3) // 2 + 1 - 3) // 2 + 1", "(H - 3) // 4", True),
        ("(H // 2 + 1) // 3", "(H + 2) // 6", True),
        ("(H // 2) // 2", "H // 2", False),
        ("(2 * (H // 2)) // 4", "H // 4", True),
        ("-((-H) // 2)", "(H + 1) // 2", None),
    ],
)
def test_roundings_of_roundings_are_one(left: str, right: str, expected: bool | None) -> None:
    assert same(value(left, {"H": H}), value(right, {"H": H})) is expected


@given(st.tuples(*[st.integers(-9, 9)] * 3), st.tuples(*[st.integers(1, 6)] * 2))
def test_roundings_that_are_called_the_same_are_the_same(
    shifts: tuple[int, int, int], divisors: tuple[int, int]
) -> None:
    (a, b, c), (d, e) = shifts, divisors
    nested = value(f"((H + {a}) // {d} + {b}) // {e}", {"H": H})
    single = value(f"(H + {a} + {d} * {b} + {c}) // ({d} * {e})", {"H": H})
    are_equal = all(at(nested, {"H": n}) == at(single, {"H": n}) for n in range(1, 80))
    assert (same(nested, single) is True) is are_equal


def test_sizes_that_may_be_equal_are_not_said_to_differ() -> None:
    halves = "maxpool 2x2/2 | maxpool 2x2/2; maxpool 4x4/4"
    assert codes_of_rows(f"a: add {{ {halves} }}", header=HEADER) == []
    assert codes_of_rows(f"a: concat {{ {halves} }}", header=HEADER) == []
    for other, word in (("H + 1", "differ"), ("H + (H**3 - H) % 6", "may differ")):
        inputs = f"input a H x W x C\ninput b ({other}) x W x C\n"
        for name in ("add", "concat"):
            (error,) = problems(f"net n\n{inputs}c from a, b: {name}")
            assert error.message.startswith(f"{name} inputs {word} in height: ")
