"""Compile launches ahead of time, for a GPU that is not present, and analyse the machine code.

The signature of a launch is the one that Triton would derive on the GPU: types, pointers and sizes
that are divisible by 16, and integers that are 1.  So the code is that of a real launch.  Tensors
may be on PyTorch's ``meta`` device, which needs no memory.
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
"""Maximum shared memory of a block in bytes, by compute capability."""

WARPS, BLOCKS, REGISTERS, SHARED = 64, 32, 65536, {80: 164 * 1024, 90: 228 * 1024}
"""Limits of a multiprocessor of capability 8.0 or 9.0: warps, blocks, registers, shared bytes."""

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
    """Compile a launch for ``sm_<capability>``; this needs neither a GPU nor its driver.

    The machine code is that of a real launch, without the table of source lines.

    Returns:
        Triton's compiled kernel, with ``asm["cubin"]`` and ``metadata``.

    Raises:
        RuntimeError: if Triton's interpreter is on, which does not compile.
    """
    if not isinstance(launch.kernel, triton.JITFunction):
        raise RuntimeError("kernels cannot be compiled while TRITON_INTERPRET=1 is set: unset it")
    with knobs.compilation.scope():
        # line tables contain paths of this machine, which must not get into artifacts
        knobs.compilation.disable_line_info = True
        ahead = source(launch, capability)
        return triton.compile(ahead, target=_target(capability), options=_options(launch))


def key(launch: Launch, capability: int) -> str:
    """Return the key of a launch in Triton's cache, for a GPU of this capability."""
    backend = make_backend(_target(capability))
    options = backend.parse_options(_options(launch))
    ahead = source(launch, capability)
    text = get_cache_key(ahead, backend, options, get_cache_invalidating_env_vars())
    return sha256(text.encode()).hexdigest()


def _target(capability: int) -> GPUTarget:
    return GPUTarget("cuda", capability, 32)


def _options(launch: Launch) -> dict[str, Any]:
    return {"num_warps": launch.warps, "num_stages": launch.stages, **OPTIONS}


def source(launch: Launch, capability: int) -> ASTSource:
    """Return the specialised source of a launch, as Triton makes it for a real launch.

    It is part of the cache key.  Triton's own function makes it, because its entries for arguments
    that are compiled in differ between versions: 3.6 has none, 3.9 has an empty one for each.
    """
    arguments = {p.name: launch.arguments[p.name] for p in launch.kernel.params}
    specialised = [
        ("constexpr", arguments[p.name]) if p.is_constexpr else specialization(arguments[p.name])
        for p in launch.kernel.params
    ]
    backend = make_backend(_target(capability))
    _, signature, constants, attributes = launch.kernel._pack_args(
        backend, _options(launch), arguments, specialised, None
    )
    return ASTSource(launch.kernel, signature, constants, attributes)


DIVISIBLE = "D"
"""Triton's mark for an address or a number that is divisible by 16."""


def specialization(value: Any) -> tuple[str, Any]:
    """Return the type that Triton gives a run-time argument, and its mark.

    The mark is :data:`DIVISIBLE`; or empty, if the number is not divisible by 16; or the value
    itself, if it is compiled in; or None, if values of this type have no mark.
    """
    if isinstance(value, Tensor):
        address = 0 if value.device.type == "meta" else value.untyped_storage().data_ptr()
        address += int(value.storage_offset()) * value.element_size()
        return f"*{_NAMES[str(value.dtype)]}", _mark(address)
    if isinstance(value, TensorDescriptor):
        block = ", ".join(map(str, value.block_shape))
        return f"tensordesc<{_NAMES[str(value.base.dtype)]}[{block}]>", None
    if value is None or (isinstance(value, int) and value == 1 and value is not True):
        return "constexpr", value
    if isinstance(value, bool):
        return "u1", None
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64", _mark(value)
    return "fp32", None


def _mark(number: int) -> str:
    return DIVISIBLE if number % 16 == 0 else ""


@dataclass(frozen=True)
class Resources:
    """The resources that a compiled kernel uses, and its instructions.

    Attributes:
        registers: registers per thread.
        stack, local: bytes per thread; 0 unless the kernel spills registers.
        shared: bytes of shared memory per block.
        warps: warps per block.
        capability: compute capability times ten.
        instructions: number of instructions by opcode with modifiers, such as ``LDG.E.128``.
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
        """Resident warps of a multiprocessor as a share of its maximum, 0 to 1."""
        # registers of a warp are allocated in units of 256
        granted = -(-max(self.registers, 1) * 32 // 256) * 256
        by_registers = REGISTERS // granted // self.warps
        by_shared = SHARED[self.capability] // max(1, self.shared + 1024)
        resident = min(by_registers, by_shared, BLOCKS, WARPS // self.warps)
        return resident * self.warps / WARPS

    def count(self, opcode: str, modifier: str = "") -> int:
        """Return the number of instructions with an opcode, such as ``HGMMA``.

        With a modifier, only instructions with that modifier count: ``count("LDG", "128")`` is the
        number of 16-byte loads.
        """
        return sum(
            n
            for name, n in self.instructions.items()
            if name.split(".")[0] == opcode and (not modifier or modifier in name.split("."))
        )


def resources(compiled: Any) -> Resources:
    """Return the resources of a compiled kernel, read with the tools that come with Triton."""
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
