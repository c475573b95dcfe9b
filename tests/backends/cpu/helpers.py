"""What the tests of the CPU's implementations share: each is held against its operator."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu import CpuBackend
from netspec.backends.cpu.implementation import CpuImplementation
from netspec.backends.cpu.measure import bound
from netspec.backends.cpu.winograd import Winograd
from netspec.backends.memory import nchw
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Problem, Tensors
from tests.ir.ops.helpers import images, random_buffers, random_parameters

TYPES = [torch.float32] + [torch.bfloat16] * torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Those that this CPU multiplies."""


def problem_of(
    op: Operator, *inputs: Any, dtype: torch.dtype = torch.float32, batch: int = 2
) -> Problem:
    return Problem(op, tuple(Shape(size) for size in inputs), dtype, batch)


def implementations(problem: Problem) -> dict[str, CpuImplementation]:
    return {
        implementation.name: implementation
        for implementation in CpuBackend().implementations(problem)
    }


def tensors(problem: Problem) -> dict[str, Tensor]:
    parameters = random_parameters(problem.op, problem.inputs) | random_buffers(
        problem.op, problem.inputs
    )
    return {name: tensor.to(problem.dtype) for name, tensor in parameters.items()}


def operands(problem: Problem, batch: int) -> list[Tensor]:
    """As a bound plan gives them: maps are [N, H, W, C]."""
    batches = [
        images(shape, batch, seed=i).to(problem.dtype) for i, shape in enumerate(problem.inputs)
    ]
    return [x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x for x in batches]


def computed(
    problem: Problem, implementation: CpuImplementation, packed: Tensors, x: Sequence[Tensor]
) -> Tensor:
    """The result in PyTorch's order of axes, in memory that was full of NaN before."""
    y = torch.full((len(x[0]), *problem.output), float("nan"), dtype=problem.dtype)
    with torch.no_grad():
        bound(implementation, problem, packed, x, y)()
    return nchw(y)


def allowed(problem: Problem, size: float) -> float:
    """How far rounding may move a result: 4 u sqrt(terms) of the largest sum of absolute products,
    and a few roundings of the result itself."""
    terms = max(1, prod(problem.op.macs(problem.inputs)) // problem.output.elements)
    u = torch.finfo(torch.float32 if problem.dtype == torch.bfloat16 else problem.dtype).eps / 2
    return size * (4 * u * terms**0.5 + 4 * torch.finfo(problem.dtype).eps)


def assert_right(problem: Problem, name: str, batches: tuple[int, ...] = (2, 1, 5)) -> None:
    """The implementation computes what the operator means, and its packing comes undone.

    It leaves alone what it is given.
    """
    implementation, parameters = implementations(problem)[name], tensors(problem)
    packed = implementation.pack(problem, parameters)
    back = implementation.unpack(problem, packed)
    assert list(back) == list(parameters)
    for key, tensor in parameters.items():
        assert torch.equal(back[key], tensor), key
        back[key].zero_()  # it is a copy
    for batch in batches:
        x = operands(problem, batch)
        before = [one.clone() for one in x]
        y = computed(problem, implementation, packed, x)
        exact = [nchw(one.double()) for one in x]
        doubled = {key: tensor.double() for key, tensor in parameters.items()}
        wanted = problem.op.reference(problem.inputs, *exact, **doubled)
        assert y.shape == wanted.shape == (batch, *problem.output.torch)
        assert all(map(torch.equal, x, before))
        sizes = {key: tensor.abs() for key, tensor in doubled.items()}
        largest = problem.op.reference(problem.inputs, *(one.abs() for one in exact), **sizes)
        error = float((y.double() - wanted).abs().max())
        most = allowed(problem, max(1.0, float(largest.abs().max())))
        if isinstance(implementation, Winograd):
            most *= implementation.enlargement(problem)
        assert error <= most, (name, batch)
