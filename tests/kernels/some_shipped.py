"""Compile one launch of each family and type for its targets: a row each, as JSON, a line each.

Which one depends on nothing but the names of family and type, so that it is the same every time.
"""

from __future__ import annotations

import json
from zlib import crc32

from netspec.kernels.shipped import CAPABILITIES, DTYPES, FAMILIES, ONLY_ON, launches, row

if __name__ == "__main__":
    for family in FAMILIES:
        for dtype in DTYPES:
            choices = list(launches(family, dtype))
            label, launch = choices[crc32(f"{family} {dtype}".encode()) % len(choices)]
            for capability in ONLY_ON.get(family, CAPABILITIES):
                print(json.dumps(row(family, dtype, label, launch, capability)), flush=True)
