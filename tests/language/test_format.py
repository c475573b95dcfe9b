"""Formatting: the look, and that nothing but the look changes."""

from __future__ import annotations

import random
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import SpecError, load, loads
from netspec.ir.source import Source
from netspec.language.diagnostics import Problems
from netspec.language.format import format
from netspec.language.limits import MAX_BYTES
from netspec.language.parse import parse
from netspec.language.read import BUNDLED, decode
from netspec.views.summary import summary
from tests.examples import examples
from tests.language.test_mutations import CUT, EVERYTHING, edits, mutate

HERE = Path(__file__).parent
EXAMPLES = [EVERYTHING, HERE / "untidy.net"]
SPECS = {p.stem: p.read_text(encoding="utf-8") for p in [*sorted(BUNDLED.glob("*.net")), *EXAMPLES]}

PIECES = re.compile(
    r'(?P<string>"[^"\r\n]*")|(?P<comment>#[^\r\n]*)|(?P<end>\r\n|\r|\n)|(?P<space>\s)'
    r"|(?P<mark>->|[|,;:{}]|(?<![=!<>])=(?!=))|(?P<other>.)"
)


def bare(node: Any) -> Any:
    """A syntax tree without places."""
    if is_dataclass(node):
        kept = [bare(getattr(node, f.name)) for f in fields(node) if f.name != "at"]
        return type(node).__name__, *kept
    if hasattr(node, "_fields"):
        return type(node).__name__, *(bare(getattr(node, n)) for n in node._fields if n != "at")
    if isinstance(node, tuple | list):
        return [bare(item) for item in node]
    return node


def meaning(text: str) -> Any:
    problems = Problems()
    tree = parse(Source("example.net", text), problems)
    assert not problems.diagnostics, str(SpecError(problems.diagnostics))
    return bare(tree.statements)


def comments(text: str) -> list[str]:
    return [m[0].rstrip() for m in PIECES.finditer(text) if m.lastgroup == "comment"]


def ink(text: str) -> str:
    """A text without space, except in strings."""
    keeps = ("string", "comment", "mark", "other")
    return "".join(m[0].rstrip() for m in PIECES.finditer(text) if m.lastgroup in keeps)


def check(text: str) -> str:
    """All that formatting promises of a text; returns it formatted."""
    formatted = format(text)
    assert meaning(formatted) == meaning(text)
    assert comments(formatted) == comments(text)
    assert ink(formatted) == ink(text)
    assert format(formatted) == formatted
    lines = formatted.split("\n")
    assert not any(line != line.rstrip() or "\t" in line.partition("#")[0] for line in lines)
    assert "\n\n\n" not in formatted
    assert formatted == "" or (formatted[0] != "\n" and re.search(r"[^\n]\n\Z", formatted))
    return formatted


# --------------------------------------------------------------------------------------- the look


def test_the_bundled_specs_are_formatted() -> None:
    for path in sorted(BUNDLED.glob("*.net")):
        text = path.read_bytes().decode()
        assert format(text, path.name) == text, f"netspec fmt {path.name}"


def test_every_statement_has_one_look() -> None:
    assert check(SPECS["untidy"]) == (HERE / "tidy.net").read_text(encoding="utf-8")


ROWS = """\
C1:conv 5x5x1/1,6->28x28x6 params (5*5*1+1)*6
S2: subsample 2x2/2, by=mean|tanh -> 14x14x6   params (1+1)*6
out : fc 10 | softmax -> 10
"""
ROWS_ALIGNED = """\
C1:  conv 5x5x1/1, 6                   -> 28x28x6   params (5*5*1+1)*6
S2:  subsample 2x2/2, by=mean | tanh   -> 14x14x6   params (1+1)*6
out: fc 10 | softmax                   -> 10
"""


def test_rows_are_a_table() -> None:
    assert check(ROWS) == ROWS_ALIGNED


def test_comments_stand_in_a_table_and_blank_lines_end_it() -> None:
    text = "a: fc 10 -> 10\n   # so\nlong: fc 10 | relu -> 10\n\n\n\nlonger: relu -> 10\n"
    assert check(text) == (
        "a:    fc 10          -> 10\n# so\nlong: fc 10 | relu   -> 10\n\nlonger: relu   -> 10\n"
    )


def test_a_long_row_leaves_the_others_in_place() -> None:
    long = "b: " + " | ".join(["relu"] * 20)
    text = f"a: relu -> 5 params 1\n{long} -> 5 params 1\nabc: relu -> 55 params 1\n"
    lines = check(text).splitlines()
    assert lines[0] == "a:   relu   -> 5    params 1"
    assert lines[1] == f"{long.replace('b:', 'b:  ')}   -> 5    params 1"
    assert lines[2] == "abc: relu   -> 55   params 1"


def test_a_long_label_leaves_the_others_in_place() -> None:
    text = "a: relu\nabc: relu\nsum from one, two, three: add\n"
    assert check(text) == "a:   relu\nabc: relu\nsum from one, two, three: add\n"


def test_a_row_over_several_lines_keeps_its_place_in_the_table() -> None:
    text = "a: relu -> 5\nbc: concat {conv 1x1, 2\ntanh}|relu->7 params 2\nd: fc 10 -> 10 params 3"
    assert check(text) == (
        "a:  relu    -> 5\nbc: concat {\n    conv 1x1, 2\n    tanh\n"
        "} | relu    -> 7    params 2\nd:  fc 10   -> 10   params 3\n"
    )


def test_neighbouring_calls_align_their_values() -> None:
    text = "3a: inception 64, 96, 128\n3b: inception 128, 8, 192 | relu\nc: conv 3x3, 64\n"
    assert check(text) == (
        "3a: inception 64,  96, 128\n3b: inception 128, 8,  192 | relu\nc:  conv 3x3, 64\n"
    )


def test_claims_without_a_size_share_a_column() -> None:
    assert check("a: relu -> params 5 macs 3\nb: fc 10 -> params 15 macs 4\n") == (
        "a: relu    -> params 5    macs 3\nb: fc 10   -> params 15   macs 4\n"
    )
    assert check("a: relu -> params 5\nb: fc 10 -> 10 params 15\n") == (
        "a: relu    ->      params 5\nb: fc 10   -> 10   params 15\n"
    )


def test_comments_behind_neighbours_share_a_column() -> None:
    text = "default round=ceil # a\ncolumns 2 # b\n\nlet a = 5 # c\n"
    assert check(text) == (
        "default round=ceil   # a\ncolumns 2            # b\n\nlet a = 5   # c\n"
    )


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("", ""),
        ("  \t\n\n \r\n", ""),
        ("a: relu", "a: relu\n"),
        ("\n\na: relu\n\n", "a: relu\n"),
        ("a: relu\r\nb: relu\rc: relu", "a: relu\nb: relu\nc: relu\n"),
        ("\tinput\timage\tH  x  W  x  C1", "input image H x W x C1\n"),
        ("a: relu   if  norm|x if a==b", "a: relu if norm | x if a==b\n"),
        ("let n=2  *  (3+ 4 )", "let n = 2 * (3+ 4)\n"),
        ("let n=a==b", "let n = a==b\n"),
        ("default lrn k = 1 ,beta= 2 ,groups =3", "default lrn k=1, beta=2, groups=3\n"),
        ("block  c (k , n = 3)=conv k,n , pad = k-1", "block c(k, n=3) = conv k, n, pad=k-1\n"),
        ('net a (b = 1)from c"d"', 'net a(b=1) from c "d"\n'),
        ("5b  ..  5e  from a,b:add", "5b..5e from a, b: add\n"),
        ("a: add {relu;tanh  ;  x }|relu", "a: add { relu; tanh; x } | relu\n"),
        ("a: add {relu;;tanh;}", "a: add { relu;; tanh; }\n"),
        ("a: f (2+3), pad=( 1,2 )", "a: f (2+3), pad=(1, 2)\n"),
        ("a: relu;b: relu -> 5;", "a: relu; b: relu -> 5;\n"),
        ("a: relu #c  \t", "a: relu   #c\n"),
        ("a: x { # c\n\n\n relu\n\n}", "a: x {   # c\n    relu\n}\n"),
        ("a: x {\n\n # c\n\n relu # d\n # e\n\n}",
         "a: x {\n    # c\n\n    relu   # d\n    # e\n}\n"),
        ("a: x { y {relu\n} }", "a: x {\n    y {\n        relu\n    }\n}\n"),
        ("net a from b{drop C;x: relu}output x",
         "net a from b { drop C; x: relu }\noutput x\n"),
        ("net a from b{drop C\n};output x", "net a from b {\n    drop C\n};\noutput x\n"),
        ("a: x { net 3 | add { y; z }|relu }", "a: x { net 3 | add { y; z } | relu }\n"),
        ("a: fc 5 -> 5 params ( 3×3+1 ) × 5", "a: fc 5   -> 5   params (3×3+1) × 5\n"),
        ("document 'd' {A|( 3×2 ) x 5 ( x2 )|(3×3)×16|5 x( 4 )|}",
         'document "d" { A | (3×2) x 5 (x2) | (3×3)×16 | 5 x(4) | }\n'),
        ("codes d 2x2 {X. .X; .X X.}", "codes d 2x2 { X. .X; .X X. }\n"),
        ("connect t {X.. ..X\n ..  XX}", "connect t {\n    X.. ..X\n    .. XX\n}\n"),
        ("train {bias +1|x\noptimizer   sgd lr = 1}",
         "train {\n    bias      +1 | x\n    optimizer sgd lr=1\n}\n"),
    ],
)  # fmt: skip
def test_spacing(text: str, formatted: str) -> None:
    assert check(text.replace("'", '"')) == formatted


def test_what_does_not_parse_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        format("a: relu\nb: cnov 3x3 64\nc: fc (\n", "bad.net")
    assert [d.code for d in caught.value.diagnostics] == ["NS101", "NS102"]
    assert caught.value.diagnostics[0].span.source.name == "bad.net"


def test_a_spec_that_would_become_too_large_is_refused() -> None:
    nested = "a: " + "c {\n" * 90 + "relu\n" + "#\n" * 3_000 + "}" * 90
    with pytest.raises(SpecError) as caught:
        format(nested)
    assert [d.code for d in caught.value.diagnostics] == ["NS004"]


def test_a_monstrous_cell_does_not_widen_a_table() -> None:
    sum_of_many = "+".join(["1"] * 5_000)
    rows = "C1 | 1x1 | 1x1 | 1x1 | 5\n" * 300
    text = f'document "d" {{\nA | 1x1 | 1x1 | 1x1 | {sum_of_many}\n{rows}}}\n'
    assert len(format(text)) < 2 * len(text) < MAX_BYTES


# -------------------------------------------------------------------------------- nothing but that


@pytest.mark.parametrize("name", SPECS)
def test_specs_keep_their_meaning(name: str) -> None:
    check(SPECS[name])


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "alexnet_six", "inception_module"])
def test_specs_keep_their_graph(name: str) -> None:
    untidied = untidy(SPECS[name], random.Random(name), is_rough=True)
    assert summary(loads(format(untidied), name)) == summary(load(name))


def untidy(text: str, chance: random.Random, *, is_rough: bool) -> str:
    """A text with other space between its pieces, and where space means nothing with none.

    Where it is rough, blank lines come and go as well, which ends tables and begins others.
    """
    result: list[str] = []
    end = chance.choice(["\n", "\r\n", "\r"])
    pieces = [(m.lastgroup or "", m[0]) for m in PIECES.finditer(text)]
    for i, (kind, piece) in enumerate(pieces):
        before = pieces[i - 1] if i else ("end", "")
        after = pieces[i + 1][0] if i + 1 < len(pieces) else "end"
        if kind == "end":
            is_blank = before[0] == "end" or (is_rough and chance.random() < 0.2)
            result += [chance.choice(["", "", " ", " \t"]), end]
            result.append(f"{end}  {end}" if is_blank and chance.random() < 0.5 else "")
            result.append(chance.choice(["", "\t", "      "]))
        elif kind == "space":
            around = {before[0], after}
            is_free = around & {"end", "mark", "space", "comment"} and "other" not in around
            is_free = is_free or before[0] == "mark" or after == "mark"
            result.append(chance.choice(["", " "] if is_free else [" ", "  ", "\t", " \t "]))
        elif kind == "mark":
            result += [chance.choice(["", " "]), piece, chance.choice(["", " ", "\t"])]
        else:
            result.append(piece)
    return "".join(result)


@pytest.mark.parametrize("name", SPECS)
def test_space_that_means_nothing_changes_nothing(name: str) -> None:
    expected = format(SPECS[name])

    @examples(8, database=None)
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        assert format(untidy(SPECS[name], random.Random(seed), is_rough=False)) == expected

    run()


@pytest.mark.parametrize("name", SPECS)
def test_any_space_keeps_the_meaning(name: str) -> None:
    expected = meaning(SPECS[name])

    @examples(5, database=None)
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        untidied = untidy(SPECS[name], random.Random(seed), is_rough=True)
        assert meaning(check(untidied)) == expected

    run()


# ----------------------------------------------------------------------------- specs made by chance

spaces = st.sampled_from(["", "", " ", "  ", "\t"])
gaps = st.sampled_from([" ", "  ", "\t "])
ends = st.sampled_from(["\n", "\n", "\n\n\n", ";", " ; ", "\r\n", "  # a comment, { \n", "\n#\n"])
names = st.sampled_from(["a", "relu", "n1", "x", "let_", "macs", "params", "net", "train", "block"])
values = st.sampled_from(
    ["3x3", "64", "n", "1e-4/5", "(1, 2)", "2 * n", "-1", "a == b", "a<=b", "5x5x1/2", "( 3 )",
     "2**-1", "not a", "on and off", "3 × 4"]
)  # fmt: skip


def text_of(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts)).map("".join)


def several(
    item: st.SearchStrategy[str], between: str | st.SearchStrategy[str], most: int = 3
) -> st.SearchStrategy[str]:
    more = st.lists(text_of(between, item), max_size=most - 1).map("".join)
    return text_of(item, more)


arguments = text_of(
    several(values, text_of(spaces, ",", spaces)),
    st.just("") | text_of(spaces, ",", spaces, "pad", spaces, "=", spaces, values),
)
calls = text_of(names, st.just("") | text_of(gaps, arguments), st.sampled_from(["", " if n > 3"]))
bars = text_of(spaces, "|", spaces)


def braced(
    item: st.SearchStrategy[str], between: st.SearchStrategy[str] = ends
) -> st.SearchStrategy[str]:
    edge = st.sampled_from(["", " ", "\n", " # so\n\n"])
    return text_of(spaces, "{", edge, several(item, between), edge, "}")


pipes = st.recursive(
    several(calls, bars),
    lambda inner: text_of(st.sampled_from(["concat", "add"]), braced(inner), bars, calls),
    max_leaves=6,
)
claims = st.just("") | text_of(
    spaces, "->", spaces,
    st.sampled_from(["28x28x6", "10", "H x W x C1", "8 x 8 x (2*n)"]),
    st.sampled_from(["", " params 5", " params (1+2)*3  macs 4", " field 3x5\tneurons  n"]),
)  # fmt: skip
labels = st.sampled_from(
    ["C1", "3a", "5b .. 5e", "5b..5e", "sum  from a , b", "C6  after S5", "x from some_long_label"]
)
rows = text_of(labels, spaces, ":", spaces, pipes, claims)
heads = text_of("head ", names, " from b", spaces, ",", spaces, "weight = 0.3:", pipes, claims)
lets = text_of("let", gaps, names, spaces, "=", spaces, values)
inner = braced(rows | lets | st.just("output  a,b"))
blocks = text_of(
    "block b", spaces, "(n,k = 3", spaces, ")", spaces, "=", spaces, pipes | inner
)  # fmt: skip
recipes = text_of("train", braced(st.sampled_from(
    ["augment  crop 224|flip", "bias", "bias 1 for C2  C4", 'init from "a" for C1',
     "optimizer sgd lr = 0.01 , momentum=0.9", "bias - 1"]
)))  # fmt: skip
printed = text_of('document "d" , depth = in', braced(st.sampled_from(
    ["C1|224x224x3|11x11x3/4 ,48 (x2)|55x55x48( x2 )|(1+2) * 3", "M||拼接||", "F8 | 1x4096 | | |0",
     'C|H/2 x W / 2 x C2|3 x 3 x C2/1||n erratum kernel"a"  erratum params "b"',
     'says "60 million"params ~ 60e6', 'says  "q" C1.neurons==3 erratum"e"', 'says "#;"needs "x"']
)))  # fmt: skip
drawings = text_of(
    st.sampled_from(["connect t", "codes d  12x7"]),
    braced(st.sampled_from(["XX..", "X..  ..X", ".. ..", ". X"])),
)
simple = st.sampled_from(
    ["import'b.net'", "columns  2", "drop a , b", "output a,b", "claim params 5,macs 3 neurons 2",
     "default lrn k = 1,alpha=2", "input i 3x3x3", "input  i H  x W x 3", 'net n(a = 1)"t;#"',
     "net v from b"]
).map(lambda text: text.replace("'", '"'))  # fmt: skip
statements = rows | rows | rows | heads | lets | blocks | recipes | printed | drawings | simple
variants = text_of("net v(a=1) from b", braced(statements), spaces, statements)


@examples(300, database=None)
@given(several(statements | variants, ends, most=8))
def test_specs_made_by_chance_keep_their_meaning(text: str) -> None:
    problems = Problems()
    parse(Source("example.net", text), problems)
    if problems.diagnostics:
        with pytest.raises(SpecError):
            format(text)
    else:
        check(text)


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize("name", ["lenet5", "everything", "untidy", "alexnet_one_column"])
def test_a_mutated_spec_is_formatted_or_refused(name: str, cut: str) -> None:
    @examples(60, database=None)
    @given(edits)
    def run(changes: list[tuple[str, float, float, bytes]]) -> None:
        data = mutate(list(CUT[cut](SPECS[name].encode())), changes)
        try:
            text = decode("mutated.net", data).text
            format(text)
        except SpecError as error:
            assert error.diagnostics
        else:
            check(text)

    run()
