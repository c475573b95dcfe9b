"""Parameters in modules, under the names that a state dict gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn import Parameter as TorchParameter

from netspec.ir.graph import Graph
from netspec.ir.parameter_names import parameter_names


class _Tensors(dict[str, Any]):
    """The parameters of a module, and as they were before one was deleted, until one is set."""

    before: dict[str, Any] | None = None

    def __delitem__(self, name: str) -> None:
        self.before = dict(self)
        super().__delitem__(name)

    def __setitem__(self, name: str, tensor: Any) -> None:
        self.before = None
        super().__setitem__(name, tensor)

    def restore(self) -> None:
        """Take back a deletion."""
        if self.before is not None:
            before = self.before
            self.clear()
            self.update(before)
            self.before = None


class Caller(NamedTuple):
    """A model that does not call some of its modules, and what to do about it."""

    name: str
    way_out: str


COMPILED = Caller(
    "a compiled net",
    "use netspec.reference(net), or model.as_reference() for its parameters, which call every row",
)


def _refuse_hook(module: Uncalled, *arguments: Any, **named: Any) -> NoReturn:
    path, _, model = module._held
    raise not_called(path, "so that nothing would run there", model)


class Uncalled(Module):
    """A module that holds tensors and is not called: it refuses what would count at a call only.

    Pruning, spectral and weight normalisation by hooks begin with a parameter of another name.  It
    is refused as well, so that nothing is half done; what they deleted just before is restored.

    Args:
        path: where it is in the net.
        names: of its parameters and buffers.
        model: whose module it is.
    """

    _held: tuple[str, tuple[str, ...], Caller]

    def __init__(self, path: str, names: tuple[str, ...], model: Caller = COMPILED) -> None:
        super().__init__()
        self.__dict__.update(_held=(path, names, model), _parameters=_Tensors())

    def register_parameter(self, name: str, param: TorchParameter | None) -> None:
        """Hold a parameter of the spec; raise RuntimeError if it is another."""
        path, names, model = self._held
        if name not in names:
            if isinstance(self._parameters, _Tensors):
                self._parameters.restore()
            raise not_called(path, f"so that a parameter {name} there would not count", model)
        super().register_parameter(name, param)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "forward":
            _refuse_hook(self)
        super().__setattr__(name, value)

    def forward(self, *arguments: Any, **named: Any) -> NoReturn:
        """Raise RuntimeError."""
        path, _, model = self._held
        raise not_called(path, "which only holds parameters", model)

    register_forward_hook = _refuse_hook
    register_forward_pre_hook = _refuse_hook
    register_full_backward_hook = _refuse_hook
    register_full_backward_pre_hook = _refuse_hook
    register_backward_hook = _refuse_hook


def reason_to_call(module: Module, known: Collection[object] = ()) -> str | None:
    """Return what a module has that counts only where it is called, but for known hooks."""
    hooks = (
        *module._forward_hooks.values(),
        *module._forward_pre_hooks.values(),
        *module._backward_hooks.values(),
        *module._backward_pre_hooks.values(),
    )
    if any(hook not in known for hook in hooks):
        return "has hooks"
    return "has a forward of its own" if "forward" in vars(module) else None


def not_called(path: str, consequence: str, model: Caller = COMPILED) -> RuntimeError:
    """Return the error about a module that somebody expects to be called."""
    return RuntimeError(
        f"{model.name} does not call the module {path}, {consequence}: {model.way_out}"
    )


def names_by_module(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the names of the tensors in each module that has some, by its path."""
    names: dict[str, tuple[str, ...]] = {}
    for name, _, _ in parameter_names(graph):
        path, _, last = name.rpartition(".")
        names[path] = (*names.get(path, ()), last)
    return names


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
    """Return whether a module holds modules, parameters or buffers, a net's or a user's own."""
    return bool(module._modules or module._parameters or module._buffers)
