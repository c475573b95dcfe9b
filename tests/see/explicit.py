"""A deconvnet in plain NumPy, tap by tap and without automatic differentiation, to compare with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from netspec import Net, SpecError, loads
from netspec.ir.graph import Graph, Stage
from netspec.ir.parameter_names import attribute
from netspec.language.read import read
from netspec.runtime.reference import Model
from tests.lowering.passes.helpers import activations

Map = NDArray[np.float64]


def cut_after(name: str, row: str, size: str = "") -> Net:
    """A bundled net up to one of its rows, perhaps for a smaller image than its own."""
    lines, text = [], read(name).text
    for line in text.splitlines():
        if not re.match(r"\s*head ", line):
            lines.append(line.partition("->")[0])
        if line.startswith(f"{row}:"):
            break
    whole = "\n".join(lines) + "\n"
    return loads(whole.replace("224x224x3", size) if size else whole, f"{name}.net")


def project(
    model: Model, image: Tensor, row: str, number: int, position: tuple[int, int]
) -> tuple[float, Map]:
    """Return an activation for an image [1, C, H, W], and its projection [C, H, W]."""
    graph = model.net.graph
    values = {
        name: y[0].numpy() for name, y in activations(model, graph, [image]).items() if len(y)
    }
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    end = graph.find(row)
    start = np.zeros_like(values[end])
    at = (number, *position)[: start.ndim]
    start[at] = values[end][at]
    signals: dict[str, Map] = {end: start}
    for stage in reversed(list(graph.stages())):
        if stage.name not in signals or stage.name in graph.inputs:
            continue
        names = graph.operands(stage.name)
        operands = [values[name] for name in names]
        shapes = graph.shapes_into(stage.name)
        own = {
            parameter: tensors[attribute(stage.name, parameter)]
            for parameter in (*stage.op.parameters(shapes), *stage.op.buffers(shapes))
        }
        carried = _carried(graph, stage, operands, own, signals.pop(stage.name))
        for name, x, signal in zip(names, operands, carried, strict=True):
            signals[name] = signals.get(name, np.zeros_like(x)) + signal.reshape(x.shape)
    image_signal = signals.get(graph.inputs[0], np.zeros_like(image[0].numpy()))
    return float(values[end][at]), image_signal


def _carried(
    graph: Graph, stage: Stage, x: list[Map], own: Mapping[str, Map], signal: Map
) -> list[Map]:
    """Return the signal for each operand of a stage."""
    op: Any = stage.op
    match op.name:
        case "relu" | "relu6" | "sigmoid":
            return [np.maximum(signal, 0)]
        case "lrn" | "lcn" | "softmax" | "tanh" | "identity" | "flatten":
            return [signal]
        case "dropout":
            return [signal * ((1 - op.rate) if op.scale == "test" else 1)]
        case "add":
            return [signal] * len(x)
        case "concat":
            return np.split(signal, np.cumsum([len(one) for one in x])[:-1])
        case "fc":
            return [own["weight"].T @ signal]
        case "bn":
            factor = own["weight"] / np.sqrt(own["running_var"] + op.eps)
            return [signal * factor[:, None, None]]
        case "gap":
            return [np.broadcast_to(signal / x[0][0].size, x[0].shape)]
        case "conv":
            return [_through_filters(op, _dense(op, own["weight"], len(x[0])), x[0], signal)]
        case "maxpool":
            return [_unpooled(op, x[0], signal)]
        case "avgpool":
            return [_spread(op, x[0], signal)]
        case "subsample":
            taps = op.kernel[0] * op.kernel[1] if op.by == "mean" else 1
            factor = own["coefficient"] / taps
            ones = np.ones((*op.kernel, 1, 1))
            parts = [
                _through_taps(op, one[None], part[None] * scale, ones)
                for one, part, scale in zip(x[0], signal, factor, strict=True)
            ]
            return [np.concatenate(parts)]
    raise AssertionError(f"the plain deconvnet has no {op.name}")


def _dense(op: Any, weight: Map, channels: int) -> Map:
    """Return the filters [count, channels, kh, kw]: zero where a filter does not see a channel."""
    dense = np.zeros((op.count, channels, *op.kernel))
    if op.connect is not None:
        pair = iter(weight)
        for filter_number in range(op.count):
            for channel, line in enumerate(op.connect.rows):
                if line[filter_number]:
                    dense[filter_number, channel] = next(pair)
        return dense
    seen, made = channels // op.groups, op.count // op.groups
    for group in range(op.groups):
        outputs = slice(group * made, (group + 1) * made)
        dense[outputs, group * seen : (group + 1) * seen] = weight[outputs]
    return dense


def _through_filters(op: Any, filters: Map, x: Map, signal: Map) -> Map:
    return _through_taps(op, x, signal, filters.transpose(2, 3, 0, 1))


def _taps(op: Any, x: Map, signal: Map) -> tuple[Map, list[tuple[int, int, slice, slice]], Any]:
    """Return a wide canvas of zeros, the part of it that each tap meets, and the place of ``x``."""
    (down, right), (dy, dx), (kh, kw) = op.stride, op.dilation, op.kernel
    top, left = op.pad[0], op.pad[2]
    high, wide = signal.shape[1:]
    height = max(top + x.shape[1], (high - 1) * down + dy * (kh - 1) + 1)
    width = max(left + x.shape[2], (wide - 1) * right + dx * (kw - 1) + 1)
    parts = [
        (
            u,
            v,
            slice(u * dy, u * dy + (high - 1) * down + 1, down),
            slice(v * dx, v * dx + (wide - 1) * right + 1, right),
        )
        for u in range(kh)
        for v in range(kw)
    ]
    inside = np.s_[:, top : top + x.shape[1], left : left + x.shape[2]]
    return np.zeros((len(x), height, width)), parts, inside


def _through_taps(op: Any, x: Map, signal: Map, taps: Map) -> Map:
    """Return the signal through filters [kh, kw, outputs, channels], the transposed convolution."""
    canvas, parts, inside = _taps(op, x, signal)
    for u, v, rows, columns in parts:
        canvas[:, rows, columns] += np.tensordot(taps[u, v], signal, (0, 0))
    whole: Map = canvas[inside]
    return whole


def _unpooled(op: Any, x: Map, signal: Map) -> Map:
    """Return the signal at the positions of the maxima, which are stored as numbers of taps."""
    canvas, parts, inside = _taps(op, x, signal)
    padded = np.full_like(canvas, -np.inf)
    padded[inside] = x
    switches = np.argmax([padded[:, rows, columns] for _, _, rows, columns in parts], 0)
    for number, (_, _, rows, columns) in enumerate(parts):
        canvas[:, rows, columns] += np.where(switches == number, signal, 0)
    whole: Map = canvas[inside]
    return whole


def _spread(op: Any, x: Map, signal: Map) -> Map:
    """Return the signal, divided equally among the positions that each mean counts."""
    canvas, parts, inside = _taps(op, x, signal)
    counted = np.zeros_like(canvas)
    top, bottom, left, right = op.pad
    if op.count_pad:
        counted[:, : top + x.shape[1] + bottom, : left + x.shape[2] + right] = 1
    counted[inside] = 1
    share = signal / sum(counted[:, rows, columns] for _, _, rows, columns in parts)
    for _, _, rows, columns in parts:
        canvas[:, rows, columns] += share
    whole: Map = canvas[inside]
    return whole


# -------------------------------------------------------------------------------------- small nets


@st.composite
def nets(draw: st.DrawFn) -> str:
    """The text of a small net of operators that :func:`project` has, with all of their options."""
    height, width = draw(st.integers(7, 12)), draw(st.integers(7, 12))
    lines = [f"input image {height}x{width}x{draw(st.sampled_from((1, 2, 4)))}"]
    table = "\n".join(f"    {line}" for line in ("X.XX", ".XX.", "XX.X", "X..X"))
    lines.append(f"connect some {{\n{table}\n}}")
    lines.append("a: conv 3x3, 4, pad=1 | relu")  # four channels for all rows after it
    for number in range(draw(st.integers(1, 4))):
        lines.append(f"r{number}: {draw(st.sampled_from(PIPES))}")
    text = "net drawn\n" + "\n".join(lines) + "\n"
    try:
        loads(text, "drawn.net")
    except SpecError:  # the maps became smaller than a window
        reject()
    return text


PIPES = (
    "conv 3x3, 4, pad=1, groups=2 | relu",
    "conv 3x2, 4, groups=4, pad=(1, 0, 0, 1) | relu6",
    "conv 3x3/2, 4, pad=1, connect=some, round=ceil | tanh",
    "conv 2x3, 4, pad=same, dilation=1x2 | relu",
    "maxpool 3x3/2, round=ceil",
    "maxpool 2x3, pad=(0, 1, 1, 0), stride=2x1",
    "maxpool 2x2, dilation=2x1, pad=same",
    "avgpool 3x3/2, round=ceil, pad=1, count_pad=off",
    "avgpool 2x2/2, pad=(1, 0, 0, 1), count_pad=on, round=ceil",
    "lrn 3, k=1, alpha=0.5, beta=0.75",
    "lcn 3x3, sigma=1",
    "subsample 2x2/2, by=mean, pad=(0, 1, 0, 1)",
    "subsample 2x2, by=sum, pad=(0, 1, 0, 1)",
    "bn eps=0.5 | relu",
    "dropout 0.5, scale=test",
    "concat { conv 1x1, 2 | relu; maxpool 3x3, pad=1 | conv 1x1, 2 }",
    "add { identity; conv 3x3, 4, pad=1 | bn eps=0.1 | relu }",
    "add { identity; identity }",
)
