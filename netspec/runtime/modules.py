"""Parameters in modules, under the names that a state dict gives them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn import Parameter as TorchParameter

from netspec.ir.graph import Graph
from netspec.ir.parameter_names import parameter_names


def order_of_names(graph: Graph) -> list[str]:
    """Return names in the order of a state dict: a module's own tensors before those inside it."""
    root = Module()
    described = {name: parameter.shape for name, parameter, _ in parameter_names(graph)}
    attach_tensors(
        root, graph, {name: torch.empty(s, device="meta") for name, s in described.items()}
    )
    return list(root.state_dict())


def attach_tensors(root: Module, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
    """Give a module the tensors of a net, each in a submodule that its name leads to."""
    for name, _, is_trained in parameter_names(graph):
        *path, last = name.split(".")
        module = root
        for step in path:
            if step not in module._modules:
                module.add_module(step, Module())
            module = module.get_submodule(step)
        tensor = tensors[name]
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        if is_trained:
            module.register_parameter(last, TorchParameter(tensor))
        else:
            module.register_buffer(last, tensor)


def is_furnished(module: Module) -> bool:
    """Return whether a module holds modules, parameters or buffers, a net's or a user's own."""
    return bool(module._modules or module._parameters or module._buffers)
