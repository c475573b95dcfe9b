"""The engines: netspec, and the peers that it is compared with.

An engine first prepares (its import, the file that it reads), which is not measured, then compiles
a case into a call that runs the net once and returns its outputs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import cycle
from typing import Any

import torch

import netspec
from netspec.compiler import backend_of
from netspec.errors import DataError
from netspec.lowering.lowered import lowered
from netspec.runtime.compiled import Compiled
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.plain import plain
from netspec.timing.runtimes import OnnxRuntime, OpenVino
from netspec.timing.timing import Call


def inferring(module: Callable[..., Any], case: Case) -> Call:
    """Return a call of a PyTorch module on the images of a case, the next of its sets each time."""
    sets = cycle(case.sets)

    def call() -> Any:
        with torch.inference_mode():
            return module(*next(sets))

    return call


class Netspec(Engine):
    """The compiled model of :func:`compiled`."""

    name = "netspec"

    @property
    def version(self) -> str:
        return netspec.__version__

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        import_module("netspec.backends.cpu.onednn.library").missing()  # which loads it

    def compile(self, case: Case) -> Call:
        return inferring(compiled(case), case)


def compiled(case: Case) -> Compiled:
    """Compile as ``netspec.compile`` does, with the weights of the case; on a GPU with measured
    implementations, since its peers tune too."""
    is_measured = case.torch_device.type == "cuda"
    options: dict[str, Any] = {"dtype": case.type, "batch": case.batch, "is_measured": is_measured}
    lowered_net = lowered(case.net.graph, backend_of(case.device), **options)
    return Compiled(case.net, lowered_net, case.weights())


class Eager(Engine):
    """The net written in plain PyTorch, contiguous."""

    name = "eager"

    def compile(self, case: Case) -> Call:
        return inferring(plain(case.net, case.weights()), case)


class EagerChannelsLast(Engine):
    """The reference: plain PyTorch, channels-last, LRN as shifted sums."""

    name = "eager-channels-last"

    def compile(self, case: Case) -> Call:
        return inferring(case.reference(), case)


class Inductor(Engine):
    """``torch.compile`` of the reference, whole and frozen: weights are constants of the code.

    It makes faster code of the reference than of the plain net (GoogLeNet, a batch of 1, one
    thread: 38 ms against 43), so it gets the reference.  On a GPU it is tuned to
    the maximum, which captures CUDA graphs as well.
    """

    name = "inductor"

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        import_module("torch._inductor.compile_fx")  # PyTorch itself leaves it for later

    def compile(self, case: Case) -> Call:
        from torch._inductor import config

        torch._dynamo.reset()
        mode = "max-autotune" if case.torch_device.type == "cuda" else "default"
        module = torch.compile(case.reference(), fullgraph=True, dynamic=False, mode=mode)
        call = inferring(module, case)
        with config.patch(freezing=True), _cache_in(case):
            try:
                call()  # it compiles when it is first called
            except RuntimeError as error:
                if "InvalidCxxCompiler" not in str(error):
                    raise
                raise DataError("needs a C++ compiler: install g++, or name one in CXX") from None
        return call


@contextmanager
def _cache_in(case: Case) -> Iterator[None]:
    """Keep compiled code in the folder of the case, so that no earlier run makes it quick."""
    variable = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(variable)
    os.environ[variable] = str(case.folder / "inductor")
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def engines() -> dict[str, Engine]:
    """Return all engines by name, netspec first."""
    every = (Netspec(), Eager(), EagerChannelsLast(), Inductor(), OnnxRuntime(), OpenVino())
    return {engine.name: engine for engine in every}
