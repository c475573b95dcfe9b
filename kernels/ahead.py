"""Compile launches ahead, for a GPU that is elsewhere, and read what came out.

The signature of a launch is what Triton would derive on the GPU: types, which pointers and sizes
16 divides, which integers are 1.  So the code is the code that a real launch would run.  Tensors
may be on PyTorch's ``meta`` device, which takes no memory.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import triton
from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler.compiler import get_cache_invalidating_env_vars, make_backend
from triton.runtime.cache import get_cache_key
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.kernels.launch import OPTIONS, Launch

SHARED_MEMORY = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that one block may use, by compute capability."""

WARPS, BLOCKS, REGISTERS, SHARED = 64, 32, 65536, {80: 164 * 1024, 90: 228 * 1024}
"""What a multiprocessor of capability 8.0 or 9.0 holds at once."""

_NAMES = {
    "torch.float16": "fp16",
    "torch.bfloat16": "bf16",
    "torch.float32": "fp32",
    "torch.float64": "fp64",
    "torch.uint8": "u8",
    "torch.int32": "i32",
    "torch.int64": "i64",
}


def compile(launch: Launch, capability: int) -> Any:
    """Compile a launch for ``sm_<capability>``; needs neither a GPU nor its driver.

    The machine code is that of a launch, without the table of the lines of source that it is of.

    Returns:
        Triton's compiled kernel, with ``asm["cubin"]`` and ``metadata``.

    Raises:
        RuntimeError: Triton's interpreter is on, which compiles nothing.
    """
    if not isinstance(launch.kernel, triton.JITFunction):
        raise RuntimeError("nothing is compiled while TRITON_INTERPRET=1")
    with knobs.compilation.scope():
        knobs.compilation.disable_line_info = True  # lines are those of files in folders here
        return triton.compile(source(launch), target=_target(capability), options=_options(launch))


def key(launch: Launch, capability: int) -> str:
    """The key under which Triton's cache has what the launch runs on a GPU of this capability."""
    backend = make_backend(_target(capability))
    options = backend.parse_options(_options(launch))
    text = get_cache_key(source(launch), backend, options, get_cache_invalidating_env_vars())
    return sha256(text.encode()).hexdigest()


def _target(capability: int) -> GPUTarget:
    return GPUTarget("cuda", capability, 32)


def _options(launch: Launch) -> dict[str, Any]:
    return {"num_warps": launch.warps, "num_stages": launch.stages, **OPTIONS}


def source(launch: Launch) -> ASTSource:
    """The kernel as a launch specialises it, to the letter: it is part of the key."""
    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(launch.kernel.params):
        name, value = parameter.name, launch.arguments[parameter.name]
        kind, mark = ("constexpr", "") if parameter.is_constexpr else specialization(value)
        signature[name] = kind
        if kind == "constexpr":
            constants[name] = value
        if mark is not None:
            attributes[(place,)] = [["tt.divisibility", 16]] if mark == DIVISIBLE else []
    return ASTSource(launch.kernel, signature, constants, attributes)


DIVISIBLE = "D"
"""Triton's mark of an address or a number that 16 divides."""


def specialization(value: Any) -> tuple[str, str | None]:
    """The type that Triton gives a run-time argument, and its mark.

    That is :data:`DIVISIBLE`, or empty where it could have been, and None where it could not.
    """
    if isinstance(value, Tensor):
        address = 0 if value.device.type == "meta" else value.untyped_storage().data_ptr()
        address += int(value.storage_offset()) * value.element_size()
        return f"*{_NAMES[str(value.dtype)]}", _mark(address)
    if isinstance(value, TensorDescriptor):
        block = ", ".join(map(str, value.block_shape))
        return f"tensordesc<{_NAMES[str(value.base.dtype)]}[{block}]>", None
    if value is None or (isinstance(value, int) and value == 1 and value is not True):
        return "constexpr", ""
    if isinstance(value, bool):
        return "u1", None
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64", _mark(value)
    return "fp32", None


def _mark(number: int) -> str:
    return DIVISIBLE if number % 16 == 0 else ""


@dataclass(frozen=True)
class Resources:
    """What a compiled kernel takes, and which instructions its loops are made of.

    ``registers`` are a thread's, ``stack`` and ``local`` bytes a thread (0 unless it spills),
    ``shared`` bytes a block; ``instructions`` counts the opcodes of the machine code, each with
    its modifiers, such as ``LDG.E.128``.
    """

    registers: int
    stack: int
    local: int
    shared: int
    warps: int
    capability: int
    instructions: Mapping[str, int]

    @property
    def occupancy(self) -> float:
        """Warps that can be resident on a multiprocessor, of all that it has room for."""
        granted = -(-max(self.registers, 1) * 32 // 256) * 256  # registers come to a warp in 256s
        by_registers = REGISTERS // granted // self.warps
        by_shared = SHARED[self.capability] // max(1, self.shared + 1024)
        resident = min(by_registers, by_shared, BLOCKS, WARPS // self.warps)
        return resident * self.warps / WARPS

    def count(self, opcode: str, modifier: str = "") -> int:
        """How many instructions are ``opcode``, such as ``HGMMA``; with a modifier, those alone
        that carry it: ``count("LDG", "128")`` are the loads of 16 bytes."""
        return sum(
            n
            for name, n in self.instructions.items()
            if name.split(".")[0] == opcode and (not modifier or modifier in name.split("."))
        )


def resources(compiled: Any) -> Resources:
    """Read the machine code of a compiled kernel, by the tools that come with Triton."""
    usage = _cuobjdump(compiled, "-res-usage")
    used = {key: int(n) for key, n in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    counts: dict[str, int] = {}
    code = _cuobjdump(compiled, "-sass")
    for opcode in re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", code):
        counts[opcode] = counts.get(opcode, 0) + 1
    return Resources(
        registers=used["REG"],
        stack=used["STACK"],
        local=used["LOCAL"],
        shared=int(compiled.metadata.shared),
        warps=int(compiled.metadata.num_warps),
        capability=int(compiled.metadata.target.arch),
        instructions=counts,
    )


def _cuobjdump(compiled: Any, what: str) -> str:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        done = subprocess.run(
            [str(tool), what, file.name], capture_output=True, text=True, check=True
        )
    return done.stdout
