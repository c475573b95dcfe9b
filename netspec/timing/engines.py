"""The engines: netspec, and the peers with which it is compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import cycle
from typing import Any, ClassVar

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
    """Return a call of a PyTorch module on the images of a case; each call uses the next set."""
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
        import_module("netspec.backends.cpu.onednn.library").missing()  # loads oneDNN

    def compile(self, case: Case) -> Call:
        model = compiled(case)
        failed = {
            name: reason
            for choice in model.lowered.choices.values()
            for name, reason in choice.failures.items()
        }
        if failed:
            listed = ", ".join(f"{name} ({reason})" for name, reason in failed.items())
            self.note = f"not used, because they failed when they were measured: {listed}"
        return inferring(model, case)


def compiled(case: Case) -> Compiled:
    """Compile a case as ``netspec.compile`` does, with the weights of the case.

    On a GPU implementations are measured, because the peers tune there too.
    """
    is_measured = case.torch_device.type == "cuda"
    options: dict[str, Any] = {"dtype": case.type, "batch": case.batch, "is_measured": is_measured}
    lowered_net = lowered(case.net.graph, backend_of(case.device), **options)
    return Compiled(case.net, lowered_net, case.weights())


class Eager(Engine):
    """The net as written by hand in PyTorch, with contiguous maps."""

    name = "eager"

    def compile(self, case: Case) -> Call:
        return inferring(plain(case.net, case.weights()), case)


class EagerChannelsLast(Engine):
    """The reference: plain PyTorch, channels-last, LRN as shifted sums."""

    name = "eager-channels-last"

    def compile(self, case: Case) -> Call:
        return inferring(case.reference(), case)


class Inductor(Engine):
    """``torch.compile`` of the reference, as one graph, with weights as constants (frozen).

    It gets the reference because its code for it is faster than for the plain net (GoogLeNet, batch
    1, one thread: 38 ms instead of 43).  On a GPU it has maximum tuning, which also captures CUDA
    graphs.
    """

    name = "inductor"
    options: ClassVar[dict[str, Any]] = {}
    """Settings of Inductor in addition to frozen weights."""

    def alternative(self, case: Case) -> Engine | None:
        return InductorWithCudnn() if case.torch_device.type == "cuda" else None

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        import_module("torch._inductor.compile_fx")  # PyTorch imports it only on first use

    def compile(self, case: Case) -> Call:
        from torch._inductor import config

        torch._dynamo.reset()
        mode = "max-autotune" if case.torch_device.type == "cuda" else "default"
        module = torch.compile(case.reference(), fullgraph=True, dynamic=False, mode=mode)
        call = inferring(module, case)
        with config.patch(freezing=True, **self.options), _cache_in(case):
            try:
                call()  # the first call compiles
            except RuntimeError as error:
                if "InvalidCxxCompiler" not in str(error):
                    raise
                raise DataError("needs a C++ compiler: install g++, or set CXX") from None
        return call


class InductorWithCudnn(Inductor):
    """Inductor that leaves every convolution to cuDNN.

    Maximum tuning may choose a Triton kernel of Inductor for a convolution, and some versions of
    Triton compile that kernel wrongly (pytorch#173068).
    """

    options: ClassVar[dict[str, Any]] = {"max_autotune_conv_backends": "ATEN"}
    note = "with convolutions of cuDNN only, because those that tuning chose are wrong"

    def alternative(self, case: Case) -> Engine | None:
        return None


@contextmanager
def _cache_in(case: Case) -> Iterator[None]:
    """Store compiled code in the folder of the case.

    The folder is new, so ``compile_s`` is not shortened by the cache of an earlier run.
    """
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
