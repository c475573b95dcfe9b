"""Put the kernels of an artifact into Triton's own cache, where launches find them.

Triton stores compiled kernels on disk under a key: the SHA-256 of its own version and sources, the
kernel's source, the specialisation by a launch, the GPU, and the compiler's options.  A kernel that
was compiled ahead of time is stored under the key that a launch will compute.  If anything differs,
the key differs too, and the kernel is compiled from the installed sources.
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
"""Metadata that no launch reads and that differ between machines: a folder, and another key."""


def noted(compiled: Any) -> dict[str, Any]:
    """Return the metadata that Triton stores with a compiled kernel, without :data:`LEFT_OUT`."""
    (path,) = (path for name, path in compiled.metadata_group.items() if name.endswith(".json"))
    metadata: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return {key: value for key, value in metadata.items() if key not in LEFT_OUT}


def put(files: Mapping[str, bytes]) -> None:
    """Put compiled kernels into the cache; existing entries are not replaced.

    Args:
        files: the unchanged result of :func:`~netspec.backends.cuda.ahead.compiled_kernels`.  The
            caller must trust them: they are code for the GPU.

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
