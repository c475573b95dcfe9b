"""The modules of the reference: a row, a branch and a stage is a module that is called.

So hooks, pruning, normalised weights and whatever else PyTorch hangs on a call work, and a row can
be replaced by another module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Identity, Module

from netspec.ir.operator import differs_in_training
from netspec.ir.parameter_names import module_path
from netspec.net import Net
from netspec.runtime.modules import names_by_module
from netspec.runtime.operations import Group, groups_of, lower
from netspec.runtime.uncalled import Caller, Uncalled, reason_to_call

TWICE = Caller("the reference", "a row of a block and a branch have this name, rename one")


class Recorded:
    """What the modules of a net compute, while training and at inference.

    It is shared by all modules of the net and by their copies, and a pickle holds the net instead.

    Attributes:
        groups: the stages that each module computes, by name.
        codes: what is recorded of each that is not PyTorch's own, by name.
    """

    def __init__(self, net: Net) -> None:
        self.net, self.groups = net, groups_of(net.graph)
        self.codes = {
            name: Code(self, group)
            for name, group in self.groups.items()
            if own_module(net, group) is None
        }

    def modules(self) -> Module:
        """Return new modules, without parameters, inside one."""
        root, graph = Module(), self.net.graph
        for stage in (stage.name for stage in graph.stages() if graph.operands(stage.name)):
            module, name = root, ""
            for step in stage.split("."):
                name = f"{name}.{step}".lstrip(".")
                if module_path(step) not in module._modules:
                    module.add_module(module_path(step), self._module(name))
                module = module.get_submodule(module_path(step))
        return root

    def _module(self, name: str) -> Module:
        if name not in self.groups:
            path = module_path(name)
            return Uncalled(path, names_by_module(self.net.graph).get(path, ()), TWICE)
        return own_module(self.net, self.groups[name]) or Part(self.codes[name])

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorded:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Recorded, (self.net,)


class Code:
    """What is recorded of one module: a graph and its function, by whether it trains."""

    def __init__(self, recorded: Recorded, group: Group) -> None:
        self.recorded, self.group, net = recorded, group, recorded.net
        self.own = None if group.own is None else net.graph.stage(group.own).op
        modes = (False, True) if self.own and differs_in_training(self.own) else (False,)
        graphs = [
            lower(net.graph, training=mode, groups=recorded.groups, group=group) for mode in modes
        ]
        functions = [_function(graph) for graph in graphs]
        self.graphs = {False: graphs[0], True: graphs[-1]}
        self.functions = {False: functions[0], True: functions[-1]}

    def __deepcopy__(self, memo: dict[int, Any]) -> Code:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _code_of, (self.recorded, self.group.name)


def _code_of(recorded: Recorded, name: str) -> Code:
    return recorded.codes[name]


class Part(Module):
    """A row, a branch or a stage of a net.

    It takes the values that its first stages read and returns those that others read, a tensor
    where it is one.  While its mode is training, its dropouts drop and its ``bn`` take the
    statistics of the batch, whatever the mode of the rest.
    """

    _code: Code

    def __init__(self, code: Code) -> None:
        super().__init__()
        self._code = code
        self.eval()

    def forward(self, *x: Tensor) -> Any:
        """Return what its stages compute."""
        return self._code.functions[self.training](self, *x)

    @property
    def graph(self) -> fx.Graph:
        """Return what runs in the present mode."""
        return self._code.graphs[self.training]

    @property
    def code(self) -> str:
        """Return the Python that runs in the present mode."""
        return self.graph.python_code("self").src

    def extra_repr(self) -> str:
        """The operator of this name."""
        own = self._code.own
        return "" if own is None else own.name


def own_module(net: Net, group: Group) -> Module | None:
    """Return PyTorch's own module for a group that is one stage, if there is one."""
    if len(group.stages) > 1 or group.own is None:
        return None
    return net.graph.stage(group.own).op.module(net.graph.shapes_into(group.own))


def reason_changed(net: Net, group: Group, module: Module) -> str | None:
    """Return why a module may compute something else than its group of stages, or None."""
    own = own_module(net, group)
    expected = Part if own is None else type(own)
    if type(module) is not expected:
        return f"is of class {type(module).__name__} now"
    if own is not None and module.extra_repr() != own.extra_repr():  # such as the size of a window
        return f"is {module} now"
    return reason_to_call(module)


def _function(graph: fx.Graph) -> Callable[..., Any]:
    """Return a graph as a function of a module and the graph's inputs."""
    nodes = [node for node in graph.nodes if node.op in ("get_attr", "call_module")]
    stand_ins: Mapping[str, Any] = {
        str(node.target): torch.empty(0) if node.op == "get_attr" else Identity() for node in nodes
    }
    return type(fx.GraphModule(dict(stand_ins), graph)).forward
