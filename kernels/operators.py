"""All operators of the kernels; importing this registers them under ``torch.ops.netspec``.

The ``operators`` module or folder of a family registers the operators for its kernels.  All
operators are public, and docs/kernels.md lists them.

An operator checks its operands when it runs.  Its fake, which replaces it while a program is
traced, does not: it only returns the size, type and device of the result.  Sizes may be symbols
there, and a check of a symbol would become a condition of the traced program.
"""

from __future__ import annotations

from netspec.kernels.conv import operators as conv
from netspec.kernels.fc import operators as fc
from netspec.kernels.lrn import operators as lrn
from netspec.kernels.pool import operators as pool

__all__ = ["conv", "fc", "lrn", "pool"]
