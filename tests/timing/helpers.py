"""Small nets, and engines that do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from netspec import bundled
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.engines import inferring
from netspec.timing.timing import Call

TINY = "net tiny\ninput image 8x8x3\na: conv 3x3, 4 | relu\nout: fc 5 | softmax\n"

NARROW_RESNET50 = """\
# He et al. 2015 (arXiv:1512.03385), Table 1, with projections where sizes change.
net narrow_resnet50(n=16) "A quarter of the channels of ResNet-50"
default bn eps=1e-5
block c(k, n, stride=1, pad=0) = conv k, n, stride=stride, pad=pad, bias=off | bn
block inner(n, stride) = c 1x1, n | relu | c 3x3, n, stride=stride, pad=1 | relu | c 1x1, 4*n
block first(n, stride) = add { inner n, stride; c 1x1, 4*n, stride=stride } | relu
block next(n) = add { inner n, 1; identity } | relu
input image 64x64x3
conv1:  c 7x7, n, stride=2, pad=3 | relu
pool1:  maxpool 3x3/2, pad=1
2a:     first n, 1
2b..2c: next n
3a:     first 2*n, 2
3b..3d: next 2*n
4a:     first 4*n, 2
4b..4f: next 4*n
5a:     first 8*n, 2
5b..5c: next 8*n
out:    gap | fc 1000 | softmax
"""


def case_of(
    folder: Path,
    text: str = TINY,
    *,
    batch: int = 2,
    dtype: str = "float32",
    device: str = "cpu",
    **settings: str,
) -> Case:
    path = folder / "tiny.net"
    path.write_text(text, encoding="utf-8")
    return Case(str(path), settings, batch, dtype, folder, device)


def bundled_case(name: str, folder: Path, dtype: str = "float32") -> Case:
    """Return two images through a bundled net, or through a narrow ResNet-50."""
    if name == "narrow_resnet50":
        return case_of(folder, NARROW_RESNET50, dtype=dtype)
    return Case(name, {}, 2, dtype, folder)


QUICK = ("lenet5", "lenet5_rbf", "nin", "narrow_resnet50")
EVERY = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in (*bundled(), "narrow_resnet50")
    if name not in ("inception_module", "inception_naive")  # of symbols: they do not run
]
"""All nets that run; those of more than a second are slow."""


class Changed(Engine):
    """The reference, its output changed."""

    def __init__(self, name: str, change: Callable[[Any], Any] = lambda y: y) -> None:
        self.name, self.change = name, change  # type: ignore[misc]

    def compile(self, case: Case) -> Call:
        run = inferring(case.reference(), case)
        return lambda: self.change(run())


class Vandal(Changed):
    """Changes what it can of PyTorch's settings, when it compiles and in every call."""

    def compile(self, case: Case) -> Call:
        change_settings()
        run = super().compile(case)

        def call() -> Any:
            y = run()
            change_settings()
            return y

        return call


def change_settings() -> None:
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def settings() -> tuple[Any, ...]:
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )
