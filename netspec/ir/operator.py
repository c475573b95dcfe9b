"""The contract of an operator, which every file of ``netspec/ir/ops`` fulfils.

Such a file has one frozen dataclass: its attributes, its shape rule, what it counts
(parameters, buffers, multiply-accumulates, neurons), its receptive field, and its meaning as plain
PyTorch.  The files do not import torch at the top, so that checking a spec never loads it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from netspec.ir.attributes import (
    KERNEL,
    PADDING,
    PAIR,
    ROUNDING,
    HasAttributes,
    Padding,
    keyword,
    positional,
)
from netspec.ir.growth import UNKNOWN, Growth
from netspec.ir.shapes import Field, Kernel, Pair, Shape, ShapeError, Window, slide
from netspec.ir.symbols import any_symbolic, by, divides

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor that an operator holds, in PyTorch's order of axes.

    A fresh one is drawn from N(0, 2 / fan_in) (He et al. 2015) when ``fan_in`` is given, and
    filled with ``value`` otherwise.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    value: float = 0.0

    @property
    def elements(self) -> int:
        return prod(self.shape)


class Operator(HasAttributes, ABC):
    """One operator of the language.

    ``inputs`` are the shapes of the operands throughout; shapes have no batch axis.
    """

    example: ClassVar[str]
    """Stages that end in it and fit a map of 9 x 8 x 6; ``codes signs 2x2`` may be read.

    Tests take it as a sample, and `netspec ops` shows it.
    """

    takes: ClassVar[str] = "one"
    """``"one"`` operand, ``"many"``, or ``"none"``."""

    answers_by: ClassVar[str] = "most"
    """``"most"`` or ``"least"``: which output is the answer of a classifier that ends in it."""

    is_trained: ClassVar[bool] = False
    """True if it has parameters."""

    draws: ClassVar[bool] = False
    """True if it draws random numbers while training; ``training_reference`` is then given
    ``layer``, the name of its stage."""

    def resolved(self, inputs: Sequence[Shape]) -> Self:
        """Return the operator with numbers for attributes that depend on its operands' sizes."""
        return self

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the output's shape, by default the input's; raise ShapeError if none fits."""
        return inputs[0]

    @abstractmethod
    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        """Compute it, at inference, in plain PyTorch: maps are [N, C, H, W], vectors [N, C]."""

    def training_reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Any) -> Tensor:
        """Compute it while training, where that differs."""
        return self.reference(inputs, *x, **parameters)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        """Return how much its result can exceed its operands, at inference; by default unknown."""
        return UNKNOWN

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        """Return PyTorch's own module that computes it, in either mode, if there is one.

        Programs that change gradients, such as captum, know an operator by the class of its module.
        """
        return None

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        """Trained tensors, by name."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        """Tensors that are kept but not trained, by name."""
        return {}

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        """Factors whose product is the number of multiply-accumulates for one image."""
        return (0,)

    def neurons(self, inputs: Sequence[Shape]) -> int:
        """Outputs counted as neurons: those of conv, local and fc."""
        return 0

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        """The receptive field of the outputs, from those of the operands."""
        return Field.union(fields)

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        """Return the arithmetic of one axis of the output, or None if it is the operand's."""
        return None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        """Return the kernel as a printed table shows it."""
        return None


def differs_in_training(op: Operator) -> bool:
    """Return whether an operator computes something else while training."""
    return type(op).training_reference is not Operator.training_reference


def attributes_as(kind: type[Operator], op: Operator) -> Operator:
    """Return an operator of another kind with the attributes of ``op``."""
    return kind(**{attribute.name: getattr(op, attribute.name) for attribute in op.attributes()})


def map_of(operator: Operator, inputs: Sequence[Shape]) -> Shape:
    """Return the operand; raise ShapeError if it is not a map."""
    if not inputs[0].is_map:
        raise ShapeError(
            "NS206",
            f"{operator.name} needs a map, height x width x channels, "
            f"and its input is a vector of {inputs[0]}",
            help=f"put {operator.name} before the stage that flattens the map, or use fc",
            origins=[(0, 0)],
        )
    return inputs[0]


def channels_of_a_group(shape: Shape, groups: int) -> int:
    """The channels of each of the equal parts that a map's channels fall into."""
    if divides(groups, shape.channels) is False:
        raise ShapeError(
            "NS207",
            f"{groups} groups do not divide {shape.channels} channels",
            help="choose a number of groups that divides the input's channels",
            origins=[(0, 2)],
        )
    return shape.channels // groups


@dataclass(frozen=True, kw_only=True)
class WindowOperator(Operator):
    """An operator that slides a window over a map.

    Its attributes are canonical, whatever was written, so that two operators that compute the same
    are equal: the kernel is height x width, a stride after the kernel becomes the stride, and
    padding is four numbers as soon as they are known: ``half`` of an odd kernel and ``same`` at
    stride 1 at once, other padding when the sizes of the operand are (:meth:`resolved`).
    """

    kernel: Pair = positional(KERNEL, "height x width, with /stride")
    stride: Pair = keyword(
        PAIR, "step of the window, unless the kernel has it; else 1", default=(1, 1)
    )
    pad: Padding = keyword(PADDING, "padding", default=(0, 0, 0, 0))
    round: str = keyword(ROUNDING, "rounding of the output's size", default="floor")

    clips: ClassVar[bool] = True
    """True if ``round=ceil`` drops a last window that starts outside input + left padding."""

    dilation = (1, 1)
    """Distance between the taps of the window; an attribute of operators that can be dilated."""

    def __post_init__(self) -> None:
        if isinstance(self.kernel, Kernel):
            kernel = self.kernel
            self._mean("kernel", kernel.size)
            if kernel.stride is not None:
                self._mean("stride", (kernel.stride, kernel.stride))
        extents = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        if self.pad == "half" and all(extent % 2 for extent in extents):
            down, right = (extent // 2 for extent in extents)
            self._mean("pad", (down, down, right, right))
        if self.pad == "same" and self.stride == (1, 1):
            sides = [((extent - 1) // 2, extent // 2) for extent in extents]
            self._mean("pad", (*sides[0], *sides[1]))
            self._mean("round", "floor")

    def _mean(self, attribute: str, value: object) -> None:
        """Set an attribute of a frozen operator in ``__post_init__``."""
        object.__setattr__(self, attribute, value)

    def resolved(self, inputs: Sequence[Shape]) -> Self:
        if isinstance(self.pad, tuple) or any_symbolic(inputs[0][:2]):
            return self
        down, right = self.windows(inputs)
        pad = down.before, down.after, right.before, right.after
        return replace(self, pad=pad, round="floor" if self.pad == "same" else self.round)

    def windows(self, inputs: Sequence[Shape]) -> tuple[Window, Window]:
        shape = map_of(self, inputs)
        vertical, horizontal = (
            slide(
                axis,
                shape[axis],
                self.kernel[axis],
                stride=self.stride[axis],
                dilation=self.dilation[axis],
                padding=self.pad if isinstance(self.pad, str) else self.pad[2 * axis :][:2],
                rounding=self.round,
                clip=self.clips,
            )
            for axis in (0, 1)
        )
        return vertical, horizontal

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        vertical, horizontal = self.windows(inputs)
        return Shape((vertical.size_out, horizontal.size_out, self.channels_out(inputs)))

    def channels_out(self, inputs: Sequence[Shape]) -> int:
        return inputs[0].channels

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        return fields[0].through(self.windows(inputs))

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return self.windows(inputs)[axis].formula if axis < 2 else None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return f"{by(self.kernel)}/{self.stride_text}"

    @property
    def stride_text(self) -> str:
        down, right = self.stride
        return str(down) if down == right else by(self.stride)

    @classmethod
    def written_mistakes(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        kernel: Kernel = written["kernel"]
        if kernel.stride is not None and "stride" in written:
            yield "NS136", "stride", f"the kernel {kernel} has its stride already"
        if cls.clips and kernel.channels is not None:
            reason = f"a {cls.name} sees every channel by itself: leave out x{kernel.channels}"
            yield "NS132", "kernel", reason


def padded(x: Tensor, windows: tuple[Window, Window], value: float = 0.0) -> Tensor:
    """The map [N, C, H, W] with the padding that its windows reach, overhang included."""
    import torch.nn.functional as F

    vertical, horizontal = windows
    sides = (
        horizontal.before,
        horizontal.tail,
        vertical.before,
        vertical.tail,
    )
    return F.pad(x, sides, value=value) if any(sides) else x


def symmetric(windows: tuple[Window, Window]) -> Pair | None:
    """The padding as PyTorch's own argument, when both sides are alike and nothing overhangs."""
    if any(w.before != w.after or w.overhang for w in windows):
        return None
    return windows[0].before, windows[1].before


def pool_padding(windows: tuple[Window, Window]) -> Pair | None:
    """The padding as PyTorch's pools take it: alike on both sides, half a kernel at most.

    The overhang is then ``ceil_mode``, whose rule is that of ``round=ceil``.
    """
    if any(w.before != w.after or 2 * w.before > w.kernel for w in windows):
        return None
    return windows[0].before, windows[1].before


Meaning = Callable[..., "Tensor"]
"""The signature of a reference: shapes of the operands, operands, parameters."""


def own_meaning(op: Operator, training: bool) -> Meaning:
    """An operator's own reference."""
    return op.training_reference if training else op.reference
