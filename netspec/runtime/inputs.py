"""The images that a model is given: a clear error for what would fail somewhere inside the net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.runtime.gate import require_apart, require_memory

Inputs = tuple[tuple[str, tuple[int, ...]], ...]
"""The inputs of a net by name, with the size of one image in PyTorch's order of axes."""


def input_shapes(graph: Graph) -> Inputs:
    """Return the inputs of a net."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.inputs)


def output_shapes(graph: Graph) -> Inputs:
    """Return the outputs of a net, likewise."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.outputs)


def check_images(
    net: str, inputs: Inputs, dtype: torch.dtype | None, images: Sequence[Any]
) -> None:
    """Raise an error unless there is a batch of images for each input of a net.

    Raises:
        ValueError: there are too many or too few, their sizes are not the inputs', or one has more
            images than another.
        TypeError: one is not a tensor, or of another type than the model.
    """
    if len(images) != len(inputs):
        expected = ", ".join(name for name, _ in inputs)
        raise ValueError(f"{net} takes {expected}, and was given {len(images)} tensors")
    for (name, shape), image in zip(inputs, images, strict=True):
        if not isinstance(image, Tensor):
            raise TypeError(f"{net} takes {name} as a tensor, not {type(image).__name__}")
        size = image.shape
        if not size or size[1:] != shape:
            expected = ", ".join(["N", *map(str, shape)])
            actual = ", ".join(map(str, size))
            raise ValueError(f"{net} takes {name} as [{expected}], not [{actual}]")
        if dtype is not None and image.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, and {name} in {image.dtype}")
    if len(images) == 1:
        return
    batches = [image.shape[0] for image in images]
    if len(set(batches)) > 1:
        actual = ", ".join(f"{n} for {name}" for n, (name, _) in zip(batches, inputs, strict=True))
        raise ValueError(f"{net} takes as many images for each input, not {actual}")


def check_out(
    net: str,
    outputs: Inputs,
    dtype: torch.dtype,
    images: Sequence[Tensor],
    out: Tensor | Sequence[Tensor] | None,
) -> tuple[Tensor, ...] | None:
    """Return the tensors that the outputs of a batch are written to; None if none are given.

    Raises:
        ValueError: there are too many or too few, their sizes are not the outputs', or elements of
            them share memory.
        TypeError: one is not a tensor, has no memory, or is of another type than the model.
    """
    if out is None:
        return None
    out, batch = (out,) if isinstance(out, Tensor) else tuple(out), len(images[0])
    if len(out) != len(outputs):
        expected = ", ".join(name for name, _ in outputs)
        raise ValueError(f"{net} gives {expected}, and out= has {len(out)} tensors")
    for (name, shape), tensor in zip(outputs, out, strict=True):
        require_memory(tensor, f"out= for {name}")
        if tuple(tensor.shape) != (batch, *shape):
            expected, actual = (
                ", ".join(map(str, size)) for size in ((batch, *shape), tensor.shape)
            )
            raise ValueError(f"{net} gives {name} as [{expected}], and out= is [{actual}]")
        if tensor.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, and out= in {tensor.dtype}")
    require_apart(
        [(f"out= for {name}", tensor) for (name, _), tensor in zip(outputs, out, strict=True)]
    )
    return out


def one_or_all(outputs: tuple[Tensor, ...]) -> Any:
    """Return a single output by itself, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else outputs


def hooked(model: Module, images: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return images as the hooks leave them that run before a call of a model.

    They may change images, so that whatever else is computed of images takes them as well.
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
