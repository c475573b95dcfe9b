"""Pools by our kernels: maxima, averages, whole maps and trained subsampling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from netspec.backends.cuda.conv import geometry
from netspec.backends.cuda.way import Call, Way
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.operator import WindowOperator
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.subsample import Subsample
from netspec.ir.shapes import Shape
from netspec.kernels.pool import averages, maxima, means, subsample
from netspec.kernels.windows import Windows, check_pixels
from netspec.lowering.implementation import Held, Work
from netspec.lowering.plan import Ability


class WindowWay(Way):
    """The base of the pools."""

    name = "triton"
    ability = Ability(into_slices=True)


def _windows(work: Work, batch: int) -> Windows:
    assert isinstance(work.op, WindowOperator)
    windows = geometry(work.op, work.inputs, batch)
    check_pixels(windows)
    return windows


class TritonMaxPool(WindowWay):
    """Maxima, and with ReLU those of max(x, 0), which are the same."""

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(work.op, MaxPool)
        windows = _windows(work, len(x[0]))
        return maxima.launches(x[0], y[0], None, windows, relu=isinstance(work.op, MaxPoolRelu))


class TritonAvgPool(WindowWay):
    """Averages; a bias goes into the kernel, and a ReLU runs after it in place."""

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        op, (result,) = work.op, y
        assert isinstance(op, AvgPool)
        windows = _windows(work, len(x[0]))
        padding, _ = asked_for(op, work.inputs)
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


class TritonGap(Way):
    """The means of whole maps."""

    name = "triton"

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        return means.launches(x[0], y[0])


class TritonSubsample(WindowWay):
    """A coefficient times the mean or the sum of a window, and a bias."""

    def bind(
        self, work: Work, packed: Held, x: Sequence[Tensor], y: Sequence[Tensor]
    ) -> Sequence[Call]:
        assert isinstance(work.op, Subsample)
        windows = _windows(work, len(x[0]))
        parameters = packed["coefficient"], packed["bias"]
        return subsample.launches(x[0], *parameters, y[0], windows, by=work.op.by)
