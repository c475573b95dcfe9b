"""Describe the GPU and the tools of this machine; change no settings."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import torch
import triton

from benchmarks.gpu.journal import Log

TOOLS = ("gcc", "compute-sanitizer", "ncu", "nvidia-smi")


def main() -> int:
    from benchmarks.floors import described

    # Not by the names of distributions: some machines have Triton as pytorch-triton.
    versions = {one.__name__: str(one.__version__) for one in (torch, triton, np)}
    tools = {name: shutil.which(name) or "" for name in TOOLS}
    found = {"python": sys.version.split()[0], "packages": versions, "tools": tools}
    log = Log.of_environment()
    if not torch.cuda.is_available():
        log.result("machine", error="PyTorch does not find a GPU", **found)
        return 1
    torch.ones(1, device="cuda").add_(1).cpu()  # the driver works
    log.result("machine", **found, **described())
    return 0


if __name__ == "__main__":
    sys.exit(main())
