"""The benchmarked layers, taken from the specs, with their bytes, operations and floors.

A floor is a lower bound on the time of an implementation that reads each operand from memory once,
writes each result once, and computes the formula as written:

    floor = max(bytes / copy bandwidth, operations / rate of matrix products)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import inf, prod
from typing import Any, NamedTuple

import netspec
from netspec.ir.graph import Graph, Stage
from netspec.ir.operator import WindowOperator
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.shapes import Pair

NETS = {"alexnet": "AlexNet", "vgg16_3": "VGG16", "googlenet": "GoogLeNet"}
BATCHES = (1, 32, 256)
BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "tf32": 4}
"""Bytes per element; tf32 is fp32 with factors of products rounded for tensor cores."""

FORWARD = "forward"
WITH_INDEX = "forward with index"
INPUT_GRADIENT = "input gradient"
WEIGHT_GRADIENT = "weight gradient"
DIRECTIONS = {
    "conv": (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT),
    "fc": (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT),
    "lrn": (FORWARD, INPUT_GRADIENT),
    "maxpool": (FORWARD, WITH_INDEX, INPUT_GRADIENT),
    "lrn_maxpool": (FORWARD,),  # fused for inference only
    "avgpool": (FORWARD, INPUT_GRADIENT),
    "gap": (FORWARD, INPUT_GRADIENT),
}
"""The benchmarked directions of each kind; the weight gradient includes that of the bias."""


ENGINES = ("netspec", "bare", "eager", "compile")
"""The engines that are timed; benchmarks/engines.py describes them."""


@dataclass(frozen=True)
class Layer:
    """A layer for one image; sizes are (height, width, channels) or (n,).

    ``padding`` is (top, bottom, left, right) and includes the overhang where sizes are rounded up.
    ``lrn`` is (n, k, alpha, beta).  ``parameters`` and ``macs`` are numbers of weights and of
    multiply-accumulates.
    """

    kind: str
    size_in: tuple[int, ...]
    size_out: tuple[int, ...]
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    relu: bool = False
    lrn: tuple[int, float, float, float] | None = None
    is_first: bool = False
    parameters: int = 0
    macs: int = 0

    @property
    def directions(self) -> tuple[str, ...]:
        """The benchmarked directions: training never needs the gradient of an image."""
        directions = DIRECTIONS[self.kind]
        return tuple(d for d in directions if not (self.is_first and d == INPUT_GRADIENT))

    @property
    def elements_in(self) -> int:
        return prod(self.size_in)

    @property
    def elements_out(self) -> int:
        return prod(self.size_out)

    @property
    def label(self) -> str:
        """All attributes in a line: ``conv 27x27x96 5x5/1 pad 2 groups 2 -> 27x27x256 relu``."""
        parts = [self.kind, by(self.size_in)]
        if self.kind in ("conv", "maxpool", "lrn_maxpool", "avgpool"):
            parts.append(f"{by(self.kernel)}/{by(dict.fromkeys(self.stride))}")
        if any(self.padding):
            is_alike = len({*self.padding}) == 1
            parts.append(
                f"pad {','.join(map(str, self.padding[:1] if is_alike else self.padding))}"
            )
        if self.groups > 1:
            parts.append(f"groups {self.groups}")
        if self.lrn:
            parts.append("n={} k={:g} alpha={:g} beta={:g}".format(*self.lrn))
        parts.append(f"-> {by(self.size_out)}{' relu' if self.relu else ''}")
        return " ".join(parts)


def by(sizes: Iterable[int]) -> str:
    """Return sizes as ``55x55x96``."""
    return "x".join(map(str, sizes))


def engines_of(layer: Layer, names: Iterable[str]) -> list[str]:
    """Return the named engines that can run a layer."""
    return [name for name in names if name != "bare" or layer.kind == "conv"]


class LayerCase(NamedTuple):
    """A layer with a batch size, a direction and a type."""

    layer: Layer
    batch: int
    direction: str
    dtype: str

    @property
    def key(self) -> str:
        """The key of its result in the file."""
        return f"{self.layer.label} | batch {self.batch} | {self.direction} | {self.dtype}"

    @property
    def cost(self) -> Cost:
        return cost(self.layer, self.batch, self.direction, BYTES[self.dtype])


def cases(
    nets: Iterable[str], batches: Iterable[int], kinds: Iterable[str], dtype: str
) -> dict[LayerCase, list[str]]:
    """Return all cases of some nets, each with its rows (``alexnet C1``), large batches last."""
    rows_of_case: dict[LayerCase, list[str]] = {}
    rows = [(net, *item) for net in nets for item in layers(net).items()]
    for batch in batches:
        for net, layer, names in rows:
            for direction in layer.directions if layer.kind in kinds else ():
                case = LayerCase(layer, batch, direction, dtype)
                rows_of_case.setdefault(case, []).extend(f"{net} {name}" for name in names)
    return rows_of_case


# ----------------------------------------------------------------------------------- from the specs


@cache
def layers(net: str) -> dict[Layer, list[str]]:
    """Return the layers of a bundled spec in order, equal ones once, with their stages."""
    graph = netspec.load(net).graph
    stages_of_layer: dict[Layer, list[str]] = {}
    for stage in graph.stages():
        if stage.op.name not in DIRECTIONS:
            continue
        layer = of_stage(graph, stage)
        stages_of_layer.setdefault(layer, []).append(stage.name)
        for after in _readers(graph, stage):
            if (stage.op.name, after.op.name) == ("lrn", "maxpool"):
                fused = fuse(layer, of_stage(graph, after))
                stages_of_layer.setdefault(fused, []).append(f"{stage.name}+{after.name}")
    return stages_of_layer


def of_stage(graph: Graph, stage: Stage) -> Layer:
    """Return the layer of a stage."""
    op, inputs = stage.op, graph.shapes_into(stage.name)
    attributes: dict[str, Any] = {}
    if isinstance(op, WindowOperator):
        sides = [side for w in op.windows(inputs) for side in (w.before, w.after + w.overhang)]
        attributes = {"kernel": op.kernel, "stride": op.stride, "padding": tuple(sides)}
    if isinstance(op, LocalResponseNorm):
        attributes = {"lrn": (op.n, op.k, op.alpha, op.beta)}
    size_in = inputs[0] if stage.op.name != "fc" else (inputs[0].elements,)
    return Layer(
        kind=op.name,
        size_in=tuple(size_in),
        size_out=tuple(stage.known_shape),
        groups=getattr(op, "groups", 1),
        relu=any(after.op.name == "relu" for after in _readers(graph, stage)),
        is_first=graph.operands(stage.name)[0] in graph.inputs,
        parameters=sum(parameter.elements for parameter in op.parameters(inputs).values()),
        macs=prod(op.macs(inputs)) if op.is_trained else 0,
        **attributes,
    )


def _readers(graph: Graph, stage: Stage) -> list[Stage]:
    return [graph.stage(name) for name in graph.nx.successors(stage.name)]


def fuse(lrn: Layer, pool: Layer) -> Layer:
    """Return LRN and the max-pool that reads it as one layer."""
    return Layer(
        kind="lrn_maxpool",
        size_in=lrn.size_in,
        size_out=pool.size_out,
        kernel=pool.kernel,
        stride=pool.stride,
        padding=pool.padding,
        groups=lrn.groups,
        lrn=lrn.lrn,
    )


# ------------------------------------------------------------------------------------------- floors


class Cost(NamedTuple):
    """Minimum traffic in bytes, and operations: a multiply-add is two, a power is one."""

    bytes: int
    operations: int


class Machine(NamedTuple):
    """The measured rates of a machine.

    Attributes:
        name: of the machine.
        copy: bytes per second of a copy; reads and writes are both counted.
        product: operations per second of a large matrix product; infinity if not measured.
    """

    name: str
    copy: float
    product: float = inf

    def floor(self, cost: Cost) -> float:
        """Return the floor of a cost in seconds."""
        return max(cost.bytes / self.copy, cost.operations / self.product)


def planned(dtype: str) -> Machine:
    """Return an H200 with rates that were measured once; products were measured only in bf16."""
    return Machine("H200", 4.3e12, 790e12 if dtype == "bf16" else inf)


def cost(layer: Layer, batch: int, direction: str, itemsize: int) -> Cost:
    """Return the cost of a layer in a direction.

    A gradient through ReLU reads y for its mask.  LRN saves nothing for the gradient and reads x
    again.  Max-pooling with an index writes one byte per output.
    """
    x, y = batch * layer.elements_in, batch * layer.elements_out
    moved = x + y + layer.parameters
    if direction in (INPUT_GRADIENT, WEIGHT_GRADIENT) and layer.relu:
        moved += y
    if direction == INPUT_GRADIENT and layer.parameters:
        moved -= layer.size_out[-1]  # the bias is not read
    if direction == INPUT_GRADIENT and layer.kind == "lrn":
        moved += x
    is_indexed = layer.kind == "maxpool" and direction != FORWARD
    return Cost(
        moved * itemsize + (y if is_indexed else 0), batch * operations_of_image(layer, direction)
    )


def operations_of_image(layer: Layer, direction: str) -> int:
    """Return the operations of the formulas as written: windows do not share partial results."""
    x, y, taps = layer.elements_in, layer.elements_out, prod(layer.kernel)
    is_forward = direction in (FORWARD, WITH_INDEX)
    n = layer.lrn[0] if layer.lrn else 0
    match layer.kind:
        case "conv" | "fc":
            return 2 * layer.macs
        case "lrn" if is_forward:
            return (2 * n + 4) * x  # n squares, their sum; alpha, k, power, product
        case "lrn":
            return (3 * n + 10) * x  # the scale and its powers, n terms, and the final sum
        case "lrn_maxpool":
            return (2 * n + 4) * x + (taps - 1) * y
        case "maxpool" if is_forward:
            return (taps - 1) * y
        case "avgpool" if is_forward:
            return taps * y
        case "avgpool":
            return (taps + 1) * y
        case "gap":
            return x + y if is_forward else x
        case _:
            return y  # max-pooling: each gradient is added to one element
