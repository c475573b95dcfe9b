from __future__ import annotations

import pytest
import torch
from hypothesis import reject
from onnx import load_from_string, numpy_helper
from onnx.reference import ReferenceEvaluator

from netspec import DataError, SpecError, loads
from netspec.backends.onnx.operators import FORMS
from netspec.export import onnx_bytes
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.relu import Relu
from netspec.runtime.verification import as_tuple
from tests.backends.onnx.helpers import (
    CASES,
    assert_exact,
    compiled,
    example,
    images_for,
    kinds,
    run,
)
from tests.examples import examples
from tests.ir.ops.helpers import Sliding, assert_same, over_windows


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES)
def test_an_operator_agrees_with_onnx_runtime_for_any_batch(rows: str) -> None:
    model = example(rows)
    content = onnx_bytes(model)
    for batch in (1, 3):
        inputs = images_for(model, batch)
        assert_exact(model, run(content, inputs), inputs)


IGNORE_NAN = ("maxpool", "gmp", "lrn")
"""ONNX Runtime's own nodes for these take no NaN for a maximum, or keep one in a running sum."""


@pytest.mark.parametrize("case", [case for case in CASES if case.split(",")[0] not in IGNORE_NAN])
def test_nan_and_infinity_stay_where_they_are_in_the_reference(case: str) -> None:
    model = example(CASES[case])
    inputs = images_for(model, 2)
    for x in inputs:
        x[0, 2, 4, 3], x[1, 1, 5, 2] = torch.nan, torch.inf
    with torch.no_grad():
        wanted = as_tuple(model(*inputs))
    for y, z in zip(run(onnx_bytes(model), inputs), wanted, strict=True):
        assert torch.equal(y.isnan(), z.isnan())
        assert torch.equal(y.isposinf(), z.isposinf())
        assert torch.equal(y.isneginf(), z.isneginf())


def test_every_operator_of_the_language_has_a_form() -> None:
    missing = {word for word, kind in OPERATORS.items() if kind not in FORMS}
    assert not missing, (
        f"write a function @form(...) in netspec/backends/onnx/operators.py: {missing}"
    )
    assert set(FORMS) == set(OPERATORS.values())


# A net without parameters is float32; ONNX's reference of LRN takes the batch for the channels, and
# that of ConvTranspose fails with groups.
WITH_PARAMETERS = (
    *("conv ", "deconv ", "local ", "fc ", "bn ", "subsample "),
    *("prelu", "gain ", "ln ", "gn "),
)
IN_FLOAT64 = [
    case
    for case, rows in CASES.items()
    if any(f": {op}" in rows for op in WITH_PARAMETERS) and case != "deconv, groups"
]


@pytest.mark.parametrize("case", IN_FLOAT64)
def test_an_operator_agrees_with_the_reference_of_onnx_in_float64(case: str) -> None:
    model = example(CASES[case], torch.float64)
    x = images_for(model, 2)[0].double()
    (y,) = ReferenceEvaluator(load_from_string(onnx_bytes(model))).run(None, {"image": x.numpy()})
    with torch.no_grad():
        wanted = model(x)
    if case.startswith(("bn", "ln", "gn")):  # eps is a float32 there, exact to 6e-8
        torch.testing.assert_close(torch.from_numpy(y), wanted, rtol=1e-7, atol=1e-7)
    else:
        assert_same(torch.from_numpy(y), wanted)


@examples(25)
@over_windows(dilations=3)
def test_convolutions_agree_over_windows(sliding: Sliding) -> None:
    window = _window(sliding, ", 4") + ", groups=2, dilation={}x{}".format(*sliding.dilation)
    assert_rows_agree(sliding, f"conv {window}", f"local {window}")


@examples(25)
@over_windows(dilations=3)
def test_dilated_pools_agree_over_windows(sliding: Sliding) -> None:
    window = f"{_window(sliding)}, dilation={{}}x{{}}".format(*sliding.dilation)
    assert_rows_agree(
        sliding,
        f"maxpool {window}",
        f"avgpool {window}, count_pad=on",
        f"avgpool {window}, count_pad=off",
    )


@examples(25)
@over_windows()
def test_pools_agree_over_windows(sliding: Sliding) -> None:
    window = _window(sliding)
    assert_rows_agree(
        sliding,
        f"maxpool {window}",
        f"avgpool {window}, count_pad=on",
        f"avgpool {window}, count_pad=off",
        f"subsample {window}, by=mean",
    )


def _window(sliding: Sliding, count: str = "") -> str:
    down, right = sliding.kernel
    stride = "{}x{}".format(*sliding.stride)
    return f"{down}x{right}{count}, stride={stride}, pad={sliding.pad}, round={sliding.round}"


def assert_rows_agree(sliding: Sliding, *rows: str) -> None:
    height, width = sliding.size
    labelled = [f"r{i} from image: {row}" for i, row in enumerate(rows)]
    outputs = ", ".join(f"r{i}" for i in range(len(rows)))
    lines = [f"net windows\ninput image {height}x{width}x2", *labelled, f"output {outputs}"]
    try:
        net = loads("\n".join(lines))
    except SpecError:
        reject()
    model = compiled(net)
    inputs = images_for(model, 2)
    assert_exact(model, run(onnx_bytes(model), inputs), inputs)


def test_lrn_is_onnx_s_own_with_alpha_times_n() -> None:
    (node,) = load_from_string(onnx_bytes(example(CASES["lrn"]))).graph.node
    attributes = {a.name: a.i or a.f for a in node.attribute}
    assert node.op_type == "LRN"
    assert attributes == pytest.approx({"size": 5, "alpha": 5 * 0.3, "beta": 0.75, "bias": 2})


def test_lrn_in_groups_is_one_lrn_a_group() -> None:
    assert kinds(onnx_bytes(example(CASES["lrn, groups"]))) == ["Split", "LRN", "LRN", "Concat"]


@pytest.mark.parametrize(
    ("case", "nodes"),
    [
        ("conv, overhang", ["Conv"]),
        ("conv, connection table", ["Conv"]),
        ("maxpool, overhang", ["MaxPool"]),
        ("avgpool", ["AveragePool"]),
        ("gap", ["GlobalAveragePool"]),
        ("gmp", ["GlobalMaxPool"]),
        ("deconv", ["ConvTranspose"]),
        ("upsample", ["Resize"]),
        ("upsample, nearest", ["Resize"]),
        ("adaptive_avgpool, of equal windows", ["AveragePool"]),
        ("part", ["Slice"]),
        ("bn", ["BatchNormalization"]),
        ("dropout, between layers", ["Conv", "Flatten", "Gemm"]),
        ("identity, before others", ["Relu"]),
    ],
)
def test_what_onnx_has_is_one_node(case: str, nodes: list[str]) -> None:
    assert kinds(onnx_bytes(example(CASES[case]))) == nodes


def test_a_connection_table_becomes_zeros_in_the_weight() -> None:
    model = example(CASES["conv, connection table"])
    initializers = load_from_string(onnx_bytes(model)).graph.initializer
    weight = next(numpy_helper.to_array(t) for t in initializers if t.name == "a.weight")
    assert weight.shape == (3, 6, 3, 3)
    seen = [[bool(weight[o, i].any()) for o in range(3)] for i in range(6)]
    assert "".join("X" if one else "." for row in seen for one in row) == "X...X.X.X..XXX..X."


def test_lcn_of_a_constant_image_is_zero_and_of_a_faint_one_is_not() -> None:
    model = example("a: lcn 5x3, sigma=1.5")
    (faint,) = images_for(model, 1)
    inputs = [torch.cat([torch.full_like(faint, 0.7), faint * 1e-3])]
    (y,) = outputs = run(onnx_bytes(model), inputs)
    assert torch.equal(y[0], torch.zeros_like(y[0]))
    assert_exact(model, outputs, inputs)


def test_an_operator_without_a_form_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FORMS, Relu)
    with pytest.raises(DataError, match="does not export the operator relu yet"):
        onnx_bytes(example("a: relu"))
