"""Compile the kernels of a plan ahead of time, for a GPU that this machine may not have.

Nothing runs, and no memory is allocated: parameters and activations are on PyTorch's ``meta``
device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from netspec.backends.cuda.binding import bound_steps
from netspec.backends.cuda.cached import INDEX, noted
from netspec.backends.cuda.executor import size_for
from netspec.backends.memory import PlanMemory, in_batches
from netspec.errors import DataError
from netspec.kernels import ahead
from netspec.kernels.launch import Launch
from netspec.lowering.backend import PackedStage
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import Lowered


def compiled_kernels(
    lowered: Lowered, capability: int, *, batch: int | None = None
) -> dict[str, bytes]:
    """Compile every launch of a plan.

    Args:
        lowered: a net lowered by a :class:`CudaBackend` of any device, also ``meta``.
        capability: of the GPU: 80 for sm_80, 90 for sm_90.
        batch: the number of images, by default the batch for which implementations were chosen.
            Kernels are compiled for the bucket of this batch.

    Returns:
        Files by name: a ``.cubin`` for each kernel, and :data:`INDEX`, a JSON object with

        - ``capability``, ``batch``, ``dtype``, and ``arena``, its number of elements;
        - ``kernels``: ``{"entry", "shared", "warps", "scratch"}`` by the name of the file: the name
          of the function, bytes of shared memory per block, warps per block, and bytes of workspace
          per program that Triton needs;
        - ``cache``: ``{"kernel", "name", "metadata"}`` by the key in Triton's cache: the file, the
          name of the kernel's source, and Triton's metadata;
        - ``scratch``: the number of elements and the type of each workspace;
        - ``steps``: ``{"stage", "launches"}`` in the plan's order.  A launch is
          ``{"kernel", "grid", "arguments"}`` with the arguments of the function in order, as
          ``[name, type, value]``.  Arguments that are compiled in are omitted; Triton's own
          pointers follow after these arguments.  A value is a number, or a place ``{"in",
          "offset"}`` with the offset in elements, where ``in`` is ``"arena"``, ``["parameter",
          stage, name]`` for a packed tensor, or ``["scratch", number]``.  A call that PyTorch
          computes is null.

    Raises:
        DataError: a chosen kernel does not exist on such a GPU, or the batch is larger than the
            largest bucket.
        RuntimeError: Triton's interpreter is on, which cannot compile.
    """
    try:
        batch = size_for(batch or lowered.batch)
    except ValueError as error:
        raise DataError(str(error)) from None
    arena = torch.empty(lowered.plan.arena * batch, dtype=lowered.dtype, device="meta")
    memory = PlanMemory(lowered.plan, in_batches(lowered.plan, batch), arena)
    stages = {
        stage: _packed_stage(lowered, stage, problem) for stage, problem in lowered.problems.items()
    }
    places = _Places(memory.arena, stages)
    files: dict[str, bytes] = {}
    kernels: dict[str, dict[str, Any]] = {}
    cache: dict[str, dict[str, Any]] = {}
    steps: list[dict[str, Any]] = []
    for step, calls in bound_steps(lowered.graph, lowered.plan, stages, memory):
        launches: list[dict[str, Any] | None] = []
        for call in calls:
            if not isinstance(call, Launch):
                launches.append(None)
                continue
            if capability < 90 and _descriptors(call):
                raise DataError(
                    f"{step.stage} is computed by {step.implementation}, which needs sm_90: "
                    f"choose another implementation for sm_{capability}"
                )
            compiled = ahead.compile(call, capability)
            name = _add(compiled, files, kernels)
            known = {"kernel": name, "name": compiled.src.name, "metadata": noted(compiled)}
            cache[ahead.key(call, capability)] = known
            launches.append(
                {"kernel": name, "grid": list(call.grid), "arguments": places.arguments(call)}
            )
        steps.append({"stage": step.stage, "launches": launches})
    index = {
        "capability": capability,
        "batch": batch,
        "dtype": str(lowered.dtype).removeprefix("torch."),
        "arena": memory.arena.numel(),
        "kernels": kernels,
        "cache": cache,
        "scratch": places.scratch,
        "steps": steps,
    }
    return {**files, INDEX: json.dumps(index, indent=1).encode()}


def _packed_stage(lowered: Lowered, stage: str, problem: Problem) -> PackedStage:
    """Return a stage with parameters on the ``meta`` device, which have sizes but no values."""
    described = {**problem.op.parameters(problem.inputs), **problem.op.buffers(problem.inputs)}
    parameters = {
        name: torch.empty(p.shape, dtype=lowered.dtype, device="meta")
        for name, p in described.items()
    }
    implementation = lowered.implementations[stage]
    return PackedStage(implementation, problem, implementation.pack(problem, parameters))


def _add(compiled: Any, files: dict[str, bytes], kernels: dict[str, dict[str, Any]]) -> str:
    code: bytes = compiled.asm["cubin"]
    entry = str(compiled.metadata.name)
    name = f"{entry}-{hashlib.sha256(code).hexdigest()[:16]}.cubin"
    files[name] = code
    kernels[name] = {
        "entry": entry,
        "shared": int(compiled.metadata.shared),
        "warps": int(compiled.metadata.num_warps),
        "scratch": int(getattr(compiled.metadata, "global_scratch_size", 0)),
    }
    return name


def _descriptors(launch: Launch) -> bool:
    return any(isinstance(a, TensorDescriptor) for a in launch.arguments.values())


class _Places:
    """The place of each tensor of a launch; workspaces are numbered in order of first use."""

    def __init__(self, arena: Tensor, stages: Mapping[str, PackedStage]) -> None:
        self.scratch: list[dict[str, Any]] = []
        self._known: dict[int, Any] = {_storage(arena): "arena"}
        # Keep all tensors: the address of a storage identifies it only while the storage is alive.
        self._tensors = [arena]
        for stage, packed_stage in stages.items():
            for name, tensor in packed_stage.packed.items():
                self._known[_storage(tensor)] = ["parameter", stage, name]
                self._tensors.append(tensor)

    def arguments(self, launch: Launch) -> list[list[Any]]:
        """Return the arguments of the compiled function as JSON data."""
        arguments = []
        for parameter in launch.kernel.params:
            argument = launch.arguments[parameter.name]
            kind, _ = ahead.specialization(argument)
            if not parameter.is_constexpr and kind != "constexpr":
                arguments.append([parameter.name, kind, self._plain(argument)])
        return arguments

    def _plain(self, argument: Any) -> Any:
        if isinstance(argument, TensorDescriptor):
            location = self._plain(argument.base)
            return {
                **location,
                "shape": list(argument.shape),
                "strides": list(argument.strides),
                "block": list(argument.block_shape),
            }
        if not isinstance(argument, Tensor):
            return argument
        storage = _storage(argument)
        if storage not in self._known:
            self._known[storage] = ["scratch", len(self.scratch)]
            self._tensors.append(argument)
            elements = argument.untyped_storage().nbytes() // argument.element_size()
            kind = str(argument.dtype).removeprefix("torch.")
            self.scratch.append({"elements": elements, "dtype": kind})
        return {"in": self._known[storage], "offset": int(argument.storage_offset())}


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
