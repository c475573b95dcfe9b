"""The modules of the reference: each row, branch and stage is a module that is called.

So hooks, pruning, weight normalisation and everything else that depends on a call work, and a row
can be replaced by another module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Identity, Module, Softmax

from netspec.ir.logits import without_softmax
from netspec.ir.operator import differs_in_training
from netspec.ir.parameter_names import module_path
from netspec.net import Net
from netspec.runtime.modules import names_by_module
from netspec.runtime.operations import Group, groups_before_softmax, groups_of, lower
from netspec.runtime.stopping import Stopping
from netspec.runtime.uncalled import Caller, Uncalled, is_setting, reason_to_call

TWICE = Caller("the reference", "a row of a block and a branch have this name, rename one of them")


class Recorded:
    """The recorded operations of the modules of a net, for training and for inference.

    All modules of the net and their copies share it.  A pickle has the net instead, from which it
    is recorded again.

    Attributes:
        groups: the stages that each module computes, by name.
        codes: the operations of each module that is not one of PyTorch's classes, by name.
        logits: the operations of the modules for logits.
    """

    def __init__(self, net: Net) -> None:
        self.net, self.groups = net, groups_of(net.graph)
        self.logits = RecordedLogits(net, self.groups)
        self.codes = {
            name: Code(self, group)
            for name, group in self.groups.items()
            if own_module(net, group) is None
        }

    def modules(self) -> Module:
        """Return a new module with the modules of the net, without parameters."""
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
    """The recorded operations of one module: a graph and its function, for each mode."""

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


class Part(Stopping):
    """A row, a branch or a stage of a net as a module.

    Its arguments are the values of other stages that it reads.  It returns the value that other
    stages read, or a tuple of several.  In training mode its dropouts drop values and its ``bn``
    use the statistics of the batch, independent of the modes of other modules.
    """

    _code: Code

    def __init__(self, code: Code) -> None:
        super().__init__()
        self._code = code
        self.eval()

    def forward(self, *x: Tensor, before_softmax: bool = False) -> Any:
        """Compute all its stages, or with ``before_softmax`` those before the final softmax."""
        code = self._code
        if before_softmax:
            logits = code.recorded.logits
            return logits.function(code.group.name, self.training)(self, *x)
        return code.functions[self.training](self, *x)

    def __setstate__(self, state: dict[str, Any]) -> None:
        code = state["_code"]
        if isinstance(code, tuple):  # in an old pickle: (Recorded, name)
            recorded, name = code
            state = {**state, "_code": recorded.codes[name]}
        super().__setstate__(state)  # type: ignore[no-untyped-call]

    def __setattr__(self, name: str, value: Any) -> None:
        if is_setting(name, value):
            group = self._code.group.name
            raise RuntimeError(
                f"{module_path(group)} computes what the spec describes, so {name}={value!r} would "
                "have no effect: change the spec, or replace the module"
            )
        super().__setattr__(name, value)

    @property
    def graph(self) -> fx.Graph:
        """The graph that runs in the present mode."""
        return self._code.graphs[self.training]

    @property
    def code(self) -> str:
        """The Python code that runs in the present mode."""
        return self.graph.python_code("self").src

    def extra_repr(self) -> str:
        """Return the name of the operator, if the module is a single stage."""
        own = self._code.own
        return "" if own is None else own.name


class RecordedLogits:
    """The operations of a net and its modules for logits: without the final softmax of the net and
    of its heads.

    Rows are called for logits as for outputs, with their hooks; the softmax is not called.

    Args:
        net: the checked net.
        groups: the stages that each module computes, by name.
    """

    def __init__(self, net: Net, groups: Mapping[str, Group]) -> None:
        self._net, graph = net.name, without_softmax(net.graph)
        called = groups_before_softmax(net.graph, graph, groups)
        self._left_out = [module_path(name) for name in groups if name not in called]
        stopped = {name: group for name, group in called.items() if group.whole is not None}
        self._functions: dict[tuple[str | None, bool], Callable[..., Any]] = {}
        for mode in (False, True):  # both now: torch.compile cannot record functions made in a call
            for name, group in ((None, None), *stopped.items()):
                lowered = lower(graph, training=mode, groups=called, group=group)
                self._functions[name, mode] = _function(lowered)

    def function(self, name: str | None, training: bool) -> Callable[..., Any]:
        """Return the ``forward`` of a module for logits; of the net if ``name`` is None."""
        return self._functions[name, training]

    def require_softmax(self, model: Module) -> None:
        """Raise RuntimeError if a softmax that is not called was replaced by another module."""
        for path in self._left_out:
            *outer, last = path.split(".")
            inside: Module | None = model
            for step in outer:
                inside = None if inside is None else inside._modules.get(step)
                inside = inside if isinstance(inside, Part) else None
            module = None if inside is None else inside._modules.get(last)
            if not isinstance(module, Part | Softmax | Identity | None):
                raise RuntimeError(
                    f"the logits of {self._net} are the values before {path}, which is of "
                    f"class {type(module).__name__} now: call the model, or replace {path} by an "
                    "nn.Identity"
                )


def own_module(net: Net, group: Group) -> Module | None:
    """Return PyTorch's module for a group that is one stage, or None."""
    if len(group.stages) > 1 or group.own is None:
        return None
    return net.graph.stage(group.own).op.module(net.graph.shapes_into(group.own))


def reason_changed(net: Net, group: Group, module: Module) -> str | None:
    """Return why a module may not compute its group of stages any more, or None."""
    own = own_module(net, group)
    expected = Part if own is None else type(own)
    if type(module) is not expected:
        return f"is of class {type(module).__name__} now"
    if own is not None and module.extra_repr() != own.extra_repr():  # for example another kernel
        return f"is {module} now"
    return reason_to_call(module)


def _function(graph: fx.Graph) -> Callable[..., Any]:
    """Return a graph as a function whose arguments are a module and the graph's inputs."""
    nodes = [node for node in graph.nodes if node.op in ("get_attr", "call_module")]
    stand_ins: Mapping[str, Any] = {
        str(node.target): torch.empty(0) if node.op == "get_attr" else Identity() for node in nodes
    }
    return type(fx.GraphModule(dict(stand_ins), graph)).forward
