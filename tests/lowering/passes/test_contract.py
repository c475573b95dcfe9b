"""What passes say of themselves: an equation, and a sentence for each refusal in their code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from netspec.lowering.passes import PIPELINE, Pass, exchange, summary, synchronise

PASSES = (*PIPELINE, exchange, synchronise)
RULES = [one.RULE for one in PASSES]


def numbers(value: ast.AST | None) -> Iterator[int]:
    """The whole numbers that an expression can be."""
    if isinstance(value, ast.IfExp):
        yield from numbers(value.body)
        yield from numbers(value.orelse)
    elif isinstance(value, ast.Constant) and type(value.value) is int:
        yield value.value


def refusals(source: str) -> set[int]:
    """The numbers that a pass can give: from ``_refusal``, from a name or a keyword ``refusal``."""
    possible: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "refusal" in node.name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    possible |= {*numbers(inner.value)}
        elif isinstance(node, ast.Assign | ast.keyword):
            name = node.arg if isinstance(node, ast.keyword) else ast.unparse(node.targets[0])
            possible |= {*numbers(node.value)} if name == "refusal" else set()
    return possible - {0}


@pytest.mark.parametrize("one", PASSES, ids=RULES)
def test_a_pass_has_an_equation_and_a_remark(one: Pass) -> None:
    assert "=>" in one.EQUATION
    assert ":" not in one.EQUATION
    assert one.REMARK.strip() == one.REMARK != ""
    assert not one.REMARK.endswith(".")
    assert summary(one) == f"{one.EQUATION}: {one.REMARK}"


@pytest.mark.parametrize("one", PASSES, ids=RULES)
def test_every_refusal_has_a_sentence_and_every_sentence_a_refusal(one: Pass) -> None:
    assert isinstance(one, ModuleType)
    assert set(one.REFUSALS) == refusals(inspect.getsource(one))
    for sentence in one.REFUSALS.values():
        assert sentence == " ".join(sentence.split())
        assert sentence[-1] not in ";."


def test_some_pass_refuses() -> None:
    assert sum(len(one.REFUSALS) for one in PIPELINE) > 10
