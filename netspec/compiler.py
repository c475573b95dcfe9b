"""Compile a checked net to a module that runs, or lower it to plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch

from netspec.backends.cpu import CpuBackend
from netspec.errors import DataError, require_type
from netspec.ir.arguments import whole
from netspec.ir.guess import did_you_mean
from netspec.language.definitions import Setting
from netspec.lowering.backend import Backend
from netspec.lowering.lowered import lowered
from netspec.net import Net, Spec, net_of
from netspec.runtime.compiled import Compiled
from netspec.runtime.dtypes import dtype_of
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model, fresh_tensors

AHEAD = ("sm_80", "sm_90")
"""GPUs that nets can be compiled for on machines without one: A100, H100 and similar."""


def compile(
    net: Net | str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = torch.float32,
    seed: int = 0,
    batch: int = 1,
    measured: bool = False,
    exact: bool = False,
    choices: Mapping[str, str] | None = None,
) -> Compiled:
    """Compile a net for a device, with untrained weights.

    Args:
        net: a checked net, or a spec to load.
        device: where it runs: ``cpu``, ``cuda``, or ``sm_80`` or ``sm_90`` for a GPU that is
            elsewhere: such a net can be saved, not run.
        dtype: type of parameters, images and outputs, such as ``torch.float64`` or ``"float64"``.
        seed: of the random weights; the same seed gives the same weights in every dtype.
        batch: the number of images to choose implementations for; other batches run as well.
        measured: time the implementations of each stage instead of taking the preferred ones.  On
            a GPU, times that are stored from an earlier measurement are used without it too.
        exact: use only implementations that are as exact as sums of products: no Winograd
            convolutions, whose errors are about twice as large.
        choices: implementations that are decided already, by stage, as in ``lowered.choices``.

    Returns:
        An ``nn.Module`` in evaluation mode: images [N, C, H, W] in, activations out.

    Raises:
        SpecError: the spec has mistakes.
        DataError: the backend is not available, or ``choices`` do not fit the net.
        TypeError, ValueError: an argument has another type or value; ``dtype`` is not a
            floating-point type.
        MemoryError: the machine cannot hold the parameters.
    """
    checked, type = checked_net(net), dtype_of(dtype)
    seed = whole("seed", seed, 0, MOST_SEED)
    batch = whole("batch", batch, 1, MOST_IMAGES)
    if choices is not None:
        require_type("choices", choices, Mapping, "a dictionary of stages and implementations")
    backend = backend_of(device)
    lowered_net = lowered(
        checked.graph,
        backend,
        dtype=type,
        batch=batch,
        is_measured=measured,
        is_exact=exact,
        decided=choices,
    )
    target = torch.device(backend.device)
    tensors = fresh_tensors(checked, device=target, dtype=type, seed=seed)
    return Compiled(checked, lowered_net, tensors)


def reference(
    net: Net | str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = torch.float32,
    seed: int = 0,
    settings: Mapping[str, Setting] | None = None,
) -> Model:
    """Lower a net to plain PyTorch, a ``torch.fx.GraphModule`` to read, trace and export.

    It defines the meaning of the spec, and every compiled net is compared with it; float64 is exact
    for that purpose.  Arguments and errors are those of :func:`netspec.compile`, and so are the
    weights.
    """
    checked, type = checked_net(net, settings), dtype_of(dtype)
    seed = whole("seed", seed, 0, MOST_SEED)
    target = torch_device(device)
    tensors = fresh_tensors(checked, device=target, dtype=type, seed=seed)
    return Model(checked, tensors)


def python_of(net: Net | str | Path) -> str:
    """Return a net at inference as one function of plain Python; errors are :func:`compile`'s.

    A :func:`reference` runs the same operations, in a module for each row.
    """
    return lower(checked_net(net).graph).python_code("self").src


def torch_device(device: torch.device | str) -> torch.device:
    """Return a device of PyTorch.

    Raises:
        TypeError: it is not one, or the name of one.
        ValueError: there is no device of this name.
    """
    require_type("device", device, (torch.device, str), "a device, such as cpu or cuda")
    try:
        return torch.device(device)
    except RuntimeError:
        raise ValueError(f"device must be a device, such as cpu or cuda, not {device!r}") from None


MOST_SEED, MOST_IMAGES = 2**63 - 1, 100_000
"""Largest seed; largest batch that implementations are chosen for."""


def checked_net(net: Spec, settings: Mapping[str, Setting] | None = None) -> Net:
    """Return a net without symbols, loaded if it is given as a spec.

    Raises:
        TypeError: it is neither a net nor a spec, or a net comes with settings.
        SpecError: the spec has mistakes, or a size is a symbol.
    """
    checked = net_of(net, settings, argument="net")
    checked.require_numbers()
    return checked


def backend_of(device: torch.device | str) -> Backend:
    """Return the backend of a device; without a GPU, TRITON_INTERPRET=1 interprets ``cuda``.

    Raises:
        TypeError: it is not a device or a name.
        DataError: there is no such backend, or something that it needs is missing.
    """
    require_type("device", device, (torch.device, str), "a device, such as cpu or cuda")
    kind = str(device).partition(":")[0]
    if kind == "cpu":
        return CpuBackend()
    if kind not in ("cuda", *AHEAD):
        known = ("cpu", "cuda", *AHEAD)
        guess = did_you_mean(kind, known)
        raise DataError(
            f"there is no backend for {device}: the backends are {', '.join(known)}"
            + (f"; {guess}" if guess else "")
        )
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
