from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from netspec.kernels.conv.geometry import checked
from netspec.kernels.conv.operators import (
    conv2d,
    conv2d_input_gradient,
    conv2d_out,
    conv2d_relu,
    conv2d_relu_out,
    conv2d_weight_gradient,
)
from netspec.kernels.windows import check_pixels
from tests.forked import compiling
from tests.kernels.conv.layers import FIRST, GROUPED, Layer
from tests.kernels.helpers import assert_within, gradcheck, guarded, normal, rounding

SAMPLES = [
    Layer((1, 4, 3, 4), 2, (2, 2), (2, 1), (1, 0, 0, 1), (1, 2), groups=2),
    Layer((1, 3, 3, 2), 2, (2, 2), (2, 2), (1, 2, 0, 1)),
    Layer((1, 2, 2, 5), 2, bias=False),
]


@pytest.mark.parametrize("layer", SAMPLES)
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_agree_with_finite_differences(layer: Layer, relu: bool) -> None:
    operator = conv2d_relu if relu else conv2d
    # No output near 0, where a ReLU has no derivative: finite differences step by 1e-6.
    leaves = [layer.x, layer.w, *([] if layer.b is None else [layer.b])]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    bias = leaves[2:] or [None]
    y = operator(leaves[0], leaves[1], bias[0], *layer.attributes, "ieee")
    assert not relu or bool(((y == 0) | (y > 1e-4)).all())

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return operator(x, w, b, *layer.attributes, "ieee")

    assert gradcheck(run, leaves)


@pytest.mark.parametrize("layer", [pytest.param(SAMPLES[0], marks=pytest.mark.slow), *SAMPLES[1:]])
def test_the_operators_are_registered_as_pytorch_asks(layer: Layer) -> None:
    attributes = (*layer.attributes, "ieee")
    leaves = [layer.x.clone().requires_grad_(), layer.w.clone().requires_grad_(), layer.b]
    y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
    for operator in (conv2d, conv2d_relu):
        torch.library.opcheck(operator, (*leaves, *attributes))
    for operator in (conv2d_out, conv2d_relu_out):
        torch.library.opcheck(operator, (layer.x, layer.w, layer.b, y, *attributes))
    for mask in (None, layer.y.to(layer.x.device)):
        torch.library.opcheck(
            conv2d_input_gradient, (layer.dy, mask, layer.w, list(layer.size), *attributes)
        )
        torch.library.opcheck(
            conv2d_weight_gradient, (layer.dy, mask, layer.x, list(layer.w.shape), *attributes)
        )


ALEXNET_C2 = pytest.param(replace(GROUPED, count=256), marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "layer", [*SAMPLES, replace(GROUPED, dtype=torch.float32), FIRST, ALEXNET_C2]
)
def test_an_operator_computes_the_convolution(layer: Layer) -> None:
    operator = conv2d_relu if layer.relu else conv2d
    y = operator(layer.x, layer.w, layer.b, *layer.attributes, "ieee")
    terms = layer.geometry.terms + 8  # parts of a split sum, at most
    assert_within(
        y, layer.y, rounding(layer.y, layer.dtype, terms=terms, magnitude=layer.magnitude)
    )


def test_a_convolution_writes_its_slice_of_a_concatenation() -> None:
    layer = Layer((2, 4, 4, 6), 8, (3, 3), padding=(1, 1, 1, 1), relu=True)
    y = guarded(*layer.geometry.size_out, dtype=layer.dtype, before=8, after=8)
    conv2d_relu_out(layer.x, layer.w, layer.b, y.slice, *layer.attributes, "ieee")
    y.assert_intact()
    assert_within(
        y.slice, layer.y,
        rounding(layer.y, layer.dtype, terms=layer.geometry.terms, magnitude=layer.magnitude),
    )  # fmt: skip


def test_a_gradient_that_autograd_expanded_is_taken() -> None:
    layer = SAMPLES[0]
    x = layer.x.clone().requires_grad_()
    conv2d(x, layer.w, layer.b, *layer.attributes, "ieee").sum().backward()
    exact = layer.gradients(layer.x, layer.w, torch.ones_like(layer.dy))[0]
    torch.testing.assert_close(x.grad, exact.to(x.device))


def test_frozen_filters_have_no_gradient() -> None:
    layer = SAMPLES[0]
    x = layer.x.clone().requires_grad_()
    y = conv2d(x, layer.w, layer.b, *layer.attributes, "ieee")
    y.sum().backward()
    assert x.grad is not None
    assert layer.w.grad is None


def call(**changes: object) -> Tensor:
    arguments = {
        "x": normal(1, 4, 4, 6),
        "w": normal(4, 3, 3, 6),
        "b": normal(4),
        "stride": [1, 1],
        "padding": [0, 0, 0, 0],
        "dilation": [1, 1],
        "groups": 1,
        "precision": "ieee",
    }
    return conv2d(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"x": normal(1, 6, 4, 4).permute(0, 2, 3, 1)}, ValueError, "channels-last"),
        ({"x": normal(1, 4, 8, 6)[:, :, ::2].expand(2, 4, 4, 6)}, ValueError, "channels-last"),
        ({"x": normal(4, 4, 6)}, ValueError, "x must be .N, H, W, C."),
        ({"w": normal(4, 3, 6)}, ValueError, "w must be .O, kh, kw"),
        ({"w": normal(4, 6, 3, 3).permute(0, 2, 3, 1)}, ValueError, "w must be contiguous"),
        ({"w": normal(4, 3, 3, 5)}, ValueError, "does not fit"),
        ({"groups": 4}, ValueError, "does not fit"),
        ({"groups": 0}, ValueError, "at least 1"),
        ({"stride": [0, 1]}, ValueError, "at least 1"),
        ({"padding": [-1, 0, 0, 0]}, ValueError, "at least 0"),
        ({"w": normal(4, 5, 3, 6)}, ValueError, "does not fit into 4x4"),
        ({"b": normal(3)}, ValueError, "b must be .4."),
        ({"w": normal(4, 3, 3, 6, dtype=torch.float32)}, TypeError, "w is torch.float32"),
        ({"b": normal(4, dtype=torch.float32)}, TypeError, "b is torch.float32"),
        ({"x": torch.ones(1, 4, 4, 6, dtype=torch.int32)}, TypeError, "floating point"),
        ({"w": normal(4, 3, 3, 0), "x": normal(1, 4, 4, 0)}, ValueError, "without channels"),
        ({"precision": "fast"}, ValueError, "precision must be one of ieee, tf32"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    changes: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        call(**changes)


def test_an_output_of_another_size_is_refused() -> None:
    y = normal(1, 2, 2, 5)
    with pytest.raises(ValueError, match=r"y must be \[1, 2, 2, 4\]"):
        conv2d_out(
            normal(1, 4, 4, 6), normal(4, 3, 3, 6), None, y, [1, 1], [0] * 4, [1, 1], 1, "ieee"
        )


def test_an_output_on_top_of_its_operand_is_refused() -> None:
    x, w = normal(1, 24, 24, 4), normal(4, 3, 3, 4)
    attributes = ([1, 1], [1, 1, 1, 1], [1, 1], 1, "ieee")
    with pytest.raises(ValueError, match="y shares memory with x"):
        conv2d_out(x, w, None, x, *attributes)
    whole = torch.cat([x, x], dim=3)
    conv2d_out(whole[..., :4], w, None, whole[..., 4:], *attributes)
    assert torch.equal(whole[..., 4:], conv2d(x, w, None, *attributes))


def test_more_pixels_than_32_bits_count_are_refused() -> None:
    x = torch.empty(1, 2**16, 2**15, 1, device="meta")
    geometry = checked(x, x.new_empty(1, 1, 1, 1), [1, 1], [0] * 4, [1, 1], 1)
    with pytest.raises(ValueError, match="2147483648 pixels are more than 2143289344"):
        check_pixels(geometry)


def test_a_cpu_tensor_without_the_interpreter_is_refused_in_words() -> None:
    code = (
        "import torch; from netspec.kernels.conv.operators import conv2d;"
        "x = torch.ones(1, 2, 2, 1);"
        "conv2d(x, torch.ones(1, 1, 1, 1), None, [1, 1], [0] * 4, [1, 1], 1, 'ieee')"
    )
    done = compiling().python("-c", code, environment={"PATH": "", "TRITON_INTERPRET": "0"})
    assert done.returncode == 1
    assert "on a CPU, set TRITON_INTERPRET=1" in done.stderr
