"""Every operator of the kernels: importing this registers them under ``torch.ops.netspec``."""

from __future__ import annotations

from netspec.kernels import fc
from netspec.kernels.conv import gradients, operators, siblings
from netspec.kernels.lrn import operators as lrn
from netspec.kernels.pool import avgpool, gap, maxpool, subsample

__all__ = [
    "avgpool", "fc", "gap", "gradients", "lrn", "maxpool", "operators", "siblings", "subsample",
]  # fmt: skip
