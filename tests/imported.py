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


def everything() -> tuple[list[str], list[str]]:
    """Import all modules; return their names, and the names of packages that some of them lack."""
    names, missing = [], set()
    for module in pkgutil.walk_packages(netspec.__path__, "netspec."):
        if not module.name.endswith(".__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if (error.name or "netspec").startswith("netspec"):
                    raise
                missing.add(str(error.name))
            else:
                names.append(module.name)
    return names, sorted(missing)


if __name__ == "__main__":
    names, missing = everything()
    print(
        f"{len(names)} modules, Python {sys.version.split()[0]}, torch {torch.__version__}, "
        f"triton {triton.__version__}, numpy {np.__version__}"
    )
    if missing:
        print(f"modules that need these packages were not imported: {', '.join(missing)}")
