"""Print the description of the GPU and its rates of copies and matrix products, as JSON.

    python -m benchmarks.floors [--describe]

With ``--describe``, only the description is printed.  Clocks and power are reported but not
changed.
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
    """Return for each type the bytes per second of a copy (reads and writes counted), and the
    operations per second of a matrix product."""
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
