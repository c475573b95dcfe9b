"""Every operator of the kernels: importing this registers them under ``torch.ops.netspec``."""

from __future__ import annotations

from netspec.kernels import avgpool, fc, lrn, lrn_maxpool, maxpool, subsample
from netspec.kernels.conv import gradients, operators, siblings

__all__ = [
    "avgpool", "fc", "gradients", "lrn", "lrn_maxpool", "maxpool", "operators", "siblings",
    "subsample",
]  # fmt: skip
