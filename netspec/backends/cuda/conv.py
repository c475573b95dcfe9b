"""Convolutions: by netspec's kernels, by PyTorch, and by cuDNN with a fused ReLU.

All of them hold filters as [O, kh, kw, C / groups], dense if the layer has a connection table.  All
can write slices of channels, and can write merged siblings to separate buffers, up to four siblings
in one launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from netspec.backends.cuda.implementation import Call, CudaImplementation, Target, write
from netspec.backends.memory import nchw
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.operator import WindowOperator, padded, symmetric
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Shape
from netspec.kernels.conv import configurations, persistent, pointwise
from netspec.kernels.conv.configurations import Configuration
from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.launch import Launch
from netspec.kernels.windows import check_pixels
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.plan import Ability


def implementations(problem: Problem, target: Target) -> Iterator[CudaImplementation]:
    """Yield every implementation of a convolution; in the first, a model chooses the kernel."""
    op = _conv(problem)
    windows = geometry(op, problem.inputs, problem.batch)
    yield TritonConv(target)
    yield AtenConv(target)
    yield CudnnConvRelu(target)
    for configuration in configurations.candidates(
        windows,
        problem.dtype,
        target.precision,
        has_descriptors=target.has_descriptors(problem.dtype, windows.channels, windows.count),
    ):
        yield TritonConv(target, configuration)


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


# -------------------------------------------------------------------------------- our own kernels


class TritonConv(ConvImplementation):
    """Convolution by netspec's kernels.

    ``configuration`` is a kernel and its tile.  Without one, a model chooses it for each batch
    size. It is ignored if it cannot run with the layout of the operands, and for siblings, for
    which there is only one kernel.
    """

    def __init__(self, target: Target, configuration: Configuration | None = None) -> None:
        super().__init__(target)
        self.configuration = configuration
        self.name = "triton" if configuration is None else name_of(configuration)

    def refuses(self, problem: Problem) -> str:
        return self.target.cannot_multiply(problem.dtype)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        relu, precision = isinstance(problem.op, ConvRelu), self.target.precision
        windows = geometry(_conv(problem), problem.inputs, len(x[0]))
        check_pixels(windows)
        together = pointwise.SIBLINGS if windows.is_pointwise and len(y) > 1 else 1
        calls: list[Launch] = []
        start = 0
        for first in range(0, len(y), together):
            parts = y[first : first + together]
            end = start + sum(part.shape[3] for part in parts)
            w, b = packed["weight"][start:end], packed.get("bias")
            b = None if b is None else b[start:end]
            if len(parts) > 1:
                calls += siblings(x[0], w, b, parts, relu, precision, self.configuration)
            else:
                part = replace(windows, count=end - start)
                calls += convolution(
                    x[0], w, b, parts[0], part, relu, precision, self.configuration
                )
            start = end
        return calls


def convolution(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    windows: Geometry,
    relu: bool,
    precision: str,
    configuration: Configuration | None,
) -> list[Launch]:
    """Return the launches of one convolution, by the configuration if it can run with these
    tensors, otherwise by the one that the model chooses."""
    if configuration and configuration.kernel == "persistent" and not persistent.fits(x, w, y):
        configuration = None
    return configurations.forward_launches(
        x, w, b, y, windows, relu=relu, precision=precision, configuration=configuration
    )


def siblings(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    ys: Sequence[Tensor],
    relu: bool,
    precision: str,
    configuration: Configuration | None,
) -> list[Launch]:
    """Return one launch of up to four 1x1 convolutions, with the tile of the configuration if it
    is for this kernel."""
    if configuration is not None and configuration.kernel == "pointwise":
        tile = configuration.tile
    else:
        counts = [y.shape[3] for y in ys]
        tile = pointwise.choose(x.shape[:3].numel(), counts, x.shape[3], x.dtype, precision)
    return pointwise.sibling_launches(x, w, b, ys, relu=relu, precision=precision, tile=tile)


def name_of(configuration: Configuration) -> str:
    """Return kernel, tile, splits, warps and stages as a name: ``split-64x64x32/4-4w3s``."""
    tile = configuration.tile
    splits = f"/{tile.splits}" if tile.splits > 1 else ""
    size = f"{tile.rows}x{tile.columns}x{tile.depth}"
    return f"{configuration.kernel}-{size}{splits}-{tile.warps}w{tile.stages}s"


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
            source = image if padding else padded(image, windows)
            result = self.convolve(op, packed, source, list(padding or (0, 0)))
            write(result.relu_() if relu else result, y)

        return [call]

    def convolve(self, op: Conv, packed: Tensors, x: Tensor, padding: list[int]) -> Tensor:
        """Return the convolution of [N, C, H, W], channels-last in memory, in new memory."""
        y: Tensor = torch.ops.aten._convolution(
            x,
            nchw(packed["weight"]),
            packed.get("bias"),
            list(op.stride),
            padding,
            list(op.dilation),
            False,  # transposed
            [0, 0],
            op.groups,
            False,  # benchmark: cuDNN must not tune while a CUDA graph is captured
            False,  # deterministic
            True,  # with cuDNN
            self.target.precision == "tf32",
        )
        return y


class CudnnConvRelu(AtenConv):
    """cuDNN's fused convolution, bias and ReLU, then a copy to the result's buffer."""

    name = "cudnn"

    def refuses(self, problem: Problem) -> str:
        if not self.target.device.startswith("cuda"):
            return "cuDNN needs a GPU"
        if not isinstance(problem.op, ConvRelu) or not problem.op.bias:
            return "cuDNN fuses only convolutions with both bias and ReLU"
        if problem.dtype.itemsize == 4 and self.target.precision != "tf32":
            return "PyTorch's function does not have an argument that turns TF32 off"
        return ""

    def convolve(self, op: Conv, packed: Tensors, x: Tensor, padding: list[int]) -> Tensor:
        return torch.cudnn_convolution_relu(
            x,
            nchw(packed["weight"]),
            packed.get("bias"),
            list(op.stride),
            padding,
            list(op.dilation),
            op.groups,
        )
