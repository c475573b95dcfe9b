"""Import every module of netspec.

With ``python -W error -m tests.imported``, a warning of a module, or of a package that it imports,
is an error.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import numpy as np
import torch
import triton

import netspec


def everything() -> list[str]:
    """The names of all modules, each imported; those of packages that are missing are left out."""
    names = []
    for module in pkgutil.walk_packages(netspec.__path__, "netspec."):
        if not module.name.endswith(".__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if (error.name or "netspec").startswith("netspec"):
                    raise
            else:
                names.append(module.name)
    return names


if __name__ == "__main__":
    print(
        f"{len(everything())} modules, Python {sys.version.split()[0]}, torch {torch.__version__}, "
        f"triton {triton.__version__}, numpy {np.__version__}"
    )
