from __future__ import annotations

from pathlib import Path

import pytest

from netspec import Net, SpecError, load, loads
from netspec.language.diagnostics import Diagnostic
from tests.helpers import codes, problems

BASE = """net base(act=relu, n=4) "The base"
default conv pad=half
let w = 6
block pair(m) = conv 3x3, m | act
input image 8x8x3
a: conv 3x3x3/1, n | act -> 8x8x4 params 112
b: pair w                -> 8x8x6
c1..c3: conv 1x1, w      -> 8x8x6
d: gap | fc 5            -> 5
head h from a, weight=0.5: gap | fc 2
claim params 495
"""


class Folder:
    """Specs beside each other: ``base.net`` and what a test adds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("base", BASE)

    def write(self, name: str, text: str) -> Path:
        path = self.path / f"{name}.net"
        path.write_text(text, encoding="utf-8")
        return path

    def variant(self, changes: str, header: str = "net mine from base", **settings: object) -> Net:
        path = self.write("mine", f"{header} {{\n{changes}\n}}\n")
        return load(path, **settings)  # type: ignore[arg-type]

    def codes(self, changes: str, header: str = "net mine from base") -> list[str]:
        return [d.code for d in self.problems(changes, header)]

    def problems(self, changes: str, header: str = "net mine from base") -> list[Diagnostic]:
        with pytest.raises(SpecError) as caught:
            self.variant(changes, header)
        return caught.value.diagnostics


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def rows(net: Net) -> list[str]:
    return [row.label for row in net.graph.rows.values() if not row.head]


def size(net: Net, label: str) -> str:
    return str(net.graph.stage(net.graph.rows[label].output).shape)


# ------------------------------------------------------------------------------------------- rows


def test_the_base_is_a_net_of_its_own(folder: Folder) -> None:
    net = load(folder.path / "base.net")
    assert net.totals.parameters == 495
    assert not any(row.is_inherited for row in net.graph.rows.values())


def test_a_variant_without_changes_is_the_base_by_another_name(folder: Folder) -> None:
    net, base = folder.variant(""), load(folder.path / "base.net")
    assert (net.name, net.title, net.totals) == ("mine", "The base", base.totals)
    assert net.graph.rows.keys() == base.graph.rows.keys()
    assert net.notes == ()
    assert load(folder.write("short", "net short from base")).totals == base.totals


def test_a_row_of_the_same_label_replaces_where_it_stood(folder: Folder) -> None:
    net = folder.variant("b: conv 5x5, 7")
    assert rows(net) == ["a", "b", "c1", "c2", "c3", "d"]
    assert size(net, "b") == "8x8x7"
    assert net.graph.operands("c1") == ("b",)


def test_a_row_inserted_after_another_is_read_by_the_next(folder: Folder) -> None:
    net = folder.variant("x after a: maxpool 2x2/2\ny after x: relu")
    assert rows(net) == ["a", "x", "y", "b", "c1", "c2", "c3", "d"]
    assert net.graph.operands("b") == ("y.relu",)


def test_two_rows_inserted_behind_one_stand_closer_the_later_they_are_written(
    folder: Folder,
) -> None:
    assert rows(folder.variant("x after a: relu\ny after a: abs"))[:3] == ["a", "y", "x"]


def test_a_row_can_be_inserted_at_the_front_and_at_the_end(folder: Folder) -> None:
    net = folder.variant("x after image: relu\nz after d: softmax")
    assert rows(net) == ["x", "a", "b", "c1", "c2", "c3", "d", "z"]
    assert net.graph.outputs == ["z.softmax"]
    assert net.graph.operands("a") == ("x.relu",)


def test_a_range_of_rows_can_be_inserted(folder: Folder) -> None:
    assert rows(folder.variant("x1..x3 after a: relu"))[:5] == ["a", "x1", "x2", "x3", "b"]


def test_a_row_that_is_dropped_is_gone(folder: Folder) -> None:
    net = folder.variant("drop b, d")
    assert rows(net) == ["a", "c1", "c2", "c3"]
    assert net.graph.operands("c1") == ("a.relu",)


def test_rows_of_a_range_are_changed_one_by_one(folder: Folder) -> None:
    net = folder.variant("c2: conv 1x1, 9\nx after c1: abs\ndrop c3")
    assert rows(net) == ["a", "b", "c1", "x", "c2", "d"]
    assert (size(net, "c1"), size(net, "c2")) == ("8x8x6", "8x8x9")
    assert rows(folder.variant("drop c1, c2, c3")) == ["a", "b", "d"]


def test_a_range_replaces_rows_of_its_labels(folder: Folder) -> None:
    net = folder.variant("c1..c2: conv 1x1, 9")
    assert [size(net, f"c{i}") for i in (1, 2, 3)] == ["8x8x9", "8x8x9", "8x8x6"]


def test_rows_in_the_middle_of_lettered_ranges_are_replaced(folder: Folder) -> None:
    folder.write("other", "net other\ninput i 8x8x3\n5b..5e: conv 1x1, 3 -> 8x8x3\n")
    net = folder.variant("5c..5d: conv 1x1, 2", "net mine from other")
    assert [size(net, f"5{x}") for x in "bcde"] == ["8x8x3", "8x8x2", "8x8x2", "8x8x3"]


def test_sources_of_a_split_range_stay_with_its_first_row(folder: Folder) -> None:
    text = "net other\ninput i 8x8x3\na: abs\nb1..b3 from i: relu\nc from a, b3: add\n"
    folder.write("other", text)
    net = folder.variant("b2: tanh", "net mine from other")
    assert net.graph.operands("b1.relu") == ("i",)
    assert net.graph.operands("b2.tanh") == ("b1.relu",)
    assert net.graph.operands("b3.relu") == ("b2.tanh",)


# ---------------------------------------------------------------------- inputs, heads and outputs


def test_an_input_is_replaced_or_joins_the_others(folder: Folder) -> None:
    assert size(folder.variant("input image 9x9x3"), "a") == "9x9x4"
    changes = "input other 8x8x6\na from image: conv 1x1, 4\nd from c3, other: add"
    assert folder.variant(changes).graph.inputs == ["image", "other"]
    assert folder.codes("input other 8x8x6") == ["NS119"]


def test_a_head_is_replaced_added_or_dropped(folder: Folder) -> None:
    net = folder.variant(
        "head h from b, weight=1: gap | fc 3\nhead k from c2, weight=2: gap | fc 4"
    )
    assert {name: head.weight for name, head in net.graph.heads.items()} == {"h": 1, "k": 2}
    assert net.graph.stage("h").shape == (3,)
    assert folder.variant("drop h").graph.heads == {}


def test_outputs_are_replaced(folder: Folder) -> None:
    assert folder.variant("output c3, d").graph.outputs == ["c3", "d"]
    folder.write("other", "net other\ninput i 8x8x3\na: relu\nb: abs\noutput a, b\n")
    assert folder.variant("output b", "net mine from other").graph.outputs == ["b.abs"]


def test_an_output_that_was_dropped_is_told_with_the_drop(folder: Folder) -> None:
    folder.write("other", "net other\ninput i 8x8x3\na: relu\nb: abs\noutput a, b\n")
    (error,) = folder.problems("drop a\nb: abs", "net mine from other")
    assert error.code == "NS111"
    assert "`a` is dropped here" in str(SpecError([error]))


# ------------------------------------------------------------------------------------ definitions


def test_constants_blocks_and_defaults_are_replaced(folder: Folder) -> None:
    net = folder.variant("let w = 9\nblock pair(m) = conv 5x5, m | abs\ndefault conv pad=0")
    assert size(net, "b") == "2x2x9"
    assert "b.abs" in net.graph


def test_a_default_keeps_what_the_variant_does_not_give(folder: Folder) -> None:
    text = "net other\ndefault conv pad=1, bias=off\ninput i 8x8x3\na: conv 3x3, 2\n"
    folder.write("other", text)
    net = folder.variant("default conv pad=0", "net mine from other")
    assert size(net, "a") == "6x6x2"
    assert net.totals.parameters == 54


def test_a_new_constant_may_use_those_of_the_base(folder: Folder) -> None:
    assert size(folder.variant("let v = 2*w\nb: pair v"), "b") == "8x8x12"


def test_a_replaced_constant_may_use_a_new_one(folder: Folder) -> None:
    assert size(folder.variant("let v = 5\nlet w = 2*v"), "b") == "8x8x10"


def test_a_connection_table_is_replaced() -> None:
    table = "connect s2_to_c3 {\n" + "XXXXXXXXXXXXXXXX\n" * 6 + "}"
    net = loads(f"net dense from lenet5 {{\n{table}\n}}")
    assert net.graph.operands("C3") == ("S2.tanh",)
    assert net.totals.parameters == 60850 + 36 * 25


def test_columns_are_replaced() -> None:
    net = loads("net one from alexnet {\ncolumns 1\n}")
    assert net.graph.columns is not None
    assert net.graph.columns.number == 1


def test_parameters_are_inherited_and_set(folder: Folder) -> None:
    assert size(folder.variant("", n=5), "a") == "8x8x5"
    assert "a.tanh" in folder.variant("", act="tanh").graph


def test_parameters_are_overridden_and_added(folder: Folder) -> None:
    header = "net mine(n=7, k=2) from base"
    net = folder.variant("d: gap | fc k", header)
    assert (size(net, "a"), size(net, "d")) == ("8x8x7", "2")
    assert size(folder.variant("d: gap | fc k", header, k=3, n=8), "a") == "8x8x8"


def test_a_parameter_may_replace_a_constant_and_a_constant_a_parameter(folder: Folder) -> None:
    assert size(folder.variant("", "net mine(w=3) from base"), "b") == "8x8x3"
    net = folder.variant("let n = 3")
    assert size(net, "a") == "8x8x3"
    with pytest.raises(SpecError, match="NS120"):
        folder.variant("let n = 3", n=5)


def test_a_title_of_its_own_replaces_the_title(folder: Folder) -> None:
    path = folder.write("mine", 'net mine from base "Mine" {\n}\n')
    assert load(path).title == "Mine"


def test_a_recipe_is_inherited_or_replaced() -> None:
    inherited = loads("net mine from alexnet {\ndrop C5\n}").recipe
    assert inherited is not None
    train = "train {\nloss cross_entropy\noptimizer sgd lr=0.1\nbatch 7\nepochs 2\n}"
    own = loads(f"net mine from alexnet {{\n{train}\n}}").recipe
    assert own is not None
    assert own != inherited


# ----------------------------------------------------------------------------------------- claims


def test_totals_and_printed_tables_are_not_inherited(folder: Folder) -> None:
    net = folder.variant("d: gap | fc 6")
    assert (net.notes, net.documents) == ((), ())
    assert loads("net mine from lenet5 {\n}").documents == ()


def test_a_false_claim_of_the_base_is_a_note(folder: Folder) -> None:
    net = folder.variant("input image 9x9x3")
    assert {d.code for d in net.notes} == {"NS306"}
    assert {d.severity for d in net.notes} == {"note"}
    assert net.notes[0].message.endswith(": row a is 9x9x4, not 8x8x4")


def test_channels_that_a_kernel_of_the_base_claims_are_a_note_too(folder: Folder) -> None:
    notes = folder.variant("x after image: conv 1x1, 5").notes
    assert any("each filter of a sees 5 channels, not 3" in d.message for d in notes)


def test_claims_of_a_replaced_row_are_not_inherited(folder: Folder) -> None:
    assert folder.variant("d: gap | fc 6").notes == ()


def test_a_false_claim_of_its_own_fails(folder: Folder) -> None:
    assert folder.codes("d: gap | fc 6 -> 5") == ["NS301"]
    assert folder.codes("claim params 495\nd: gap | fc 6") == ["NS304"]


def test_a_claim_of_its_own_behind_a_change_is_checked(folder: Folder) -> None:
    assert folder.variant("d: gap | fc 6 -> 6 params 42\nclaim params 502").claims > 5


def test_claims_of_a_variant_are_those_of_a_base_to_its_own_variants(folder: Folder) -> None:
    folder.write("middle", "net middle from base {\nd: gap | fc 6 -> 6\n}\n")
    net = folder.variant("b: gap", "net mine from middle")
    assert {d.code for d in net.notes} == {"NS306"}


# ---------------------------------------------------------------------------------------- the base


def test_a_variant_of_a_variant(folder: Folder) -> None:
    folder.write("middle", "net middle(n=5) from base {\nx after a: abs\ndrop d\n}\n")
    net = folder.variant("x: tanh\ny after x: relu", "net mine from middle")
    assert rows(net) == ["a", "x", "y", "b", "c1", "c2", "c3"]
    assert size(net, "a") == "8x8x5"


def test_a_base_is_a_name_or_a_path(folder: Folder) -> None:
    (folder.path / "more").mkdir()
    folder.write("more/other", BASE.replace("net base", "net other"))
    assert rows(folder.variant("", 'net mine from "more/other.net"'))[0] == "a"
    assert rows(folder.variant("", 'net mine from "base.net"'))[0] == "a"
    assert rows(folder.variant("", "net mine from vgg11"))[0] == "C11"
    assert rows(folder.variant("", 'net mine from "vgg11.net"'))[0] == "C11"


def test_a_file_beside_comes_before_a_bundled_spec(folder: Folder) -> None:
    folder.write("vgg11", "net vgg11\ninput i 8x8x3\nonly: relu\n")
    assert rows(folder.variant("", "net mine from vgg11")) == ["only"]


def test_a_missing_base_is_one_mistake() -> None:
    (error,) = problems("net mine from alxnet {\nC6 after S5: relu\nX: norm\ndrop C1\n}")
    assert (error.code, error.span.text) == ("NS001", "alxnet")
    assert error.help == "did you mean `alexnet`?"


def test_a_base_that_is_no_net_says_so(folder: Folder) -> None:
    folder.write("blocks", "block b = relu\n")
    (error,) = folder.problems("x: relu", 'net mine from "blocks.net"')
    assert (error.code, error.span.text) == ("NS105", '"blocks.net"')
    assert "import" in error.help


def test_mistakes_of_the_base_are_told_where_they_are(folder: Folder) -> None:
    folder.write("other", "net other\ninput i 8x8x3\na: cnov 3x3, 4\n")
    (error,) = folder.problems("b after a: relu", "net mine from other")
    assert (error.code, error.span.source.name.split("/")[-1]) == ("NS112", "other.net")


# --------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("changes", "expected", "marked", "help"),
    [
        ("x: relu", "NS105", "x", "say where it goes: `x after ROW: ...`"),
        ("A: relu", "NS105", "A", "did you mean `a`?"),
        ("x after y: relu", "NS111", "y", "`after` names a row of the base"),
        ("x after C3: relu", "NS111", "C3", "did you mean `c3`?"),
        ("drop y", "NS111", "y", "`drop` names a row of the base"),
        ("drop b, b", "NS111", "b", "drop it once"),
        ("drop b\nb: relu", "NS105", "b", "replace the row, without `drop`"),
        ("a: relu\na: abs", "NS110", "a", "give each row a different label"),
        ("let v = 3\nlet v = 4", "NS110", "v", "rename one of the two"),
        ("let w = 3\nlet w = 4", "NS110", "w", "rename one of the two"),
        ("a: cnov 3x3, 4", "NS112", "cnov", "did you mean `conv`?"),
        ("c1..c1000000000: relu", "NS005", "c1..c1000000000", "a net has at most 100,000 stages"),
        ("c1..c4: relu", "NS105", "c1..c4", "say where it goes: `c4 after ROW: ...`"),
    ],
)
def test_a_change_that_does_not_fit_is_reported_once(
    folder: Folder, changes: str, expected: str, marked: str, help: str
) -> None:
    (error,) = folder.problems(changes)
    assert (error.code, error.span.text, error.help) == (expected, marked, help)


@pytest.mark.parametrize("row", ["b: conv 3x3 4", "x after a: conv 3x3 4", "head h from: gap"])
def test_a_row_that_does_not_parse_is_missed_by_nothing(folder: Folder, row: str) -> None:
    assert folder.codes(row) == ["NS101"]


def test_a_row_that_others_need_cannot_be_dropped(folder: Folder) -> None:
    folder.write("other", "net other\ninput i 8x8x3\na: relu\nb: abs\nc from a, b: add\n")
    (error,) = folder.problems("drop a", "net mine from other")
    assert (error.code, error.help) == (
        "NS111",
        "replace `a` instead, or the rows that read it too",
    )
    assert "`a` is dropped here" in [note.message for note in error.notes]


def test_all_rows_dropped_leave_no_net(folder: Folder) -> None:
    (error,) = folder.problems("drop a, b, c1, c2, c3, d, h")
    assert (error.code, error.span.source.name.split("/")[-1]) == ("NS009", "mine.net")


@pytest.mark.parametrize("change", ["b after a: relu", "drop a"])
def test_only_a_variant_changes_a_base(change: str) -> None:
    assert codes(f"net n\ninput image 8x8x3\na: relu\n{change}")[0] == "NS105"


def test_a_file_has_one_net_on_top(folder: Folder) -> None:
    assert codes("net n from lenet5\nnet m from lenet5") == ["NS104"]
    assert codes("let a = 3\nnet n from lenet5") == ["NS104"]
    folder.write("other", BASE + "net third\n")
    assert folder.codes("", "net mine from other") == ["NS104"]


def test_an_unknown_row_lists_the_rows_of_the_base() -> None:
    (error,) = problems("net a from lenet5 {\nX9: relu\n}")
    assert error.code == "NS105"
    assert [note.message for note in error.notes] == [
        "`lenet5` has image, C1, S2, C3, S4, C5, F6, out"
    ]
    (error,) = problems("net a from vgg19 {\nX9: relu\n}")
    assert "..." not in error.notes[0].message
