"""Compile a checked net to a module that runs, and verify that it computes the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.backends.cpu import CpuBackend
from netspec.errors import DataError
from netspec.ir.ops.softmax import Softmax
from netspec.lowering.backend import Backend
from netspec.lowering.lowered import lowered
from netspec.net import Net, load
from netspec.runtime.compiled import Compiled
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
        given=choices,
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


def random_images(net: Net, *, batch: int = 1, seed: int = 0) -> list[Tensor]:
    """Return images of the right size, uniform in [0, 1), for each input of the net; float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [net.graph.stage(name).known_shape.torch for name in net.graph.inputs]
    options: Any = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    return [torch.rand(batch, *shape, **options) for shape in shapes]


@dataclass(frozen=True)
class Verification:
    """The relative L2 error of a model's outputs against float64, and its tolerance."""

    error: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.error <= self.allowed


def verify(model: Model | Compiled, images: list[Tensor]) -> Verification:
    """Compare a model with its float64 twin, before a final softmax.

    A softmax turns relative errors of its input into ones that depend on how large the input is,
    so its input is compared; that the softmax's output is the model's is checked to the bit.

    Args:
        model: a compiled net.
        images: a batch for each input, as from :func:`random_images`, in any type.
    """
    net = model.net
    graph = net.graph
    compared = [
        graph.operands(name)[0] if isinstance(graph.stage(name).op, Softmax) else name
        for name in graph.outputs
    ]
    # As STAGE.op, because a row may be called like a stage of its pipe that is not its last.
    ends = [f"{name}.{graph.stage(name).op.name}" for name in compared]
    tensors = model.state_dict()
    if isinstance(model, Compiled):
        device, dtype = model.device, model.lowered.dtype
    else:
        first = next(iter(tensors.values()), images[0])
        device, dtype = first.device, first.dtype
    exact = Model(net, {name: tensor.double() for name, tensor in tensors.items()})
    with torch.inference_mode():
        inputs = [image.to(device, dtype) for image in images]
        outputs = as_tuple(model(*inputs))
        inside = as_tuple(model.features(*ends, *graph.outputs)(*inputs))
        expected = as_tuple(exact.features(*ends)(*(i.to(device, torch.float64) for i in images)))
    ours, again = inside[: len(ends)], inside[len(ends) :]
    is_same = all(torch.equal(y, z) for y, z in zip(outputs, again, strict=True))
    errors = [_relative_error(y.double(), z) for y, z in zip(ours, expected, strict=True)]
    worst = float(torch.tensor(errors).max())  # which is NaN where one is
    return Verification(worst if is_same else float("inf"), tolerance(net, dtype))


def _relative_error(y: Tensor, exact: Tensor) -> float:
    return float((y - exact).norm() / exact.norm().clamp_min(torch.finfo(torch.float64).tiny))


def tolerance(net: Net, dtype: torch.dtype) -> float:
    """Return the relative L2 error that rounding may cause in a net's output.

    A sum of K terms with unit roundoff u carries a relative error of about sqrt(K) u, because its
    K roundings are independent (Higham and Mary 2019, probabilistic error analysis); so are those
    of successive stages, and their squares add.  Sums are accumulated in float32 at least, then
    each stage rounds its result to ``dtype``:

        error <= 2 u_acc sqrt(sum of K over the stages) + 2 u_out sqrt(number of stages)

    with K at least 1, and the 2 for unlucky draws.
    """
    graph = net.graph
    terms = stages = 0
    for stage in graph.stages():
        if stage.head:
            continue
        inputs = graph.shapes_into(stage.name)
        stages += 1
        terms += max(1, prod(stage.op.macs(inputs)) // stage.known_shape.elements)
    rounding = torch.finfo(dtype).eps / 2
    accumulating = min(rounding, torch.finfo(torch.float32).eps / 2)
    return 2 * accumulating * sqrt(terms) + 2 * rounding * sqrt(stages)


def as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the outputs of a model, one or several, as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)
