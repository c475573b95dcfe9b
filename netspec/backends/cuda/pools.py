"""Pools by netspec's kernels: maximum, average, global average and trained subsampling."""

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
    """The base class of pools with windows."""

    name = "triton"
    ability = Ability(into_slices=True)


def _windows(problem: Problem, batch: int) -> Windows:
    assert isinstance(problem.op, WindowOperator)
    windows = geometry(problem.op, problem.inputs, batch)
    check_pixels(windows)
    return windows


class TritonMaxPool(WindowImplementation):
    """Max-pooling; with ReLU, max-pooling of max(x, 0), which gives the same result."""

    def refuses(self, problem: Problem) -> str:
        assert isinstance(problem.op, MaxPool)
        return lacks_dilation(problem.op)

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, MaxPool)
        windows = _windows(problem, len(x[0]))
        return maxima.launches(x[0], y[0], None, windows, relu=isinstance(problem.op, MaxPoolRelu))


def lacks_dilation(op: MaxPool | AvgPool) -> str:
    """Return the reason why netspec's kernels cannot compute a pool, or ""."""
    return "" if op.dilation == (1, 1) else "the kernel's taps are always side by side"


class TritonAvgPool(WindowImplementation):
    """Average pooling; the kernel adds a bias, and a ReLU runs after it in place."""

    def refuses(self, problem: Problem) -> str:
        assert isinstance(problem.op, AvgPool)
        return lacks_dilation(problem.op)

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
    """Return the padding (top, bottom, left, right) that the windows cover, and the overhang beyond
    it (bottom, right)."""
    windows = op.windows(inputs)
    padding = [side for w in windows for side in (w.before, w.tail - w.overhang)]
    return padding, [w.overhang for w in windows]


class TritonGap(CudaImplementation):
    """Global average pooling."""

    name = "triton"

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        return means.launches(x[0], y[0])


class TritonSubsample(WindowImplementation):
    """Trained subsampling: a coefficient times the mean or sum of a window, plus a bias."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(problem.op, Subsample)
        windows = _windows(problem, len(x[0]))
        parameters = packed["coefficient"], packed["bias"]
        return subsample.launches(x[0], *parameters, y[0], windows, by=problem.op.by)
