"""Primitives of oneDNN: how each is described, and how a described one becomes a launch.

A description holds sizes and layouts, no memory: it says whether the library computes something
well, and in which blocks it wants the weights.  A launch is bound to memory, and takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from ctypes import Structure, byref, c_char_p, c_int, c_void_p
from enum import IntEnum
from functools import partial

from torch import Tensor

from netspec.backends.cpu.onednn.layouts import Layout, Query, as_sizes
from netspec.backends.cpu.onednn.library import Handle, NoImplementationError, library
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.shapes import Pair
from netspec.runtime.gate import address

Launch = Callable[[], object]

INFERENCE = 96
USER_SCRATCHPAD = 1
CHANNELS = 1
"""The axis that they are."""


class Algorithm(IntEnum):
    """The algorithm that a primitive computes by."""

    CONVOLUTION_DIRECT = 0x1
    RELU = 0x20
    LRN_ACROSS_CHANNELS = 0xAFF
    POOLING_MAX = 0x1FF
    POOLING_AVG_INCLUDE_PADDING = 0x2FF
    POOLING_AVG_EXCLUDE_PADDING = 0x3FF
    ADD = 0x1FFF0
    SOFTMAX = 0x30000


class Argument(IntEnum):
    """The role of a memory that a primitive is given."""

    SOURCE = 1
    DESTINATION = 17
    WEIGHTS = 33
    BIAS = 41
    SCRATCHPAD = 80
    FIRST_OF_SOURCES = 1024
    FIRST_POST_OP = 32768 + 2
    """The second operand of the binary operator that is done first."""


# -------------------------------------------------------------------------------- descriptions


class Description:
    """A primitive without its memory.

    Args:
        kind: the name of the primitive.
        arguments: those of the function that describes it.
        unsound: implementations that are not to be used here, by name; the library's next is.

    Raises:
        NoImplementationError: the library does not have one, or its reference only, which is
            slower by orders of magnitude.
    """

    def __init__(
        self,
        kind: str,
        *arguments: object,
        unsound: Collection[str] = (),
        may_be_reference: bool = False,
    ) -> None:
        self._as_parameter_ = library().make(f"{kind}_primitive_desc_create", *arguments)
        while self.implementation.partition(":")[0] in unsound:
            library().function("primitive_desc_next_impl")(self)
        if "ref" in self.implementation.split(":") and not may_be_reference:
            raise NoImplementationError("oneDNN has its slow reference only")

    @property
    def implementation(self) -> str:
        """Return the library's name for how it computes."""
        name = c_char_p()
        library().function("primitive_desc_query")(self, Query.IMPLEMENTATION, 0, byref(name))
        return (name.value or b"").decode()

    def layout(self, of: Query, number: int = 0) -> Layout:
        """Return the layout that it has for one of its tensors, one of several by number."""
        pointer = library().function("primitive_desc_query_md")(self, of, number)
        return Layout(library().make("memory_desc_clone", pointer))


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
    relu: bool,
    unsound: Collection[str] = (),
) -> Description:
    """act(b + w * x); weights are [O, I, H, W], or [G, O/G, I/G, H, W] in groups."""
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
        as_sizes([d - 1 for d in dilation]),
        as_sizes(before),
        as_sizes(after),
        _attributes(relu=relu),
        unsound=unsound,
    )


def inner_product(
    source: Layout, weights: Layout, bias: Layout | None, destination: Layout, *, relu: bool
) -> Description:
    """act(w x + b); weights are [O, I], or [O, C, H, W] for a map."""
    attributes = _attributes(relu=relu)
    arguments = (source, weights, bias, destination, attributes)
    return Description("inner_product_forward", library().engine, INFERENCE, *arguments)


def pooling(
    source: Layout,
    destination: Layout,
    algorithm: Algorithm,
    *,
    kernel: Pair,
    stride: Pair,
    before: Pair,
    after: Pair,
    bias: Layout | None = None,
    relu: bool = False,
) -> Description:
    """act(pool(x) + b); the bias is [1, C, 1, 1]."""
    return Description(
        "pooling_forward",
        library().engine,
        INFERENCE,
        algorithm,
        source,
        destination,
        as_sizes(stride),
        as_sizes(kernel),
        as_sizes((0, 0)),
        as_sizes(before),
        as_sizes(after),
        _attributes(bias=bias, relu=relu),
    )


def lrn(
    source: Layout, destination: Layout, *, n: int, alpha: float, beta: float, k: float
) -> Description:
    """x / (k + alpha sum of x^2 over n channels) ^ beta, with alpha as it is."""
    return Description(
        "lrn_forward",
        library().engine,
        INFERENCE,
        Algorithm.LRN_ACROSS_CHANNELS,
        source,
        destination,
        n,
        alpha * n,  # which the library divides by n
        beta,
        k,
        _attributes(),
    )


def softmax(layout: Layout) -> Description:
    """exp(x) / sum of exp(x) over the channels."""
    arguments = (Algorithm.SOFTMAX, layout, layout, CHANNELS, _attributes())
    return Description("softmax_forward", library().engine, INFERENCE, *arguments)


def concatenation(sources: Sequence[Layout], destination: Layout) -> Description:
    """Channels one after the other."""
    pointers = (c_void_p * len(sources))(*map(_pointer, sources))
    arguments = (destination, len(sources), CHANNELS, pointers, _attributes())
    return Description("concat", library().engine, *arguments)


def _reordering(source: Layout, destination: Layout) -> Description:
    engine = library().engine
    arguments = (source, engine, destination, engine, _attributes())
    return Description("reorder", *arguments, may_be_reference=True)


def _attributes(*, bias: Layout | None = None, relu: bool = False) -> Handle:
    """Return attributes: scratchpads are ours; a bias and a ReLU follow the primitive itself."""
    call, attributes = library().function, library().make("primitive_attr_create")
    call("primitive_attr_set_scratchpad_mode")(attributes, USER_SCRATCHPAD)
    then = library().make("post_ops_create")
    if bias is not None:
        call("post_ops_append_binary")(then, Algorithm.ADD, bias)
    if relu:
        call("post_ops_append_eltwise")(then, Algorithm.RELU, 0.0, 0.0)
    call("primitive_attr_set_post_ops")(attributes, then)
    return attributes


# ------------------------------------------------------------------------------------ launches


class Memory:
    """The memory of a tensor of some layout: that of a tensor of PyTorch, a part of a scratch that
    is set later, or that of another.  It keeps its owner alive.

    Raises:
        TypeError, ValueError: the tensor is not what the layout says.
    """

    def __init__(self, layout: Layout, within: Tensor | Scratch | Memory) -> None:
        self.layout, self._within = layout, within
        self._here: list[Memory] = []
        """Others in the same place, which move with it."""
        start = None
        if not isinstance(within, Scratch | Memory):
            start = address(within, "an operand of oneDNN", layout.dtype, layout.axes)
        self._as_parameter_ = library().make("memory_create", layout, library().engine, start)
        if isinstance(within, Scratch):
            within.take(layout.bytes, self._move)
        elif isinstance(within, Memory):
            assert isinstance(within._within, Scratch)
            assert within.layout.bytes == layout.bytes
            within._here.append(self)

    def _move(self, start: int) -> None:
        for memory in (self, *self._here):
            library().function("memory_set_data_handle")(memory, start)
        self._here.clear()


class _Pair(Structure):
    _fields_ = (("argument", c_int), ("memory", c_void_p))


class _Arguments:
    """A list of the library's, with what its pointers point to."""

    def __init__(self, memories: Sequence[tuple[int, Memory]]) -> None:
        self._memories = memories
        pairs = [_Pair(argument, _pointer(memory)) for argument, memory in memories]
        self._as_parameter_ = (_Pair * len(pairs))(*pairs)


def _pointer(owner: Layout | Memory) -> c_void_p:
    handle: Handle = owner._as_parameter_
    return handle._as_parameter_


def launch(
    description: Description, memories: Iterable[tuple[int, Memory]], scratch: Scratch
) -> Launch:
    """Return a call that runs a primitive, with everything fixed; it holds all that it needs.

    Args:
        description: the primitive.
        memories: those of its operands and its result, by their roles.
        scratch: the scratch that it asks for work space.

    Raises:
        ValueError: an operand lies otherwise than the primitive reads it.
    """
    primitive = library().make("primitive_create", description)
    layout = description.layout(Query.SCRATCHPAD)
    arguments = list(memories)
    _check(description, arguments)
    if layout.bytes:
        arguments.append((Argument.SCRATCHPAD, Memory(layout, scratch)))
    execute = library().function("primitive_execute")
    return partial(execute, primitive, library().stream, len(arguments), _Arguments(arguments))


def _check(description: Description, memories: Sequence[tuple[int, Memory]]) -> None:
    for argument, memory in memories:
        if description.layout(Query.OPERAND, argument) != memory.layout:
            known = argument in {*Argument}
            name = Argument(argument).name.lower() if known else "source"
            raise ValueError(f"{name} does not lie as oneDNN reads it")


def reorder(x: Tensor, source: Layout, y: Tensor, destination: Layout) -> None:
    """Copy from one layout to another, now."""
    scratch = Scratch()
    memories = [
        (Argument.SOURCE, Memory(source, x)),
        (Argument.DESTINATION, Memory(destination, y)),
    ]
    run = launch(_reordering(source, destination), memories, scratch)
    scratch.hand_out()
    run()
