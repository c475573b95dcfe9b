"""Convolutions: by netspec's kernels, by PyTorch, and by cuDNN.

All of them hold filters as [O, kh, kw, C / groups], dense if the layer has a connection table.  All
can write slices of channels, and can write merged siblings to separate buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netspec.backends.cuda.estimates import cudnn_conv, triton_conv
from netspec.backends.cuda.implementation import Call, CudaImplementation, Target, write
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.operator import WindowOperator, padded, symmetric
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape
from netspec.kernels.conv import configurations, pointwise
from netspec.kernels.conv.configurations import Configuration
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import Launch
from netspec.kernels.layout import pitch
from netspec.kernels.sums import sum_of
from netspec.kernels.windows import check_pixels
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.plan import Ability


def implementations(problem: Problem, target: Target) -> Iterator[CudaImplementation]:
    """Yield every implementation of a convolution, the one with the least estimated time first.

    Of netspec's kernels, ``triton`` is the fastest that is known without measuring again.
    """
    op = _conv(problem)
    windows = geometry(op, problem.inputs, problem.batch)
    cudnn, *others = CudnnConv(target), TritonConv(target), AtenConv(target)
    if target.has_estimates(problem.dtype) and _prefers_cudnn(problem, windows):
        yield from (cudnn, *others)
    else:
        yield from (*others, cudnn)
    for configuration in configurations.candidates(
        windows,
        problem.dtype,
        target.precision,
        has_descriptors=target.has_descriptors,
    ):
        yield TritonConv(target, configuration)


def _prefers_cudnn(problem: Problem, windows: Geometry) -> bool:
    """Return True if cuDNN, which computes merged siblings one by one, has the smaller estimate."""
    writes = (
        [place.channels for place in problem.places.writes] if problem.places else [windows.count]
    )
    cudnn = sum(cudnn_conv(replace(windows, count=count)) for count in writes)
    return cudnn < triton_conv(windows)


def geometry(op: WindowOperator, inputs: Sequence[Shape], batch: int) -> Geometry:
    """Return the windows of an operator as the kernels take them: padding includes overhang."""
    height, width, channels = inputs[0]
    vertical, horizontal = op.windows(inputs)
    windows = Geometry(
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        count=op.channels_out(inputs),
        kernel=op.kernel,
        stride=op.stride,
        padding=(vertical.before, vertical.tail, horizontal.before, horizontal.tail),
        dilation=op.dilation,
        groups=op.groups if isinstance(op, Conv) else 1,
    )
    assert windows.size_out == (batch, *op.shape(inputs)), f"{op} of {inputs}: {windows}"
    return windows


def _conv(problem: Problem) -> Conv:
    assert isinstance(problem.op, Conv)
    return problem.op


class ConvImplementation(CudaImplementation):
    """The base class of all convolutions: target, packing of filters, ability."""

    ability = Ability(into_slices=True, apart=True)

    def __init__(self, target: Target) -> None:
        self.target = target

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        weight = _conv(problem).dense(tensors["weight"])
        return {**tensors, "weight": weight.permute(0, 2, 3, 1).contiguous()}

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        weight = _conv(problem).sparse(packed["weight"].permute(0, 3, 1, 2))
        return {**packed, "weight": weight.contiguous()}


class Part(NamedTuple):
    """Filters of a convolution that follow each other: weights, bias and outputs."""

    w: Tensor
    b: Tensor | None
    ys: Sequence[Tensor]


def parts(packed: Tensors, ys: Sequence[Tensor], together: int = 1) -> list[Part]:
    """Return the filters of each output, or of ``together`` outputs, in order."""
    w, b = packed["weight"], packed.get("bias")
    divided: list[Part] = []
    start = 0
    for first in range(0, len(ys), together):
        group = ys[first : first + together]
        end = start + sum(y.shape[3] for y in group)
        divided.append(Part(w[start:end], None if b is None else b[start:end], group))
        start = end
    return divided


# -------------------------------------------------------------------------------- our own kernels


class TritonConv(ConvImplementation):
    """Convolution by netspec's kernels.

    ``configuration`` is a kernel and its tile.  Without one, the fastest that is known is used for
    each batch size.  Siblings are computed by one launch if it is of the kernel ``pointwise``,
    otherwise one by one.
    """

    def __init__(self, target: Target, configuration: Configuration | None = None) -> None:
        super().__init__(target)
        self.configuration = configuration
        self.name = "triton" if configuration is None else configuration.name

    def refuses(self, problem: Problem) -> str:
        return self.target.cannot_multiply(problem.dtype)

    def measured(self, problem: Problem) -> tuple[str, str] | None:
        if self.configuration is None or (problem.places and len(problem.places.writes) > 1):
            return None
        windows = geometry(_conv(problem), problem.inputs, problem.batch)
        key = configurations.described(windows, problem.dtype, self.target.precision)
        return key, self.name

    def misfit(self, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]) -> str:
        if self.configuration is None:
            return ""
        is_fit = all(self.configuration.fits(x[0], w, one) for w, _, (one,) in parts(packed, y))
        return "" if is_fit else f"{self.configuration.kernel} does not fit these operands"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        relu, precision = isinstance(problem.op, ConvRelu), self.target.precision
        windows = geometry(_conv(problem), problem.inputs, len(x[0]))
        check_pixels(windows)
        is_pointwise = self.configuration is None or self.configuration.kernel == "pointwise"
        together = pointwise.SIBLINGS if windows.is_pointwise and is_pointwise else 1
        how: dict[str, Any] = {"relu": relu, "precision": precision}
        calls: list[Launch] = []
        for w, b, ys in parts(packed, y, together):
            if len(ys) > 1:
                tile = self._tile_of_siblings(x[0], ys)
                calls += pointwise.sibling_launches(x[0], w, b, ys, tile=tile, **how)
            else:
                part = replace(windows, count=len(w))
                calls += configurations.forward_launches(
                    x[0], w, b, ys[0], part, configuration=self.configuration, **how
                )
        return calls

    def _tile_of_siblings(self, x: Tensor, ys: Sequence[Tensor]) -> ProductTile:
        if self.configuration is not None:
            return self.configuration.tile
        counts = [y.shape[3] for y in ys]
        pixels, channels = x.shape[:3].numel(), x.shape[3]
        return pointwise.choose(pixels, counts, channels, x.dtype, self.target.precision)


# --------------------------------------------------------------------------------------- PyTorch's


class AtenConv(ConvImplementation):
    """PyTorch's convolution (cuDNN on a GPU), then ReLU, then a copy to the result's buffer."""

    name = "aten"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        op, windows = _conv(problem), _conv(problem).windows(problem.inputs)
        padding, image = symmetric(windows), nchw(x[0])
        relu = isinstance(op, ConvRelu)

        def call() -> None:
            result: Tensor = torch.ops.aten._convolution(
                image if padding else padded(image, windows),
                nchw(packed["weight"]),
                packed.get("bias"),
                list(op.stride),
                list(padding or (0, 0)),
                list(op.dilation),
                False,  # transposed
                [0, 0],
                op.groups,
                BENCHMARK,
                False,  # deterministic
                True,  # with cuDNN
                self.target.precision == "tf32",
            )
            write(result.relu_() if relu else result, y)

        return [call]


BENCHMARK = True
"""cuDNN measures its engines in the first call for these sizes, and PyTorch keeps the fastest.

The first call is not captured in a CUDA graph.  With False, cuDNN's heuristic would choose, and
PyTorch would use its choice in all later calls of these sizes in the process, even if they ask for
a measurement, as those of the benchmark's peers do: PyTorch's cache does not depend on this flag.
"""


class CudnnConv(ConvImplementation):
    """cuDNN's convolution into the buffer of the result, then bias and ReLU in place.

    If the result is a slice of a buffer's channels, cuDNN writes to new memory, and bias and ReLU
    move it: the memory traffic is the same.
    """

    name = "cudnn"

    def refuses(self, problem: Problem) -> str:
        return "cuDNN needs a GPU" if self.target.device == "cpu" else ""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        op, windows = _conv(problem), _conv(problem).windows(problem.inputs)
        padding, image = symmetric(windows), nchw(x[0])
        relu = isinstance(op, ConvRelu)
        arguments = (list(padding or (0, 0)), list(op.stride), list(op.dilation), op.groups)
        is_tf32 = self.target.precision == "tf32"

        def into(w: Tensor, y: Tensor) -> None:
            source = image if padding else padded(image, windows)
            cudnn_into(source, nchw(w), *arguments, BENCHMARK, False, is_tf32, out=nchw(y))

        def moved(w: Tensor, b: Tensor | None, y: Tensor) -> None:
            result = torch.empty(y.shape, dtype=y.dtype, device=y.device)
            into(w, result)
            sum_of(result[None], y, b, relu=relu, pitch=pitch("y", y))()

        calls: list[Call] = []
        for w, b, (one,) in parts(packed, y):
            if not one.is_contiguous():
                calls.append(partial(moved, w, b, one))
                continue
            calls.append(partial(into, w, one))
            if relu or b is not None:
                calls.append(sum_of(one[None], one, b, relu=relu))
        return calls


def cudnn_into(x: Tensor, w: Tensor, *arguments: Any, out: Tensor) -> None:
    """Write cuDNN's convolution of x and w, channels-last in memory, to ``out``.

    PyTorch's other functions of cuDNN return new memory, and that with a fused ReLU reads the new
    memory as an operand with the factor 0, which keeps a NaN.
    """
    torch.ops.aten.cudnn_convolution.out(x, w, *arguments, out=out)
