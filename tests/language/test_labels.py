"""Labels: quotes, ranges, and names of parameters that are made of them."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from onnxruntime import InferenceSession

import netspec
from netspec import SpecError, loads
from netspec.export import onnx_bytes
from netspec.language.format import format
from netspec.language.labels import STATEMENTS, is_plain, written
from netspec.language.limits import MAX_LABEL
from netspec.lowering.passes import TRAINING, optimise
from netspec.views.graph import as_dot
from tests.examples import examples
from tests.helpers import load_rows, problems

HEADER = "net example\ninput image 8x8x3\n"


def rows(text: str, **settings: object) -> list[str]:
    return [*load_rows(text, **settings).graph.rows]


def errors(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        loads(text)
    return [(error.code, error.message) for error in caught.value.diagnostics]


# ----------------------------------------------------------------------------------------- quotes


def test_a_label_in_quotes_can_be_used_wherever_a_label_can(tmp_path: Path) -> None:
    base = """net base
input image 8x8x3
"conv1/7x7_s2": conv 7x7, 4, pad=3 | relu
"pool-1": maxpool 2x2/2
sum from "pool-1", "pool-1": add | relu
out from sum: fc 4 | softmax
head "loss1/fc" from "conv1/7x7_s2", weight=0.3: gap | fc 4
output "out"
train {
    prepare range low=0, high=1
    loss cross_entropy; optimizer sgd lr=0.1; batch 2; epochs 1
    init gaussian 0.1 for "conv1/7x7_s2" out
}
document "a table" {
    "conv1/7x7_s2" | 8x8x3 | 7x7x3/1, 4 | 8x8x4 | (7*7*3+1)*4
    says "a sentence" "conv1/7x7_s2".params == 592
    says "another" "conv1/7x7_s2".channels + out.channels == 8
}
"""
    (tmp_path / "base.net").write_text(base, encoding="utf-8")
    net = netspec.load(tmp_path / "base.net")
    assert [*net.graph.rows] == ["conv1/7x7_s2", "pool-1", "sum", "out", "loss1/fc"]
    assert net.recipe is not None
    assert net.recipe.init[0].rows == ("conv1/7x7_s2", "out")
    assert format(base) == format(format(base))
    variant = """net variant from "base.net" {
"pool-1": maxpool 4x4/4
"new row" after sum: tanh
out from "new row": fc 4
drop "loss1/fc"
}
"""
    (tmp_path / "variant.net").write_text(variant, encoding="utf-8")
    varied = netspec.load(tmp_path / "variant.net")
    assert [*varied.graph.rows] == ["conv1/7x7_s2", "pool-1", "sum", "new row", "out"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (
            "layer1.conv1",
            "the label `layer1.conv1` has a dot, which separates a row from its parts",
        ),
        ("..", "the label `..` has a dot, which separates a row from its parts"),
        ("a,b", "the label `a,b` has a comma, which separates labels"),
        ("a\\b", "the label `a\\b` has a backslash"),
        (" a", "the label ` a` begins or ends with a space"),
        (" ", "a label cannot be blank"),
        ("", "a label cannot be blank"),
        ("a\u200db", "this label has a character that is not visible"),
        ("a\u202eb", "this label has a character that is not visible"),
        (
            "e\u0301/1",
            "the label `e\u0301/1` has characters that Unicode replaces by others",
        ),
        (
            "5 \u212b",  # the sign for angstrom, which looks like the letter
            "the label `5 \u212b` has characters that Unicode replaces by others",
        ),
        ("-" * (MAX_LABEL + 1), f"a label has at most {MAX_LABEL} characters"),
    ],
)
def test_texts_that_cannot_be_labels(label: str, message: str) -> None:
    assert errors(f'{HEADER}"{label}": relu\n') == [("NS122", message)]


def test_a_label_of_another_form_of_unicode_is_refused_where_it_is_read() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    text = (
        f'{HEADER}"{composed}": conv 1x1, 4\nb from "{decomposed}": relu\noutput b, "{composed}"\n'
    )
    (error,) = problems(text)
    assert error.code == "NS122"
    assert f'write "{composed}"' in error.help


@pytest.mark.parametrize("label", [*STATEMENTS, "says", "relu", "from", "then", "x", "1", "3x3"])
def test_a_word_of_the_language_can_be_a_label(label: str) -> None:
    plain, quoted = (
        f"{HEADER}row_a: abs\n{word} from row_a: tanh\noutput {word}\n"
        for word in (written(label), f'"{label}"')
    )
    assert [*loads(plain).graph.rows] == [*loads(quoted).graph.rows] == ["row_a", label]
    assert format(quoted) == format(plain)
    assert ('"' in format(quoted)) == (not is_plain(label))


def test_a_broken_row_with_quotes_defines_its_label() -> None:
    text = f'{HEADER}"a/b": conv 3x3 4\nc from "a/b": relu\nd from image, "a/b": add\noutput c, d\n'
    assert [code for code, _ in errors(text)] == ["NS101"]


def test_help_shows_labels_as_they_are_written() -> None:
    with pytest.raises(
        SpecError, match='read it with `from "a/b"`, or return it with `output "a/b"`'
    ):
        loads(f'{HEADER}"a/b": relu\nc from image: tanh\n')


def test_definitions_and_labels_of_a_variant_are_not_confused(tmp_path: Path) -> None:
    (tmp_path / "base.net").write_text(
        'net base\ninput image 8x8x3\nlet n = 4\n"let:n": conv 1x1, n\n', encoding="utf-8"
    )
    (tmp_path / "v.net").write_text(
        'net v from "base.net"\n"let:n": conv 1x1, 2 * n\n', encoding="utf-8"
    )
    assert netspec.load(tmp_path / "v.net").graph.stage("let:n").known_shape.channels == 8


LABELS = (
    st.text(
        st.one_of(
            st.sampled_from("ab1_/-:+ []{}()|#;=<>&'`$%@!?*~^eval"),
            st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")),
        ),
        min_size=1,
        max_size=12,
    )
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text == text.strip() and not set(text) & set('",.\\'))
)


@examples(25)
@given(st.lists(LABELS, min_size=2, max_size=4, unique=True))
def test_labels_survive_spec_parameters_and_files(labels: list[str]) -> None:
    """Spec -> net -> names of parameters -> file of weights -> net, and formatted text -> net."""
    assume(all(label.isprintable() for label in labels))
    pipes = ["conv 1x1, 2", "conv 1x1, 3 | relu | conv 1x1, 2", "concat { conv 1x1, 2; relu }"]
    text = HEADER + "".join(
        f'"{label}": {pipes[i % len(pipes)]}\n' for i, label in enumerate(labels)
    )
    net = loads(text)
    assert [*net.graph.rows] == labels
    assert [*loads(format(text)).graph.rows] == labels
    reference = netspec.reference(net)
    names = [*reference.state_dict()]
    assert len(set(names)) == len(names)
    # A reserved word gets an underscore; every other label begins the names as it is written.
    owners = {name.split(".")[0] for name in names}
    assert {owner.rstrip("_") for owner in owners} == {label.rstrip("_") for label in labels}
    assert len(owners) == len(labels)


def test_weights_of_labels_in_quotes_are_saved_and_compiled(tmp_path: Path) -> None:
    labels = ["conv1/7x7_s2", "/etc/x", "eval", "é:0", "a b<&|>'`$", "weight"]
    text = HEADER + "".join(f"{written(label)}: conv 3x3, 4, pad=1 | relu\n" for label in labels)
    net = loads(text)
    reference = netspec.reference(net)
    netspec.save_weights(reference, tmp_path / "w.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    another = netspec.reference(net)
    netspec.load_weights(another, tmp_path / "w.safetensors")
    values = reference.state_dict()
    assert all(torch.equal(values[name], value) for name, value in another.state_dict().items())
    assert {"conv1/7x7_s2.weight", "eval_.weight", "weight_.weight"} <= {*values}
    compiled = netspec.compile(net, weights=tmp_path / "w.safetensors")
    x = torch.rand(2, 3, 8, 8)
    # Both compute in float32; a reordered sum of 36 products of 6 layers stays far below this.
    torch.testing.assert_close(compiled(x), reference(x), rtol=1e-4, atol=1e-5)
    artifact = tmp_path / "artifact"
    netspec.save_artifact(compiled, artifact)
    assert {path.parent for path in artifact.rglob("*")} == {artifact}  # no label is a file's name
    torch.testing.assert_close(netspec.load_artifact(artifact)(x), compiled(x), rtol=0, atol=0)


def agrees(rows: str) -> netspec.Model:
    """Check that a net computes the same compiled, and in ONNX Runtime; return its reference."""
    reference = netspec.reference(load_rows(rows))
    compiled = netspec.compile(reference.net)
    compiled.load_state_dict(reference.state_dict())
    x = torch.rand(1, 3, 8, 8)
    # Sums of a few products in float32.
    torch.testing.assert_close(compiled(x), reference(x), rtol=1e-4, atol=1e-5)
    content = onnx_bytes(reference)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    (output,) = InferenceSession(content).run(None, {"image": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(output), reference(x), rtol=1e-4, atol=1e-5)
    return reference


def test_a_label_that_equals_the_name_of_a_merged_convolution() -> None:
    rows = (
        "t: conv 1x1, 4\na from t: conv 1x1, 3\nb from t: conv 1x1, 3\n"
        '"a+b" from a: conv 1x1, 3 | relu\nout from "a+b", b: add | relu\n'
    )
    merged = optimise(load_rows(rows).graph, TRAINING).graph
    assert "a+b'" in merged
    assert "a+b'" not in optimise(load_rows(rows.replace("a+b", "c")).graph, TRAINING).graph
    agrees(rows)


def test_labels_that_are_one_word_in_generated_code() -> None:
    agrees('"a b": conv 1x1, 3\n"a/b": conv 1x1, 3\na_b: conv 1x1, 3\n'
           'sum from "a b", "a/b", a_b: add | relu\n')  # fmt: skip


def test_a_label_that_equals_the_name_of_a_value_in_onnx() -> None:
    rows = 'n: gn 1, eps=1e-3\n"{}" from n: conv 1x1, 3 | relu\nout: gn 1, eps=1e-3\n'
    model = onnx.load_from_string(onnx_bytes(agrees(rows.format("c"))))
    made = [value for node in model.graph.node for value in node.output if value.startswith("n/")]
    assert made
    for value in made[:2]:
        agrees(rows.format(value))


def test_a_drawing_has_a_node_for_each_label() -> None:
    net = load_rows('"a:0": relu\n"<b>": tanh\n"50%": abs\n')
    dot = as_dot(net.graph, "drawing")
    assert "->".join(re.findall(r'^\t"?([^\s"]+)"? -> ', dot, flags=re.MULTILINE)) == (
        "image->a~3a0.relu->~3cb~3e.tanh"
    )


# ----------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1..r[3]: relu", ["r1", "r2", "r3"]),
        ("let n = 1\nr_0..r_[n + 1]: relu", ["r_0", "r_1", "r_2"]),
        ("r01..r[3]: relu", ["r01", "r02", "r03"]),
        ("1..[2]: relu", ["1", "2"]),
        ("block b(n) = { x1..x[n]: relu }\na: b 2", ["a", "a.x1", "a.x2"]),
    ],
)
def test_the_length_of_a_range_may_be_computed(text: str, expected: list[str]) -> None:
    assert sorted(rows(text.replace("relu", "conv 1x1, 2"))) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("r1..r[0]: relu", "NS117"),
        ("r1..s[2]: relu", "NS117"),
        ("ra..r[2]: relu", "NS117"),
        ("a21..a2[3]: relu", "NS117"),
        ('"a/1".."a/3": relu', "NS117"),
        ("r1..r[1/2]: relu", "NS142"),
        ("r1..r[N]: relu", "NS142"),
        ("r1..r[100001]: relu", "NS005"),
        ("r1..r[-1]: relu", "NS142"),
        ("r1..r[10**18]: relu", "NS005"),
        ("r0..r[2**62]: relu", "NS005"),
        ("r0..r9999999999999999999: relu", "NS005"),
        ("r1..r[on]: relu", "NS140"),
        ("r1: relu then tanh", "NS117"),
        ("r1..r[]: relu", "NS101"),
    ],
)
def test_ranges_that_have_no_length(text: str, code: str) -> None:
    assert [c for c, _ in errors(f"net example(N)\ninput image 8x8x3\n{text}\n")][:1] == [code]


@pytest.mark.parametrize("number", [1, 0])
def test_a_range_that_ends_before_it_begins_says_where(number: int) -> None:
    (error,) = problems("net example(n=3)\ninput image 8x8x3\nr2..r[n]: relu\n", n=number)
    message = f"the range begins at 2 and ends at {number}: it has no rows"
    assert (error.code, error.message) == ("NS117", message)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [('"r1".."r3"', ["r1", "r2", "r3"]), ('"r1"..r2', ["r1", "r2"]), ('"r1"..r[1]', ["r1"])],
)
def test_quotes_that_are_not_needed_change_nothing(labels: str, expected: list[str]) -> None:
    text = f"{HEADER}{labels}: conv 1x1, 2\n"
    assert [*loads(text).graph.rows] == [*loads(format(text)).graph.rows] == expected


@pytest.mark.parametrize("labels", ['"a/1".."a/3"', '"a/1"..a3', 'a1.."a 3"'])
def test_labels_that_need_quotes_do_not_make_a_range(labels: str) -> None:
    (error,) = problems(f"{HEADER}{labels}: conv 1x1, 2\n")
    assert error.code == "NS117"
    assert error.help.startswith("labels that need quotes do not make a range")


def test_then_separates_the_first_row_of_a_range_from_the_others() -> None:
    text = "block down(n, s=1) = conv 3x3, n, stride=s, pad=1\n"
    graph = load_rows(f"{text}r1..r3: down 4, s=2 then down channels | relu\n").graph
    meant = load_rows(f"{text}r1: down 4, s=2\nr2..r3: down 4 | relu\n").graph
    assert [(s.name, s.op, s.shape) for s in graph.stages()] == [
        (s.name, s.op, s.shape) for s in meant.stages()
    ]


RESNET = """net family(n=3)
input image 8x8x4
block unit(k, n, s=1) = conv k, n, stride=s, pad=half, bias=off | bn eps=1e-5
block keep(n) = add { unit 3x3, n | relu | unit 3x3, n; identity } | relu
block down(n) = add { unit 3x3/2, n | relu | unit 3x3, n; unit 1x1/2, n } | relu
r1..r[n]: down 8 then keep 8
out: gap | fc 3
"""


def test_a_deeper_net_is_a_variant_of_two_lines(tmp_path: Path) -> None:
    (tmp_path / "family.net").write_text(RESNET, encoding="utf-8")
    (tmp_path / "deep.net").write_text('net deep(n=5) from "family.net"\n', encoding="utf-8")
    assert [*netspec.load(tmp_path / "deep.net").graph.rows] == [
        "r1",
        "r2",
        "r3",
        "r4",
        "r5",
        "out",
    ]
    (tmp_path / "other.net").write_text(
        'net other from "family.net"\nr1..r[n + 1]: down 8 then keep channels\n', encoding="utf-8"
    )
    assert len(netspec.load(tmp_path / "other.net").graph.rows) == 5


@pytest.mark.parametrize("change", ["drop r2", "x after r1: relu", "r2: relu"])
def test_a_variant_cannot_name_rows_of_a_computed_range(change: str, tmp_path: Path) -> None:
    (tmp_path / "family.net").write_text(RESNET, encoding="utf-8")
    (tmp_path / "v.net").write_text(f'net v from "family.net"\n{change}\n', encoding="utf-8")
    with pytest.raises(SpecError, match="replace the whole range: its length is computed"):
        netspec.load(tmp_path / "v.net")


def test_a_variant_splits_a_range_with_then(tmp_path: Path) -> None:
    (tmp_path / "family.net").write_text(RESNET.replace("r[n]", "r3"), encoding="utf-8")
    (tmp_path / "v.net").write_text('net v from "family.net"\ndrop r2\n', encoding="utf-8")
    graph = netspec.load(tmp_path / "v.net").graph
    assert [*graph.rows] == ["r1", "r3", "out"]
    assert graph.rows["r1"].words == ("down",)
    assert graph.rows["r3"].words == ("keep",)


# ----------------------------------------------------------------------- a stride next to a kernel


@pytest.mark.parametrize(
    ("call", "stride"),
    [
        ("c 3x3, 4", 1),
        ("c 3x3/2, 4", 2),  # the kernel's own stride replaces the default of the argument
        ("c 3x3, 4, s=2", 2),
        ("d 3x3/2, 4", 2),
        ("d 3x3, 4, s=4", 4),
        ("e 3x3/2, 4", 2),
    ],
)
def test_a_stride_next_to_a_kernel_in_a_block(call: str, stride: int) -> None:
    blocks = (
        "block c(k, n, s=1) = conv k, n, stride=s, pad=half\n"
        "block d(k, n, s=1) = c k, n, s\n"
        "block e(k, n, s=1) = { x: c k, n, s=s }\n"
    )
    net = load_rows(f"{blocks}a: {call}\nb: c 1x1, 1 | d 1x1, 1 | e 1x1, 1\n")
    stage = next(stage for stage in net.graph.stages() if stage.op.name == "conv")
    assert stage.op.stride == (stride, stride)  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", ["c 3x3/2, 4, s=2", "c 3x3/2, 4, 1", "d 3x3/2, 4, s=1"])
def test_a_stride_that_is_given_twice_is_an_error(call: str) -> None:
    blocks = "block c(k, n, s=1) = conv k, n, stride=s\nblock d(k, n, s=2) = c k, n, s\n"
    text = f"{HEADER}{blocks}a: {call}\nb: c 1x1, 1 | d 1x1, 1\n"
    message = "conv: the kernel 3x3/2 already has a stride: leave out one of the two"
    assert errors(text) == [("NS136", message)]


def test_operators_whose_names_end_in_a_digit_are_numbered_apart() -> None:
    """``relu61`` would be the 61st ReLU as well as the first ReLU6."""
    net = loads("net n\ninput image 4x4x2\na: relu6 | conv 1x1, 2 | relu6 | tanh | tanh")
    names = [stage.name for stage in net.graph.stages()][1:]
    assert names == ["a.relu6_1", "a", "a.relu6_2", "a.tanh1", "a.tanh2"]


@pytest.mark.parametrize(
    "body",
    [
        "conv k, channels, stride=s, pad=half | conv 1x1, n*s",
        "conv k, channels, stride=s, pad=half | conv 1x1, 7 if s == 2",
        "conv k, n, stride=s, pad=half | conv 3x3, n, stride=s, pad=half",
    ],
)
def test_the_stride_of_a_kernel_does_not_replace_one_of_several_uses(body: str) -> None:
    """With ``ir 3x3/2, 8`` the other uses of ``s`` would keep the default of 1 in silence."""
    block = f"block ir(k, n, s=1) = {body}\n"
    (error,) = problems(f"net n\ninput i 8x8x4\n{block}a: ir 3x3/2, 8")
    assert error.code == "NS136"
    assert loads(f"net n\ninput i 8x8x4\n{block}a: ir 3x3, 8, s=2")
