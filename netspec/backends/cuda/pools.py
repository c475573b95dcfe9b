"""Pools by our kernels: maxima, averages, whole maps and trained subsampling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cuda.conv import geometry
from netspec.backends.cuda.implementation import Call, CudaImplementation
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.operator import WindowOperator
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Shape
from netspec.kernels.pool import averages, maxima, means, subsample
from netspec.kernels.windows import Windows, check_pixels
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.plan import Ability


class WindowImplementation(CudaImplementation):
    """The base of the pools."""

    name = "triton"
    ability = Ability(into_slices=True)


def _windows(problem: Problem, batch: int) -> Windows:
    assert isinstance(problem.op, WindowOperator)
    windows = geometry(problem.op, problem.inputs, batch)
    check_pixels(windows)
    return windows


class TritonMaxPool(WindowImplementation):
    """Maxima, and with ReLU those of max(x, 0), which are the same."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, MaxPool)
        windows = _windows(problem, len(x[0]))
        return maxima.launches(x[0], y[0], None, windows, relu=isinstance(problem.op, MaxPoolRelu))


class TritonAvgPool(WindowImplementation):
    """Averages; a bias goes into the kernel, and a ReLU runs after it in place."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        op, (result,) = problem.op, y
        assert isinstance(op, AvgPool)
        windows = _windows(problem, len(x[0]))
        padding, _ = asked_for(op, problem.inputs)
        share, counts = averages.counting(windows, padding, count_pad=op.count_pad is True)
        bias = packed["bias"] if isinstance(op, AvgPoolBias) else None
        calls: list[Call] = [
            *averages.launches(
                x[0],
                result,
                windows,
                share=share,
                counts=counts,
                coefficient=None if bias is None else bias.new_ones(bias.shape),
                bias=bias,
            )
        ]
        return [*calls, result.relu_] if isinstance(op, AvgPoolBiasRelu) else calls


def asked_for(op: AvgPool, inputs: Sequence[Shape]) -> tuple[list[int], list[int]]:
    """Return the padding (top, bottom, left, right) that windows reach, and the overhang beyond it
    (bottom, right)."""
    windows = op.windows(inputs)
    padding = [side for w in windows for side in (w.before, w.tail - w.overhang)]
    return padding, [w.overhang for w in windows]


class TritonGap(CudaImplementation):
    """The means of whole maps."""

    name = "triton"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        return means.launches(x[0], y[0])


class TritonSubsample(WindowImplementation):
    """A coefficient times the mean or the sum of a window, and a bias."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, Subsample)
        windows = _windows(problem, len(x[0]))
        parameters = packed["coefficient"], packed["bias"]
        return subsample.launches(x[0], *parameters, y[0], windows, by=problem.op.by)
