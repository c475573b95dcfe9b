"""Carry compiled kernels from one machine's Triton cache to another's.

A cache has a folder for each kernel, named by its key.  A file in it, the group, has the paths of
the others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

KERNELS = "kernels.zip"
"""The kernels of a bundle: compressed, they have a quarter of the size."""

KEPT = (".cubin", ".json")
"""The machine code and its description.  The other files, from the source to PTX, are ten times as
large, and no launch reads them."""

GROUP = "__grp__"


def carry(keys: Iterable[str], source: Path, target: Path) -> int:
    """Copy kernels to a new cache; return their number.

    The paths in groups become those of the new cache: Triton takes a kernel only if all files of
    its group exist.
    """
    count = 0
    for key in keys:
        folder = target / key
        folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in (source / key).iterdir() if path.suffix in KEPT]
        for name in names:
            shutil.copyfile(source / key / name, folder / name)
        for name in names:
            if name.startswith(GROUP):
                files = [other for other in names if not other.startswith(GROUP)]
                paths = {other: str(folder / other) for other in files}
                text = json.dumps({"child_paths": paths})
                (folder / name).write_text(text, encoding="utf-8")
        count += any(name.endswith(".cubin") for name in names)
    return count
