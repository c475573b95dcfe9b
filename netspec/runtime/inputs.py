"""The images that a model is given: a clear error for what would fail somewhere inside the net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from netspec.ir.graph import Graph
from netspec.runtime.gate import require_apart, require_memory

Inputs = tuple[tuple[str, tuple[int, ...]], ...]
"""The inputs of a net by name, with the size of one image in PyTorch's order of axes."""


def input_shapes(graph: Graph) -> Inputs:
    """The inputs of a net."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.inputs)


def output_shapes(graph: Graph) -> Inputs:
    """The outputs of a net, likewise."""
    return tuple((name, graph.stage(name).known_shape.torch) for name in graph.outputs)


def check_images(
    net: str, inputs: Inputs, dtype: torch.dtype | None, images: Sequence[Any]
) -> None:
    """Refuse what is no batch for each input of a net.

    Raises:
        ValueError: there are too many or too few, their sizes are not the inputs', or one has more
            images than another.
        TypeError: one is no tensor, or of another type than the model.
    """
    if len(images) != len(inputs):
        wanted = ", ".join(name for name, _ in inputs)
        raise ValueError(f"{net} takes {wanted}, and was given {len(images)} tensors")
    for (name, shape), image in zip(inputs, images, strict=True):
        if not isinstance(image, Tensor):
            raise TypeError(f"{net} takes {name} as a tensor, not {type(image).__name__}")
        size = image.shape
        if not size or size[1:] != shape:
            wanted = ", ".join(["N", *map(str, shape)])
            given = ", ".join(map(str, size))
            raise ValueError(f"{net} takes {name} as [{wanted}], not [{given}]")
        if dtype is not None and image.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, and {name} in {image.dtype}")
    if len(images) == 1:
        return
    batches = [image.shape[0] for image in images]
    if len(set(batches)) > 1:
        given = ", ".join(f"{n} for {name}" for n, (name, _) in zip(batches, inputs, strict=True))
        raise ValueError(f"{net} takes as many images for each input, not {given}")


def check_out(
    net: str, outputs: Inputs, dtype: torch.dtype, batch: int, out: Sequence[Tensor]
) -> None:
    """Refuse what the outputs of a batch cannot be written to.

    Raises:
        ValueError: there are too many or too few, their sizes are not the outputs', or elements of
            them share memory.
        TypeError: one is no tensor, has no memory, or is of another type than the model.
    """
    if len(out) != len(outputs):
        wanted = ", ".join(name for name, _ in outputs)
        raise ValueError(f"{net} gives {wanted}, and out= has {len(out)} tensors")
    for (name, shape), place in zip(outputs, out, strict=True):
        require_memory(place, f"out= for {name}")
        if tuple(place.shape) != (batch, *shape):
            wanted, given = (", ".join(map(str, size)) for size in ((batch, *shape), place.shape))
            raise ValueError(f"{net} gives {name} as [{wanted}], and out= is [{given}]")
        if place.dtype != dtype:
            raise TypeError(f"{net} is in {dtype}, and out= in {place.dtype}")
    require_apart(
        [(f"out= for {name}", place) for (name, _), place in zip(outputs, out, strict=True)]
    )


def one_or_all(outputs: tuple[Tensor, ...]) -> Any:
    """A single output by itself, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else outputs
