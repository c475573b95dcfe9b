"""Compile a launch of each family for its targets: a row each, as JSON, a line each.

Types take turns, so that the families share them out; ``all`` compiles a launch of every type.
Which launch it is depends on nothing but the names of family and type, so that it is the same every
time.
"""

from __future__ import annotations

import json
import sys
from zlib import crc32

from netspec.kernels.shipped import CAPABILITIES, DTYPES, FAMILIES, ONLY_ON, launches, row

if __name__ == "__main__":
    for number, family in enumerate(FAMILIES):
        for dtype in DTYPES if sys.argv[1:] == ["all"] else [DTYPES[number % len(DTYPES)]]:
            choices = list(launches(family, dtype))
            label, launch = choices[crc32(f"{family} {dtype}".encode()) % len(choices)]
            for capability in ONLY_ON.get(family, CAPABILITIES):
                print(json.dumps(row(family, dtype, label, launch, capability)), flush=True)
