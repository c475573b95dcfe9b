"""Fully connected layers: by netspec's kernels, and by cuBLAS.

Both hold the matrix as [count, inputs].  If the operand is a map, the columns are in the memory
order of the map, (height, width, channels), so that the map need not be reordered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from netspec.backends.cuda.estimates import blas_fc, triton_fc
from netspec.backends.cuda.implementation import Call, CudaImplementation, Target
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.kernels.conv import configurations
from netspec.kernels.conv.configurations import Configuration
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.fc import forward as fc
from netspec.kernels.windows import check_pixels
from netspec.lowering.implementation import Problem, Tensors


def implementations(problem: Problem, target: Target) -> Iterator[CudaImplementation]:
    """Yield every implementation of a layer, the one with the least estimated time first."""
    layer = problem.batch, problem.inputs[0].elements, problem.output.elements
    is_estimated = target.has_estimates(problem.dtype)
    if is_estimated and blas_fc(*layer) < triton_fc(*layer):
        yield from (BlasLinear(), TritonLinear(target))
    else:
        yield from (TritonLinear(target), BlasLinear())
    geometry = product(problem.batch, problem)
    if problem.batch <= fc.FEW:
        for stream in fc.STREAMS:
            yield TritonLinear(target, stream=stream)
        return
    for configuration in configurations.candidates(
        geometry,
        problem.dtype,
        target.precision,
        has_descriptors=target.has_descriptors,
    ):
        yield TritonLinear(target, configuration=configuration)


def product(batch: int, problem: Problem) -> Geometry:
    """Return the layer as a 1x1 convolution of maps with one pixel."""
    return fc.product_of(batch, problem.inputs[0].elements, problem.output.elements)


class LinearImplementation(CudaImplementation):
    """The base class of fully connected layers: packing of the matrix."""

    def pack(self, problem: Problem, tensors: Tensors) -> dict[str, Tensor]:
        shape, weight = problem.inputs[0], tensors["weight"]
        if shape.is_map:
            weight = weight.reshape(len(weight), *shape.torch).permute(0, 2, 3, 1).flatten(1)
        return {**tensors, "weight": weight.contiguous()}

    def unpack(self, problem: Problem, packed: Tensors) -> dict[str, Tensor]:
        shape, weight = problem.inputs[0], packed["weight"]
        if shape.is_map:
            weight = weight.view(len(weight), *shape).permute(0, 3, 1, 2).flatten(1)
        return {**packed, "weight": weight}


def rows(x: Tensor) -> tuple[Tensor, list[Call]]:
    """Return the operand as [N, K], and the calls that must run first.

    A map that is a slice of channels is not contiguous: it is copied first.
    """
    if x.dim() == 2:
        return x, []
    if x.shape[1:3].numel() == 1:
        return x[:, 0, 0, :], []
    if x.is_contiguous():
        return x.flatten(1), []
    whole = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    return whole.flatten(1), [lambda: whole.copy_(x)]


class TritonLinear(LinearImplementation):
    """Fully connected layer by netspec's kernels.

    ``stream`` is the configuration for up to eight images, ``configuration`` the kernel and the
    tile for more images.  If one is not given, a model chooses it for each batch size.
    """

    def __init__(
        self,
        target: Target,
        *,
        stream: fc.Stream | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self.target, self.stream, self.configuration = target, stream, configuration
        chosen = configuration or stream
        self.name = "triton" if chosen is None else chosen.name

    def refuses(self, problem: Problem) -> str:
        return self.target.cannot_multiply(problem.dtype)

    def measured(self, problem: Problem) -> tuple[str, str] | None:
        terms, count = problem.inputs[0].elements, problem.output.elements
        if self.stream is not None:
            return fc.described(problem.batch, terms, count, problem.dtype), self.name
        if self.configuration is not None:
            geometry = product(problem.batch, problem)
            precision = self.target.precision
            return configurations.described(geometry, problem.dtype, precision), self.name
        return None

    def misfit(self, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]) -> str:
        if self.configuration is None:
            return ""
        operand, _ = rows(x[0])
        maps = (fc.as_map(operand), fc.as_map(packed["weight"]), fc.as_map(y[0]))
        kernel = self.configuration.kernel
        return "" if self.configuration.fits(*maps) else f"{kernel} does not fit these operands"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        relu, precision = isinstance(problem.op, FullyConnectedRelu), self.target.precision
        operand, before = rows(x[0])
        w, b = packed["weight"], packed.get("bias")
        geometry = product(len(operand), problem)
        check_pixels(geometry)
        if self.configuration is not None and len(operand) > fc.FEW:
            launches = configurations.forward_launches(
                fc.as_map(operand),
                fc.as_map(w),
                b,
                fc.as_map(y[0]),
                geometry,
                relu=relu,
                precision=precision,
                configuration=self.configuration,
            )
            return [*before, *launches]
        launches = fc.launches(
            operand, w, b, y[0], relu=relu, precision=precision, configuration=self.stream
        )
        return [*before, *launches]


class BlasLinear(LinearImplementation):
    """PyTorch's matrix product (cuBLAS on a GPU), then ReLU in place."""

    name = "blas"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        operand, before = rows(x[0])
        w, b, (result,) = packed["weight"].t(), packed.get("bias"), y
        relu = isinstance(problem.op, FullyConnectedRelu)

        def call() -> None:
            if b is None:
                torch.mm(operand, w, out=result)
            else:
                torch.addmm(b, operand, w, out=result)
            if relu:
                result.relu_()

        return [*before, call]
