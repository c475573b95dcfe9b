"""Primitives of oneDNN: descriptions of them, and launches.

A description has sizes and layouts but no memory.  It tells if the library has a fast
implementation, and which layout of weights that implementation prefers.  A launch is a primitive
bound to memory: a call without arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from ctypes import Array, Structure, byref, c_char_p, c_int, c_void_p
from enum import IntEnum
from functools import cached_property, partial
from typing import NamedTuple

from torch import Tensor

from netspec.backends.cpu.onednn.layouts import Layout, Query, as_sizes
from netspec.backends.cpu.onednn.library import (
    EXECUTE,
    Handle,
    NoImplementationError,
    library,
    require_success,
)
from netspec.backends.cpu.scratch import Caller, Scratch
from netspec.ir.shapes import Pair
from netspec.runtime.gate import address

Launch = Callable[[], int]
"""A call that runs a primitive and returns the library's status, which the caller checks."""

INFERENCE = 96
USER_SCRATCHPAD = 1
CHANNELS = 1
"""The axis of channels."""


class Algorithm(IntEnum):
    """The algorithm of a primitive (``dnnl_alg_kind_t``)."""

    CONVOLUTION_DIRECT = 0x1
    RELU = 0x20
    TANH = 0x21
    ELU = 0x22
    LINEAR = 0x26
    HARDSIGMOID = 0x28
    LOGISTIC = 0x29
    GELU_TANH = 0x2B
    SWISH = 0x2C
    CLIP = 0x2E
    GELU_ERF = 0x31
    HARDSWISH = 0x34
    LRN_ACROSS_CHANNELS = 0xAFF
    POOLING_MAX = 0x1FF
    POOLING_AVG_INCLUDE_PADDING = 0x2FF
    POOLING_AVG_EXCLUDE_PADDING = 0x3FF
    ADD = 0x1FFF0
    MULTIPLY = 0x1FFF1
    SOFTMAX = 0x30000


class Elementwise(NamedTuple):
    """A step that a primitive applies to each element of its result, with the numbers alpha and
    beta of oneDNN's formula for the algorithm."""

    algorithm: Algorithm
    alpha: float = 0.0
    beta: float = 0.0


class Argument(IntEnum):
    """The role of a memory of a primitive (``DNNL_ARG_...``)."""

    SOURCE = 1
    DESTINATION = 17
    WEIGHTS = 33
    BIAS = 41
    SCRATCHPAD = 80
    SECOND_SOURCE = 2
    FIRST_OF_SOURCES = 1024
    FIRST_POST_OP = 32768 + 2
    """The second operand of the first binary operator after the primitive."""


# -------------------------------------------------------------------------------- descriptions


class Description:
    """A primitive without memory.

    Args:
        kind: the name of the primitive.
        arguments: of the function that creates the description.
        skipped: names of implementations that are not used; the library's next one is used.
        may_be_reference: accept the library's reference implementation.

    Raises:
        NoImplementationError: the library does not have an implementation, or only its reference
            implementation, which is slower by orders of magnitude.
    """

    def __init__(
        self,
        kind: str,
        *arguments: object,
        skipped: Collection[str] = (),
        may_be_reference: bool = False,
    ) -> None:
        self._as_parameter_ = library().make(f"{kind}_primitive_desc_create", *arguments)
        self._layouts: dict[tuple[Query, int], Layout] = {}
        self._operands: dict[int, Layout] = {}
        while self.implementation.partition(":")[0] in skipped:
            library().function("primitive_desc_next_impl")(self)
        if "ref" in self.implementation.split(":") and not may_be_reference:
            raise NoImplementationError("oneDNN has only its slow reference implementation")

    @property
    def implementation(self) -> str:
        """Return the library's name of the implementation."""
        name = c_char_p()
        library().function("primitive_desc_query")(self, Query.IMPLEMENTATION, 0, byref(name))
        return (name.value or b"").decode()

    def layout(self, of: Query, number: int = 0) -> Layout:
        """Return the layout of one of its tensors; ``number`` selects one of several."""
        if (of, number) not in self._layouts:
            pointer = library().function("primitive_desc_query_md")(self, of, number)
            self._layouts[of, number] = Layout(library().make("memory_desc_clone", pointer))
        return self._layouts[of, number]

    def reads(self, argument: int, layout: Layout) -> bool:
        """Return True if this is the layout of an operand or of the result."""
        if self._operands.get(argument) is not layout:  # most launches repeat an earlier question
            if self.layout(Query.OPERAND, argument) != layout:
                return False
            self._operands[argument] = layout
        return True

    @cached_property
    def primitive(self) -> Handle:
        """The primitive, with its generated code."""
        return library().make("primitive_create", self)


def convolution(
    source: Layout,
    weights: Layout,
    bias: Layout | None,
    destination: Layout,
    *,
    stride: Pair,
    dilation: Pair,
    before: Pair,
    after: Pair,
    steps: Sequence[Elementwise],
    added: Layout | None = None,
    skipped: Collection[str] = (),
) -> Description:
    """Return act(b + w * x + z); weights are [O, I, H, W], or [G, O/G, I/G, H, W] with groups."""
    return Description(
        "convolution_forward",
        library().engine,
        INFERENCE,
        Algorithm.CONVOLUTION_DIRECT,
        source,
        weights,
        bias,
        destination,
        as_sizes(stride),
        _gaps(dilation),
        as_sizes(before),
        as_sizes(after),
        _attributes(steps, added=added),
        skipped=skipped,
    )


def inner_product(
    source: Layout,
    weights: Layout,
    bias: Layout | None,
    destination: Layout,
    *,
    steps: Sequence[Elementwise],
) -> Description:
    """Return act(w x + b); weights are [O, I], or [O, C, H, W] for a map."""
    arguments = (source, weights, bias, destination, _attributes(steps))
    return Description("inner_product_forward", library().engine, INFERENCE, *arguments)


def product(
    left: Layout, right: Layout, destination: Layout, *, added: Layout, steps: Sequence[Elementwise]
) -> Description:
    """Return act(x y + z), element by element; axes of size 1 of y and z are broadcast."""
    arguments = (Algorithm.MULTIPLY, left, right, destination, _attributes(steps, added=added))
    return Description("binary", library().engine, *arguments)


def matrix_product(
    left: Layout,
    right: Layout,
    destination: Layout,
    *,
    steps: Sequence[Elementwise],
    added: Layout | None = None,
) -> Description:
    """Return act(A B + z) of matrices, one for each index of the first axes.

    ``left`` is [..., M, K], where axes of size 1 are broadcast, ``right`` [..., K, N], and the
    destination and ``added`` [..., M, N].
    """
    arguments = (left, right, None, destination, _attributes(steps, added=added))
    return Description("matmul", library().engine, *arguments)


def pooling(
    source: Layout,
    destination: Layout,
    algorithm: Algorithm,
    *,
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    before: Pair,
    after: Pair,
    bias: Layout | None = None,
    steps: Sequence[Elementwise] = (),
) -> Description:
    """Return act(pool(x) + b); the bias is [1, C, 1, 1]."""
    return Description(
        "pooling_forward",
        library().engine,
        INFERENCE,
        algorithm,
        source,
        destination,
        as_sizes(stride),
        as_sizes(kernel),
        _gaps(dilation),
        as_sizes(before),
        as_sizes(after),
        _attributes(steps, added=bias),
    )


def lrn(
    source: Layout, destination: Layout, *, n: int, alpha: float, beta: float, k: float
) -> Description:
    """Return x / (k + alpha sum of x^2 over n channels) ^ beta; alpha is not divided by n."""
    return Description(
        "lrn_forward",
        library().engine,
        INFERENCE,
        Algorithm.LRN_ACROSS_CHANNELS,
        source,
        destination,
        n,
        alpha * n,  # the library divides it by n
        beta,
        k,
        _attributes(),
    )


def softmax(layout: Layout) -> Description:
    """Return exp(x) / sum of exp(x) over the channels."""
    arguments = (Algorithm.SOFTMAX, layout, layout, CHANNELS, _attributes())
    return Description("softmax_forward", library().engine, INFERENCE, *arguments)


def concatenation(sources: Sequence[Layout], destination: Layout) -> Description:
    """Return the concatenation along the channels."""
    pointers = (c_void_p * len(sources))(*(source._as_parameter_ for source in sources))
    arguments = (destination, len(sources), CHANNELS, pointers, _attributes())
    return Description("concat", library().engine, *arguments)


def _gaps(dilation: Pair) -> object:
    """Return a dilation as the library takes it: 0 is no dilation."""
    return as_sizes([d - 1 for d in dilation])


def reordering(source: Layout, destination: Layout) -> Description:
    """Return a copy from one layout to another."""
    arguments = (source, library().engine, destination, library().engine, _attributes())
    return Description("reorder", *arguments, may_be_reference=True)


def _attributes(steps: Sequence[Elementwise] = (), *, added: Layout | None = None) -> Handle:
    """Return attributes: netspec provides scratch memory; a sum, then steps follow the primitive.

    With the library's own scratch memory, a primitive could not run in two threads at once.
    """
    call, attributes = library().function, library().make("primitive_attr_create")
    call("primitive_attr_set_scratchpad_mode")(attributes, USER_SCRATCHPAD)
    then = library().make("post_ops_create")
    if added is not None:
        call("post_ops_append_binary")(then, Algorithm.ADD, added)
    for step in steps:
        call("post_ops_append_eltwise")(then, *step)
    call("primitive_attr_set_post_ops")(attributes, then)
    return attributes


# ------------------------------------------------------------------------------------ launches


class Memory:
    """Memory with a layout: of a PyTorch tensor, of a scratch, or a part of another ``Memory``.

    The address of a scratch is set later.  A ``Memory`` keeps the owner of its memory alive,
    because the library has only the address.

    Args:
        layout: of the memory.
        within: the owner of the memory.
        start: the first byte of the part, for a part of another ``Memory``.

    Raises:
        TypeError, ValueError: the tensor does not have the layout.
    """

    def __init__(
        self, layout: Layout, within: Tensor | Scratch | Caller | Memory, start: int = 0
    ) -> None:
        self.layout, self._within = layout, within
        self._parts: list[tuple[Memory, int]] = []
        """Parts of this memory, whose addresses are set together with this one's."""
        place = None
        if not isinstance(within, Scratch | Caller | Memory):
            place = address(within, "an operand of oneDNN", layout.dtype, layout.axes)
        self._as_parameter_ = library().make("memory_create", layout, library().engine, place)
        if isinstance(within, Scratch):
            within.take(layout.bytes, self.move)
        elif isinstance(within, Memory):
            assert isinstance(within._within, Scratch)
            assert 0 <= start <= within.layout.extent - layout.extent
            within._parts.append((self, start))

    def move(self, place: int) -> None:
        """Set the address."""
        library().function("memory_set_data_handle")(self, place)
        for part, start in self._parts:
            part.move(place + start)
        self._parts.clear()


class _Pair(Structure):
    _fields_ = (("argument", c_int), ("memory", c_void_p))


def _arguments(memories: Sequence[tuple[int, Memory]]) -> Array[_Pair]:
    """Return the library's array of arguments.  It keeps the memories alive that it points to."""
    pairs = [_Pair(argument, memory._as_parameter_) for argument, memory in memories]
    array = (_Pair * len(pairs))(*pairs)
    array.memories = memories  # type: ignore[attr-defined]
    return array


def launch(
    description: Description, memories: Iterable[tuple[int, Memory]], scratch: Scratch
) -> Launch:
    """Return a call that runs a primitive on fixed memory, and keeps everything alive it needs.

    Args:
        description: of the primitive.
        memories: of its operands and its result, with their roles.
        scratch: gives it temporary memory.

    Raises:
        ValueError: an operand does not have the layout that the primitive reads.
    """
    layout = description.layout(Query.SCRATCHPAD)
    arguments = list(memories)
    _check(description, arguments)
    if layout.bytes:
        arguments.append((Argument.SCRATCHPAD, Memory(layout, scratch)))
    handles = description.primitive, library().stream
    return partial(library().function(EXECUTE), *handles, len(arguments), _arguments(arguments))


def _check(description: Description, memories: Sequence[tuple[int, Memory]]) -> None:
    for argument, memory in memories:
        if not description.reads(argument, memory.layout):
            known = argument in {*Argument}
            name = Argument(argument).name.lower() if known else "source"
            raise ValueError(f"{name} does not have the layout that oneDNN reads")


def reorder(x: Tensor, source: Layout, y: Tensor, destination: Layout) -> None:
    """Copy a tensor from one layout to another."""
    scratch = Scratch()
    memories = [
        (Argument.SOURCE, Memory(source, x)),
        (Argument.DESTINATION, Memory(destination, y)),
    ]
    copy = launch(reordering(source, destination), memories, scratch)
    scratch.hand_out()
    require_success(copy(), EXECUTE)
