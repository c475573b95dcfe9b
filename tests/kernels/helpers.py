"""What the tests of the kernels share: where they run, how far they may be off, guarded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import rounding as roundings
from tests.examples import is_all

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ON_GPU = DEVICE.type == "cuda"
DTYPES = [torch.float16, torch.float32, torch.float64]
"""Types that the tests draw; bfloat16 is added on a GPU, since the interpreter's product of it is
wrong (triton#11584)."""
if ON_GPU:
    DTYPES.insert(1, torch.bfloat16)

rounding = roundings.rounding
only_on_gpu = pytest.mark.skipif(not ON_GPU, reason="needs an NVIDIA GPU")
gpu = pytest.mark.gpu
interpreter_meets_nan = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
"""For tests with NaN or infinity: the interpreter computes with numpy, which warns of them."""


def normal(*size: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """Values from N(0, 1), rounded to ``dtype``, where the kernels run."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


def assert_within(y: Tensor, exact: Tensor, allowed: Tensor) -> None:
    """Every element is as near to the exact value as ``allowed`` says; NaN and inf are equal."""
    exact, allowed = exact.to(y.device), allowed.to(y.device)
    assert y.shape == exact.shape
    off = roundings.excess(y, exact, allowed)
    if not bool((off <= 1).all()):
        at = tuple(int(i) for i in torch.unravel_index(off.argmax(), y.shape))
        raise AssertionError(
            f"{int((off > 1).sum())} of {y.numel()} elements are off; at {at}: "
            f"{y[at].item()!r}, exactly {exact[at].item()!r}, allowed {allowed[at].item():.3g}"
        )


def gradcheck(function: Callable[..., Any], inputs: Tensor | Sequence[Tensor]) -> bool:
    """Hold gradients against finite differences: along a random direction, or along each axis."""
    return torch.autograd.gradcheck(function, inputs, fast_mode=not is_all())


@dataclass
class Guarded:
    """A poisoned output in the middle of a larger buffer whose rest must stay as it was."""

    whole: Tensor
    slice: Tensor
    is_slice: Tensor

    def assert_intact(self) -> None:
        """Nothing outside was written."""
        assert bool((self.whole[~self.is_slice] == SENTINEL).all()), "written outside of the output"

    def assert_written(self) -> None:
        """Every element of the output was written (by no NaN)."""
        assert not bool(self.slice.isnan().any()), "elements were left unwritten"


SENTINEL = 77.0


def guarded(
    batch: int,
    height: int,
    width: int,
    channels: int,
    *,
    dtype: torch.dtype,
    before: int = 3,
    after: int = 5,
) -> Guarded:
    """NaN where a map is to be written, a sentinel around it, channels and images included."""
    size = (batch + 2, height, width, before + channels + after)
    whole = torch.full(size, SENTINEL, dtype=dtype, device=DEVICE)
    is_slice = torch.zeros(size, dtype=torch.bool, device=DEVICE)
    is_slice[1 : 1 + batch, :, :, before : before + channels] = True
    whole[is_slice] = torch.nan
    return Guarded(whole, whole[1 : 1 + batch, :, :, before : before + channels], is_slice)


def within(x: Tensor, before: int = 2, after: int = 3) -> Tensor:
    """The same map as a slice of the channels of a larger one that is NaN elsewhere."""
    whole = x.new_full((*x.shape[:-1], before + x.shape[-1] + after), torch.nan)
    part = whole[..., before : before + x.shape[-1]]
    part.copy_(x)
    return part
