"""Labels in the place of operators."""

from __future__ import annotations

import pytest

from tests.helpers import load_rows, problems

HEADER = "net example\ninput image 8x8x3\n"


@pytest.mark.parametrize(
    ("rows", "message", "help"),
    [
        (
            "a: relu\nb: add { a; conv 3x3, 3, pad=1 }",
            "`a` is the label of a row, not an operator",
            "branches start from the input of the stage; "
            "to join rows write `LABEL from a, OTHER: add`",
        ),
        (
            "a: relu\nb: concat { identity; identity | concat { abs; a | relu } }",
            "`a` is the label of a row, not an operator",
            "branches start from the input of the stage; "
            "to join rows write `LABEL from a, OTHER: concat`",
        ),
        (
            "b: add { image; relu }",
            "`image` is the label of an input, not an operator",
            "branches start from the input of the stage; "
            "to join rows write `LABEL from image, OTHER: add`",
        ),
        (
            "a1..a3: relu\nb: a2 | relu",
            "`a2` is the label of a row, not an operator",
            "name the rows to read after `from`: `LABEL from a2: relu`",
        ),
        (
            "a: relu\nb: a + a | relu",
            "`a` is the label of a row, not an operator",
            "name the rows to read after `from`: `LABEL from a: relu`",
        ),
        (
            "block k = {\n a: relu\n b: add { a; identity }\n}\nx: k",
            "`a` is the label of a row, not an operator",
            "branches start from the input of the stage; "
            "to join rows write `LABEL from a, OTHER: add`",
        ),
        (
            "a: relu\nblock k = add { a; identity }\nx: k",
            "`a` is the label of a row, not an operator",
            "a block cannot read rows outside of it: it reads its input",
        ),
        (
            "a: relu\nhead h from a: fc 2\nb: add { h; identity }",
            "`h` is the label of a head, not an operator",
            "rows cannot read a head: name the row that the head reads",
        ),
        (
            "b: add { input; relu }",
            "`input` is not an operator",
            "a branch that passes on the input of the stage is `identity`",
        ),
        (  # the word is meant as an operator
            "pool: relu\nb: pool 2x2/2",
            "there is no operator or block `pool`",
            "write `maxpool 2x2/2`: the kernel, with its stride",
        ),
    ],
)
def test_a_label_in_the_place_of_an_operator_is_named(rows: str, message: str, help: str) -> None:
    (problem,) = problems(HEADER + rows)
    assert (problem.code, problem.message, problem.help) == ("NS112", message, help)


def test_the_row_of_the_help_reads_both_rows() -> None:
    net = load_rows("a: relu\nb: abs\nsum from a, b: add")
    assert net.graph.operands("sum.add") == ("a.relu", "b.abs")


def test_a_row_may_have_the_name_of_an_operator() -> None:
    assert load_rows("relu: abs\nb: add { relu; identity }")["b"].layers == ("add",)
