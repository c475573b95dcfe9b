"""Everything by plain PyTorch: the operator's own reference."""

from __future__ import annotations

import torch

from netspec.backends.cpu.way import Call, Way
from netspec.backends.implementation import Held, Work


class Plain(Way):
    """The reference as it stands."""

    name = "torch"

    def bind(self, work: Work, packed: Held) -> Call:
        op, inputs, held = work.op, work.inputs, dict(packed)
        return lambda *x: op.reference(inputs, *x, **held)


class Copy(Way):
    """A concatenation that copies: oneDNN's operators in PyTorch cannot write into a slice."""

    name = "copy"

    def bind(self, work: Work, packed: Held) -> Call:
        return lambda *x: torch.cat(x, dim=1)
