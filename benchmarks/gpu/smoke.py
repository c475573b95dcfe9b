"""Run the cases of one family of kernels, and compare each with float64.

    python -m benchmarks.gpu.smoke FAMILY [--once]

Outputs and workspaces are filled with NaN, and an output lies in the middle of a larger tensor.
Every case runs twice, and both results must be equal bit by bit.  With ``--once``, which is for
compute-sanitizer, each case runs once, and only the first case of each implementation.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import ARITHMETIC, LIBRARIES, Case, cases, implementation, problem
from benchmarks.gpu.journal import Log
from benchmarks.rounding import excess, rounding
from netspec.backends.cuda.training import meaning
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.operator import Operator
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.lowering.implementation import Problem

SENTINEL = 77.0
AROUND = 8
"""Channels on each side of an output: whole 16 bytes, so that tile copies remain possible."""

TERMS_OF_LRN = 32
"""An LRN is one sum of n <= 5 squares, relatively off by (n + 2) u, to the power beta <= 0.75, two
roots or a logarithm of 2 u each, and a product: below 32 u for the inputs here, for which the
logarithm of the scale is below 5."""

ROUNDINGS_OF_LIBRARIES = 3
"""The number of roundings to the type: a library may round the product, the sum with the bias, and
the result.  netspec's kernels round once."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("family")
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    log = Log.of_environment()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    every = [case for kind in ARITHMETIC for case in cases(options.family, kind, device)]
    every = [case for case in every if device == "cuda" or case.arithmetic in ("fp16", "fp32")]
    every.sort(key=lambda case: -case.warps)
    if options.once:
        seen = {f"{case.arithmetic} {case.way}": case for case in reversed(every)}
        every = list(seen.values())
    by_key = {case.key: case for case in every}
    for key in log.cases(by_key):
        log.result(key, **checked(by_key[key], device, is_once=options.once))
    return 0


def checked(case: Case, device: str, *, is_once: bool = False) -> dict[str, Any]:
    """Return the result of a case: its worst error in units of what rounding allows."""
    try:
        check = gradient if case.way == "gradient" else forward
        worst, wrong = check(case, device, is_once)
        if device == "cuda":
            torch.cuda.synchronize()  # raises the error of a failed kernel in its own case
    except Exception as error:
        if device == "cuda":
            # Some errors end the use of the GPU by this process.  It must end too: otherwise the
            # cases after this one would be errors.  Another process goes on with them.
            torch.cuda.synchronize()
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"off": worst} | ({"wrong": wrong} if wrong else {})


# ------------------------------------------------------------------------------------------ forward


def forward(case: Case, device: str, is_once: bool) -> tuple[float, str]:
    """Return the worst error of a forward case, and what is wrong with it or ""."""
    of = problem(case)
    x, parameters = operands(of, case.batch, device)
    chosen = implementation(case, of, device)
    y, whole, is_output = guarded(of, case.batch, device, AROUND * chosen.ability.into_slices)
    results = []
    with poisoned():
        calls = chosen.bind(of, chosen.pack(of, parameters), x, [y])
        for _ in range(1 if is_once else 2):
            y.fill_(torch.nan)
            for call in calls:
                call()
            results.append(y.clone())
    if is_once:
        return 0.0, ""
    wrong = []
    if not torch.equal(results[0].nan_to_num(1e30), results[1].nan_to_num(1e30)):
        wrong.append("two runs differ")
    if not bool((whole[~is_output] == SENTINEL).all()):
        wrong.append("written outside of the output")
    exact = reference(of, [part.double() for part in x], doubled(parameters))
    allowed = case_rounding(case, of, exact, x, parameters)
    worst = float(excess(results[0], exact, allowed).max())
    if not worst <= 1:
        wrong.append(f"{worst:.3g} times the allowed error")
    return worst, "; ".join(wrong)


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill new memory of PyTorch with NaN: nothing may read what was not written.

    PyTorch does this in its deterministic mode, which otherwise only warns here.
    """
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_deterministic_debug_mode("warn")
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)


def operands(
    of: Problem, batch: int, device: str, seed: int = 0
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return operands [N, H, W, C] or [N, C], and parameters, from N(0, 1); drawn on the device."""
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*size: int) -> Tensor:
        drawn = torch.randn(size, generator=generator, device=device, dtype=torch.float32)
        return drawn.to(of.dtype)

    described = {**of.op.parameters(of.inputs), **of.op.buffers(of.inputs)}
    x = [normal(batch, *shape) for shape in of.inputs]
    return x, {name: normal(*parameter.shape) for name, parameter in described.items()}


def guarded(of: Problem, batch: int, device: str, around: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return an output, the larger tensor in whose middle it lies, and a mask of the output.

    There is an image before and after it, and ``around`` channels on each side of its channels.
    """
    *sizes, channels = of.output
    size = (batch + 2, *sizes, around + channels + around)
    whole = torch.full(size, SENTINEL, dtype=of.dtype, device=device)
    is_output = torch.zeros(size, dtype=torch.bool, device=device)
    is_output[1 : 1 + batch, ..., around : around + channels] = True
    return whole[1 : 1 + batch, ..., around : around + channels], whole, is_output


def reference(of: Problem, x: Sequence[Tensor], parameters: dict[str, Tensor]) -> Tensor:
    """Return what an operator computes by PyTorch, channels last."""
    y = of.op.reference(of.inputs, *(nchw(part) for part in x), **parameters)
    return y.movedim(1, -1)


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


def case_rounding(
    case: Case, of: Problem, exact: Tensor, x: Sequence[Tensor], parameters: dict[str, Tensor]
) -> Tensor:
    """Return the error of each output that rounding explains.

    All operators but LRN are sums of products, or select a value: the magnitude of the sum is the
    result of the same operator for absolute values.
    """
    if isinstance(of.op, LocalResponseNorm | LrnMaxPool):
        terms, magnitude = TERMS_OF_LRN, exact.abs()
    else:
        sizes = {name: tensor.double().abs() for name, tensor in parameters.items()}
        magnitude = reference(of, [part.double().abs() for part in x], sizes)
        terms = terms_of(of)
    _, precision = ARITHMETIC[case.arithmetic]
    roundings = ROUNDINGS_OF_LIBRARIES if case.way in LIBRARIES else 1
    how: dict[str, Any] = {"terms": terms, "magnitude": magnitude, "precision": precision}
    return rounding(exact, of.dtype, **how) + (roundings - 1) * (
        torch.finfo(of.dtype).eps / 2 * magnitude
    )


def terms_of(of: Problem) -> int:
    """Return the number of terms of the sum of an output: at most all values of the input."""
    if of.op.is_trained and of.operations:
        return of.operations // (2 * of.batch * of.output.elements)
    return prod(of.inputs[0][:2]) if of.inputs[0].is_map else 1


# ---------------------------------------------------------------------------------------- gradients

PLAIN: dict[type[Operator], type[Operator]] = {ConvRelu: Conv, FullyConnectedRelu: FullyConnected}
"""Operators with a ReLU, and those without it."""


def gradient(case: Case, device: str, is_once: bool) -> tuple[float, str]:
    """Return the worst error of the gradients of a case, and what is wrong with them or "".

    A mask of ReLU depends on the sign of the kernel's own result, so the exact gradient is that of
    the operator without ReLU, of the masked dy.
    """
    of = problem(case)
    x, parameters = operands(of, case.batch, device)
    _, precision = ARITHMETIC[case.arithmetic]
    compute = meaning(of.op, True, precision)
    names = [name for name in parameters if name in of.op.parameters(of.inputs)]
    results = []
    for _ in range(1 if is_once else 2):
        leaves = [nchw(x[0]).detach().requires_grad_()]
        tensors = {name: parameters[name].detach().requires_grad_() for name in names}
        leaves += tensors.values()
        with poisoned():
            y = compute(of.inputs, leaves[0], **(parameters | tensors))
            dy = torch.randn(
                y.shape, generator=torch.Generator(device).manual_seed(1), device=device
            ).to(of.dtype)
            results.append(torch.autograd.grad(y, leaves, dy))
    if is_once:
        return 0.0, ""
    wrong = []
    if not all(torch.equal(a, b) for a, b in zip(*results, strict=True)):
        wrong.append("two runs differ")
    dy = dy * (y > 0) if type(of.op) in PLAIN else dy
    worst = 0.0
    for name, ours, (exact, allowed) in zip(
        ["dx", *names], results[0], exact_gradients(of, leaves, names, dy, precision), strict=True
    ):
        off = float(excess(ours, exact, allowed).max())
        worst = max(worst, off)
        if not off <= 1:
            wrong.append(f"{name}: {off:.3g} times the allowed error")
    return worst, "; ".join(wrong)


def exact_gradients(
    of: Problem, leaves: Sequence[Tensor], names: Sequence[str], dy: Tensor, precision: str
) -> list[tuple[Tensor, Tensor]]:
    """Return each gradient in float64, and the error that rounding explains.

    Gradients are linear in dy and, except for LRN and maxima, bilinear in dy and the other operand.
    So the magnitude of their sums is the gradient of absolute values; the gradient of LRN is a
    difference, whose magnitude is bounded by its largest value.
    """
    function: Any = PLAIN.get(type(of.op), type(of.op)).reference
    is_lrn = isinstance(of.op, LocalResponseNorm)
    selects = of.op.name in ("maxpool", "maxpool_relu")

    def differentiated(f: Callable[[Tensor], Tensor], of_dy: Tensor) -> tuple[Tensor, ...]:
        wide = [f(leaf.detach().double()).requires_grad_() for leaf in leaves]
        y = function(of.op, of.inputs, wide[0], **dict(zip(names, wide[1:], strict=True)))
        return torch.autograd.grad(y, wide, of_dy)

    exact = differentiated(lambda value: value, dy.double())
    if is_lrn:
        sizes = tuple(torch.full_like(value, float(value.abs().max())) for value in exact)
    else:
        keep = (lambda value: value) if selects else torch.abs
        sizes = differentiated(keep, dy.double().abs())
    # Of dx: taps and filters; of dw: pixels.
    taps = of.output.channels * prod(getattr(of.op, "kernel", (1, 1)))
    terms = TERMS_OF_LRN if is_lrn else dy.numel() // dy.shape[1] + taps
    return [
        (one, rounding(one, of.dtype, terms=terms, magnitude=size, precision=precision))
        for one, size in zip(exact, sizes, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
