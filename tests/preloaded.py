"""What processes of tests import, imported once: by the process that they are forked from.

The first optimizer, and the first export, import torch._dynamo, which takes longer than PyTorch.
"""

from __future__ import annotations

import gc
from importlib import import_module

gc.disable()  # a million objects are made that stay; see conftest.py
for _name in (
    "pytest", "torch._dynamo", "torch.distributed.run", "torch.multiprocessing", "tensorboardX",
    "netspec.cli", "netspec.cli.train", "netspec.compiler", "netspec.training.loop",
    "netspec.training.columns", "tests.training.steps",
):  # fmt: skip
    import_module(_name)
gc.freeze()
gc.enable()
