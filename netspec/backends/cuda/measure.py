"""Time the implementations of a problem on this GPU, in turns, on random data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, partial
from time import perf_counter

import torch
import triton
from torch import Tensor

from netspec.backends.cuda.graphs import Stopwatch, captured
from netspec.backends.cuda.implementation import Call, CudaImplementation, Target
from netspec.backends.measuring import Run, in_turns, reason
from netspec.backends.memory import nchw
from netspec.backends.tuning import Tuning, described
from netspec.errors import DataError
from netspec.files.cache import digest
from netspec.ir.shapes import Shape
from netspec.kernels import measured
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Place, Places, Problem, Tensors

ROUNDS = 15
CACHE = 2**27
"""Bytes that are written between two runs: twice the L2 cache of an H200.

This removes the weights from the cache, so that they are read from memory as in a net.
"""


TF32 = 2.0**-10
"""The spacing of TF32's numbers above 1."""


def tuning(target: Target) -> Tuning:
    """Return the stored times of this GPU, these kernels and versions."""
    is_gpu = target.device.startswith("cuda")
    return Tuning(
        "cuda",
        {
            **_versions(),
            "device": torch.cuda.get_device_name(target.device) if is_gpu else target.device,
            "precision": target.precision,
        },
    )


@cache
def _versions() -> dict[str, str]:
    return {
        "sources": digest("netspec.kernels", "netspec.backends.cuda"),
        "torch": torch.__version__,
        "triton": triton.__version__,
    }


def keep(
    problem: Problem, implementations: Sequence[CudaImplementation], outcomes: Outcomes
) -> None:
    """Keep the fastest of netspec's kernels for every launch of this problem on this GPU."""
    kernels = [
        (time, keys)
        for one in implementations
        if (keys := one.measured(problem)) and isinstance(time := outcomes[one.name], float)
    ]
    if kernels:
        _, keys = min(kernels)
        measured.keep(*keys)


def measure(
    problem: Problem, implementations: Sequence[CudaImplementation], device: str
) -> Outcomes:
    """Return the median seconds per batch of each implementation, or why it failed.

    An implementation can fail in many ways: a tile needs more shared memory than the GPU has, a
    compiler stops, cuDNN has no engine for the sizes, a graph cannot be captured, the result is not
    that of the reference.  On a GPU the time is that of a CUDA graph, as in a net.

    Raises:
        DataError: a failure was so severe that the process cannot use the GPU any more.
    """
    destination = torch.device(device)
    is_gpu = destination.type == "cuda"
    generator = torch.Generator(destination).manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.rand(*size, generator=generator, dtype=problem.dtype, device=destination)

    x, y = operands(problem, drawn)
    tensors = {**problem.op.parameters(problem.inputs), **problem.op.buffers(problem.inputs)}
    parameters = {name: drawn(*parameter.shape) for name, parameter in tensors.items()}
    flushed = torch.zeros(CACHE // 4 if is_gpu else 1, device=destination)

    def prepared(implementation: CudaImplementation) -> Run:
        packed = implementation.pack(problem, parameters)
        if why := implementation.misfit(packed, x, y):
            raise ValueError(why)
        calls = implementation.bind(problem, packed, x, y)
        for one in y:
            one.fill_(torch.nan)
        _run(calls)
        _require_near(expected, torch.cat(y, -1))
        return _on_gpu(calls) if is_gpu else _on_cpu(calls)

    with torch.no_grad(), torch.cuda.device(destination) if is_gpu else nullcontext():
        expected = _expected(problem, x, parameters)
        return in_turns(
            {one.name: partial(prepared, one) for one in implementations},
            rounds=ROUNDS if is_gpu else 1,
            between=lambda: flushed.add_(1),
            check=partial(_require_gpu, problem) if is_gpu else lambda: None,
        )


def operands(problem: Problem, make: Callable[..., Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the operands and outputs of a problem at its places; ``make`` returns a tensor of a
    size."""

    def at(place: Place, shape: Shape) -> Tensor:
        whole = make(problem.batch, *shape[:-1], place.width)
        return whole.narrow(-1, place.start, place.channels)

    places = problem.places or Places(
        tuple(Place(shape.channels, 0, shape.channels) for shape in problem.inputs),
        (Place(problem.output.channels, 0, problem.output.channels),),
    )
    x = [at(place, shape) for place, shape in zip(places.reads, problem.inputs, strict=True)]
    return x, [at(place, problem.output) for place in places.writes]


def _require_gpu(problem: Problem) -> None:
    """Raise DataError if the GPU cannot be used any more: some errors end its context."""
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        raise DataError(
            f"the GPU failed while the implementations of {described(problem)} were measured "
            f"({reason(error)}): start the process again, and name the implementation of this "
            "stage in choices="
        ) from None


def _expected(problem: Problem, x: Sequence[Tensor], parameters: Tensors) -> Tensor | None:
    """Return the result of the reference, in float32 if the problem's type has fewer bits.

    Return None if there is nothing to compare with: the device does not have the memory for it, or
    PyTorch cannot compute it there, or it overflows in the problem's type.
    """
    dtype = torch.promote_types(problem.dtype, torch.float32)
    try:
        operands = [nchw(one).to(dtype) for one in x]
        converted = {name: tensor.to(dtype) for name, tensor in parameters.items()}
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            y = problem.op.reference(problem.inputs, *operands, **converted)
        return y if y.to(problem.dtype).isfinite().all() else None
    except RuntimeError:
        return None


def _require_near(expected: Tensor | None, y: Tensor) -> None:
    """Raise DataError if a result is further from the reference than rounding explains.

    A result is rounded to its type, and in float32 factors may have been rounded to TF32: the
    allowance is twice the spacing of numbers.  Another choice of operands changes a result by more,
    although all of them are of equal size.
    """
    if expected is None:
        return
    allowed = 2 * max(torch.finfo(y.dtype).eps, TF32)
    error, size = float((nchw(y) - expected).norm()), float(expected.norm())
    if not error <= allowed * size:  # NaN is not
        raise DataError(f"its error is {error:.1e} of {size:.1e}, {allowed:.1e} of it is allowed")


def _run(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


def _on_gpu(calls: Sequence[Call]) -> Run:
    """Return a function that runs the calls and returns the seconds on the GPU's clock."""
    graph = captured(lambda: _run(calls))

    def timed(kept: Sequence[Call] = calls) -> float:
        """``kept``: the graph has addresses of tensors that only the calls keep alive."""
        watch = Stopwatch()
        graph.replay()
        watch.stop()
        return watch.seconds()

    return timed


def _on_cpu(calls: Sequence[Call]) -> Run:
    """Return a function that runs the calls in the interpreter and returns the seconds.

    This time says nothing about a GPU.
    """

    def timed() -> float:
        started = perf_counter()
        _run(calls)
        return perf_counter() - started

    return timed
