"""Columns: a net spread over several devices, as AlexNet is over two (section 3.2).

Each device has an equal share of the kernels of every layer and computes their channels.  A grouped
layer reads only channels of its own device.  A layer that sees all channels also reads those of the
other devices.
"""

from __future__ import annotations

from typing import NamedTuple

from netspec.ir.graph import Graph
from netspec.ir.ops.abs import Abs
from netspec.ir.ops.adaptive_avgpool import AdaptiveAveragePool
from netspec.ir.ops.add import Add
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.clip import Clip
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.dropout import Dropout
from netspec.ir.ops.elu import Elu
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.flatten import Flatten
from netspec.ir.ops.gain import Gain
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.gelu import Gelu
from netspec.ir.ops.gmp import GlobalMaxPool
from netspec.ir.ops.hardsigmoid import HardSigmoid
from netspec.ir.ops.hardswish import HardSwish
from netspec.ir.ops.identity import Identity
from netspec.ir.ops.leaky_relu import LeakyRelu
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.lrn_within import LocalResponseNormWithin
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.mul import Mul
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.relu6 import Relu6
from netspec.ir.ops.scale import Scale
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.ir.ops.silu import Silu
from netspec.ir.ops.subsample import Subsample
from netspec.ir.ops.tanh import Tanh
from netspec.ir.ops.upsample import Upsample
from netspec.ir.symbols import divides

BY_CHANNEL = (
    Abs, AdaptiveAveragePool, Add, AvgPool, BatchNorm, Clip, Dropout, Elu, Flatten, Gain, Gelu,
    GlobalAveragePool, GlobalMaxPool, HardSigmoid, HardSwish, Identity, LeakyRelu,
    LocalResponseNormWithin, MaxPool, Mul, Relu, Relu6, Scale, Sigmoid, Silu, Subsample, Tanh,
    Upsample,
)  # fmt: skip
"""Operators whose output channel c depends only on channel c of each operand."""


class Parts(NamedTuple):
    """Whether a stage reads and computes the channels of one column or of all columns.

    Attributes:
        reads: True if it reads this column's channels only, False if it reads all.
        makes: True if its value has this column's channels only, False if it has all.
    """

    reads: bool
    makes: bool


def parts(graph: Graph) -> dict[str, Parts]:
    """Return how each stage is computed when the net is spread over ``graph.columns``.

    - A convolution or fully connected layer has an equal part of its kernels on each column.  It
      reads all channels, or with groups those of its column.  If the number of columns does not
      divide its outputs, every column computes all of them.
    - An operator that works channel by channel, and an lrn with groups, computes one column's
      channels if all its operands have them.
    - Every other operator reads all channels, and every column computes all of it.
    """
    assert graph.columns is not None
    number = graph.columns.number
    by_stage: dict[str, Parts] = {}
    for stage in graph.stages():
        op, operands = stage.op, graph.operands(stage.name)
        if isinstance(op, Conv | FullyConnected):
            is_grouped = isinstance(op, Conv) and op.groups != 1
            by_stage[stage.name] = Parts(is_grouped, divides(number, op.count) is not False)
        else:
            stays = bool(operands) and all(by_stage[name].makes for name in operands)
            stays &= type(op) in BY_CHANNEL or (isinstance(op, LocalResponseNorm) and op.groups > 1)
            by_stage[stage.name] = Parts(stays, stays)
    return by_stage


def column_count(graph: Graph) -> int:
    """Return the number of columns of a net; it is 1 for a net without columns."""
    return 1 if graph.columns is None else graph.columns.number


def exchanging(graph: Graph) -> list[str]:
    """Return the labels of the rows where columns exchange channels."""
    rows = {name: row.label for row in graph.rows.values() for name in row.stages}
    return list(dict.fromkeys(rows[name] for name in exchanging_stages(graph)))


def exchanging_stages(graph: Graph) -> list[str]:
    """Return the names of the stages where columns exchange channels.

    They are the stages that read all channels of a split map, and those whose split value is an
    output of the net or of a head.
    """
    if column_count(graph) == 1:
        return []
    by_stage = parts(graph)
    ends = {*graph.outputs, *(head.output for head in graph.heads.values())}
    return [
        name
        for name, part in by_stage.items()
        if (name in ends and part.makes)
        or (not part.reads and any(by_stage[x].makes for x in graph.operands(name)))
    ]
