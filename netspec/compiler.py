"""Compile a checked net to a module that runs, or lower it to plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch

from netspec.backends.cpu import CpuBackend
from netspec.errors import DataError
from netspec.lowering.backend import Backend
from netspec.lowering.lowered import lowered
from netspec.net import Net, load
from netspec.runtime.compiled import Compiled
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model, fresh_tensors

AHEAD = ("sm_80", "sm_90")
"""GPUs that nets can be compiled for on machines without one: A100, H100 and similar."""


def compile(
    net: Net | str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    batch: int = 1,
    measured: bool = False,
    choices: Mapping[str, str] | None = None,
) -> Compiled:
    """Compile a net for a device, with untrained weights.

    Args:
        net: a checked net, or a spec to load.
        device: where it runs: ``cpu``, ``cuda``, or ``sm_80`` or ``sm_90`` for a GPU that is
            elsewhere: such a net can be saved, not run.
        dtype: of parameters, images and outputs.
        seed: of the random weights; the same seed gives the same weights in every dtype.
        batch: the number of images to choose implementations for; other batches run as well.
        measured: time the implementations of each stage instead of taking the preferred ones.
        choices: implementations that are decided already, by stage, as in ``lowered.choices``.

    Returns:
        An ``nn.Module`` in evaluation mode: images [N, C, H, W] in, activations out.

    Raises:
        SpecError: the spec has mistakes.
        DataError: the backend is not available, or ``choices`` do not fit the net.
        ValueError: ``dtype`` is not a floating-point type.
        MemoryError: the machine cannot hold the parameters.
    """
    checked = _checked(net)
    backend = backend_of(device)
    lowered_net = lowered(
        checked.graph,
        backend,
        dtype=dtype,
        batch=batch,
        is_measured=measured,
        decided=choices,
    )
    target = torch.device(backend.device)
    tensors = fresh_tensors(checked, device=target, dtype=dtype, seed=seed)
    return Compiled(checked, lowered_net, tensors)


def reference(
    net: Net | str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Model:
    """Lower a net to plain PyTorch, a ``torch.fx.GraphModule`` to read, trace and export.

    It defines the meaning of the spec, and every compiled net is compared with it; float64 is exact
    for that purpose.  Arguments and errors are those of :func:`compile`, and so are the weights.
    """
    checked = _checked(net)
    tensors = fresh_tensors(checked, device=torch.device(device), dtype=dtype, seed=seed)
    return Model(checked, tensors)


def python_of(net: Net | str | Path) -> str:
    """Return a net at inference as one function of plain Python; errors are :func:`compile`'s.

    A :func:`reference` runs the same operations, in a module for each row.
    """
    return lower(_checked(net).graph).python_code("self").src


def _checked(net: Net | str | Path) -> Net:
    checked = net if isinstance(net, Net) else load(net)
    checked.require_numbers()
    return checked


def backend_of(device: torch.device | str) -> Backend:
    """Return the backend of a device; without a GPU, TRITON_INTERPRET=1 interprets ``cuda``.

    Raises:
        DataError: there is no such backend, or something that it needs is missing.
    """
    kind = str(device).partition(":")[0]
    if kind == "cpu":
        return CpuBackend()
    if kind not in ("cuda", *AHEAD):
        known = ", ".join(("cpu", "cuda", *AHEAD))
        raise DataError(f"there is no backend for {device}: there is {known}")
    if find_spec("triton") is None:
        raise DataError("the kernels for cuda need Triton: pip install 'netspec-compiler[gpu]'")
    from netspec.backends.cuda import CudaBackend
    from netspec.kernels.layout import is_interpreted

    if kind in AHEAD:
        if is_interpreted():
            raise DataError(
                f"Triton's interpreter compiles nothing for {kind}: unset TRITON_INTERPRET"
            )
        return CudaBackend("cpu")
    if torch.cuda.is_available():
        gpu = torch.device(device)
        number = torch.cuda.current_device() if gpu.index is None else gpu.index
        return CudaBackend(f"cuda:{number}")
    if is_interpreted():
        return CudaBackend("cpu")
    raise DataError(
        "there is no NVIDIA GPU: compile for cpu, or set TRITON_INTERPRET=1 before Python starts "
        "to run small nets, slowly, in Triton's interpreter"
    )
