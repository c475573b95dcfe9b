"""Every operator of the kernels: importing this registers them under ``torch.ops.netspec``.

A family's ``operators`` registers what its other files compute: a file, or a folder of one for each
group of operators.  All are public, and docs/kernels.md lists them.

An operator checks its operands when it runs.  Its fake, which stands for it while a program is
traced, checks none: it returns the size, type and device of the result.  So sizes may be symbols
there, on which a check would become a condition of the program.
"""

from __future__ import annotations

from netspec.kernels.conv import operators as conv
from netspec.kernels.fc import operators as fc
from netspec.kernels.lrn import operators as lrn
from netspec.kernels.pool import operators as pool

__all__ = ["conv", "fc", "lrn", "pool"]
