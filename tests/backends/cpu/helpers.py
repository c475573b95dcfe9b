"""What the tests of the CPU's implementations share: each is held against its operator."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu import CpuBackend
from netspec.backends.cpu.measure import bound
from netspec.backends.cpu.way import Way
from netspec.backends.memory import nchw
from netspec.ir.operator import Operator
from netspec.ir.shapes import Shape
from netspec.lowering.implementation import Held, Work
from tests.ir.ops.helpers import images, random_buffers, random_parameters

TYPES = [torch.float32] + [torch.bfloat16] * torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Those that this CPU multiplies."""


def work_of(op: Operator, *inputs: Any, dtype: torch.dtype = torch.float32, batch: int = 2) -> Work:
    return Work(op, tuple(Shape(size) for size in inputs), dtype, batch)


def ways(work: Work) -> dict[str, Way]:
    return {way.name: way for way in CpuBackend().ways(work)}


def tensors(work: Work) -> dict[str, Tensor]:
    found = random_parameters(work.op, work.inputs) | random_buffers(work.op, work.inputs)
    return {name: tensor.to(work.dtype) for name, tensor in found.items()}


def operands(work: Work, batch: int) -> list[Tensor]:
    """As a frame gives them: maps are [N, H, W, C]."""
    found = [images(shape, batch, seed=i).to(work.dtype) for i, shape in enumerate(work.inputs)]
    return [x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x for x in found]


def computed(work: Work, way: Way, packed: Held, x: Sequence[Tensor]) -> Tensor:
    """The result in PyTorch's order of axes, in memory that was full of NaN before."""
    y = torch.full((len(x[0]), *work.output), float("nan"), dtype=work.dtype)
    with torch.no_grad():
        bound(way, work, packed, x, y)()
    return nchw(y)


def allowed(work: Work, size: float) -> float:
    """How far rounding may move a result: 4 u sqrt(terms) of the largest sum of absolute products,
    and a few roundings of the result itself."""
    terms = max(1, prod(work.op.macs(work.inputs)) // work.output.elements)
    u = torch.finfo(torch.float32 if work.dtype == torch.bfloat16 else work.dtype).eps / 2
    return size * (4 * u * terms**0.5 + 4 * torch.finfo(work.dtype).eps)


def assert_right(work: Work, name: str, batches: tuple[int, ...] = (2, 1, 5)) -> None:
    """The implementation computes what the operator means, and its packing comes undone.

    It leaves alone what it is given.
    """
    way, held = ways(work)[name], tensors(work)
    packed = way.pack(work, held)
    back = way.unpack(work, packed)
    assert list(back) == list(held)
    for key, tensor in held.items():
        assert torch.equal(back[key], tensor), key
        back[key].zero_()  # it is a copy
    for batch in batches:
        x = operands(work, batch)
        before = [one.clone() for one in x]
        y = computed(work, way, packed, x)
        exact = [nchw(one.double()) for one in x]
        doubled = {key: tensor.double() for key, tensor in held.items()}
        wanted = work.op.reference(work.inputs, *exact, **doubled)
        assert y.shape == wanted.shape == (batch, *work.output.torch)
        assert all(map(torch.equal, x, before))
        sizes = {key: tensor.abs() for key, tensor in doubled.items()}
        largest = work.op.reference(work.inputs, *(one.abs() for one in exact), **sizes)
        error = float((y.double() - wanted).abs().max())
        assert error <= allowed(work, max(1.0, float(largest.abs().max()))), (name, batch)
