"""Kernels of an artifact in Triton's own cache, where launches find them instead of compiling.

Triton keeps compiled kernels on disk under a key: the SHA-256 of its own version and sources, the
kernel's source, how a launch specialises it, the GPU, and the compiler's options.  A kernel that
was compiled ahead lies there under the key that a launch computes; where anything differs, so does
the key, and the kernel is built from the sources that are installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triton.runtime.cache import get_cache_manager

INDEX = "kernels.json"
"""The name of the index among the files of :func:`~netspec.backends.cuda.ahead.compiled_kernels`.
"""

LEFT_OUT = ("extern_libs", "hash")
"""Metadata of a kernel that no launch reads: a folder of the machine, and another key."""


def noted(compiled: Any) -> dict[str, Any]:
    """Return the metadata that Triton keeps of a compiled kernel, without :data:`LEFT_OUT`."""
    (path,) = (path for name, path in compiled.metadata_group.items() if name.endswith(".json"))
    metadata: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return {key: value for key, value in metadata.items() if key not in LEFT_OUT}


def put(files: Mapping[str, bytes]) -> None:
    """Put compiled kernels into the cache; those that are there already stay as they are.

    Args:
        files: as from :func:`~netspec.backends.cuda.ahead.compiled_kernels`, and as it made them:
            they are code for the GPU.

    Raises:
        OSError: the cache cannot be written.
    """
    for key, kept in json.loads(files[INDEX])["cache"].items():
        name, manager = kept["name"], get_cache_manager(key)
        if manager.get_group(f"{name}.json") is None:
            contents = {
                "cubin": files[kept["kernel"]],
                "json": json.dumps(kept["metadata"]).encode(),
            }
            group = {f"{name}.{kind}": data for kind, data in contents.items()}
            paths = {file: manager.put(data, file) for file, data in group.items()}
            manager.put_group(f"{name}.json", paths)
