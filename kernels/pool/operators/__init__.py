"""The operators of the pools; importing this registers them under ``torch.ops.netspec``."""

from netspec.kernels.pool.operators import avgpool, gap, maxpool, subsample

__all__ = ["avgpool", "gap", "maxpool", "subsample"]
