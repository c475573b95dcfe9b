"""Check the arguments of a model's call, which would otherwise fail somewhere inside the net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.runtime.gate import require_apart, require_memory

Inputs = tuple[tuple[str, tuple[int, ...]], ...]
"""(name, size of one image) for each input or output of a net; sizes in PyTorch's order of axes."""


def input_shapes(graph: Graph) -> Inputs:
    """Return the names and sizes of a net's inputs."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.inputs)


def output_shapes(graph: Graph) -> Inputs:
    """Return the names and sizes of a net's outputs."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.outputs)


def check_images(
    net: str, inputs: Inputs, dtype: torch.dtype | None, images: Sequence[Any]
) -> None:
    """Check that ``images`` are a batch for each input of a net.

    Args:
        net: its name, for messages.
        inputs: its inputs.
        dtype: of the model; None if it does not have parameters and accepts any type.
        images: the arguments of the call.

    Raises:
        ValueError: the number of tensors or a size is wrong, or the batch sizes differ.
        TypeError: an argument is not a tensor, or has another type than the model.
    """
    if len(images) != len(inputs):
        expected = ", ".join(name for name, _ in inputs)
        raise ValueError(f"{net} takes {expected}, but was called with {len(images)} tensors")
    for (name, shape), image in zip(inputs, images, strict=True):
        if not isinstance(image, Tensor):
            raise TypeError(f"{net} takes {name} as a tensor, not {type(image).__name__}")
        size = image.shape
        if not size or size[1:] != shape:
            expected = ", ".join(["N", *map(str, shape)])
            actual = ", ".join(map(str, size))
            raise ValueError(f"{net} takes {name} as [{expected}], not [{actual}]")
        if dtype is not None and image.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, but {name} is in {image.dtype}")
    if len(images) == 1:
        return
    batches = [image.shape[0] for image in images]
    if len(set(batches)) > 1:
        actual = ", ".join(f"{n} for {name}" for n, (name, _) in zip(batches, inputs, strict=True))
        raise ValueError(f"{net} takes the same number of images for each input, not {actual}")


def check_out(
    net: str,
    outputs: Inputs,
    dtype: torch.dtype,
    images: Sequence[Tensor],
    out: Tensor | Sequence[Tensor] | None,
) -> tuple[Tensor, ...] | None:
    """Return ``out`` as a tuple, after checking it; None if it is None.

    Args:
        net: its name, for messages.
        outputs: its outputs.
        dtype: of the model.
        images: the batch for each input.
        out: the tensors to which the outputs are to be written.

    Raises:
        ValueError: the number of tensors or a size is wrong, or elements share memory.
        TypeError: one is not a dense tensor in memory, or has another type than the model.
    """
    if out is None:
        return None
    out, batch = (out,) if isinstance(out, Tensor) else tuple(out), len(images[0])
    if len(out) != len(outputs):
        expected = ", ".join(name for name, _ in outputs)
        raise ValueError(f"{net} returns {expected}, but out= has {len(out)} tensors")
    for (name, shape), tensor in zip(outputs, out, strict=True):
        require_memory(tensor, f"out= for {name}")
        if tuple(tensor.shape) != (batch, *shape):
            expected, actual = (
                ", ".join(map(str, size)) for size in ((batch, *shape), tensor.shape)
            )
            raise ValueError(f"{net} returns {name} as [{expected}], but out= is [{actual}]")
        if tensor.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, but out= is in {tensor.dtype}")
    require_apart(
        [(f"out= for {name}", tensor) for (name, _), tensor in zip(outputs, out, strict=True)]
    )
    return out


def one_or_all(outputs: tuple[Tensor, ...]) -> Any:
    """Return the output of a net with one, and the tuple of outputs otherwise."""
    return outputs[0] if len(outputs) == 1 else outputs


def hooked(model: Module, images: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the images after the model's forward pre-hooks, which may change them.

    Functions that compute with the images without calling the model, such as ``logits``, use it.
    """
    for number, hook in model._forward_pre_hooks.items():
        if number in model._forward_pre_hooks_with_kwargs:
            changed = hook(model, images, {})
            images = images if changed is None else changed[0]
        else:
            changed = hook(model, images)
            if changed is not None:
                images = changed if isinstance(changed, tuple) else (changed,)
    return images
