"""The C library of oneDNN: find it, load it, declare its functions, raise its errors.

It comes from PyPI as ``onednn-cpu-gomp``, for Linux on x86-64.  Like PyTorch it uses libgomp.
PyTorch's copy of libgomp is already loaded and is used by both, so that they share one pool of
threads.  With two pools, the threads of one would spin while the other computes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from ctypes import CDLL, POINTER, byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from enum import IntEnum
from functools import cache
from importlib import metadata
from typing import Any

import torch

DISTRIBUTION = "onednn-cpu-gomp"
FILE = "libdnnl.so.3"

CPU_ENGINE = 1
IN_ORDER = 1
MOST_AXES = 12
"""The length of every array of sizes (``DNNL_MAX_NDIMS``)."""

OUT = POINTER(c_void_p)
HANDLE = c_void_p
SIZES = c_int64 * MOST_AXES

SIGNATURES: dict[str, Sequence[Any]] = {
    "engine_create": (OUT, c_int, c_size_t),
    "engine_destroy": (HANDLE,),
    "stream_create": (OUT, HANDLE, c_int),
    "stream_destroy": (HANDLE,),
    "memory_desc_create_with_strides": (OUT, c_int, SIZES, c_int, SIZES),
    "memory_desc_create_with_tag": (OUT, c_int, SIZES, c_int, c_int),
    "memory_desc_clone": (OUT, HANDLE),
    "memory_desc_destroy": (HANDLE,),
    "memory_desc_query": (HANDLE, c_int, c_void_p),
    "memory_create": (OUT, HANDLE, HANDLE, c_void_p),
    "memory_set_data_handle": (HANDLE, c_void_p),
    "memory_destroy": (HANDLE,),
    "primitive_attr_create": (OUT,),
    "primitive_attr_set_scratchpad_mode": (HANDLE, c_int),
    "primitive_attr_set_post_ops": (HANDLE, HANDLE),
    "primitive_attr_destroy": (HANDLE,),
    "post_ops_create": (OUT,),
    "post_ops_append_eltwise": (HANDLE, c_int, c_float, c_float),
    "post_ops_append_binary": (HANDLE, c_int, HANDLE),
    "post_ops_destroy": (HANDLE,),
    "convolution_forward_primitive_desc_create": (
        *(OUT, HANDLE, c_int, c_int, HANDLE, HANDLE, HANDLE, HANDLE),
        *(SIZES, SIZES, SIZES, SIZES, HANDLE),
    ),
    "inner_product_forward_primitive_desc_create": (
        *(OUT, HANDLE, c_int, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE),
    ),
    "binary_primitive_desc_create": (OUT, HANDLE, c_int, HANDLE, HANDLE, HANDLE, HANDLE),
    "matmul_primitive_desc_create": (OUT, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE),
    "pooling_forward_primitive_desc_create": (
        *(OUT, HANDLE, c_int, c_int, HANDLE, HANDLE),
        *(SIZES, SIZES, SIZES, SIZES, SIZES, HANDLE),
    ),
    "lrn_forward_primitive_desc_create": (
        *(OUT, HANDLE, c_int, c_int, HANDLE, HANDLE, c_int64, c_float, c_float, c_float, HANDLE),
    ),
    "softmax_forward_primitive_desc_create": (
        *(OUT, HANDLE, c_int, c_int, HANDLE, HANDLE, c_int, HANDLE),
    ),
    "concat_primitive_desc_create": (
        *(OUT, HANDLE, HANDLE, c_int, c_int, POINTER(c_void_p), HANDLE),
    ),
    "reorder_primitive_desc_create": (OUT, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE),
    "primitive_desc_query": (HANDLE, c_int, c_int, POINTER(c_char_p)),
    "primitive_desc_next_impl": (HANDLE,),
    "primitive_desc_destroy": (HANDLE,),
    "primitive_create": (OUT, HANDLE),
    "primitive_execute": (HANDLE, HANDLE, c_int, c_void_p),
    "primitive_destroy": (HANDLE,),
}
"""The argument types of the functions that are called, by name without ``dnnl_``.  Each function
returns a status.  Without these types ctypes would pass 64-bit numbers and pointers as C ints."""


EXECUTE = "primitive_execute"
"""The function that runs a primitive."""


class Status(IntEnum):
    """The status that a function returns (``dnnl_status_t``)."""

    SUCCESS = 0
    OUT_OF_MEMORY = 1
    INVALID_ARGUMENTS = 2
    UNIMPLEMENTED = 3
    LAST_IMPLEMENTATION_REACHED = 4
    RUNTIME_ERROR = 5
    NOT_REQUIRED = 6


class OneDnnError(Exception):
    """A function of the library failed: out of memory, or a bug in netspec."""


class NoImplementationError(OneDnnError):
    """The library cannot compute this, or only by its slow reference implementation."""


class Handle(c_void_p):
    """A pointer to an object of the library, which is destroyed with the last reference to it."""

    destroy: Callable[[Handle], object] | None = None
    """The function that destroys the object; None until there is one."""

    # The default keeps the function while the interpreter clears its modules.
    def __del__(self, is_exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        # Not at exit: the library may already be unloaded, and the process frees everything.
        if self.destroy is not None and not is_exiting():
            self.destroy(self)


class Library:
    """The loaded library with its functions, its engine and its stream."""

    def __init__(self, path: str) -> None:
        self._loaded = CDLL(path)
        # A net calls these functions some ten thousand times when it is bound: getattr with a new
        # string each time would take as long as the calls.
        self._functions: dict[str, Any] = {}
        self._destroyers: dict[str, Any] = {}
        for name, types in SIGNATURES.items():
            function = self._function(name)
            function.argtypes, function.restype = types, c_int
            if name != EXECUTE:  # its caller checks: a small net runs it a hundred times
                function.errcheck = _checked
        self._function("primitive_desc_query_md").argtypes = (HANDLE, c_int, c_int)
        self._function("primitive_desc_query_md").restype = c_void_p
        for name, answer in (("memory_desc_get_size", c_size_t), ("memory_desc_equal", c_int)):
            self._function(name).restype = answer
        self._function("memory_desc_get_size").argtypes = (HANDLE,)
        self._function("memory_desc_equal").argtypes = (HANDLE, HANDLE)
        # A function of libgomp, which can be found through the library because it depends on it.
        self.set_threads: Callable[[int], None] = self._loaded.omp_set_num_threads
        self.engine = self.make("engine_create", CPU_ENGINE, 0)
        self.stream = self.make("stream_create", self.engine, IN_ORDER)
        """One stream for all threads: a stream of a CPU does not have a state, and a primitive runs
        in the thread that executes it."""

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            self._functions[name] = getattr(self._loaded, f"dnnl_{name}")
        return self._functions[name]

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the library by its name without ``dnnl_``."""
        function: Callable[..., Any] = self._function(name)
        return function

    def make(self, name: str, *arguments: object) -> Handle:
        """Return the object that a function creates; it is destroyed with its last reference.

        Raises:
            OneDnnError: the object cannot be created.
        """
        handle = Handle()
        self._function(name)(byref(handle), *arguments)
        if name not in self._destroyers:
            kinds = ("memory_desc", "primitive_desc")
            kind = next((k for k in kinds if k in name), name.removesuffix("_create"))
            self._destroyers[name] = self._function(f"{kind}_destroy")
        handle.destroy = self._destroyers[name]
        return handle


def _checked(status: int, function: Any, arguments: object) -> int:
    require_success(status, function.__name__)
    return status


def require_success(status: int, name: str) -> None:
    """Raise OneDnnError if a function of the library returned another status than success."""
    if status == 0:  # nearly always: SUCCESS, without the time that an IntEnum takes
        return
    if status in (Status.UNIMPLEMENTED, Status.LAST_IMPLEMENTATION_REACHED):
        raise NoImplementationError("oneDNN does not have an implementation")
    if status == Status.INVALID_ARGUMENTS and name.endswith("primitive_desc_create"):
        # For example, padding that is larger than a window, which a dilation makes possible.
        raise NoImplementationError("oneDNN does not accept these attributes")
    said = Status(status).name.lower().replace("_", " ") if status in {*Status} else status
    raise OneDnnError(f"{name}: {said}")


def missing() -> str:
    """Return the reason why the library is missing, or "" if it is loaded."""
    loaded = _load()
    return loaded if isinstance(loaded, str) else ""


def library() -> Library:
    """Return the library. Only call this if ``missing()`` is ""."""
    loaded = _load()
    assert isinstance(loaded, Library), loaded
    return loaded


@cache
def _load() -> Library | str:
    """Return the library, or the reason why it is missing."""
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return f"{DISTRIBUTION} is not installed; it exists for Linux on x86-64"
    path = next((file.locate() for file in files if file.name == FILE), None)
    if path is None:
        return f"{DISTRIBUTION} does not contain {FILE}: install it again"
    try:
        return Library(str(path))
    except OSError as error:
        return f"{DISTRIBUTION} cannot be loaded: {error}"


def share_threads() -> int:
    """Set the library's number of threads to PyTorch's, and return it.

    This must be called in each thread before primitives are created or run: libgomp stores the
    number per thread, and a primitive is created for one number.
    """
    count = torch.get_num_threads()
    library().set_threads(count)
    return count
