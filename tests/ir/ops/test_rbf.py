from __future__ import annotations

from math import prod

import numpy as np
import pytest

import netspec
from netspec import load, loads
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.shapes import Field, Shape
from netspec.ir.values import Codes
from netspec.language.read import BUNDLED
from tests.helpers import problems
from tests.ir.ops.helpers import assert_gradients, assert_same, images, refusal, shape_of

PICTURES = np.where(np.random.default_rng(7).random((3, 12)) < 0.5, -1, 1)
CODES = Codes("letters", 4, 3, tuple(tuple(map(int, picture)) for picture in PICTURES))
OP = RadialBasis(codes=CODES)
VECTOR = [Shape((12,))]

SPEC = """net example
input vector 12
a: rbf letters
codes letters 4x3 {
    XXX .X.
    X.X XX.
    XXX .X.
    X.X XXX
}
"""


@pytest.mark.parametrize("size", [(12,), (1, 1, 12), (2, 3, 2)])
def test_rbf_is_its_formula(size: tuple[int, ...]) -> None:
    x = images(size)
    y = np.zeros((2, 3))
    for n, j in np.ndindex(*y.shape):
        for i, value in enumerate(x[n].flatten().tolist()):
            y[n, j] += (value - PICTURES[j, i]) ** 2
    assert OP.shape([shape_of(x)]) == (3,)
    assert_same(OP.reference([shape_of(x)], x), y)


def test_gradients_are_those_of_finite_differences() -> None:
    assert_gradients(OP, images((12,)))


def test_the_penalty_of_a_code_itself_is_zero_and_the_least() -> None:
    y = OP.reference(VECTOR, images((12,)).new_tensor(PICTURES))
    assert_same(y.diagonal(), np.zeros(3))
    assert y.argmin(dim=1).tolist() == [0, 1, 2]
    assert OP.answers_by == "least"


def test_penalties_have_the_precision_of_the_input() -> None:
    x = images((12,))
    for kind in (x, x.float(), x.bfloat16()):
        assert OP.reference(VECTOR, kind).dtype == kind.dtype


def test_nothing_is_trained_and_products_are_counted() -> None:
    assert OP.parameters(VECTOR) == {}
    assert not OP.is_trained
    assert OP.buffers(VECTOR) == {}
    assert prod(OP.macs(VECTOR)) == 12 * 3
    assert OP.kernel_text(VECTOR) == "12x3"
    assert OP.derivation(0, VECTOR) == "3 codes"


def test_every_code_sees_all_of_the_input() -> None:
    whole = Field((1, 1), (0, 0), (1, 1))
    assert OP.field([whole], [Shape((4, 3, 1))]).size == (4, 3)


def test_an_input_of_another_length_is_refused() -> None:
    error = refusal(OP, (13,))
    assert error.code == "NS209"
    assert error.message == ("the codes `letters` have 4 x 3 = 12 values, and the input has 13")
    assert error.origins == ((0, 0),)


def test_codes_are_read_as_they_are_drawn() -> None:
    op = loads(SPEC).graph.stage("a.rbf").op
    assert isinstance(op, RadialBasis)
    x, dot = 1, -1
    assert op.codes.pictures == (
        (x, x, x, x, dot, x, x, x, x, x, dot, x),
        (dot, x, dot, x, x, dot, dot, x, dot, x, x, x),
    )


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("rbf lettres", "NS113"),
        ("rbf", "NS133"),
        ("rbf 12", "NS132"),
        ("fc 12 | fc letters", "NS132"),
    ],
)
def test_rbf_is_given_codes_and_nothing_else_is(written: str, code: str) -> None:
    assert code in [d.code for d in problems(SPEC.replace("rbf letters", written))]


def test_codes_are_as_long_as_what_they_are_held_against() -> None:
    assert [d.code for d in problems(SPEC.replace("vector 12", "vector 13"))] == ["NS209"]
    assert problems(SPEC.replace("vector 12", "map 4x3x1")) == []


def test_the_digits_of_lenet5_are_ten_different_pictures() -> None:
    op = load("lenet5_rbf").graph.stage("out.rbf").op
    assert isinstance(op, RadialBasis)
    assert (op.codes.height, op.codes.width, len(op.codes.pictures)) == (12, 7, 10)
    assert len(set(op.codes.pictures)) == 10
    text = (BUNDLED / "lenet5_rbf.net").read_text(encoding="utf-8")
    drawn = text.partition("codes digits")[2].partition("}")[0].partition("{")[2]
    black = sum(line.partition("#")[0].count("X") for line in drawn.splitlines())
    assert sum(picture.count(1) for picture in op.codes.pictures) == black


def test_a_compiled_net_holds_nothing_for_it() -> None:
    assert list(netspec.compile(loads(SPEC)).state_dict()) == []
