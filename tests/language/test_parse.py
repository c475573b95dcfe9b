from __future__ import annotations

import logging
from io import StringIO

import pytest
from lark import Lark, UnexpectedInput, logger

from netspec.ir.source import Source
from netspec.language import syntax
from netspec.language.build import Builder
from netspec.language.diagnostics import Problems
from netspec.language.parse import parse
from netspec.language.syntax_errors import FOREIGN_HELP, GENERAL_HELP, HINTS, describe
from netspec.language.tables import GRAMMAR, parser_for
from tests.helpers import codes, problems

PARSER = parser_for(Builder())


def tree(text: str) -> tuple[syntax.Statement, ...]:
    collected = Problems()
    parsed = parse(Source("x.net", text), collected)
    assert collected.diagnostics == []
    return parsed.statements


def row(text: str) -> syntax.Row:
    (statement,) = tree(text)
    assert isinstance(statement, syntax.Row)
    return statement


def conflicts(grammar: str, start: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lark refuses reduce/reduce conflicts, and resolves shift/reduce ones with a warning."""
    messages = StringIO()
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(messages)])
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        Lark(grammar, parser="lalr", start=start, debug=True)
    finally:
        logger.setLevel(level)
    return [line for line in messages.getvalue().splitlines() if "Shift/Reduce" in line]


def test_the_grammar_is_lalr_without_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    dangling_else = 'start: "if" start | "if" start "else" start | "x"'
    assert conflicts(dangling_else, ["start"], monkeypatch)
    grammar = GRAMMAR.read_text(encoding="utf-8")
    assert conflicts(grammar, ["statement", "value"], monkeypatch) == []


def test_a_row_has_labels_sources_stages_and_claims() -> None:
    parsed = row("5b..5e from a, b: add | conv 3x3/2, n if deep -> 2x2x3 params 5*5 macs 7")
    assert (parsed.first.text, parsed.last and parsed.last.text) == ("5b", "5e")
    assert [s.text for s in parsed.sources] == ["a", "b"]
    assert [s.name.text for s in parsed.pipe.stages] == ["add", "conv"]
    assert parsed.pipe.stages[1].condition is not None
    assert parsed.claims.size is not None
    assert [m.kind for m in parsed.claims.measures] == ["params", "macs"]


def test_every_node_knows_where_it_stands() -> None:
    text = "# comment\n\nC1: conv 5x5, 2*n, pad=half | relu"
    stage = row(text).pipe.stages[0]
    assert text[slice(*stage.at)] == "conv 5x5, 2*n, pad=half"
    assert [text[slice(*a.value.at)] for a in stage.arguments] == ["5x5", "2*n", "half"]


def test_branches_end_with_a_line_or_a_semicolon_and_nest() -> None:
    (stage,) = row("a: concat { relu; tanh # c\n\n\n add { relu\n tanh } ; }").pipe.stages
    assert stage.branches is not None
    assert [b.stages[0].name.text for b in stage.branches] == ["relu", "tanh", "add"]
    inner = stage.branches[2].stages[0].branches
    assert inner is not None
    assert len(inner) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ";", " ; \n", "  # comment\n", "\n\n#x\n"])
def test_statements_end_with_a_line_or_a_semicolon(end: str) -> None:
    assert len(tree(f"a: relu{end}b: relu{end}")) == 2


def test_words_of_the_language_are_names_elsewhere() -> None:
    (stage,) = row("x: block params, x, from=field, macs=let").pipe.stages
    assert stage.name.text == "block"
    assert [a.key.text for a in stage.arguments if a.key] == ["from", "macs"]


def test_the_multiplication_sign_is_an_x_in_sizes_and_times_in_expressions() -> None:
    parsed = row("a: conv 5×5×1/1, 6 -> 28×28×6 params 5×5×1 + 1")
    kernel = parsed.pipe.stages[0].arguments[0].value
    assert isinstance(kernel, syntax.KernelLiteral)
    assert isinstance(parsed.claims.measures[0].value, syntax.Operation)


def test_a_hash_inside_a_title_is_no_comment() -> None:
    (net,) = tree('net a "issue #5; {"')
    assert isinstance(net, syntax.Net)
    assert net.title == "issue #5; {"


@pytest.mark.parametrize("size", ["H × W × (2*C)", "H x W × (2 × C)", "H x W x (2*C)"])
def test_a_multiplication_sign_stands_between_dimensions_too(size: str) -> None:
    lets = "let H = 6\nlet W = 8\nlet C = 2\n"
    text = f"net n\n{lets}input image 6x8x4\na: relu -> {size} neurons 0 × 5"
    assert codes(text) == []
    assert codes(text.replace("(2", "(3")) == ["NS301"]


@pytest.mark.parametrize(
    ("hint", "example"),
    [(hint, example) for hint, examples in HINTS.items() for example in examples],
)
def test_each_malformed_example_gets_its_hint(hint: str, example: str) -> None:
    problems = Problems()
    parse(Source("x.net", example), problems)
    assert [d.code for d in problems.diagnostics] == ["NS101"]
    with pytest.raises(UnexpectedInput) as caught:
        PARSER.parse(example, start="statement")
    assert describe(PARSER, example, caught.value)[3] == hint


def test_a_mistake_without_a_hint_points_to_the_grammar() -> None:
    problems = Problems()
    parse(Source("x.net", "a: relu @"), problems)
    assert [d.help for d in problems.diagnostics] == [GENERAL_HELP]


@pytest.mark.parametrize(
    ("text", "named"),
    [("a:\u00a0relu", "U+00A0"), ("Ç1: relu", "U+00C7"), ("a: fc １０", "U+FF11")],
)
def test_a_foreign_character_is_named(text: str, named: str) -> None:
    problems = Problems()
    parse(Source("x.net", text), problems)
    assert [d.help for d in problems.diagnostics] == [FOREIGN_HELP]
    assert problems.diagnostics[0].message.endswith(named)


def test_every_broken_statement_is_reported_and_hides_no_other() -> None:
    problems = Problems()
    text = "a: conv 3x3 16\nb: relu\nc: )\nd: relu\nlet x = (1\ne: relu\n"
    parsed = parse(Source("x.net", text), problems)
    assert [d.code for d in problems.diagnostics] == ["NS101", "NS102", "NS102"]
    names = [s.first.text for s in parsed.statements if isinstance(s, syntax.Row)]
    assert names == ["b", "d", "e"]
    broken = [s for s in parsed.statements if isinstance(s, syntax.Broken)]
    assert [(b.keyword, b.names[0].text) for b in broken] == [
        ("row", "a"), ("row", "c"), ("let", "x")
    ]  # fmt: skip


def test_what_a_broken_statement_defines_is_not_missed() -> None:
    header = "net example\ninput image 8x8x3\n"
    assert codes(header + "let n = 3 4\na: conv 3x3, n") == ["NS101"]
    assert codes(header + "block b(n) = conv 3x3 n\na: b 3") == ["NS101"]
    assert codes(header + "a: conv 3x3 4\nb from a: relu") == ["NS101"]
    assert codes("net n(f=act)\nblock act = relu relu relu\ninput i 3x3x3\na: f") == ["NS101"]
    assert codes("net example(n=)\ninput image 8x8x3\na: conv 3x3, n") == ["NS101"]
    assert codes("net example\ninput image 8x8\u00b23\na: relu") == ["NS101"]


def test_what_stands_behind_a_closing_brace_is_not_expected() -> None:
    """Lark calls the end by another name where not a single token has a place."""
    (problem,) = problems(
        'net a\ninput x 8x8x3\na: relu\ndocument "s" {\n    says "b" params == 0\n}^'
    )
    assert problem.code == "NS101"
    assert problem.message == "expected the end of the statement, but found the character `^`"
