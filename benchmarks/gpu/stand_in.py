"""A stand-in for a GPU's driver: launches go the whole way, and end before the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import CudaLauncher


@dataclass
class Utilities:
    """What loads machine code."""

    loaded: list[bytes] = field(default_factory=list)

    def load_binary(self, name: str, code: bytes, shared: int, device: int) -> tuple[int, ...]:
        self.loaded.append(code)
        registers, spills, threads = 32, 0, 1024
        return 1, 2, registers, spills, threads

    def unload_module(self, module: int) -> None:
        pass

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": 227 * 1024}


@dataclass
class StandIn:
    """One GPU of a capability; counts launches.

    With ``builds_launchers``, which needs the library of a driver, Triton also compiles the C code
    that launches each kernel, and keeps it in its cache.
    """

    capability: int
    builds_launchers: bool = False
    utils: Utilities = field(default_factory=Utilities)
    launched: list[tuple[int, ...]] = field(default_factory=list)

    def get_current_device(self) -> int:
        return self.capability  # Triton keeps what it compiled by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def launcher_cls(self, source: Any, metadata: Any) -> Callable[..., None]:
        if self.builds_launchers:
            CudaLauncher(source, metadata)
        return lambda *arguments: self.launched.append(arguments[:3])
