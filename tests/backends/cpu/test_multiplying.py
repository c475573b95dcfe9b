from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import netspec
from netspec import loads
from netspec.backends.cpu import direct, mkldnn, processor
from netspec.backends.cpu.conv import OneDnnConv, has_half_a_pair
from netspec.backends.cpu.fc import IN_BLOCKS, OneDnnStream
from netspec.backends.cpu.mkldnn import MkldnnConv, MkldnnLinear
from netspec.backends.cpu.onednn import library
from netspec.backends.cpu.onednn.layouts import Layout
from netspec.backends.cpu.onednn.library import NoImplementationError
from netspec.backends.cpu.onednn.primitives import Description
from netspec.backends.cpu.space_to_depth import SpaceToDepth
from netspec.backends.cpu.winograd import Winograd
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.operator import attributes_as
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.shapes import Kernel, ShapeError
from netspec.ir.values import Table
from netspec.lowering.implementation import Problem
from netspec.runtime.verification import random_images, verify
from tests.backends.cpu.helpers import (
    TYPES,
    assert_right,
    computed,
    implementations,
    operands,
    problem_of,
    tensors,
)
from tests.backends.helpers import RICH
from tests.examples import examples


def table(*rows: str) -> Table:
    return loads(
        f"net a\ninput image 4x4x{len(rows)}\na: conv 1x1, {len(rows[0])}, connect=t\n"
        "connect t {\n    " + "\n    ".join(rows) + "\n}"
    ).graph.stage("a").op.connect  # type: ignore[attr-defined, no-any-return]  # fmt: skip


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"groups": 2},
    {"groups": 4, "pad": (1, 1, 1, 1)},
    {"dilation": (2, 1)},
    {"pad": (1, 1, 0, 0), "stride": (1, 2)},
    {"pad": (0, 1, 1, 0)},
    {"pad": (1, 0, 0, 1), "dilation": (1, 2), "groups": 2, "bias": False},
    {"round": "ceil", "stride": (2, 3)},
    {"round": "ceil", "stride": (2, 3), "pad": (1, 1, 1, 1), "groups": 2},
    {"pad": "same", "stride": (2, 2)},
    {"pad": "half"},
    {"connect": table("X.XX.XX.", ".XX..XXX", "XXXXXXX.", "........")},
    {"connect": table("XXXXXXXX", "XXXXXXXX", "........", "XXXXXXXX"), "pad": (1, 0, 1, 0)},
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("attributes", CONVOLUTIONS, ids=str)
def test_convolutions(attributes: dict[str, Any], dtype: torch.dtype) -> None:
    conv = Conv(kernel=Kernel(3, 3), count=8, **attributes)
    for op in (conv, attributes_as(ConvRelu, conv)):
        problem = problem_of(op, (8, 9, 4), dtype=dtype)
        refused = {"mkldnn"} if has_half_a_pair(problem) else set()
        if Winograd().refuses(problem):
            refused.add("winograd")
        if SpaceToDepth().refuses(problem):
            refused.add("space-to-depth")
        names = ("space-to-depth", "onednn", "winograd", "mkldnn", "torch")
        assert list(implementations(problem)) == [name for name in names if name not in refused]
        for name in implementations(problem):
            if name != "torch" or dtype == torch.float32:
                assert_right(problem, name)


@given(st.data())
@examples(60)
def test_convolutions_of_any_size(data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups = whole(1, 3)
    op = Conv(
        kernel=Kernel(whole(1, 4), whole(1, 4)),
        count=groups * whole(1, 9),
        stride=(whole(1, 3), whole(1, 3)),
        dilation=(whole(1, 2), whole(1, 2)),
        pad=(whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)),
        round=data.draw(st.sampled_from(["floor", "ceil"])),
        groups=groups,
        bias=data.draw(st.booleans()),
    )
    problem = problem_of(op, (whole(1, 9), whole(1, 9), groups * whole(1, 9)), batch=whole(1, 3))
    try:
        op.windows(problem.inputs)
    except ShapeError:
        return
    assert_right(problem, "onednn", batches=(whole(1, 3),))


@given(st.data())
@examples(60)
def test_depthwise_convolutions_of_any_size(data: st.DataObject) -> None:
    def whole(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    channels = data.draw(st.sampled_from([2, 3, 8, 15, 16, 17, 24, 58, 96]))
    op = data.draw(st.sampled_from([Conv, ConvRelu]))(
        kernel=Kernel(whole(1, 5), whole(1, 5)),
        count=channels,
        stride=(whole(1, 3), whole(1, 3)),
        dilation=(whole(1, 2), whole(1, 2)),
        pad=(whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)),
        groups=channels,
        bias=data.draw(st.booleans()),
    )
    problem = problem_of(op, (whole(1, 12), whole(1, 12), channels), batch=whole(1, 3))
    try:
        op.windows(problem.inputs)
    except ShapeError:
        return
    assert_right(problem, "onednn", batches=(whole(1, 3),))


def test_a_depthwise_convolution_in_float32_has_the_faster_implementation() -> None:
    """Which one it is, and its layout of weights, differ from those of the library's choice."""
    op = Conv(kernel=Kernel(3, 3), count=96, groups=96, pad=(1, 1, 1, 1))
    implementation = implementations(problem_of(op, (14, 14, 96)))["onednn"]
    assert isinstance(implementation, OneDnnConv)
    problem = problem_of(op, (14, 14, 96))
    weights = implementation.preferred(problem)
    assert implementation.described(problem, weights).implementation.startswith("jit_dw:")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(17,), (1,), (3, 5, 4), (1, 1, 9)])
@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected(size: tuple[int, ...], bias: bool, dtype: torch.dtype) -> None:
    for kind in (FullyConnected, FullyConnectedRelu):
        problem = problem_of(kind(count=7, bias=bias), size, dtype=dtype)
        names = {"onednn", "onednn-stream", "mkldnn", "torch"}
        assert {*implementations(problem)} == (names | {"mkl"} if dtype == torch.float32 else names)
        for name in implementations(problem):
            if name != "torch" or dtype == torch.float32:
                assert_right(problem, name)


@pytest.mark.usefixtures("not_intel")
@pytest.mark.parametrize(("dtype", "few"), [(torch.float32, 3), (torch.bfloat16, 1)])
def test_rows_of_weights_are_preferred_for_few_images(dtype: torch.dtype, few: int) -> None:
    for batch in (1, few, few + 1, 64):
        problem = problem_of(FullyConnected(count=7), (9,), dtype=dtype, batch=batch)
        first, second = [*implementations(problem)][:2]
        assert {first, second} == {"onednn", "onednn-stream"}
        assert (first == "onednn-stream") == (batch <= few)


@pytest.mark.parametrize("maker", ["GenuineIntel", "AuthenticAMD", ""])
@pytest.mark.parametrize("batch", [1, 2])
def test_mkl_is_preferred_for_one_image_on_intel(
    maker: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "property_of", {"vendor_id": maker}.__getitem__)
    names = [*implementations(problem_of(FullyConnected(count=7), (9,), batch=batch))]
    assert (names[0] == "mkl") == (maker == "GenuineIntel" and batch == 1)
    assert "mkl" in names


@pytest.mark.parametrize("size", [(9,), (3, 5, 4)])
def test_rows_of_weights_are_read_in_blocks_for_many_images(size: tuple[int, ...]) -> None:
    of_one = problem_of(FullyConnected(count=7), size, batch=1)
    many = problem_of(FullyConnected(count=7), size, batch=8)
    stream, packed = OneDnnStream(), OneDnnStream().pack(of_one, tensors(of_one))
    assert stream.fitting(of_one, many) is IN_BLOCKS.fitting(many, many)
    assert stream.fitting(many, many) is not stream.fitting(of_one, many)  # packed for many: rows
    larger = replace(many, batch=33)
    assert stream.fitting(of_one, larger) is IN_BLOCKS.fitting(many, larger)
    x = operands(many, 8)
    wanted = computed(many, IN_BLOCKS, IN_BLOCKS.pack(many, tensors(of_one)), x)
    torch.testing.assert_close(computed(of_one, stream, packed, x), wanted)


def test_copies_in_another_layout_are_shared_and_freed_with_the_last_reader() -> None:
    problem = problem_of(FullyConnected(count=64), (96,), batch=1)
    many = replace(problem, batch=8)
    stream, packed = OneDnnStream(), OneDnnStream().pack(problem, tensors(problem))
    description = stream.fitting(problem, many)

    def copy() -> Tensor:
        ((_, weight), *_) = stream.weights(description, problem, packed)
        owner = weight._within
        assert isinstance(owner, Tensor)
        return owner

    one, other = copy(), copy()
    assert one is other
    assert one is not packed["weight"]
    freed, values = weakref.ref(one), one.clone()
    del one, other
    assert freed() is None
    with ThreadPoolExecutor(4) as pool:
        again = [made.result() for made in [pool.submit(copy) for _ in range(8)]]
    assert {id(made) for made in again} == {id(again[0])}
    assert torch.equal(again[0], values)
    packed = {name: tensor.clone() for name, tensor in packed.items()}
    assert copy() is not again[0]


@pytest.mark.parametrize("count", [2**31, 2**50])
def test_sizes_that_the_library_would_cut_off_are_refused(count: int) -> None:
    """With 2**50 outputs oneDNN divides by zero, which ends the process."""
    for op, size in ((FullyConnected(count=count), (7,)), (conv_of_one(count), (8, 8, 3))):
        names = implementations(problem_of(op, size))
        assert not {"onednn", "onednn-stream", "mkl", "winograd"} & {*names}
    smaller = implementations(problem_of(FullyConnected(count=2**20), (7,)))
    assert "onednn" in smaller


def conv_of_one(count: int) -> Conv:
    return Conv(kernel=Kernel(1, 1), count=count)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    for op in (Conv(kernel=Kernel(3, 3), count=8), FullyConnected(count=3)):
        problem = problem_of(op, (8, 9, 4), dtype=dtype)
        assert list(implementations(problem)) == ["torch"]
        for implementation in (OneDnnConv(), MkldnnConv()):
            assert (
                implementation.refuses(problem)
                == f"oneDNN does not compute this operator in {dtype}"
            )
        if dtype == torch.float64:
            assert_right(problem, "torch")


@pytest.fixture
def _no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_load", lambda: "it is not installed")


@pytest.mark.usefixtures("_no_library")
def test_bfloat16_needs_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    problem = problem_of(FullyConnected(count=3), (5,), dtype=torch.bfloat16)
    assert list(implementations(problem)) == ["torch"]
    assert "does not have instructions for bfloat16" in MkldnnLinear().refuses(problem)
    model = netspec.compile(loads(RICH), dtype=torch.bfloat16)
    assert "mkldnn" not in {
        implementation.name for implementation in model.lowered.implementations.values()
    }
    assert model(torch.rand(2, 3, 9, 9, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.usefixtures("_no_library")
@pytest.mark.parametrize("missing", ["", "library", "operators"])
def test_without_the_library_others_take_over(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "library":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    if missing == "operators":
        monkeypatch.setattr(mkldnn, "NEEDED", (*mkldnn.NEEDED, "_no_such_operator"))
    problem = problem_of(Conv(kernel=Kernel(3, 3), count=8), (8, 9, 4))
    assert OneDnnConv().refuses(problem) == "it is not installed"
    reasons = {
        "": "",
        "library": "this build of PyTorch does not have oneDNN",
        "operators": "this version of PyTorch does not have oneDNN's fused operators",
    }
    assert MkldnnConv().refuses(problem) == reasons[missing]
    model = netspec.compile(loads(RICH), measured=not missing)
    names = {implementation.name for implementation in model.lowered.implementations.values()}
    assert names <= {"torch", "tiles"} | ({"mkldnn"} if not missing else set())
    assert verify(model, random_images(model.net)).passed


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 64])
def test_packed_for_one_batch_and_number_of_threads_it_runs_with_others(
    batch: int, threads: int
) -> None:
    before = torch.get_num_threads()
    for op, size in (
        (Conv(kernel=Kernel(3, 3), count=40), (5, 7, 24)),
        (FullyConnected(count=70), (500,)),
        (FullyConnected(count=70), (3, 4, 24)),
    ):
        problem = problem_of(op, size, batch=batch)
        parameters = tensors(problem)
        x = operands(problem, 3)
        for name in ("onednn", "onednn-stream"):
            if name in implementations(problem):
                implementation = implementations(problem)[name]
                packed = implementation.pack(problem, parameters)
                wanted = computed(problem, implementation, packed, x)
                torch.set_num_threads(threads)
                try:
                    y = computed(problem, implementation, packed, x)
                    back = implementation.unpack(problem, packed)
                finally:
                    torch.set_num_threads(before)
                torch.testing.assert_close(y, wanted)
                assert all(torch.equal(back[key], parameters[key]) for key in parameters)


def test_weights_are_copied_where_a_batch_wants_other_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = problem_of(Conv(kernel=Kernel(3, 3), count=40), (5, 7, 24), batch=2)
    implementation = OneDnnConv()
    packed, blocks = (
        implementation.pack(problem, tensors(problem)),
        direct._packed_layout(implementation, problem),
    )
    x = operands(problem, 3)
    wanted = computed(problem, implementation, packed, x)
    described = implementation.described

    def refusing(here: Problem, weights: Layout) -> Description:
        if here.batch == 3 and weights is blocks:
            raise NoImplementationError
        return described(here, weights)

    monkeypatch.setattr(implementation, "described", refusing)
    torch.testing.assert_close(computed(problem, implementation, packed, x), wanted)


def test_equal_problems_share_a_description_but_not_with_other_numbers_of_threads() -> None:
    conv, problem = OneDnnConv(), problem_of(Conv(kernel=Kernel(3, 3), count=8), (9, 9, 4))
    equal = problem_of(Conv(kernel=Kernel(3, 3), count=8), (9, 9, 4))
    threads = torch.get_num_threads()
    description = conv.fitting(problem, problem)
    assert conv.fitting(equal, equal) is description
    try:
        torch.set_num_threads(threads + 1)
        assert conv.fitting(problem, problem) is not description
    finally:
        torch.set_num_threads(threads)
    assert conv.fitting(problem, problem) is description


@pytest.mark.parametrize("precision", ["medium", "high", "highest"])
def test_mkl_does_not_round_operands(precision: str) -> None:
    """With these settings PyTorch's products may round operands to bfloat16 on some processors."""
    problem = problem_of(FullyConnected(count=64), (300,), batch=1)
    implementation, x = implementations(problem)["mkl"], operands(problem, 1)
    packed = implementation.pack(problem, tensors(problem))
    stream = computed(problem, implementations(problem)["onednn-stream"], packed, x)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        y = computed(problem, implementation, packed, x)
    finally:
        torch.set_float32_matmul_precision(before)
    if precision != "highest":
        assert torch.equal(y, stream)
    assert_right(problem, "mkl", batches=(1, 2, 3, 8))
