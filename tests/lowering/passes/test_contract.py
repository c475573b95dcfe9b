"""The docstrings of passes: an equation, and a sentence for each refusal that the code can give."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from netspec.lowering.passes import PIPELINE, Pass
from netspec.lowering.passes.contract import contract

RULES = [one.RULE for one in PIPELINE]


def numbers(value: ast.AST | None) -> Iterator[int]:
    """The whole numbers that an expression can be."""
    if isinstance(value, ast.IfExp):
        yield from numbers(value.body)
        yield from numbers(value.orelse)
    elif isinstance(value, ast.Constant) and type(value.value) is int:
        yield value.value


def refusals(source: str) -> set[int]:
    """The numbers that a pass can give: from ``_refusal``, from a name or a keyword ``refusal``."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and "refusal" in node.name:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    found |= {*numbers(inner.value)}
        elif isinstance(node, ast.Assign | ast.keyword):
            name = node.arg if isinstance(node, ast.keyword) else ast.unparse(node.targets[0])
            found |= {*numbers(node.value)} if name == "refusal" else set()
    return found - {0}


@pytest.mark.parametrize("one", PIPELINE, ids=RULES)
def test_the_docstring_opens_with_an_equation(one: Pass) -> None:
    summary = contract(one).summary
    assert "=>" in summary.partition(":")[0]
    assert "\n" not in summary
    assert not summary.endswith(".")


@pytest.mark.parametrize("one", PIPELINE, ids=RULES)
def test_every_refusal_has_a_sentence_and_every_sentence_a_refusal(one: Pass) -> None:
    assert isinstance(one, ModuleType)
    said = contract(one).refusals
    assert set(said) == refusals(inspect.getsource(one))
    assert all(sentence and sentence[-1] not in ";." for sentence in said.values())


def test_some_pass_refuses() -> None:
    assert sum(len(contract(one).refusals) for one in PIPELINE) > 10


def test_sentences_go_over_lines() -> None:
    text = """a(x) => b(x), which is
    shorter.

    More of it: 1. is no case.

    Refuses when

    1. it is one
       of two;
    2. it is the other; or not.

    3. This is no case either.
    """
    one = SimpleNamespace(RULE="a", __doc__=inspect.cleandoc(text), rewrite=lambda graph: 0)
    found = contract(one)
    assert found.summary == "a(x) => b(x), which is shorter"
    assert found.refusals == {1: "it is one of two", 2: "it is the other; or not"}


def test_a_pass_that_never_refuses_has_none() -> None:
    one = SimpleNamespace(RULE="a", __doc__="a => b.\n\nIt never refuses.", rewrite=len)
    assert contract(one).refusals == {}
