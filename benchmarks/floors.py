"""What the GPU is, and how fast it copies and multiplies random data: a line of JSON.

    python -m benchmarks.floors [--describe]

``--describe`` measures nothing.  Clocks and power are told as they are found, and never changed.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from benchmarks import measuring
from netspec.timing.machine import alike, asked_of_driver, gpu

DTYPES = ("bf16", "fp16")
ASKED = (
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "power.limit",
    "power.draw",
    "temperature.gpu",
    "mig.mode.current",
    "ecc.mode.current",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--describe", action="store_true")
    is_described = parser.parse_args().describe
    print(json.dumps(described() if is_described else rates(measuring.on_gpu(rounds=15))))


def described() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return gpu() | {
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": properties.L2_cache_size,
        "as_found": asked_of_driver(*ASKED),
    }


def rates(bench: measuring.Bench, **sizes: int) -> dict[str, Any]:
    """Return for each type the bytes copied a second, read and written, and operations a second."""
    by_dtype: dict[str, Any] = {}
    with alike(torch.device(bench.device)):
        for dtype in DTYPES:
            machine = measuring.constants(bench, dtype, **sizes)
            by_dtype[dtype] = {
                "copy_bytes_per_second": machine.copy,
                "product_operations_per_second": machine.product,
            }
    return by_dtype


if __name__ == "__main__":
    main()
