"""Convolutions into the places that a plan gives them: slices of channels, siblings apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import netspec
from netspec.backends.cuda import MULTIPLYING, CudaBackend, conv
from netspec.backends.cuda.ahead import _packed_stage
from netspec.backends.cuda.binding import bound_steps
from netspec.backends.cuda.conv import AtenConv, CudnnConv, TritonConv
from netspec.backends.cuda.implementation import Target
from netspec.backends.cuda.measure import operands
from netspec.backends.memory import PlanMemory, in_batches
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, Shape
from netspec.kernels.conv import configurations
from netspec.kernels.launch import Launch
from netspec.lowering import lowered as module
from netspec.lowering.implementation import Place, Places, Problem
from netspec.lowering.lowered import Lowered, lowered
from tests.kernels.helpers import ON_GPU, normal

INPUT = Shape((6, 5, 8))
PLACES = {
    "whole": None,
    "slice": Places((Place(8, 0, 8),), (Place(12, 4, 20),)),
    "of a slice": Places((Place(8, 3, 16),), (Place(12, 0, 12),)),
    "siblings": Places((Place(8, 0, 8),), (Place(3, 0, 3), Place(4, 2, 9), Place(5, 0, 5))),
}


def problem(places: Places | None, op: type[Conv] = ConvRelu, **attributes: Any) -> Problem:
    attributes = {"kernel": Kernel(3, 3), "count": 12, "pad": (1, 1, 1, 1)} | attributes
    return Problem(op(**attributes), (INPUT,), torch.float64, 2, places)


def poisoned(*size: int) -> Tensor:
    return normal(*size).fill_(torch.nan)


def computed(
    implementation: conv.ConvImplementation, problem: Problem, make: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """The output of an implementation, at its places of memory that was NaN, and what is exact."""
    (x,), y = operands(problem, make)
    x.copy_(normal(*x.shape))
    parameters = {
        name: normal(*parameter.shape, seed=1)
        for name, parameter in problem.op.parameters(problem.inputs).items()
    }
    for call in implementation.bind(problem, implementation.pack(problem, parameters), [x], y):
        call()
    wanted = problem.op.reference(problem.inputs, x.permute(0, 3, 1, 2), **parameters)
    return torch.cat(y, dim=3).permute(0, 3, 1, 2), wanted


def into(
    x: Tensor, w: Tensor, padding: Any, stride: Any, dilation: Any, groups: int, benchmark: bool,
    deterministic: bool, allow_tf32: bool, *, out: Tensor,
) -> None:  # fmt: skip
    """Stand in for cuDNN: it writes to the memory of ``out``, which it has to be able to."""
    assert benchmark
    assert out.permute(0, 2, 3, 1).is_contiguous()
    out.copy_(torch.conv2d(x, w, None, stride, padding, dilation, groups))


@pytest.fixture
def cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    if not ON_GPU:
        monkeypatch.setattr(conv, "cudnn_into", into)


OPERATORS: dict[str, dict[str, Any]] = {
    "relu": {},
    "without a bias": {"bias": False},
    "without relu": {"op": Conv},
    "neither": {"op": Conv, "bias": False},
    "groups": {"groups": 2},
    "asymmetric": {"stride": (2, 2), "pad": (1, 0, 1, 0)},
}


@pytest.mark.usefixtures("cudnn")
@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("places", PLACES)
def test_cudnn_writes_to_its_places_and_reads_no_memory_that_was_not_written(
    places: str, kind: str
) -> None:
    if kind == "groups" and places == "siblings":
        pytest.skip("grouped convolutions are not merged")
    y, wanted = computed(
        CudnnConv(Target("cuda")), problem(PLACES[places], **OPERATORS[kind]), poisoned
    )
    # 72 products of size 1 in float64, in another order: below 72 x 10 x 2^-53 = 1e-13.
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("cudnn")
def test_cudnn_needs_no_copy_for_a_buffer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    (x,), (y,) = operands(problem(None), normal)
    written: list[int] = []
    monkeypatch.setattr(conv, "cudnn_into", lambda *_, out: written.append(out.data_ptr()))
    implementation = CudnnConv(Target("cuda"))
    packed = {"weight": normal(12, 3, 3, 8), "bias": normal(12)}
    convolution, finish = implementation.bind(problem(None), packed, [x], [y])
    convolution()
    assert written == [y.data_ptr()]
    assert isinstance(finish, Launch)
    assert finish.arguments["parts_ptr"].data_ptr() == finish.arguments["y_ptr"].data_ptr()


def test_the_stand_in_takes_what_pytorch_takes() -> None:
    names = [a.name for a in torch.ops.aten.cudnn_convolution.out._schema.arguments]
    assert names == [
        "self", "weight", "padding", "stride", "dilation", "groups", "benchmark", "deterministic",
        "allow_tf32", "out",
    ]  # fmt: skip


def test_pytorchs_convolution_measures_its_engines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its plan would be the one that peers get from PyTorch's cache."""
    asked: list[Any] = []
    schema = torch.ops.aten._convolution.default._schema
    at = [a.name for a in schema.arguments].index("benchmark")
    whole = torch.ops.aten._convolution

    class Asked:
        def __call__(self, *arguments: Any) -> Any:
            asked.append(arguments[at])
            return whole(*arguments)

    monkeypatch.setattr(torch.ops.aten, "_convolution", Asked())
    y, wanted = computed(AtenConv(Target("cpu")), problem(PLACES["slice"]), poisoned)
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)
    assert asked == [True]


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("kernel", [1, 3])
def test_every_configuration_runs_as_named_or_does_not_fit(kernel: int, places: str) -> None:
    """Siblings too: a kernel that computes one convolution computes them one by one."""
    pad = (kernel // 2,) * 4
    asked = problem(PLACES[places], kernel=Kernel(kernel, kernel), pad=pad)
    (x,), y = operands(asked, normal)
    packed = {"weight": normal(12, kernel, kernel, 8), "bias": normal(12)}
    kernels: set[str] = set()
    for implementation in conv.implementations(asked, Target("cpu")):
        if not isinstance(implementation, TritonConv) or implementation.configuration is None:
            continue
        if implementation.misfit(packed, [x], y):
            assert implementation.configuration.kernel in configurations.BY_DESCRIPTOR
            continue
        launches = implementation.bind(asked, packed, [x], y)
        run = {call.kernel.fn.__module__.rpartition(".")[2] for call in launches}  # type: ignore[attr-defined]
        assert implementation.configuration.kernel in run
        kernels.add(implementation.configuration.kernel)
    assert kernels >= ({"implicit"} if kernel == 3 else {"pointwise"})
    if kernel == 1 and places == "whole":
        assert "persistent" in kernels


BACKEND = CudaBackend("cpu")


@cache
def googlenet(**decided: str) -> Lowered:
    graph = netspec.load("googlenet").graph
    return lowered(graph, BACKEND, dtype=torch.float16, batch=32, decided=decided)


def launched(calls: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What is launched, without the addresses."""
    return [
        (
            call.kernel.__name__,
            call.grid,
            call.warps,
            call.stages,
            {k: v for k, v in call.arguments.items() if isinstance(v, (int, str))},
        )
        for call in calls
        if isinstance(call, Launch)
    ]


def meta(*size: int) -> Tensor:
    return torch.empty(*size, dtype=torch.float16, device="meta")


@pytest.mark.parametrize("kernel", ["persistent", "pointwise", "split", "triton"])
def test_what_is_measured_is_what_the_plan_runs(kernel: str) -> None:
    """Of merged siblings and of slices: GoogLeNet's 1x1 convolutions."""
    net = googlenet()
    placed = module._placed(net.graph, net.problems, BACKEND)
    apart = {
        stage: problem
        for stage, problem in placed.items()
        if problem.places and isinstance(problem.op, Conv) and problem.op.kernel == (1, 1)
    }
    assert len(apart) > 9
    assert any(len(problem.places.writes) > 1 for problem in apart.values())  # type: ignore[union-attr]
    decided = {}
    for stage, problem in apart.items():
        names = [one.name for one in conv.implementations(problem, Target("cpu"))]
        decided[stage] = next((name for name in names if name.startswith(kernel)), "triton")
    chosen = lowered(net.graph, BACKEND, dtype=torch.float16, batch=32, decided=decided, passes=())
    memory = PlanMemory(chosen.plan, in_batches(chosen.plan, 32), meta(chosen.plan.arena * 32))
    stages = {name: _packed_stage(chosen, name, one) for name, one in chosen.problems.items()}
    compared = 0
    for step, calls in bound_steps(chosen.graph, chosen.plan, stages, memory):
        if step.stage not in apart:
            continue
        problem, stage = apart[step.stage], stages[step.stage]
        x, y = operands(problem, meta)
        assert [one.shape for one in y] == [memory.slots[i].shape for i in step.writes]
        implementation = stage.implementation
        assert isinstance(implementation, TritonConv)
        assert launched(implementation.bind(problem, stage.packed, x, y)) == launched(calls)
        named = {call[0] for call in launched(calls)} - {"sum_parts"}
        if not implementation.misfit(stage.packed, x, y) and implementation.configuration:
            assert named == {"parts" if kernel == "split" else kernel}
            compared += 1
    assert compared > 4 or kernel == "triton"


def test_implementations_with_a_choice_of_kernels_have_the_same_ability() -> None:
    """So their places in a plan do not depend on the choices, and can be known before them."""
    for stage, one in googlenet().problems.items():
        if type(one.op) in MULTIPLYING:
            assert len({way.ability for way in BACKEND.implementations(one)}) == 1, stage
