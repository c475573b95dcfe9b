"""Modules with the parameters of a net, under the names of its state dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import BatchNorm2d, Conv2d, Linear, Module
from torch.nn import Parameter as TorchParameter

from netspec.ir.graph import Graph
from netspec.ir.operator import Operator, differs_in_training, symmetric
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.parameter_names import EARLIER, RESERVED, module_path, named_anew, parameter_names
from netspec.ir.shapes import Shape
from netspec.runtime.uncalled import Alike, Uncalled, refusing, settings_of


def names_by_module(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the names of the tensors of each module that has tensors, by its path."""
    names: dict[str, tuple[str, ...]] = {}
    for name, _, _ in parameter_names(graph):
        path, _, last = name.rpartition(".")
        names[path] = (*names.get(path, ()), last)
    return names


def order_of_names(graph: Graph) -> list[str]:
    """Return names in the order of a state dict: a module's tensors before its submodules'."""
    root = Module()
    described = {name: parameter.shape for name, parameter, _ in parameter_names(graph)}
    attach_tensors(
        root, graph, {name: torch.empty(s, device="meta") for name, s in described.items()}
    )
    return list(root.state_dict())


def module_paths(graph: Graph) -> list[str]:
    """Return the paths of all modules, each module before its submodules."""
    stages = (stage.name for stage in graph.stages() if graph.operands(stage.name))
    return list(dict.fromkeys(path for stage in stages for path in _ways(stage)))


def with_modes(graph: Graph) -> set[str]:
    """Return the paths of modules with an operator that differs in training."""
    stages = (stage.name for stage in graph.stages() if differs_in_training(stage.op))
    return {path for stage in stages for path in _ways(stage)}


def alike(graph: Graph) -> dict[str, Alike]:
    """Return PyTorch's equivalent module of each stage that has one, by the stage's path."""
    described = {
        module_path(stage.name): _alike(stage.op, graph.shapes_into(stage.name))
        for stage in graph.stages()
        if graph.operands(stage.name)
    }
    return {path: module for path, module in described.items() if module is not None}


def _alike(op: Operator, inputs: Sequence[Shape]) -> Alike | None:
    own = op.module(inputs)
    if own is not None:
        return Alike(type(own), settings_of(own))
    if isinstance(op, FullyConnected):
        return Alike(Linear, {})
    if isinstance(op, BatchNorm):
        return Alike(
            BatchNorm2d, {"eps": op.eps, "momentum": op.momentum, "track_running_stats": True}
        )
    if isinstance(op, Conv) and op.connect is None:
        padding = symmetric(op.windows(inputs))
        geometry = {"stride": op.stride, "dilation": op.dilation, "groups": op.groups}
        padded = {"padding": padding, "padding_mode": "zeros"}
        return None if padding is None else Alike(Conv2d, geometry | padded)
    return None


def _ways(stage: str) -> list[str]:
    """Return the paths of the modules that contain a stage, outermost first, and its own."""
    steps = module_path(stage).split(".")
    return [".".join(steps[:end]) for end in range(1, len(steps) + 1)]


def name_modules_anew(graph: Graph, modules: dict[str, Module | None]) -> None:
    """Rename the modules of a net in place, if they have the names of old files."""
    by_outer: dict[str, dict[str, str]] = {}
    for stage in (stage.name for stage in graph.stages() if graph.operands(stage.name)):
        now, was = (module_path(stage, words).split(".") for words in (RESERVED, EARLIER))
        for end, step in enumerate(now):
            by_outer.setdefault(".".join(now[:end]), {})[step] = was[end]
    root = Module()
    root._modules = modules
    for outer, earlier in by_outer.items():  # each module before its submodules
        inside = root
        for step in filter(None, outer.split(".")):
            inside = inside._modules.get(step) or Module()
        renamed = named_anew(earlier, inside._modules)
        if renamed is not inside._modules:
            inside._modules.clear()
            inside._modules.update(renamed)


def holders(graph: Graph, tensors: Mapping[str, Tensor]) -> Module:
    """Return a module with the submodules and tensors of a compiled net, which does not call them.

    It has all submodules that the reference has.  They raise an error for changes that have an
    effect only when a module is called, such as hooks.
    """
    root = Module()
    attach_tensors(root, graph, tensors)
    for stage in (stage for stage in graph.stages() if graph.operands(stage.name)):
        outer = root
        for path in _ways(stage.name):
            step = path.rpartition(".")[2]
            if step not in outer._modules:
                is_whole = path == module_path(stage.name)
                own = stage.op.module(graph.shapes_into(stage.name)) if is_whole else None
                outer.add_module(step, Uncalled(path, ()) if own is None else refusing(own, path))
            outer = outer.get_submodule(step)
    return root


def furnish(graph: Graph, modules: dict[str, Module | None]) -> None:
    """Convert the modules of an old pickle in place to the present modules and names.

    Old pickles have plain modules, and only those with tensors.
    """
    name_modules_anew(graph, modules)
    root = Module()
    root._modules = modules
    paths, names = module_paths(graph), names_by_module(graph)
    if not any(type(module) is Module for module in modules.values()):
        return
    present = holders(graph, {n: torch.empty(p.shape) for n, p, _ in parameter_names(graph)})
    for path in paths:
        outer, _, step = path.rpartition(".")
        inside = root.get_submodule(outer)._modules
        module, holder = inside.get(step), present.get_submodule(path)
        if module is None and not names.get(path):
            inside[step] = holder.train(root.get_submodule(outer).training)
        elif type(module) is Module:
            inside[step] = twin = Uncalled(path, names.get(path, ()))
            twin._parameters.update(module._parameters)
            twin._buffers, twin._modules = module._buffers, module._modules
            twin.training = module.training


def attach_tensors(root: Module, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
    """Add the tensors of a net to a module, each in the submodule of its name.

    4-dimensional tensors become channels-last, the layout that all backends use.
    """
    names = names_by_module(graph)
    for name, _, is_trained in parameter_names(graph):
        path, _, last = name.rpartition(".")
        module, inner = root, ""
        for step in path.split("."):
            inner = f"{inner}.{step}".lstrip(".")
            if step not in module._modules:
                module.add_module(step, Uncalled(inner, names.get(inner, ())))
            module = module.get_submodule(step)
        tensor = tensors[name]
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        if is_trained:
            module.register_parameter(last, TorchParameter(tensor))
        else:
            module.register_buffer(last, tensor)


def is_furnished(module: Module) -> bool:
    """Return True if a module has submodules, parameters or buffers, of a net or of a user."""
    return bool(module._modules or module._parameters or module._buffers)


class OnDemand(Module):
    """A module whose rows are created when one of them, or all, are first used.

    ``_rows`` has their names.
    """

    _rows: set[str]

    @property
    def is_unpacked(self) -> bool:
        """True if the rows exist."""
        raise NotImplementedError

    def _unpack(self) -> None:
        """Create the rows, unless they exist."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        """Return an attribute; ``model.C3`` creates the rows first."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in self.__dict__.get("_rows", ()) or self.is_unpacked:
                raise
        self._unpack()
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; ``model.C3 = module`` creates the rows first."""
        if name in self.__dict__.get("_rows", ()):
            self._unpack()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute; ``del model.C3`` creates the rows first."""
        if name in self._rows:
            self._unpack()
        super().__delattr__(name)

    def named_modules(self, *arguments: Any, **named: Any) -> Iterator[tuple[str, Module]]:
        """Yield all modules by path, after creating the rows."""
        self._unpack()
        modules: Iterator[tuple[str, Module]] = super().named_modules(*arguments, **named)
        return modules

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules of rows by name, after creating them."""
        self._unpack()
        return super().named_children()
