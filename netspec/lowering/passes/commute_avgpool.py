"""Exchange an average pool with the 1x1 convolution that reads it.

Both are linear.  The pool mixes only pixels, the convolution only channels, so the order does not
matter.  Only the bias must be added last: otherwise it would be averaged with the zeros of the
padding.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from netspec.ir.fused.avgpool_bias import AvgPoolBias
from netspec.ir.graph import Entry, Graph, Stage
from netspec.ir.operator import attributes_as
from netspec.ir.ops.avgpool import AvgPool
from netspec.ir.ops.conv import Conv
from netspec.ir.parameter_names import packings
from netspec.ir.shapes import Shape

RULE = "commute_avgpool"
EQUATION = "conv1x1(avgpool(x)) => avgpool(conv1x1(x)) + b"
REMARK = "the pool then has fewer channels"
REFUSALS = {
    1: "the average has another reader or is an output",
    2: (
        "the convolution mixes pixels: its kernel is not 1x1, or it has a stride, padding, groups "
        "or a connection table"
    ),
    3: "the convolution does not have a bias",
    4: "it would not save work: the products and sums together do not become fewer",
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of exchanged pairs."""
    count = 0
    for stage in list(graph.stages()):
        conv = stage.op
        if type(conv) is not Conv:
            continue
        (pool,) = graph.operands(stage.name)
        average = graph.stage(pool).op
        if type(average) is not AvgPool:
            continue
        refusal = _refusal(graph, conv, pool, average)
        if refusal:
            graph.journal.append(Entry(RULE, (pool, stage.name), refusal=refusal))
            continue
        parameters, operands = packings(graph, stage.name), graph.operands(pool)
        op = replace(conv, bias=False)
        product = Stage(graph.unused(f"{stage.name}/product"), op, stage.span, head=stage.head)
        product.shape = op.shape(graph.shapes_into(pool))
        product.packed = {"weight": parameters["weight"]}
        graph.add(product, operands, before=stage.name)
        after = attributes_as(AvgPoolBias, average)
        graph.become(stage.name, after, [product.name], {"bias": parameters["bias"]})
        graph.journal.append(Entry(RULE, (pool, stage.name), stage.name))
        graph.journal.append(Entry(RULE, (pool, stage.name), product.name))
        count += 1
    return count


def _refusal(graph: Graph, conv: Conv, pool: str, average: AvgPool) -> int:
    if not graph.is_read_by_one(pool):
        return 1
    if not mixes_only_channels(conv):
        return 2
    if not conv.bias:
        return 3
    before, between = graph.shapes_into(pool)[0], graph.stage(pool).known_shape
    taps = prod(average.kernel)

    def work(map: Shape, channels: int) -> int:
        return map[0] * map[1] * before.channels * conv.count + (
            between[0] * between[1] * channels * taps
        )

    return 4 if work(before, conv.count) >= work(between, before.channels) else 0


def mixes_only_channels(conv: Conv) -> bool:
    """Return True if each pixel of the output depends on one pixel of the input."""
    return (
        conv.kernel == (1, 1)
        and conv.stride == (1, 1)
        and conv.pad == (0, 0, 0, 0)
        and conv.groups == 1
        and conv.connect is None
    )
