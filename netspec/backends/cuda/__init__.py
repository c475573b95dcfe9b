"""The CUDA backend: netspec's Triton kernels, cuDNN, cuBLAS, and plain PyTorch.

It needs Triton.  On a machine without a GPU, the same plans run in Triton's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from netspec.backends.cuda import conv, fc
from netspec.backends.cuda.cached import INDEX, put
from netspec.backends.cuda.executor import CudaExecutor
from netspec.backends.cuda.implementation import CudaImplementation, Target
from netspec.backends.cuda.lrn import TritonLrn, TritonLrnMaxPool
from netspec.backends.cuda.measure import keep, measure, tuning
from netspec.backends.cuda.plain import CopyFlat, CopyParts, Plain, PlainRbf
from netspec.backends.cuda.pools import TritonAvgPool, TritonGap, TritonMaxPool, TritonSubsample
from netspec.backends.cuda.training import meaning
from netspec.backends.tuning import Tuning
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.graph import Graph
from netspec.ir.operator import Meaning, Operator
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.ops.subsample import Subsample
from netspec.kernels.arithmetic import check_precision
from netspec.kernels.layout import is_interpreted
from netspec.lowering.backend import Backend, Executor, PackedStage
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem
from netspec.lowering.passes import PIPELINE, fuse_activation, fuse_add, fuse_bn_relu
from netspec.lowering.plan import Plan

MULTIPLYING: dict[type[Operator], Callable[[Problem, Target], Iterable[CudaImplementation]]] = {
    Conv: conv.implementations,
    ConvRelu: conv.implementations,
    FullyConnected: fc.implementations,
    FullyConnectedRelu: fc.implementations,
}
"""Operators with a choice of kernels, and their implementations, the preferred one first."""

MAXIMA = (TritonMaxPool(), Plain())
AVERAGES = (TritonAvgPool(), Plain())

IMPLEMENTATIONS: dict[type[Operator], tuple[CudaImplementation, ...]] = {
    LocalResponseNorm: (TritonLrn(), Plain()),
    LrnMaxPool: (TritonLrnMaxPool(), Plain()),
    MaxPool: MAXIMA,
    MaxPoolRelu: MAXIMA,
    AvgPool: AVERAGES,
    AvgPoolBias: AVERAGES,
    AvgPoolBiasRelu: AVERAGES,
    GlobalAveragePool: (TritonGap(), Plain()),
    Subsample: (TritonSubsample(), Plain()),
    Concat: (CopyParts(),),
    Flatten: (CopyFlat(),),
    RadialBasis: (PlainRbf(),),
}
"""The implementations of other operators, the preferred one first.  Operators in neither table are
computed by their reference."""


class CudaBackend(Backend):
    """The backend for one GPU.

    Args:
        device: ``cuda`` or ``cuda:N``; ``cpu`` for Triton's interpreter; ``meta`` for plans that
            are only compiled here.
        precision: of products in float32: ``ieee`` is full precision, ``tf32`` rounds the factors
            to 10 bits for the tensor cores.

    Raises:
        ValueError: the precision is not ``ieee`` or ``tf32``.
    """

    name = "cuda"
    passes = tuple(one for one in PIPELINE if one not in (fuse_activation, fuse_add, fuse_bn_relu))
    """All passes except those for which there is no kernel: a convolution is fused with ReLU
    only."""
    measures_in_place = True
    """Slices decide which kernels can run, and whether results of cuDNN are copied."""

    def __init__(self, device: str = "cuda", precision: str = "ieee") -> None:
        check_precision(precision)
        self.device, self.precision = device, precision

    @property
    def target(self) -> Target:
        """Return the device and the precision of implementations."""
        return Target(self.device, self.precision)

    def implementations(self, problem: Problem) -> list[CudaImplementation]:
        generate = MULTIPLYING.get(type(problem.op))
        candidates = (
            generate(problem, self.target)
            if generate
            else IMPLEMENTATIONS.get(type(problem.op), (Plain(),))
        )
        return [
            implementation for implementation in candidates if not implementation.refuses(problem)
        ]

    def measure(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        ours = [one for one in implementations if isinstance(one, CudaImplementation)]
        outcomes = tuning(self.target).times(
            problem, ours, lambda: measure(problem, ours, self.device)
        )
        if self.device.startswith("cuda"):  # times of the interpreter say nothing about a GPU
            keep(problem, ours, outcomes)
        return outcomes

    def known(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        is_gpu = self.device.startswith("cuda")
        return self._tuning.known(problem, implementations) if is_gpu else {}

    @cached_property
    def _tuning(self) -> Tuning:
        """The stored times, which :meth:`known` reads once for all stages of a net."""
        return tuning(self.target)

    def executor(self, graph: Graph, plan: Plan, stages: Mapping[str, PackedStage]) -> Executor:
        return CudaExecutor(graph, plan, stages, self.device)

    def meaning(self, op: Operator, training: bool) -> Meaning:
        return meaning(op, training, self.precision)

    def use(self, kernels: Mapping[str, bytes]) -> None:
        if INDEX in kernels and not is_interpreted():
            with suppress(OSError):  # if the cache cannot be written, a later compilation says so
                put(kernels)
