"""Read what a pickle of PyTorch describes: tensors by name, in dictionaries and lists.

Unpickling calls the functions that a pickle names.  This reader calls none: a tensor becomes a
:class:`Described`, a dictionary a dict, and a function that is not in a table is an error.  So
nothing can be executed, and the sizes that a file claims are known before memory is allocated.
PyTorch's own reader with ``weights_only`` does not have the second property.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import torch

from netspec.files.members import shown
from netspec.pretrained.formats.common import Damaged

SAVE_AGAIN = (
    "load the model in PyTorch, if you trust the file, and save its tensors: "
    "torch.save(model.state_dict(), FILE)"
)

DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
}
"""Types by the names of storages, without ``Storage``."""

IGNORED = frozenset({
    "__builtin__.set", "_codecs.encode", "argparse.Namespace", "builtins.set",
    "collections.Counter", "collections.defaultdict", "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar", "numpy.dtype", "numpy.ndarray",
    "torch.device", "torch.serialization._get_layout",
})  # fmt: skip
"""What checkpoints contain next to weights, such as options of training: it is not read."""

MOST_DIMENSIONS = 64

LARGEST = 2**63 - 1
"""The largest size, stride or offset of a tensor in PyTorch."""


@dataclass(frozen=True)
class Storage:
    """Consecutive values in a file.

    Attributes:
        key: the name of the storage in the file.
        dtype: the type of the values.
        count: the number of values.
    """

    key: str
    dtype: torch.dtype
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class Described:
    """A tensor whose values have not been read.

    Attributes:
        storage: the values.
        dtype: the type of the tensor; that of the storage, unless the storage has bytes.
        offset: the place of the first value in the storage, in values.
        shape, strides: as PyTorch has them.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    """A class or function that a pickle names."""

    name: str


class _Ignored:
    """An object that is not read."""


IGNORED_OBJECT = _Ignored()


def described(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Return what the next pickle in a file describes, and its storages by key.

    Args:
        file: at the first byte; it must be in memory, since strings claim their lengths.

    Raises:
        Damaged: the pickle is damaged, or would execute code that is not of tensors.
    """
    machine = _Machine()
    return machine.run(_operations(file)), machine.storages


def _operations(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    try:
        for operation, argument, _ in pickletools.genops(file):
            yield operation.name, argument
    except (ValueError, UnicodeDecodeError, OverflowError):
        raise Damaged("its pickle is truncated or damaged") from None


class _Machine:
    """Interprets the operations of a pickle: a stack, marks in it, and objects that are reused."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, operations: Iterator[tuple[str, Any]]) -> Any:
        try:
            for name, argument in operations:
                self._step(name, argument)
            return self._stack.pop()
        # operands that are not there, or of other types or numbers
        except (IndexError, KeyError, TypeError, ValueError, AttributeError):
            raise Damaged("its pickle is damaged") from None

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "STOP" | "FRAME":
                pass
            case "MARK":
                self._marks.append(stack)
                self._stack = []
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"D": {}, "L": [], "T": ()}[name[6]])
            case "TUPLE":
                items = self._since_mark()
                self._stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[len(stack) - count :])]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "GLOBAL":
                stack.append(_Global(argument.replace(" ", ".")))
            case "APPEND":
                stack[-2].append(stack.pop())
            case "APPENDS":
                items = self._since_mark()
                self._stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _store(stack[-1], [key, value])
            case "SETITEMS":
                items = self._since_mark()
                _store(self._stack[-1], items)
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_called(function, arguments))
            case "BUILD":  # attributes of the object before it: none has a use here
                stack.pop()
            case "BINPERSID":
                stack.append(self._known(_storage(stack.pop())))
            case (
                "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE"
                | "BINSTRING" | "SHORT_BINSTRING"
            ):  # fmt: skip
                stack.append(argument)
            case _:
                raise Damaged(
                    f"its pickle has the operation {name}, unlike state dicts", SAVE_AGAIN
                )

    def _known(self, storage: Storage) -> Storage:
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Damaged(f"it describes its storage {shown(storage.key)} in two ways")
        return storage

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items


def _store(target: Any, items: Sequence[Any]) -> None:
    if target is IGNORED_OBJECT:
        return
    if not isinstance(target, dict):
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=False):
        if isinstance(key, str | int):  # hashing a nested tuple can take forever
            target[key] = value


# ---------------------------------------------------------------------------------------- functions


def _called(function: Any, arguments: Any) -> Any:
    """Return what a function of PyTorch makes of arguments."""
    if function is IGNORED_OBJECT:
        return IGNORED_OBJECT
    match function.name, arguments:
        case "collections.OrderedDict", ():
            return {}
        case "collections.OrderedDict", ([*pairs],):  # of Python 2
            made: dict[Any, Any] = {}
            _store(made, [item for key, value in pairs for item in (key, value)])
            return made
        case "torch.Size", ([*sizes],):
            return tuple(sizes)
        case "torch._utils._rebuild_tensor", (storage, offset, shape, strides):
            return _tensor(storage, storage.dtype, offset, shape, strides)
        case "torch._utils._rebuild_tensor_v2", (storage, offset, shape, strides, _, _, *bits):
            _require_plain(bits)
            return _tensor(storage, storage.dtype, offset, shape, strides)
        case "torch._utils._rebuild_tensor_v3", (
            storage, offset, shape, strides, _, _, _Global(name), *bits
        ):  # fmt: skip
            _require_plain(bits)
            dtype = getattr(torch, name.removeprefix("torch."), None)
            if not isinstance(dtype, torch.dtype) or name.endswith("_x2"):  # two values per byte
                raise Damaged(f"it has a tensor of the type {shown(name)}", SAVE_AGAIN)
            return _tensor(storage, dtype, offset, shape, strides)
        case (
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
            (Described() as tensor, *_),
        ):
            return tensor
    if function.name in IGNORED:
        return IGNORED_OBJECT
    if function.name.startswith("torch._utils._rebuild"):
        advice = _plain("dequantize" if function.name.endswith("_qtensor") else "to_dense")
        raise Damaged(f"it has tensors that are not dense ({shown(function.name)})", advice)
    raise _code(function.name)


def _plain(method: str) -> str:
    """Return how to save a state dict with plain tensors, which a method of tensors returns."""
    return (
        "load the state dict in PyTorch, if you trust the file, and save it again: "
        f"torch.save({{name: tensor.{method}() for name, tensor in state.items()}}, FILE)"
    )


def _code(name: str) -> Damaged:
    return Damaged(f"it contains code ({shown(name)}), which is not executed", SAVE_AGAIN)


def _require_plain(bits: Sequence[Any]) -> None:
    if any(bits):
        raise Damaged(
            "it has a tensor that is negated or conjugated when it is used", _plain("resolve_neg")
        )


def _storage(identifier: Any) -> Storage:
    match identifier:
        case ("storage", _Global(name), str(key) | int(key), _, int(count), *view) if count >= 0:
            kind = name.rpartition(".")[2].removesuffix("Storage")
            if any(view):
                raise Damaged("its storages are views of others, as in PyTorch 0.3", SAVE_AGAIN)
            if kind not in DTYPES:
                advice = _plain("dequantize") if kind.startswith("Q") else SAVE_AGAIN
                raise Damaged(f"it has values of the type {shown(name)}", advice)
            return Storage(str(key), DTYPES[kind], count)
        case ("module", _Global(name), *_):
            raise _code(name)
    raise TypeError


def _tensor(storage: Any, dtype: torch.dtype, offset: Any, shape: Any, strides: Any) -> Described:
    """Return a tensor, after checking that it is within its storage.

    A tensor that repeats values, such as one with a stride of 0, may claim any size.
    """
    if not isinstance(storage, Storage):
        raise TypeError
    sizes, steps = tuple(shape), tuple(strides)
    numbers = (offset, *sizes, *steps)
    count = storage.nbytes // dtype.itemsize
    if not all(type(number) is int and 0 <= number <= LARGEST for number in numbers):
        raise TypeError
    if len(sizes) != len(steps) or storage.nbytes % dtype.itemsize:
        raise TypeError
    if len(sizes) > MOST_DIMENSIONS:
        raise Damaged(f"it has a tensor with {len(sizes)} dimensions")
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if prod(sizes) and (last >= count or prod(sizes) > count):
        raise Damaged(f"a tensor claims {prod(sizes):,} values, and {count:,} are stored for it")
    return Described(storage, dtype, offset, sizes, steps)
