"""The name and the maker of the processor."""

from __future__ import annotations

import platform
import re
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


def processor_name() -> str:
    """Return the name of the processor; its architecture if the system does not report a name.

    "Intel(R) Xeon(R) Processor @ 2.80GHz" is "Intel Xeon @ 2.80GHz".
    """
    reported = re.sub(r"\((R|TM)\)", "", property_of("model name"))
    words = [word for word in reported.split() if word not in ("CPU", "Processor")]
    return " ".join(words) or platform.processor() or platform.machine()


def is_intel() -> bool:
    """Return True if Intel made the processor; False if the system does not report a maker."""
    return property_of("vendor_id") == "GenuineIntel"
