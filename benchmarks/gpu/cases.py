"""The cases of the smoke test: every family of kernels, every tile, fixed odd sizes.

A case is text, so that it can be a key in the journal: a row of a spec, the size of its input, the
batch, the arithmetic, and an implementation.  Tests draw sizes; here they are fixed, because each
size is compiled into a kernel, and compiling takes most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import count
from typing import NamedTuple

import torch

import netspec
from netspec.backends.cuda import CudaBackend
from netspec.backends.cuda.conv import TritonConv, geometry
from netspec.backends.cuda.implementation import CudaImplementation, Target
from netspec.ir.operator import WindowOperator
from netspec.kernels.conv import implicit, packed
from netspec.kernels.conv.configurations import Configuration
from netspec.lowering.implementation import Problem, problem_of
from netspec.lowering.lowered import lowered

ARITHMETIC = {
    "bf16": (torch.bfloat16, "ieee"),
    "fp16": (torch.float16, "ieee"),
    "fp32": (torch.float32, "ieee"),
    "tf32": (torch.float32, "tf32"),
}
"""The types, and the precisions of products in float32."""

ELEMENTWISE = ("lrn", "lrn_maxpool", "maxpool", "avgpool", "subsample")
"""The families without products of matrices, for which tf32 is the same as fp32."""

LIBRARIES = ("aten", "cudnn", "blas")
"""The implementations that are not netspec's kernels."""

CONVOLUTIONS = (
    ("9x7x21", "conv 3x3, 13, stride=2x1, pad=(1, 1, 1, 2) | relu"),
    ("11x5x40", "conv 3x3, 70, pad=1"),
    ("20x19x128", "conv 3x3, 130, pad=1 | relu"),
    ("13x13x96", "conv 5x5, 64, pad=2, groups=2 | relu"),
    ("8x9x300", "conv 1x2, 33, pad=(0, 0, 1, 0)"),
    ("10x7x24", "conv 3x2, 48, dilation=2x1, bias=off"),
)
FIRST_LAYERS = (
    ("35x31x3", "conv 11x11, 96, stride=4 | relu"),
    ("15x14x3", "conv 7x7, 5, stride=2, pad=3"),
    ("17x9x1", "conv 5x5, 6"),
    ("12x13x3", "conv 3x3, 64, pad=1 | relu"),
)
NARROW = (
    FIRST_LAYERS[0],
    ("15x14x3", "conv 7x7, 8, stride=2, pad=3"),
    ("17x9x1", "conv 5x5, 16, bias=off"),
    FIRST_LAYERS[3],
)
POINTWISE = (
    ("9x7x21", "conv 1x1, 13"),
    ("14x13x480", "conv 1x1, 208 | relu"),
    ("7x7x832", "conv 1x1, 384 | relu"),
    ("5x3x64", "conv 1x1, 24, bias=off"),
)
TILED = (
    ("20x19x128", "conv 3x3, 136, pad=1 | relu"),
    ("9x7x64", "conv 3x3, 24, pad=(1, 1, 1, 2)"),
    ("13x5x96", "conv 3x1, 40"),
    ("11x10x64", "conv 2x3, 72, dilation=2x1, bias=off | relu"),
)
ROWS = {
    "implicit": CONVOLUTIONS,
    "packed": FIRST_LAYERS,
    "split": CONVOLUTIONS[1:5],
    "pointwise": POINTWISE,
    "persistent": (*POINTWISE[1:], ("9x7x40", "conv 1x1, 24 | relu")),
    "tiled": TILED,
    "narrow": NARROW,
    "input_gradient": (*CONVOLUTIONS, POINTWISE[0]),
    "weight_gradient": (FIRST_LAYERS[1], FIRST_LAYERS[3], CONVOLUTIONS[4], POINTWISE[1]),
    "fc": (("3x5x7", "fc 9"), ("2x2x256", "fc 130 | relu"), ("1x1x1024", "fc 77, bias=off")),
    "sums": (("8x9x300", "conv 3x3, 9"), ("31x29x8", "conv 3x3, 4"), ("29x31x40", "gap")),
    "lrn": (
        ("9x7x21", "lrn 5"),
        ("13x11x96", "lrn 5, alpha=0.1"),
        ("5x3x256", "lrn 5, k=2, groups=2"),
        ("3x3x33", "lrn 3, beta=0.5"),
    ),
    "lrn_maxpool": (
        ("9x7x21", "lrn 5 | maxpool 3x3/2"),
        ("13x11x96", "lrn 5, alpha=0.1 | maxpool 3x3/2"),
        ("5x4x256", "lrn 5, groups=2 | maxpool 2x2/2"),
    ),
    "maxpool": (
        ("9x7x21", "maxpool 3x3/2, round=ceil"),
        ("12x11x64", "maxpool 2x2/2"),
        ("5x4x257", "maxpool 3x2/1, pad=1"),
        ("7x9x24", "maxpool 3x3/2 | relu"),
        ("13x12x33", "maxpool 13x13/1, pad=6"),
    ),
    "avgpool": (
        ("9x7x21", "avgpool 3x3/2, round=ceil"),
        ("8x8x64", "avgpool 5x5/3"),
        ("7x6x257", "avgpool 3x3/1, pad=1, count_pad=off"),
        ("7x7x1024", "gap"),
        ("29x31x40", "gap"),
    ),
    "subsample": (
        ("9x7x21", "subsample 2x2/2, by=mean"),
        ("10x6x64", "subsample 3x2/2, by=sum, round=ceil"),
    ),
}
"""Sizes and rows of each family of :data:`~netspec.kernels.shipped.FAMILIES`."""

BACKWARD = ("input_gradient", "weight_gradient", "sums", "lrn", "maxpool", "avgpool", "subsample")
"""The families whose gradients are checked: all of an operator at once, also in the two of
convolutions, which therefore have different sizes."""

NETS = ("alexnet", "vgg16_3", "googlenet")
REAL = {
    "implicit": ("alexnet", "vgg16_3"),
    "packed": NETS,
    "pointwise": ("googlenet",),
    "fc": ("alexnet",),
    "lrn_maxpool": ("alexnet", "googlenet"),
    "maxpool": ("vgg16_3", "googlenet"),
}
"""The nets whose layers are cases of a family, with the implementation that the model chooses."""


class Case(NamedTuple):
    """A case of the smoke test.

    Attributes:
        family: of kernels.
        size: of the input, such as ``9x7x21``; for a layer of a net, the net.
        row: stages of a spec; for a layer of a net, its stage.
        batch: the number of images.
        arithmetic: a key of :data:`ARITHMETIC`.
        way: the name of an implementation, or ``gradient``.
    """

    family: str
    size: str
    row: str
    batch: int
    arithmetic: str
    way: str

    @property
    def key(self) -> str:
        """The case in one line."""
        return "; ".join(map(str, self))

    @staticmethod
    def of_key(key: str) -> Case:
        """Return the case of a key."""
        family, size, row, batch, arithmetic, way = key.split("; ")
        return Case(family, size, row, int(batch), arithmetic, way)

    @property
    def warps(self) -> int:
        """The number of warps in the name of the implementation; 4 if it does not say."""
        _, _, end = self.way.rpartition("-")
        return int(end.partition("w")[0]) if end.partition("w")[0].isdigit() else 4


def problem(case: Case) -> Problem:
    """Return the problem of a case: that of its last stage, after the passes."""
    dtype, _ = ARITHMETIC[case.arithmetic]
    if case.size in NETS:
        return problems(case.size, dtype, case.batch)[case.row]
    net = netspec.loads(f"net case\ninput image {case.size}\na: {case.row}\n", "case.net")
    graph = lowered(net.graph, CudaBackend("meta"), dtype=dtype, batch=case.batch).graph
    return problem_of(graph, graph.outputs[0], dtype, case.batch)


@cache
def problems(net: str, dtype: torch.dtype, batch: int) -> Mapping[str, Problem]:
    """Return the problems of a net by stage, after the passes."""
    graph = netspec.load(net).graph
    return lowered(graph, CudaBackend("meta"), dtype=dtype, batch=batch).problems


def implementation(case: Case, of: Problem, device: str) -> CudaImplementation:
    """Return the implementation of a case."""
    return next(one for one in implementations(of, case, device) if one.name == case.way)


def implementations(of: Problem, case: Case, device: str) -> list[CudaImplementation]:
    """Return the implementations of a problem.

    In half precision, the general convolution also has all its tiles with 8 warps: some versions of
    Triton compile loops over taps wrongly at 8 warps (pytorch#173068).
    """
    target = Target(device, ARITHMETIC[case.arithmetic][1])
    known = CudaBackend(device, target.precision).implementations(of)
    if case.family == "implicit" and of.dtype.itemsize == 2:
        tiles = [replace(tile, warps=8) for tile in implicit.TILES["half"]]
        names = {one.name for one in known}
        eight = [TritonConv(target, Configuration("implicit", tile)) for tile in tiles]
        known += [one for one in eight if one.name not in names]
    return known


def cases(family: str, arithmetic: str, device: str) -> list[Case]:
    """Return the cases of a family, those with the most warps first.

    Every implementation has at least two sizes, and every size at least one implementation: all
    pairs would be several hundred kernels for a family.
    """
    if arithmetic == "tf32" and family in ELEMENTWISE:
        return []
    every = [*_forward(family, arithmetic, device)]
    if family in BACKWARD:
        every += [Case(family, size, row, 2, arithmetic, "gradient") for size, row in ROWS[family]]
    if arithmetic == "bf16":
        every += [Case(family, net, stage, 2, arithmetic, "triton") for net, stage in real(family)]
    unique = dict.fromkeys(every)
    return sorted(unique, key=lambda case: -case.warps)


def _forward(family: str, arithmetic: str, device: str) -> Iterator[Case]:
    if family.endswith("gradient"):
        return
    shapes = ROWS[family]
    for number, (size, row), batch in zip(count(), shapes, _batches(family), strict=False):
        first = Case(family, size, row, batch, arithmetic, "triton")
        known = implementations(problem(first), first, device)
        ways = [one.name for one in known if of_family(one.name, family)]
        # Libraries are not counted: a CPU has fewer of them, and the kernels of the cases of a GPU
        # are compiled there.
        kernels = [way for way in ways if way not in LIBRARIES]
        for way in ways:
            if way in LIBRARIES or (kernels.index(way) - number) % len(shapes) < 2:
                yield first._replace(way=way)
        yield first


def _batches(family: str) -> Iterator[int]:
    """Yield batches; a fully connected layer has other kernels for few images."""
    sizes = (1, 11, 3, 40) if family == "fc" else (2, 3, 1)
    for number in count():
        yield sizes[number % len(sizes)]


def of_family(way: str, family: str) -> bool:
    """Return True if an implementation belongs to a family: its own kernel, or a library's."""
    if family == "fc":
        return way in LIBRARIES or way.startswith(("stream-", "pointwise-", "split-"))
    return way in LIBRARIES or way.startswith(f"{family}-")


@cache
def real(family: str) -> tuple[tuple[str, str], ...]:
    """Return net and stage of the layers of nets in a family, equal ones once."""
    kinds = {"fc": "fc", "lrn_maxpool": "lrn_maxpool", "maxpool": "maxpool"}
    seen: dict[str, tuple[str, str]] = {}
    for net in REAL.get(family, ()):
        for stage, one in problems(net, torch.bfloat16, 2).items():
            name = one.op.name.removesuffix("_relu")
            if name == kinds.get(family, "conv") and (name != "conv" or _kernel(one) == family):
                seen.setdefault(f"{one.op!r} {one.inputs}", (net, stage))
    return tuple(seen.values())


def _kernel(one: Problem) -> str:
    """Return the family that is meant for a convolution."""
    assert isinstance(one.op, WindowOperator)
    windows = geometry(one.op, one.inputs, one.batch)
    if packed.fits(windows):
        return "packed"
    return "pointwise" if windows.is_pointwise else "implicit"
