"""Every wrong kind of tensor given to every implementation, as each thing that it is bound to.

A program, because what gets past a check may end the process: each case is written to standard
output before it runs, and a case that is not refused with a TypeError or ValueError is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from netspec.backends.cpu import IMPLEMENTATIONS
from netspec.backends.cpu.direct import Direct
from netspec.backends.cpu.implementation import CpuImplementation, bind
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.operator import Operator, WindowOperator
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.tanh import Tanh
from netspec.ir.shapes import Kernel, Shape
from netspec.lowering.implementation import Problem
from tests.backends.cpu.helpers import operands, problem_of, tensors
from tests.backends.cpu.problems import implementations_of

BATCH = 2
SIZE = (5, 6, 8)


def problem_with(kind: type[Operator]) -> Problem:
    """Work of an operator, square and grouped where it can be."""
    lrn = LocalResponseNorm(n=3, groups=2)
    pool = MaxPool(kernel=Kernel(3, 3), stride=(1, 1), pad=(1, 1, 1, 1))
    makers: dict[type[Operator], Callable[[], Operator]] = {
        LocalResponseNorm: lambda: lrn,
        LrnMaxPool: lambda: LrnMaxPool(lrn=lrn, pool=pool),
        ConvActivation: lambda: ConvActivation(
            kernel=Kernel(3, 3), count=8, pad=(1, 1, 1, 1), groups=2, activation=Relu6()
        ),
    }
    if kind in makers:
        op = makers[kind]()
    elif issubclass(kind, Conv):
        op = kind(kernel=Kernel(3, 3), count=8, pad=(1, 1, 1, 1), groups=2)
    elif issubclass(kind, WindowOperator):
        op = kind(kernel=Kernel(3, 3), stride=(1, 1), pad=(1, 1, 1, 1))
    elif issubclass(kind, FullyConnected):
        op = kind(count=8)
    elif issubclass(kind, BatchNorm):
        op = kind(eps=1e-3)
    else:
        op = kind()
    inputs = [SIZE, SIZE] if kind is Concat else [SIZE]
    if isinstance(op, ConvAdd):
        inputs.append(tuple(op.shape([Shape(SIZE)])))
    return problem_of(op, *inputs, batch=BATCH)


def wrong_kinds(x: Tensor) -> Iterator[tuple[str, Any]]:
    """What is not the tensor ``x``, one reason each."""
    yield "nothing", None
    yield "an array", x.numpy() if not x.is_mkldnn else [1.0]
    yield "on meta", torch.empty(x.shape, device="meta")
    with FakeTensorMode():
        fake = torch.empty(x.shape)
    yield "fake", fake
    x = x.to_dense() if x.is_mkldnn else x
    yield "sparse", x.to_sparse()
    yield "quantised", torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)
    yield "nested", torch.nested.nested_tensor([one.clone() for one in x])
    yield "in float64", x.double()
    yield "in bfloat16", x.bfloat16()
    yield "of one element", torch.zeros(1)
    yield "one shorter", x[1:].clone()
    yield "one longer", torch.cat([x, x[:1]])
    yield "one narrower", x[..., 1:].contiguous()
    if x.dim() > 1:
        yield "of another order", torch.zeros(x.shape[::-1])
    yield "with gaps", torch.zeros(*x.shape, 2)[..., 0]
    yield "expanded", torch.zeros(1).expand(x.shape)
    yield "negated lazily", torch._neg_view(x.clone())
    freed, shrunk = x.clone(), x.clone()
    freed.untyped_storage().resize_(0)
    shrunk.untyped_storage().resize_(shrunk.untyped_storage().nbytes() - 1)
    yield "freed", freed
    yield "shrunk", shrunk
    buffer = bytearray(x.numel() * x.itemsize + 1)
    yield "unaligned", torch.frombuffer(buffer, dtype=x.dtype, offset=1).view(x.shape)
    transposed = x.transpose(0, -1).contiguous().transpose(0, -1)
    if not transposed.is_contiguous():
        yield "transposed", transposed


STRIDED = ("with gaps", "expanded", "transposed")
"""Kinds of parameters that are right: PyTorch reads them as they lie, or they are copied."""


def bound(problem: Problem, implementation: CpuImplementation, packed: Any, x: Any, y: Any) -> None:
    """Bind and run."""
    scratch = Scratch()
    with torch.no_grad():
        calls = bind(implementation, problem, packed, x, y, scratch)
        scratch.hand_out()
        for call in calls:
            call()


def cases(
    problem: Problem, implementation: CpuImplementation
) -> Iterator[tuple[str, Callable[[], object]]]:
    parameters = tensors(problem)
    packed, x = implementation.pack(problem, parameters), operands(problem, BATCH)
    y = torch.zeros(BATCH, *problem.output)
    bound(problem, implementation, packed, x, y)  # which is right
    for name, tensor in parameters.items():
        for kind, wrong in wrong_kinds(tensor):
            if kind in STRIDED:
                continue
            changed = {**parameters, name: wrong}
            yield (
                f"pack {name} {kind}",
                lambda changed=changed: bound(
                    problem, implementation, implementation.pack(problem, changed), x, y
                ),
            )
    for name, tensor in packed.items():
        for kind, wrong in wrong_kinds(tensor):
            if kind in STRIDED and not isinstance(implementation, Direct):
                continue
            changed = {**packed, name: wrong}
            yield (
                f"packed {name} {kind}",
                lambda changed=changed: bound(problem, implementation, changed, x, y),
            )
    for kind, wrong in wrong_kinds(x[-1]):
        yield (
            f"operand {kind}",
            lambda wrong=wrong: bound(problem, implementation, packed, [*x[:-1], wrong], y),
        )
    for kind, wrong in wrong_kinds(y):
        yield f"result {kind}", lambda wrong=wrong: bound(problem, implementation, packed, x, wrong)
    yield "an operand too few", lambda: bound(problem, implementation, packed, x[1:], y)
    yield (
        "in a transform",
        lambda: torch.func.vmap(lambda z: bound(problem, implementation, packed, [*x[:-1], z], y))(
            x[-1][None]
        ),
    )
    if isinstance(implementation, Direct):
        size = x[0].numel()
        whole = torch.zeros(size + y.numel() - 1)
        inputs = [whole[:size].view(x[0].shape), *x[1:]]
        over = whole[size - 1 :].view(y.shape)
        yield (
            "a result over an operand",
            lambda: bound(problem, implementation, packed, inputs, over),
        )


def main() -> None:
    torch.set_num_threads(1)  # threads that wait for each other take longer than this work
    count = 0
    for kind in (*IMPLEMENTATIONS, Tanh):
        problem = problem_with(kind)
        for implementation in implementations_of(problem):
            for name, case in cases(problem, implementation):
                what = f"{kind.__name__}, {type(implementation).__name__}: {name}"
                print(what, flush=True)
                count += 1
                try:
                    case()
                except (TypeError, ValueError):
                    continue
                raise AssertionError(f"{what} was not refused")
    print(f"{count} cases", flush=True)


if __name__ == "__main__":
    main()
