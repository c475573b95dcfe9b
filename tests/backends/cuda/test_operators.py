"""Every operator, on sizes that fit no tile, against the reference in float64."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

import netspec
from netspec.ir.ops import OPERATORS
from netspec.runtime.verification import random_images, verify
from tests.backends.cuda.helpers import MAP, ON_GPU, TABLE, assert_exact, both, load_rows

CASES = {
    "conv": ("a: conv 3x3, 6, pad=1", "triton"),
    "conv_relu": ("a: conv 3x2, 6, stride=2x1, pad=(2, 0, 1, 0) | relu", "triton"),
    "conv_ceil": ("a: conv 3x3, 6, stride=2, round=ceil", "triton"),
    "conv_dilated": ("a: conv 3x3, 6, dilation=2, bias=off | relu", "triton"),
    "conv_1x1": ("a: conv 1x1, 7 | relu", "triton"),
    "conv_grouped": ("z: conv 1x1, 6\na: conv 3x3, 4, groups=2", "triton"),
    "conv_bn": ("a: conv 3x3, 6 | bn eps=1e-3 | relu", "triton"),
    "fc": ("a: fc 6", "triton"),
    "fc_relu": ("a: fc 6, bias=off | relu", "triton"),
    "fc_of_a_vector": ("z: flatten\na: fc 11 | relu", "triton"),
    "lrn": ("a: lrn 3", "triton"),
    "lrn_grouped": ("z: conv 1x1, 6\na: lrn 5, groups=2", "triton"),
    "lrn_maxpool": ("a: lrn 5 | maxpool 3x3/2", "triton"),
    "maxpool": ("a: maxpool 3x3/2, round=ceil", "triton"),
    "maxpool_padded": ("a: maxpool 3x2/1, pad=1", "triton"),
    "maxpool_dilated": ("a: maxpool 3x2, dilation=2x3, pad=1", "torch"),
    "maxpool_relu_dilated": ("z: lrn 3\na: maxpool 2x2/2, dilation=2 | relu", "torch"),
    "lrn_maxpool_dilated": ("a: lrn 5 | maxpool 2x2/1, dilation=3", "torch"),
    "maxpool_relu": ("z: lrn 3\na: maxpool 2x2/2 | relu", "triton"),
    "avgpool": ("a: avgpool 3x3/2, round=ceil", "triton"),
    "avgpool_padded": ("a: avgpool 3x3/1, pad=1, count_pad=off", "triton"),
    "avgpool_counted": ("a: avgpool 3x3/2, pad=1, count_pad=on, round=ceil", "triton"),
    "avgpool_bias": ("a: avgpool 3x3/1, pad=1, count_pad=on | conv 1x1, 2", "triton"),
    "avgpool_bias_relu": ("a: avgpool 3x3/1, pad=1, count_pad=off | conv 1x1, 2 | relu", "triton"),
    "avgpool_dilated": ("a: avgpool 3x2, dilation=2x3, pad=1, count_pad=on", "torch"),
    "avgpool_bias_relu_dilated": ("a: avgpool 2x2, dilation=2 | conv 1x1, 2 | relu", "torch"),
    "gap": ("a: gap", "triton"),
    "subsample_mean": ("a: subsample 2x2/2, by=mean", "triton"),
    "subsample_sum": ("a: subsample 3x2/2, by=sum, round=ceil", "triton"),
    "flatten": ("a: flatten", "copy"),
    "gmp": ("a: gmp", "torch"),
    "adaptive_avgpool": ("a: adaptive_avgpool 3x2", "torch"),
    "deconv": ("a: deconv 3x3/2, 4, pad=1, output_pad=1", "torch"),
    "deconv_dilated": ("a: deconv 3x2/2, 4, dilation=2x3", "torch"),
    "upsample": ("a: upsample 2, by=nearest", "torch"),
    "upsample_bilinear": ("a: upsample 2, by=bilinear, align_corners=off", "torch"),
    "part": ("z: conv 1x1, 6\na: part 2, of=3", "torch"),
    "shuffle": ("z: conv 1x1, 6\na: shuffle 2", "torch"),
    "lrn_within": ("a: lrn_within 3, alpha=0.1", "torch"),
    "local": ("a: local 3x3, 2", "torch"),
    "lcn": ("a: lcn 3x3, sigma=1.5", "torch"),
    "bn": ("a: bn eps=1e-3", "torch"),
    "relu": ("a: relu", "torch"),
    "tanh": ("a: tanh", "torch"),
    "sigmoid": ("a: sigmoid", "torch"),
    "abs": ("a: abs", "torch"),
    "softmax": ("z: flatten\na: softmax", "torch"),
    "softmax_of_a_map": ("a: softmax", "torch"),
    "add": ("z from image: conv 1x1, 5\na from image, z: add", "torch"),
    "rbf": ("z: fc 4\na: rbf c\ncodes c 2x2 {\n    X. .X\n    XX ..\n}", "torch"),
    "concat": ("a from image, image: concat", "copy"),
    "mul": ("z from image: conv 1x1, 5\na from image, z: mul", "torch"),
    "mul_of_a_factor": ("z from image: gap\na from z, image: mul", "torch"),
    **{
        row.split()[0]: (f"a: {row}", "torch")
        for row in (
            *("clip -0.5, 0.7", "relu6", "leaky_relu slope=0.2", "prelu", "elu alpha=0.7", "silu"),
            *("gelu form=tanh", "hardsigmoid", "hardswish", "scale -0.3", "gain 0.5"),
            *("ln eps=1e-3", "gn 5, eps=1e-3"),
        )
    },
}


def test_every_operator_has_a_case() -> None:
    words = set(re.findall(r"\w+", " ".join(rows for rows, _ in CASES.values())))
    drops_out = {"dropout", "identity"}  # passes remove them
    assert {*OPERATORS} - words == drops_out


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_its_reference_does(name: str) -> None:
    rows, implementation = CASES[name]
    model, exact = both(load_rows(rows, MAP))
    assert model.lowered.plan.steps[-1].implementation == implementation
    assert_exact(model, exact)


class Copies(TorchFunctionMode):
    """Refuses what makes a tensor of Python's numbers: on a GPU, a copy to it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1] != "triton"])
def test_a_run_copies_nothing_to_the_device(name: str) -> None:
    """While a CUDA graph is captured, nothing can be."""
    model, _ = both(load_rows(CASES[name][0], MAP))
    images = random_images(model.net)
    bound_plan = model.refresh().bound_plan(images)  # type: ignore[attr-defined]
    with torch.no_grad(), Copies():
        for step, calls in bound_plan.steps:
            for call in calls if step.implementation != "triton" else ():
                call()


def test_a_table_of_connections_is_dense_in_the_kernel_and_sparse_in_the_state() -> None:
    model, exact = both(load_rows("a: conv 2x2, 4, connect=t | relu\n" + TABLE, MAP))
    assert_exact(model, exact)
    assert model.state_dict()["a.weight"].shape == (10, 2, 2)
    assert torch.equal(model.state_dict()["a.weight"].cpu(), exact.state_dict()["a.weight"])


def test_lenet5_with_its_table_and_its_codes() -> None:
    model = netspec.compile("lenet5_rbf", device="cuda", dtype=torch.float32)
    assert verify(model, random_images(model.net)).passed


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_shorter_types_are_within_their_rounding(dtype: torch.dtype) -> None:
    rows = "a: conv 3x3, 6, pad=1 | relu | lrn 5 | maxpool 3x3/2\nb: fc 5 | softmax"
    model = netspec.compile(load_rows(rows, MAP), device="cuda", dtype=dtype)
    assert verify(model, random_images(model.net)).passed


@pytest.mark.skipif(ON_GPU, reason="the interpreter multiplies bfloat16 wrongly, a GPU does not")
def test_bfloat16_is_not_multiplied_in_the_interpreter() -> None:
    net = load_rows("a: conv 3x3, 6 | relu | maxpool 2x2/2\nb: fc 5", MAP)
    model = netspec.compile(net, device="cuda", dtype=torch.bfloat16)
    assert [s.implementation for s in model.lowered.plan.steps] == ["aten", "triton", "blas"]
    assert verify(model, random_images(net)).passed


EVERY_WAY = {
    "conv": ("a: conv 3x3, 6, pad=1 | relu", 2),
    "first": ("z: conv 1x1, 3\na: conv 3x3, 4", 1),
    "grouped": ("z: conv 1x1, 8\na: conv 3x3, 8, groups=2", 1),
    "pointwise": ("z: conv 1x1, 16\na: conv 1x1, 8", 2),
    "asymmetric": ("a: conv 3x3/2, 4, round=ceil | relu", 1),
    "few vectors": ("a: fc 6 | relu", 2),
    "many vectors": ("a: gap | fc 6", 9),
}


@pytest.mark.parametrize("name", EVERY_WAY)
def test_every_implementation_computes_the_same(name: str) -> None:
    rows, batch = EVERY_WAY[name]
    net = load_rows(rows, MAP)
    first = netspec.compile(net, device="cuda", dtype=torch.float64, batch=batch)
    *_, (stage, choice) = first.lowered.choices.items()
    assert len(choice.candidates) > 2
    for implementation in choice.candidates:
        model, exact = both(net, batch=batch, choices={stage: implementation})
        assert_exact(model, exact, batch)
