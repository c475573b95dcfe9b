"""Every part of a spec that means something is told by ``netspec diff``, in data and in text."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netspec import Net, SpecError, loads
from netspec.checking.tables import Cell, Document, PrintedRow, Sentence
from netspec.ir.graph import Claim, Graph, Head, Row, Stage
from netspec.ir.operator import WindowOperator
from netspec.ir.ops import OPERATORS
from netspec.ir.recipe import Assigned, Recipe
from netspec.views.diff import diff
from netspec.views.diff_table import lines
from tests.ir.ops.extremes import MANY_REFUSED, attributes, spec_of, written

SPEC = """net {name}(n={default}, size) "{title}"
{columns}
input {inputs}
a from left:      conv 3x3, 4, pad=1, connect=pairs, bias={bias} | {operator}   {claim}
b from right:     conv 3x3, 4, pad=1
block two = {{ x: relu   {inner}
 y: tanh }}
c from {reads}:   add | dropout {rate}
d:                two | fc 2 | rbf marks
head h from c, weight={weight}: gap | fc 2
output {outputs}
{total}
connect pairs {{
{table}
}}
codes marks 1x2 {{
{codes}
}}
train {{
    prepare   {prepare}
    augment   {augment}
    loss      {loss}
    init      {init}
    init      he for {initialised}
    bias      {constant}
    rate      2 for {faster}
    decay     {decayed} for bias
    optimizer sgd lr={lr}
    batch     {batch}
    epochs    {epochs}
    schedule  every {every}, factor=0.1
    evaluate  {evaluate}
}}
document "{source}", depth={depth} {{
    {label} {printed}   erratum output "{erratum}"
    says "{quote}"  {condition}
    says "it learns" {how} "{by}"
}}
"""

PARTS: dict[str, tuple[str, str]] = {
    "default": ("2", "3"),
    "title": ("A title", "Another"),
    "columns": ("columns 2", "columns 1"),
    "inputs": ("left 8x8x4\ninput right 8x8x4", "right 8x8x4\ninput left 8x8x4"),
    "bias": ("on", "off"),
    "operator": ("relu", "tanh"),
    "claim": ("-> 8x8x4", "-> 8x8x4   field 3"),
    "inner": ("", "-> 8x8x4"),
    "reads": ("a, b", "b, a"),
    "rate": ("0.5", "0.25"),
    "weight": ("0.3", "1"),
    "outputs": ("d, c", "c, d"),
    "total": ("", "claim neurons 514"),
    "table": ("X...\n.X..\n..X.\n...X", "X...\n..X.\n.X..\n...X"),
    "codes": ("XX .X", ".X XX"),
    "prepare": ("range low=-0.1, high=1.175", "range low=-0.1, high=1"),
    "augment": ("flip", "crop 8 | flip"),
    "loss": ("cross_entropy", "squared_error"),
    "init": ("gaussian 0.01", 'from "runs/a"'),
    "initialised": ("a b", "b"),
    "constant": ("1 for a", "1"),
    "faster": ("a b", "a"),
    "decayed": ("0", "0.5"),
    "lr": ("0.01", "0.02"),
    "batch": ("16", "32"),
    "epochs": ("2", "3"),
    "every": ("1", "2"),
    "evaluate": ("tencrop", "center"),
    "source": ("a table", "the table"),
    "depth": ("in", "out"),
    "label": ("b", "c"),
    "printed": ("| | | 8x8x9 |", "| | | 8x8x8 |"),
    "erratum": ("a misprint", "they are 4"),
    "quote": ("a hundred and fifty", "148"),
    "condition": ("b.params == 148", "148 == b.params"),
    "how": ("measured", "needs"),
    "by": ("netspec train", "netspec eval"),
}
"""Two ways to write each part of the spec; they differ in meaning."""

FIRST = {part: ways[0] for part, ways in PARTS.items()}


def net(**written: str) -> Net:
    text = SPEC.format(**{"name": "example"} | FIRST | written)
    return loads(text, "example.net", size="7")


def shown(a: Net, b: Net) -> str:
    return "\n".join(line.text for line in lines(diff(a, b)))


def test_a_net_does_not_differ_from_itself() -> None:
    assert diff(net(), net()).is_empty


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_told(part: str) -> None:
    one, other = net(), net(**{part: PARTS[part][1]})
    for a, b in ((one, other), (other, one)):
        difference = diff(a, b)
        data = difference.as_json()
        assert not difference.is_empty
        assert data["changes"] or any(row["changes"] for row in data["rows"])
        assert "no differences" not in shown(a, b)
        json.dumps(data)


def test_the_data_says_what_each_net_has() -> None:
    def told(part: str) -> Any:
        return diff(net(), net(**{part: PARTS[part][1]})).changes

    assert told("title") == {"title": ["A title", "Another"]}
    assert told("default") == {"parameters": [{"n": "2", "size": None}, {"n": "3", "size": None}]}
    assert told("columns") == {"columns": [2, 1]}
    assert told("claim") == {"claims": [[], ["a field"]]}
    assert told("inner") == {"claims": [[], ["d.x size"]]}
    assert told("total") == {"claims": [[], ["net neurons"]]}
    assert told("augment") == {"recipe": {"augment": [["flip"], ["crop 8", "flip"]]}}
    assert told("initialised") == {
        "recipe": {"init": [["gaussian 0.01", "he for a b"], ["gaussian 0.01", "he for b"]]}
    }
    assert told("init")["recipe"]["init"][1] == ['from "runs/a"', "he for a b"]
    assert told("source") == {
        "documents": [
            {"a": "a table", "b": None, "changes": {}},
            {"a": None, "b": "the table", "changes": {}},
        ]
    }
    (document,) = told("erratum")["documents"]
    assert document["a"] == document["b"] == "a table"
    before, after = ('8x8x9 erratum "a misprint"', '8x8x9 erratum "they are 4"')
    cells = {"output": [before, after]}
    assert document["changes"] == {"rows": [{"a": "b", "b": "b", "changes": cells}]}
    (document,) = told("by")["documents"]
    why = {"why": ["netspec train", "netspec eval"]}
    sentence = {"a": "it learns", "b": "it learns", "changes": why}
    assert document["changes"] == {"sentences": [sentence]}


def test_the_text_says_what_each_net_has() -> None:
    def told(part: str, *more: str) -> str:
        return shown(net(), net(**{name: PARTS[name][1] for name in (part, *more)}))

    assert '~ title: "A title" -> "Another"' in told("title")
    assert "~ parameters: n=2, size -> n=3, size" in told("default")
    assert "~ columns: 2 -> 1" in told("columns")
    assert "~ claims of one only: none -> a field, net neurons" in told("claim", "total")
    assert "~ train augment: flip -> crop 8 | flip" in told("augment")
    assert "~ train batch: 16 -> 32" in told("batch")
    assert '~ document "a table": in - only\n~ document "the table": in + only' in told("source")
    assert '    says "it learns": why netspec train -> netspec eval' in told("by")
    assert "connect X... .X.. ..X. ...X -> X... ..X. .X.. ...X" in told("table")


choices = st.fixed_dictionaries({part: st.sampled_from(ways) for part, ways in PARTS.items()})


@settings(max_examples=25)
@given(choices, st.sets(st.sampled_from(sorted(PARTS)), max_size=3))
def test_two_specs_agree_only_if_all_parts_do(one: dict[str, str], flipped: set[str]) -> None:
    other = {
        part: ways[1 - ways.index(one[part])] if part in flipped else one[part]
        for part, ways in PARTS.items()
    }
    difference = diff(net(**one), net(**other))
    assert difference.is_empty == (one == other)
    assert difference.changes.keys() == diff(net(**other), net(**one)).changes.keys()


@pytest.mark.parametrize(
    "written",
    [
        {"title": "A title", "table": "X...\n.X.. # a line a map\n..X.\n...X"},
        {"rate": "1/2", "weight": "3/10", "lr": "1e-2"},
        {"prepare": "range  low = -0.1,high=1.175", "printed": "|| |8 x 8 x 9|"},
        {"condition": "b.params==148", "constant": "1   for a # not for b"},
        {"initialised": "b a", "faster": "b a"},
    ],
)
def test_formatting_is_no_difference(written: dict[str, str]) -> None:
    assert diff(net(), net(**written)).is_empty


def test_names_of_tables_are_no_difference_and_that_of_the_net_is_said() -> None:
    renamed = loads(
        SPEC.format(name="example", **FIRST).replace("pairs", "couples").replace("marks", "signs"),
        size="7",
    )
    assert diff(net(), renamed).is_empty
    assert "\nno differences but the name: 5 rows, " in shown(net(), net(name="sample"))


def test_nets_without_what_the_other_has_are_told() -> None:
    rows = "input image 8x8x3\na: fc 2 | softmax\n"
    steps = "prepare center 8", "loss cross_entropy", "optimizer sgd lr=1", "batch 1", "epochs 1"
    recipe = "\n".join(["train {", *steps, "}\n"])
    table = 'document "a table" {\n a | 8x8x3 | | 2 |\n}\n'
    bare, whole = loads(f"net t\n{rows}"), loads(f'net t "T"\n{rows}{recipe}{table}')
    told = shown(bare, whole)
    assert '~ title: none -> "T"' in told
    assert "~ train batch: none -> 1" in told
    assert '~ document "a table": in + only' in told
    assert diff(whole, bare).changes["recipe"]["prepare"] == [["center 8"], []]


def meaning(one: Net) -> Any:
    """What a net of one operator computes, however it is written."""
    stage = one.graph.stage(one.graph.find("a"))
    inputs = one.graph.shapes_into(stage.name)
    values = {a.name: getattr(stage.op, a.name) for a in stage.op.attributes()}
    if isinstance(stage.op, WindowOperator):
        windows = stage.op.windows(inputs)
        values["pad"] = [(w.before, w.after) for w in windows]
        if not any(w.overhang for w in windows):
            del values["round"]
    return values


@pytest.mark.parametrize("operator", [n for n, op in OPERATORS.items() if op.attributes()])
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=MANY_REFUSED)
def test_every_attribute_is_told(operator: str, data: st.DataObject) -> None:
    first = data.draw(attributes(operator))
    changed = data.draw(st.sampled_from(OPERATORS[operator].attributes()))
    second = first | {changed.name: data.draw(st.sampled_from(written(changed)))}
    try:
        one, another = loads(spec_of(operator, first)), loads(spec_of(operator, second))
    except SpecError:
        assume(False)
    assert diff(one, another).is_empty == (meaning(one) == meaning(another))


COMPARED = {
    Net: {"title", "graph", "parameters", "documents", "recipe", "expects"},
    Graph: {"nx", "inputs", "outputs", "heads", "rows", "claims", "columns"},
    Row: {"label", "inputs", "stages", "own_stages", "output", "claims", "head", "is_inner"},
    Stage: {"name", "op", "shape"},
    Head: {"name", "output", "weight"},
    Claim: {"kind"},
    Recipe: {field.name for field in fields(Recipe)},
    Assigned: {"step", "rows", "run"},
    Document: {"source", "depth", "rows", "sentences"},
    PrintedRow: {"label", "cells"},
    Cell: {"column", "printed", "status", "why"},
    Sentence: {"quote", "status", "why", "condition"},
}
"""What ``diff`` compares."""

PASSED_OVER = {
    # shown in the heading, or where it was read from and how long that took, or counted from claims
    Net: {
        "name",
        "source",
        "settings",
        "notes",
        "warnings",
        "claims",
        "files",
        "seconds",
        "has_heads",
    },
    Graph: {"same_value", "journal", "_order", "_added", "_names"},  # of passes
    Row: {"span", "words", "is_inherited"},  # how the row is written
    # how the stage is written, what follows from its operator and row, what passes leave
    Stage: {"span", "calls", "spans", "written", "field", "head", "packed"},
    Claim: {"value", "span"},  # claims hold
    Cell: {"derived"},  # told of rows
    Sentence: {"derived"},
}
"""What means nothing of its own."""


@pytest.mark.parametrize("kind", COMPARED)
def test_no_part_of_a_net_is_forgotten(kind: type) -> None:
    if kind is Graph:
        names = set(vars(Graph()))
    else:
        names = set(getattr(kind, "_fields", ())) or {field.name for field in fields(kind)}
    assert names - {"_"} == COMPARED[kind] | PASSED_OVER.get(kind, set())
