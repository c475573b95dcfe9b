"""act(conv(x)) => conv_act(x)."""

from __future__ import annotations

import pytest

from netspec.backends.cpu import CpuBackend
from netspec.backends.cuda import CudaBackend
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.graph import Entry
from netspec.ir.ops.relu6 import Relu6
from netspec.lowering.passes import fold_batchnorm, fuse_activation, optimise
from netspec.views.operator_text import operator_text
from tests.helpers import load_rows
from tests.lowering.passes.helpers import (
    activations,
    alone,
    assert_values_kept,
    done,
    images,
    operators,
    random_model,
    refused,
)


@pytest.mark.parametrize(
    "activation",
    [
        *("relu6", "clip -0.5, 1.5", "silu", "hardswish", "hardsigmoid", "elu", "gelu", "sigmoid"),
        *("leaky_relu slope=0.2", "gelu form=tanh", "tanh scale=1.7159, slope=2/3"),
    ],
)
def test_the_activation_goes_in(activation: str) -> None:
    net, outcome = alone(f"a: conv 3x3/2, 6, groups=3 | {activation}", fuse_activation)
    name = f"a.{activation.split(maxsplit=1)[0]}"
    assert operators(outcome.graph) == [(name, "conv_act", ("image",))]
    assert done(outcome) == [Entry("fuse_activation", ("a", name), name)]
    fused = outcome.graph.stage(name).op
    assert isinstance(fused, ConvActivation)
    assert fused.activation == net.graph.stage(name).op
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted, tolerance=0)


def test_the_fused_operator_prints_both() -> None:
    _, outcome = alone("a: conv 3x3/2, 4, pad=1 | leaky_relu slope=0.2", fuse_activation)
    text = operator_text(outcome.graph.stage("a.leaky_relu").op)
    assert text == "conv_act 3x3/2, 4, pad=1 (leaky_relu slope=0.2)"


def test_it_goes_into_a_convolution_with_a_folded_normalisation() -> None:
    net = load_rows("a: conv 3x3, 4, bias=off | bn eps=0.1 | relu6")
    optimised = optimise(net.graph, [fold_batchnorm, fuse_activation]).graph
    assert operators(optimised) == [("a.relu6", "conv_act", ("image",))]
    op = optimised.stage("a.relu6").op
    assert isinstance(op, ConvActivation)
    assert op.bias
    assert op.activation == Relu6()
    model, inputs = random_model(net), images(net)
    assert_values_kept(model, optimised, inputs, activations(model, net.graph, inputs))


@pytest.mark.parametrize("before", ["local 3x3, 2", "maxpool 3x3", "fc 5", "silu", "gap"])
def test_1_after_anything_else_it_stays(before: str) -> None:
    net, outcome = alone(f"a: {before}\nb: silu", fuse_activation)
    stage = net.graph.operands("b.silu")[0]
    assert refused(outcome)[-1] == ((stage, "b.silu"), 1)
    assert outcome.rewrites == {"fuse_activation": 0}


def test_1_a_second_activation_stays() -> None:
    _, outcome = alone("a: conv 1x1, 2 | relu6 | silu", fuse_activation)
    assert operators(outcome.graph)[0][1] == "conv_act"
    assert refused(outcome) == [(("a.relu6", "a.silu"), 1)]


def test_2_what_something_else_reads_stays() -> None:
    rows = "a: conv 1x1, 4\nb from a: silu\nc from a: softmax\noutput b, c"
    _, outcome = alone(rows, fuse_activation)
    assert refused(outcome) == [(("a", "b.silu"), 2)]


def test_2_what_is_an_output_stays() -> None:
    _, outcome = alone("a: conv 1x1, 4\nb: silu\noutput a, b", fuse_activation)
    assert refused(outcome) == [(("a", "b.silu"), 2)]


def test_operators_that_no_primitive_has_stay_without_a_word() -> None:
    _, outcome = alone("a: conv 1x1, 4 | prelu | softmax", fuse_activation)
    assert [name for _, name, _ in operators(outcome.graph)] == ["conv", "prelu", "softmax"]
    assert refused(outcome) == []


def test_only_the_backend_whose_kernels_have_it_fuses() -> None:
    assert fuse_activation in CpuBackend.passes
    assert fuse_activation not in CudaBackend.passes
