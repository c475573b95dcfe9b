"""The interface of an operator, which every file of ``netspec/ir/ops`` implements.

Such a file has one frozen dataclass: its attributes, its shape rule, its counts (parameters,
buffers, multiply-accumulates, neurons), its receptive field, and what it computes, in plain
PyTorch.  The files import torch inside functions only, so that checking a spec does not load it.
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
    """A tensor of an operator, with axes in PyTorch's order.

    Initial values are drawn from N(0, 2 / fan_in) (He et al. 2015) if ``fan_in`` is given, and are
    ``value`` otherwise.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    value: float = 0.0

    @property
    def elements(self) -> int:
        return prod(self.shape)


class Operator(HasAttributes, ABC):
    """An operator of the language.

    In all methods, ``inputs`` are the shapes of the operands for one image, without a batch axis,
    and ``x`` are their values: maps [N, C, H, W] and vectors [N, C].
    """

    example: ClassVar[str]
    """Stages that end in it and fit a map of 9 x 8 x 6; ``codes signs 2x2`` may be read.

    Tests take it as a sample, and `netspec ops` shows it.
    """

    takes: ClassVar[str] = "one"
    """The number of operands: ``"one"``, ``"many"`` or ``"none"``."""

    answers_by: ClassVar[str] = "most"
    """The answer of a classifier that ends in it: the largest output (``"most"``) or the smallest
    (``"least"``)."""

    is_trained: ClassVar[bool] = False
    """True if it has parameters."""

    draws: ClassVar[bool] = False
    """True if it draws random numbers during training; ``training_reference`` then takes ``layer``,
    the name of its stage."""

    def resolved(self, inputs: Sequence[Shape]) -> Self:
        """Return the operator with numbers for the attributes that depend on its operands' sizes.

        For example, ``pad=same`` becomes the padding of the four sides.
        """
        return self

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the output's shape; by default the input's.

        Raises:
            ShapeError: the operator cannot be applied to operands of these shapes.
        """
        return inputs[0]

    @abstractmethod
    def reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Tensor) -> Tensor:
        """Return the output at inference, computed in plain PyTorch."""

    def training_reference(self, inputs: Sequence[Shape], *x: Tensor, **parameters: Any) -> Tensor:
        """Return the output during training; by default the same as at inference."""
        return self.reference(inputs, *x, **parameters)

    def growth(self, inputs: Sequence[Shape], **parameters: Tensor) -> Growth:
        """Return a bound of the result at inference; by default there is none."""
        return UNKNOWN

    def module(self, inputs: Sequence[Shape]) -> Module | None:
        """Return PyTorch's module that computes the same in both modes, or None.

        Programs that change gradients, such as captum, recognise an operator by its module's class.
        """
        return None

    def parameters(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        """Return the trained tensors, by name."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> Mapping[str, Parameter]:
        """Return the tensors that are saved but not trained, by name."""
        return {}

    def macs(self, inputs: Sequence[Shape]) -> tuple[int, ...]:
        """Return factors whose product is the number of multiply-accumulates for one image."""
        return (0,)

    def neurons(self, inputs: Sequence[Shape]) -> int:
        """Return the number of outputs that count as neurons: all of layers with filters and fc."""
        return 0

    def field(self, fields: Sequence[Field], inputs: Sequence[Shape]) -> Field:
        """Return the receptive field of the outputs, given those of the operands."""
        return Field.union(fields)

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        """Return the arithmetic of the output's size along an axis; None if it is the operand's."""
        return None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        """Return the kernel as the tables of papers print it, or None if there is none."""
        return None

    def short_kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        """Return the kernel with the name of the operator, for a list of several operators."""
        text = self.kernel_text(inputs)
        return text and f"{self.name} {text}"


def differs_in_training(op: Operator) -> bool:
    """Return True if an operator computes something else during training than at inference."""
    return type(op).training_reference is not Operator.training_reference


def attributes_as(kind: type[Operator], op: Operator, **others: object) -> Operator:
    """Return an operator of class ``kind`` with the attributes of ``op``, and ``others``."""
    attributes = {attribute.name: getattr(op, attribute.name) for attribute in op.attributes()}
    return kind(**attributes, **others)


def map_of(operator: Operator, inputs: Sequence[Shape]) -> Shape:
    """Return the shape of the operand; raise ShapeError if it is not a map."""
    if not inputs[0].is_map:
        raise ShapeError(
            "NS206",
            f"{operator.name} needs a map (height x width x channels), "
            f"and its input is a vector of {inputs[0]}",
            help=f"put {operator.name} before the stage that flattens the map, or use fc",
            origins=[(0, 0)],
        )
    return inputs[0]


def channels_of_a_group(shape: Shape, groups: int) -> int:
    """Return the channels per group; raise ShapeError if the groups do not divide the channels."""
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

    Its attributes are stored in one canonical form, so that two operators that compute the same are
    equal: the kernel is (height, width), a stride written after the kernel becomes ``stride``, and
    padding becomes (top, bottom, left, right) as soon as it is known.  ``half`` with an odd kernel
    and ``same`` with stride 1 are known at once, other padding once the operand's size is
    (:meth:`resolved`).
    """

    kernel: Pair = positional(KERNEL, "height x width [/stride]")
    stride: Pair = keyword(PAIR, "step of the window, unless written in KERNEL", default=(1, 1))
    pad: Padding = keyword(PADDING, "padding", default=(0, 0, 0, 0))
    round: str = keyword(ROUNDING, "rounding of the output's size", default="floor")

    clips: ClassVar[bool] = True
    """True if ``round=ceil`` drops a last window that starts after input + left padding."""

    dilation = (1, 1)
    """Distance between the taps of the window; an attribute of convolutions and pools."""

    def __post_init__(self) -> None:
        if isinstance(self.kernel, Kernel):
            kernel = self.kernel
            self._mean("kernel", kernel.size)
            if kernel.stride is not None:
                self._mean("stride", (kernel.stride, kernel.stride))
        if self.dilation != (1, 1):  # a single tap has no distance to another
            apart = zip(self.dilation, self.kernel, strict=True)
            self._mean("dilation", tuple(d if taps > 1 else 1 for d, taps in apart))
        extents = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        if self.pad == "half" and all(extent % 2 for extent in extents):
            down, right = (extent // 2 for extent in extents)
            self._mean("pad", (down, down, right, right))
        if self.pad == "same" and self.stride == (1, 1):
            sides = [((extent - 1) // 2, extent // 2) for extent in extents]
            self._mean("pad", (*sides[0], *sides[1]))
            self._mean("round", "floor")

    def _mean(self, attribute: str, value: object) -> None:
        """Set an attribute in ``__post_init__``, in spite of the frozen dataclass."""
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
        return fields[0].through(window.reach for window in self.windows(inputs))

    def derivation(self, axis: int, inputs: Sequence[Shape]) -> str | None:
        return self.windows(inputs)[axis].formula if axis < 2 else None

    def kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return f"{by(self.kernel)}/{self.stride_text}"

    def short_kernel_text(self, inputs: Sequence[Shape]) -> str | None:
        return f"{self.name} {self.kernel_and_stride}"

    @property
    def kernel_and_stride(self) -> str:
        """The kernel as text, with the stride if it is not 1."""
        return by(self.kernel) + (f"/{self.stride_text}" if self.stride != (1, 1) else "")

    @property
    def stride_text(self) -> str:
        down, right = self.stride
        return str(down) if down == right else by(self.stride)

    @classmethod
    def written_mistakes(cls, written: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        kernel: Kernel = written["kernel"]
        if kernel.stride is not None and "stride" in written:
            reason = f"the kernel {kernel} already has a stride: leave out one of the two"
            yield "NS136", "stride", reason
        if cls.clips and kernel.channels is not None:
            reason = f"{cls.name} works on each channel separately: leave out x{kernel.channels}"
            yield "NS132", "kernel", reason


def padded(x: Tensor, windows: tuple[Window, Window], value: float = 0.0) -> Tensor:
    """Return the map [N, C, H, W] with the padding that its windows reach, overhang included.

    Args:
        x: [N, C, H, W].
        windows: along the height and the width.
        value: of the padding.
    """
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
    """Return the padding as PyTorch's argument, (height, width), if it can be expressed so.

    Both sides must have equal padding, and no window may overhang; otherwise return None.
    """
    if any(w.before != w.after or w.overhang for w in windows):
        return None
    return windows[0].before, windows[1].before


def pool_padding(windows: tuple[Window, Window]) -> Pair | None:
    """Return the padding as the argument of PyTorch's pools, (height, width), or None.

    Both sides must have equal padding, at most half a kernel.  An overhang is then expressed by
    ``ceil_mode``, whose rule is that of ``round=ceil``.
    """
    if any(w.before != w.after or 2 * w.before > w.kernel for w in windows):
        return None
    return windows[0].before, windows[1].before


Meaning = Callable[..., "Tensor"]
"""The signature of :meth:`Operator.reference`: shapes of the operands, operands, parameters."""


def own_meaning(op: Operator, training: bool) -> Meaning:
    """Return an operator's reference for training or for inference."""
    return op.training_reference if training else op.reference
