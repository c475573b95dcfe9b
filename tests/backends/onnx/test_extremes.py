"""Whatever attributes the language takes, ONNX Runtime takes the file and computes the operator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netspec import SpecError, loads
from netspec.export import onnx_bytes
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.tanh import Tanh
from netspec.runtime.verification import tolerance
from tests.backends.onnx.helpers import compiled, example, images_for, kinds, run
from tests.ir.ops.extremes import MANY_REFUSED, attributes, spec_of

OWN = ["Mul", "Reshape", "AveragePool", "Mul", "Add", "Reshape", "Pow", "Mul"]
"""The formula of LRN, where ONNX's own is not taken."""


def assert_same_in_onnx_runtime(spec: str) -> None:
    """The outputs are those of the reference in float32, finite where that is.

    Each of the two is off by ``tolerance`` for rounding; a power of LRN multiplies the relative
    error of its base by beta, and one that nothing is left of is not compared.  Numbers below
    the smallest normal one may be zero, before tanh multiplies by its scale.
    """
    net = loads(spec)
    model = compiled(net)
    inputs = images_for(model, 2)
    with torch.no_grad():
        wanted = model(*inputs).double()
    (y,) = (output.double() for output in run(onnx_bytes(model), inputs))
    assert y.shape == wanted.shape
    powers = [s.op.beta for s in net.graph.stages() if isinstance(s.op, LocalResponseNorm)]
    allowed = 2 * tolerance(net, torch.float32) * (1 + max(powers, default=0))
    if allowed > 0.1:
        return
    is_finite = wanted.isfinite()
    assert torch.equal(y.isfinite(), is_finite)
    scales = [abs(s.op.scale) for s in net.graph.stages() if isinstance(s.op, Tanh)]
    smallest = torch.finfo(torch.float32).tiny * max([1, *scales]) * wanted.numel() ** 0.5
    error = (y - wanted)[is_finite].norm()
    assert error <= allowed * wanted[is_finite].norm() + smallest


@pytest.mark.parametrize("operator", OPERATORS)
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=MANY_REFUSED)
def test_extreme_attributes(operator: str, data: st.DataObject) -> None:
    try_attributes(operator, data)


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=MANY_REFUSED)
def test_more_extreme_attributes(operator: str, data: st.DataObject) -> None:
    try_attributes(operator, data)


def try_attributes(operator: str, data: st.DataObject) -> None:
    spec = spec_of(operator, data.draw(attributes(operator)))
    try:
        net = loads(spec)
    except SpecError:
        assume(False)  # such as a kernel larger than the map
    assume(all(stage.known_shape.elements < 100_000 for stage in net.graph.stages()))
    assert_same_in_onnx_runtime(spec)


@pytest.mark.parametrize(
    "row",
    [
        "lrn 1, k=10, alpha=0, beta=1",
        "lrn 5, k=10, alpha=1e-46, beta=1",  # 0 in float32
        "lrn 5, k=10, alpha=0.1, beta=0",
        "lrn 5, k=10, alpha=0.1, beta=1e-46",
        "lrn 3, k=1e-46, alpha=2, beta=0.75",
        "lrn 3, k=1e-76, alpha=9e18, beta=2, groups=2",
        "lrn 3, alpha=0, beta=0, groups=3",
        "lrn 1, k=1e-4, alpha=20, beta=0.75",  # a running sum of squares is off by 1 %
    ],
)
def test_lrn_that_onnx_runtime_refuses_or_gets_wrong_has_a_form_of_its_own(row: str) -> None:
    assert kinds(onnx_bytes(example(f"a: {row}"))) == OWN
    assert_same_in_onnx_runtime(f"net example\ninput image 9x8x6\na: {row}\n")


def test_lrn_within_where_alpha_is_zero_in_float32_but_not_times_the_positions() -> None:
    row = "lrn_within 3, alpha=1e-46, k=1e-76"
    assert_same_in_onnx_runtime(f"net example\ninput image 9x8x6\na: {row}\n")


@pytest.mark.parametrize("row", [f"lrn {2**63 - 1}", "lrn 9999, k=1, groups=2"])
def test_a_window_wider_than_the_channels_is_cut(row: str) -> None:
    assert "LRN" in kinds(onnx_bytes(example(f"a: {row}")))
    assert_same_in_onnx_runtime(f"net example\ninput image 9x8x6\na: {row}\n")
