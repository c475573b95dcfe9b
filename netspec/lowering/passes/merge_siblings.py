"""Merge equal convolutions that read the same value.

The filters of the siblings are concatenated, and each sibling becomes a slice of the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.slice import Slice
from netspec.ir.graph import Entry, Graph, Stage
from netspec.ir.ops.conv import Conv
from netspec.ir.packing import Cat
from netspec.ir.parameter_names import packings

RULE = "merge_siblings"
EQUATION = "conv_a(x), conv_b(x), ... => slices of conv_ab...(x)"
REMARK = "one product reads x once"
REFUSALS = {
    1: "the kernels, strides, paddings, dilations, biases or activations differ",
    2: (
        "the channels are divided into groups, or a table connects them: the filters cannot be "
        "concatenated"
    ),
}


def rewrite(graph: Graph) -> int:
    """Rewrite everywhere; return the number of convolutions that were merged into others."""
    count = 0
    order = {stage.name: position for position, stage in enumerate(graph.stages())}
    for x in order:
        readers = sorted(graph.consumers(x), key=order.__getitem__)
        convs = [name for name in readers if type(graph.stage(name).op) in (Conv, ConvRelu)]
        if len(convs) < 2:
            continue
        alike: dict[Conv, list[str]] = {}
        for name in convs:
            op = graph.stage(name).op
            assert isinstance(op, Conv)
            if op.groups != 1 or op.connect is not None:
                graph.journal.append(Entry(RULE, (name,), refusal=2))
                continue
            alike.setdefault(replace(op, count=1), []).append(name)
        for names in alike.values():
            if len(names) > 1:
                _merge(graph, x, names)
                count += len(names) - 1
            elif len(alike) > 1:
                graph.journal.append(Entry(RULE, tuple(names), refusal=1))
    return count


def _merge(graph: Graph, x: str, names: Sequence[str]) -> None:
    stages = [graph.stage(name) for name in names]
    parameters = [packings(graph, name) for name in names]
    counts = tuple(stage.known_shape.channels for stage in stages)
    op = stages[0].op
    assert isinstance(op, Conv)
    merged = Stage(graph.unused("+".join(names)), replace(op, count=sum(counts)), stages[0].span)
    heads = {stage.head for stage in stages}
    # If the trunk has one of the siblings, it needs the merged convolution, so no head has it.
    merged.head = heads.pop() if len(heads) == 1 else ""
    merged.shape = merged.op.shape([graph.stage(x).known_shape])
    merged.packed = {
        key: Cat(tuple(of_conv[key] for of_conv in parameters), counts) for key in parameters[0]
    }
    graph.add(merged, (x,), before=names[0])
    start = 0
    for name, size in zip(names, counts, strict=True):
        graph.become(name, Slice(start=start, count=size), [merged.name])
        start += size
    graph.journal.append(Entry(RULE, tuple(names), merged.name))
