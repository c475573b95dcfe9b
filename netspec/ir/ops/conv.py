"""Convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from netspec.ir.attributes import COUNT, FLAG, KERNEL, PAIR, TABLE, keyword, positional
from netspec.ir.growth import Growth, weighted
from netspec.ir.operator import Parameter, WindowOperator, channels_of_a_group, padded, symmetric
from netspec.ir.shapes import Pair, Shape, ShapeError
from netspec.ir.symbols import by, divides
from netspec.ir.values import Table

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Conv(WindowOperator):
    """Convolution: one filter an output channel, slid over the map.

    y[o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[c, i s + u d - p, j s + v d - p]

    with stride s, dilation d and zero padding p.  With ``groups`` = g the channels fall into g
    equal parts, and each filter sees the channels of its own part only, as on the two GPUs of
    AlexNet (section 3.2).  ``round=ceil`` lets the last window hang over the bottom and right
    edge, over zeros, as the author's cuda-convnet did.  ``connect`` names a table of which input
    map each filter sees, as between S2 and C3 of LeNet-5 (LeCun et al. 1998, table I).

    Parameters: weight [count, channels/groups, kh, kw], bias [count]; with a connection table
    weight [pairs, kh, kw], one kernel a connected pair, ordered by filter, then by input map.
    """

    name = "conv"
    example = "conv 3x2, 4, stride=2x1"
    is_trained = True
    clips = False

    kernel: Pair = positional(KERNEL, "height x width [x channels each filter sees][/stride]")
    count: int = positional(COUNT, "number of filters, the output's channels")
    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))
    groups: int = keyword(COUNT, "parts that the channels fall into", default=1)
    bias: bool = keyword(FLAG, "whether each filter adds a bias", default=True)
    connect: Table | None = keyword(TABLE, "which input map each filter sees", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        down, right = (d if k > 1 else 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        self._mean("dilation", (down, right))
        if self.stride == (1, 1):  # every position is taken, whichever way a quotient is rounded
            self._mean("round", "floor")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from super().mistakes()
        if divides(self.groups, self.count) is False:
            yield "NS132", "groups", f"{self.groups} groups do not divide {self.count} filters"
        if self.connect is not None and self.groups != 1:
            yield "NS136", "groups", f"the table {self.connect.name} says already who sees whom"
        columns = len(self.connect.rows[0]) if self.connect else self.count
        if columns != self.count:
            reason = f"the table has {columns} columns, and there are {self.count} filters"
            yield "NS132", "connect", reason

    def channels_seen(self, inputs: Sequence[Shape]) -> int:
        """Input channels that each filter sees, or may see where a table decides."""
        if self.connect is not None and len(self.connect.rows) != inputs[0].channels:
            raise ShapeError(
                "NS209",
                f"the table `{self.connect.name}` has {len(self.connect.rows)} lines, "
                f"and the input {inputs[0].channels} channels",
                help="draw one line for each input map",
                origins=[(0, 2)],
            )
        return channels_of_a_group(inputs[0], self.groups)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The connected pairs (filter, input map) of the table."""
        assert self.connect is not None
        rows = self.connect.rows
        return [(o, i) for o in range(self.count) for i in range(len(rows)) if rows[i][o]]

    def channels_out(self, inputs: Sequence[Shape]) -> int:
        self.channels_seen(inputs)
        return self.count

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        seen, taps = self.channels_seen(inputs), prod(self.kernel)
        if self.connect is None:
            parameters = {"weight": Parameter((self.count, seen, *self.kernel), seen * taps)}
        else:
            pairs = len(self.pairs)
            fan_in = max(1, pairs * taps // self.count)
            parameters = {"weight": Parameter((pairs, *self.kernel), fan_in)}
        return parameters | {"bias": Parameter((self.count,))} if self.bias else parameters

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        pairs: tuple[int, ...] = (self.channels_seen(inputs), self.count)
        if self.connect is not None:
            pairs = (len(self.pairs),)
        return (*self.kernel, *pairs, *self.shape(inputs)[:2])

    def neurons(self, inputs: Sequence[Shape]) -> int:
        return self.shape(inputs).elements

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return f"{self.count} filters" if axis == 2 else super().derivation(axis, inputs)

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        kernel = by((*self.kernel, self.channels_seen(inputs)))
        return f"{kernel}/{self.stride_text}, {self.count}"

    def dense(self, weight: Tensor) -> Tensor:
        """The weight as [count, channels/groups, kh, kw], zero where a table says unconnected."""
        if self.connect is None:
            return weight
        import torch.nn.functional as F

        seen, row_of = len(self.connect.rows), {pair: n for n, pair in enumerate(self.pairs)}
        rows = [row_of.get((o, i), -1) for o in range(self.count) for i in range(seen)]
        kernels = F.pad(weight, (0, 0, 0, 0, 0, 1))[rows]  # the last is zero, for the unconnected
        return kernels.reshape(self.count, seen, *self.kernel)

    def sparse(self, dense: Tensor) -> Tensor:
        """The inverse of :meth:`dense`: the kernels of the pairs that a table connects."""
        if self.connect is None:
            return dense
        filters, maps = zip(*self.pairs, strict=True) if self.pairs else ((), ())
        return dense[list(filters), list(maps)]

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        terms = self.channels_seen(inputs) * prod(self.kernel)
        return weighted(self.dense(parameters["weight"]), parameters.get("bias"), terms)

    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        import torch.nn.functional as F

        windows = self.windows(inputs)
        image, padding, stride = x[0], symmetric(windows), self.stride
        if windows[1].size_out == 1 and stride[1] > 1:
            # One column needs no step to the right.  With one, PyTorch 2.13 reads foreign memory
            # in bfloat16 where a filter sees one channel.
            image, padding = padded(image, windows)[..., : windows[1].extent], (0, 0)
            stride = (stride[0], 1)
        elif padding is None:
            image, padding = padded(image, windows), (0, 0)
        return F.conv2d(
            image,
            self.dense(parameters["weight"]),
            parameters.get("bias"),
            stride=stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
        )
