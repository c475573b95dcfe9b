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
    """Convolution with one filter per output channel.

    y[o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] x[c, i s + u d - p, j s + v d - p]

    with stride s, dilation d and zero padding p.  ``groups`` divides the channels into equal parts;
    each filter sees the channels of its own part only, as on the two GPUs of AlexNet (section 3.2).
    With ``round=ceil`` the last window may extend past the bottom and right edges, over zeros, as
    in AlexNet's cuda-convnet.  ``connect`` names a table that says which input maps each filter
    sees, as between S2 and C3 of LeNet-5 (LeCun et al. 1998, table I).

    Parameters: weight [count, channels/groups, kh, kw], bias [count].  With a connection table:
    weight [pairs, kh, kw], one kernel per connected pair, ordered by filter, then by input map.
    """

    name = "conv"
    example = "conv 3x2, 4, stride=2x1"
    is_trained = True
    clips = False

    kernel: Pair = positional(KERNEL, "height x width [x channels each filter sees][/stride]")
    count: int = positional(COUNT, "number of filters, the output's channels")
    dilation: Pair = keyword(PAIR, "distance between taps", default=(1, 1))
    groups: int = keyword(COUNT, "number of equal parts of the channels", default=1)
    bias: bool = keyword(FLAG, "whether each filter adds a bias", default=True)
    connect: Table | None = keyword(TABLE, "which input maps each filter sees", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride == (1, 1):  # every position is taken, whichever way a quotient is rounded
            self._mean("round", "floor")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        yield from super().mistakes()
        if divides(self.groups, self.count) is False:
            yield "NS132", "groups", f"{self.groups} groups do not divide {self.count} filters"
        if self.connect is not None and self.groups != 1:
            reason = f"the table {self.connect.name} already says which maps each filter sees"
            yield "NS136", "groups", reason
        columns = len(self.connect.rows[0]) if self.connect else self.count
        if columns != self.count:
            reason = f"the table has {columns} columns, and there are {self.count} filters"
            yield "NS132", "connect", reason

    def channels_seen(self, inputs: Sequence[Shape]) -> int:
        """Return the input channels per filter; with a table, those that it can connect.

        Raises:
            ShapeError: the groups do not divide the channels, or the table does not have one line
                per channel.
        """
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
        """The pairs (filter, input map) that the table connects, in the order of the weights."""
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

    def short_kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        size = by((*self.kernel, self.channels_seen(inputs)) if self.groups > 1 else self.kernel)
        stride = f"/{self.stride_text}" if self.stride != (1, 1) else ""
        return f"{size}{stride}, {self.count}"

    def dense(self, weight: Tensor) -> Tensor:
        """Return the weight as [count, channels/groups, kh, kw], with zeros for unconnected pairs.

        Args:
            weight: the parameter, [pairs, kh, kw] with a table.
        """
        if self.connect is None:
            return weight
        import torch.nn.functional as F

        seen, row_of = len(self.connect.rows), {pair: n for n, pair in enumerate(self.pairs)}
        rows = [row_of.get((o, i), -1) for o in range(self.count) for i in range(seen)]
        # The appended kernel is zero; index -1 selects it for every unconnected pair.
        kernels = F.pad(weight, (0, 0, 0, 0, 0, 1))[rows]
        return kernels.reshape(self.count, seen, *self.kernel)

    def sparse(self, dense: Tensor) -> Tensor:
        """Return the kernels of the connected pairs, [pairs, kh, kw]: the inverse of :meth:`dense`.

        Args:
            dense: [count, channels, kh, kw].
        """
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
            # With one output column the horizontal stride does not matter.  With a stride above 1,
            # PyTorch 2.13 reads outside the tensor in bfloat16 if a filter sees one channel.
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
