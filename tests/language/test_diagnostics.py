from __future__ import annotations

import pytest

from netspec.ir.guess import did_you_mean
from netspec.ir.source import Source, Span
from netspec.language.diagnostics import Diagnostic, Note, Problems, SpecError, render
from netspec.language.limits import MAX_PROBLEMS
from tests.helpers import problems


def at(text: str, marked: str) -> Span:
    start = text.index(marked)
    return Span(Source("x.net", text), start, start + len(marked))


def show(text: str, marked: str) -> list[str]:
    return render([Diagnostic("NS000", "m", at(text, marked))]).splitlines()


def test_carets_stand_under_the_span_behind_tabs() -> None:
    assert show("a:\tconv 3x3", "conv")[-2:] == ["1 | a: conv 3x3", "  |    ^^^^"]


def test_carets_are_as_wide_as_wide_characters() -> None:
    assert show("# 卷积 x", "x")[-2:] == ["1 | # 卷积 x", "  |        ^"]


def test_a_long_line_is_cut_around_the_span() -> None:
    excerpt, carets = show("a" * 50_000 + "HERE" + "b" * 50_000, "HERE")[-2:]
    assert len(excerpt) < 120
    assert excerpt.index("HERE") == carets.index("^^^^")


def test_nothing_that_a_terminal_would_obey_is_printed() -> None:
    diagnostic = Diagnostic("NS000", "\x1b[31m", Span(Source("\x1b]0;x\x07", "a\x9bb"), 0, 1))
    assert "\x1b" not in render([diagnostic])
    assert "\x9b" not in render([diagnostic])


def test_a_note_on_the_same_line_needs_no_second_excerpt() -> None:
    text = "a: conv\nb: relu"
    same = Diagnostic("NS000", "m", at(text, "conv"), notes=(Note("n", at(text, "a")),))
    other = Diagnostic("NS000", "m", at(text, "conv"), notes=(Note("n", at(text, "relu")),))
    assert render([same]).count(" | a: conv") == 1
    assert "2 | b: relu" in render([other])


def test_many_problems_are_shown_in_part_and_counted() -> None:
    many = [Diagnostic("NS000", str(i), at("abc", "b")) for i in range(60)]
    assert render(many).endswith("... and 10 more problems")


def test_reading_stops_after_a_thousand_problems() -> None:
    collected = Problems()
    for i in range(MAX_PROBLEMS - 1):
        collected.add("NS000", str(i), at("abc", "b"), help="h")
    with pytest.raises(SpecError) as caught:
        collected.add("NS000", "m", at("abc", "b"), help="h")
    assert len(caught.value.diagnostics) == MAX_PROBLEMS


def test_did_you_mean_finds_the_nearest_word() -> None:
    assert did_you_mean("reul", ["relu", "tanh"]) == "did you mean `relu`?"
    assert did_you_mean("RELU", ["relu", "tanh"]) == "did you mean `relu`?"
    assert did_you_mean("xyz", ["relu", "tanh"]) == ""
    assert did_you_mean("r" * 1000, ["relu"]) == ""


def test_json_has_the_place_the_notes_and_the_help() -> None:
    (error,) = problems("net example\ninput image 8x8x3\na: cnov 3x3, 16")
    assert error.as_json() == {
        "code": "NS112",
        "severity": "error",
        "message": "there is no operator or block `cnov`",
        "file": "example.net",
        "line": 3,
        "column": 4,
        "end_line": 3,
        "end_column": 8,
        "notes": [],
        "help": "did you mean `conv`?",
    }


def test_an_error_inside_a_block_shows_the_call_too() -> None:
    text = "net example\ninput image 8x8x3\nblock b(n) = conv 9x9, n\nblock c(n) = b n\na: c 16"
    (error,) = problems(text)
    assert error.code == "NS201"
    assert error.span.line == 3
    assert [n.span.line for n in error.notes if n.span][-2:] == [4, 5]
    assert "in block `c`, called on line 5" in str(SpecError([error]))


def test_a_size_is_traced_through_stages_that_pass_it_on() -> None:
    text = """net example
input image 28x28x3
pool2: maxpool 3x3/2, round=ceil
n: lrn 5 | relu
4b: concat { identity; conv 2x2, 8 }
"""
    (error,) = problems(text)
    shown = str(SpecError([error]))
    assert "concat inputs differ in height: 14 and 13" in shown
    assert "height 14 comes from `pool2.maxpool`, line 3: ceil((28-3)/2) + 1" in shown
    assert "help: set round=floor" in shown


def test_problems_of_all_kinds_are_reported_in_one_run() -> None:
    text = """net example
input image 8x8x3
a: conv 3x3 16
b from a: cnov 3x3
c from image: conv 9x9, 4
d from image: conv 3x3, 4 -> 5x5x4
e from image: conv 3x3, 4 -> 6x6x4 params 7
f from c: conv 99x99, 4
output d, e
"""
    assert [d.code for d in problems(text)] == ["NS101", "NS112", "NS201", "NS301", "NS302"]
