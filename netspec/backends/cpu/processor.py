"""The name and the maker of the processor."""

from __future__ import annotations

import platform
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def property_of(key: str) -> str:
    """Return a property of the processor as Linux reports it, or "" if it does not."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


def name() -> str:
    """Return the name of the processor; its architecture if the system does not report a name."""
    return property_of("model name") or platform.processor() or platform.machine()


def is_intel() -> bool:
    """Return True if Intel made the processor; False if the system does not report a maker."""
    return property_of("vendor_id") == "GenuineIntel"
