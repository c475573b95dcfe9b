"""The CPU backend: oneDNN, called directly; PyTorch where oneDNN is missing or slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.backends.cpu.concat import OneDnnConcat
from netspec.backends.cpu.conv import OneDnnConv
from netspec.backends.cpu.executor import CpuExecutor
from netspec.backends.cpu.fc import IN_BLOCKS, MklVector, OneDnnStream
from netspec.backends.cpu.implementation import CpuImplementation
from netspec.backends.cpu.joins import DIRECT_ADD, DIRECT_MUL
from netspec.backends.cpu.lrn import (
    OneDnnLrn,
    OneDnnLrnMaxPool,
    TiledLrn,
    TiledLrnMaxPool,
)
from netspec.backends.cpu.measure import measure, tuning
from netspec.backends.cpu.mkldnn import MkldnnConv, MkldnnLinear
from netspec.backends.cpu.normalisation import OneDnnBatchNorm
from netspec.backends.cpu.plain import Plain, PlainConcat
from netspec.backends.cpu.pools import OneDnnGap, OneDnnPool, PlainPool
from netspec.backends.cpu.softmax import OneDnnSoftmax
from netspec.backends.cpu.space_to_depth import SpaceToDepth
from netspec.backends.cpu.winograd import Winograd
from netspec.ir.fused.avgpool_bias import AvgPoolBias, AvgPoolBiasRelu
from netspec.ir.fused.bn_relu import BatchNormRelu
from netspec.ir.fused.conv_activation import ConvActivation
from netspec.ir.fused.conv_add import ConvAdd, ConvAddRelu
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.ir.fused.maxpool_relu import MaxPoolRelu
from netspec.ir.graph import Graph
from netspec.ir.operator import Operator
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.mul import Mul
from netspec.ir.ops.softmax import Softmax
from netspec.lowering.backend import Backend, Executor, PackedStage
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Implementation, Problem
from netspec.lowering.passes import PIPELINE, merge_siblings
from netspec.lowering.plan import Plan

MULTIPLYING = (Winograd(), SpaceToDepth(), OneDnnConv(), MkldnnConv(), Plain())
CONNECTED = (IN_BLOCKS, MklVector(), OneDnnStream(), MkldnnLinear(), Plain())
POOLS = (OneDnnPool(), PlainPool())

IMPLEMENTATIONS: dict[type[Operator], tuple[CpuImplementation, ...]] = {
    Conv: MULTIPLYING,
    ConvRelu: MULTIPLYING,
    ConvActivation: MULTIPLYING,
    ConvAdd: MULTIPLYING,
    ConvAddRelu: MULTIPLYING,
    FullyConnected: CONNECTED,
    FullyConnectedRelu: CONNECTED,
    LocalResponseNorm: (OneDnnLrn(), TiledLrn(), Plain()),
    LrnMaxPool: (OneDnnLrnMaxPool(), TiledLrnMaxPool(), Plain()),
    MaxPool: POOLS,
    MaxPoolRelu: POOLS,
    AvgPool: POOLS,
    AvgPoolBias: POOLS,
    AvgPoolBiasRelu: POOLS,
    GlobalAveragePool: (OneDnnGap(), Plain()),
    Concat: (OneDnnConcat(), PlainConcat()),
    Add: (DIRECT_ADD, Plain()),
    Mul: (DIRECT_MUL, Plain()),
    BatchNorm: (OneDnnBatchNorm(), Plain()),
    BatchNormRelu: (OneDnnBatchNorm(), Plain()),
    Softmax: (OneDnnSoftmax(), Plain()),
}
"""The implementations of an operator, the preferred one first.  Operators not in the table are
computed by their reference."""


class CpuBackend(Backend):
    """The CPU of this process, with PyTorch's number of threads."""

    name = "cpu"
    device = "cpu"
    passes = tuple(rewrite for rewrite in PIPELINE if rewrite is not merge_siblings)
    """All passes except merge_siblings: oneDNN reads and writes whole maps only, so the slices of
    merged siblings would have to be copied."""

    def implementations(self, problem: Problem) -> list[CpuImplementation]:
        candidates = IMPLEMENTATIONS.get(type(problem.op), (Plain(),))
        able = [
            implementation for implementation in candidates if not implementation.refuses(problem)
        ]
        # One that does not pay goes after the next one: that is what pays() compares it with.
        for place in reversed(range(len(able) - 1)):
            if not able[place].pays(problem):
                able[place], able[place + 1] = able[place + 1], able[place]
        return able

    def measure(self, problem: Problem, implementations: Sequence[Implementation]) -> Outcomes:
        ours = [
            implementation
            for implementation in implementations
            if isinstance(implementation, CpuImplementation)
        ]
        return tuning().times(problem, ours, lambda: measure(problem, ours))

    def executor(self, graph: Graph, plan: Plan, stages: Mapping[str, PackedStage]) -> Executor:
        return CpuExecutor(plan, stages)
