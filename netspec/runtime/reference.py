"""The reference backend: a checked net as a ``torch.fx.GraphModule`` of plain PyTorch operations.

It defines the meaning of a spec.  The tests compare every backend, pass and kernel with it, so it
is written to be readable, not fast: ``model.code`` calls the rows, and ``model.C1.code`` is the
code of a row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module
from torch.utils.hooks import RemovableHandle

from netspec.errors import DataError
from netspec.ir.expects import Expects
from netspec.ir.parameter_names import module_path, parameter_names
from netspec.net import Net
from netspec.printing import PrintedByRows
from netspec.runtime.inputs import Inputs, check_images, hooked, input_shapes
from netspec.runtime.loading import name_anew
from netspec.runtime.modules import attach_tensors, name_modules_anew
from netspec.runtime.operations import Group, called_groups, groups_of, lower
from netspec.runtime.parts import Recorded, RecordedLogits, reason_changed
from netspec.runtime.uncalled import reason_to_call


class Model(PrintedByRows, fx.GraphModule):
    """A net that runs: maps are [N, C, H, W] tensors (channels-last in memory), vectors [N, C].

    A new model is in evaluation mode: ``model(image)`` returns the net's output, or a tuple of
    several, without dropout and heads.  In training mode a net with heads returns
    ``(output, {head: output})``.  Parameters have names ``ROW[.bN][.opN].parameter``.

    Rows, branches and stages are modules that are called, with names ``ROW[.bN][.opN]``.  They can
    have hooks, be pruned or replaced, and each has its own mode.  A ReLU is an ``nn.ReLU``.

    Args:
        net: the checked net.
        tensors: its parameters and buffers by name, for example from :func:`fresh_tensors`.
    """

    net: Net
    expects: Expects
    _rows: Mapping[str, Group]
    _logits: RecordedLogits
    _lowered: Mapping[bool, fx.Graph]
    _inputs: Inputs

    def __init__(self, net: Net, tensors: Mapping[str, Tensor]) -> None:
        net.graph.verify()
        recorded = Recorded(net)
        root = recorded.modules()
        attach_tensors(root, net.graph, tensors)
        _assemble(self, net, recorded.groups, recorded.logits, root)

    def register_forward_pre_hook(self, *arguments: Any, **named: Any) -> RemovableHandle:
        """Register a hook; it runs before the images are checked, because it may change them."""
        handle = super().register_forward_pre_hook(*arguments, **named)
        hooks = self._forward_pre_hooks
        for check in [number for number, hook in hooks.items() if hook is _check_inputs]:
            hooks.move_to_end(check)  # type: ignore[attr-defined]
        return handle

    def train(self, mode: bool = True) -> Model:
        """Switch to training mode, with dropout and heads, or to evaluation mode."""
        super().train(mode)
        if "_lowered" in self.__dict__ and self.graph is not self._lowered[mode]:
            self.graph = self._lowered[mode]
        return self

    def features(self, *labels: str) -> fx.GraphModule:
        """Return a module that computes the activation of a row, or a tuple for several rows.

        It calls the modules of the model, always in evaluation mode, and shares its parameters.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.

        Raises:
            KeyError: the net does not have such a row or stage.
        """
        return Features(self, [self.net.graph.find(label) for label in labels])

    def logits(self, *images: Tensor) -> Any:
        """Return the values before the final softmax, or a tuple of several, with gradients.

        ``softmax(model.logits(x), 1)`` is ``model(x)``, so ``F.cross_entropy(model.logits(x), y)``
        is the loss of a net that ends in a softmax.  For an output without a softmax, such as
        ``rbf``, the logits are the output itself.

        Rows are called as in ``model(x)``, in their modes and with their hooks.  A row that ends in
        the softmax returns the values before it.  If such a row was replaced by another module, its
        output is taken as the logits.  In training mode a net with heads returns ``(logits, {head:
        logits of the head})``.  Only the forward pre-hooks of the model itself run, because they
        may change the images.

        Args:
            images: a batch for each input, as in a call of the model.

        Raises:
            ValueError, TypeError: as a call of the model.
            RuntimeError: the softmax or its row was replaced by a module whose logits are unknown.
        """
        images = hooked(self, images)
        self._logits.require_softmax(self)
        return self._logits.function(None, self.training)(self, *images)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        name_anew(self.net.graph, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        memo[id(self)] = twin = Model.__new__(Model)
        root = Module()
        root._modules.update(deepcopy(self._modules, memo))
        _assemble(twin, self.net, self._rows, self._logits, root)
        twin.__setstate__(deepcopy(_carried(self), memo))
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        return _reassembled, (self.net, self._modules), _carried(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.graph = self._lowered[self.training]


def _assemble(
    model: Model, net: Net, groups: Mapping[str, Group], logits: RecordedLogits, root: Module
) -> None:
    """Initialise a model, in evaluation mode, from modules of rows, which keep their modes."""
    lowered = {mode: lower(net.graph, training=mode, groups=groups) for mode in (True, False)}
    fx.GraphModule.__init__(model, root, lowered[True], class_name=net.name)
    model._modules.update(root._modules)  # also the modules that a user added
    model.net, model.expects = net, net.expects
    model._lowered, model._rows, model._logits = lowered, groups, logits
    model._inputs = input_shapes(net.graph)
    model.register_forward_pre_hook(_check_inputs, with_kwargs=True)
    model.training = False
    model.graph = lowered[False]


def _carried(model: Model) -> dict[str, Any]:
    """Return the state, without modules, that a copy takes over: hooks, mode, users' attributes."""
    return {name: value for name, value in model.__dict__.items() if name not in _APART}


_APART = {
    *("net", "_lowered", "_rows", "_inputs", "_logits", "_modules"),
    *(vars(fx.GraphModule(Module(), fx.Graph())).keys() - vars(Module()).keys()),
}
"""The attributes that a copy does not take over, but makes from its net and modules."""


def _reassembled(net: Net, modules: dict[str, Module | None]) -> Model:
    root, model = Module(), Model.__new__(Model)
    name_modules_anew(net.graph, modules)
    root._modules.update(modules)
    groups = groups_of(net.graph)
    _assemble(model, net, groups, RecordedLogits(net, groups), root)
    return model


def _restored(net: Net, modules: dict[str, Module | None], training: bool) -> Model:
    """Return the model of an old pickle, whose modules only have parameters."""
    holder = Module()
    name_modules_anew(net.graph, modules)
    holder._modules.update(modules)
    tensors = {name: attrgetter(name)(holder) for name, _, _ in parameter_names(net.graph)}
    model = Model(net, {name: tensor.detach() for name, tensor in tensors.items()})
    for name, _, is_trained in parameter_names(net.graph):
        path, _, last = name.rpartition(".")
        module = model.get_submodule(path)
        (module._parameters if is_trained else module._buffers)[last] = tensors[name]
    return model.train(training)


class Features(fx.GraphModule):
    """A module that computes activations of a reference by its modules, always in evaluation mode.

    Args:
        model: the reference.
        names: the stages whose values are returned.
    """

    net: Net
    _rows: Mapping[str, Group]
    _names: list[str]

    def __init__(self, model: Model, names: list[str]) -> None:
        lowered = lower(model.net.graph, outputs=names, groups=model._rows)
        super().__init__(model, lowered, "Features")
        self._modules = model._modules  # shared, so that it uses rows that are replaced
        self._rows, self._names = (
            model._rows,
            [*model._rows.keys() - called_groups(model._rows, names).keys()],
        )
        self.net, self.training = model.net, False

    def __call__(self, *images: Tensor) -> Any:
        """Return the activation, or a tuple of several, in the order of the labels."""
        for name in self._names:
            path = module_path(name)
            reason = reason_changed(self.net, self._rows[name], self.get_submodule(path))
            if reason is not None:
                raise RuntimeError(
                    f"these features of {self.net.name} are inside {path}, which {reason}: ask for "
                    f"features of {path} itself"
                )
        with _at_inference(self):
            return super().__call__(*images)


@contextmanager
def _at_inference(module: Module) -> Iterator[None]:
    """Put a module and its submodules into evaluation mode for a block, then restore the modes."""
    training = [inner for inner in module.modules() if inner.training]
    try:
        for inner in training:
            inner.training = False
        yield
    finally:
        for inner in training:
            inner.training = True


def require_unchanged(model: Model, use: str) -> None:
    """Raise DataError if a model may compute something else than its net.

    Args:
        model: the reference.
        use: the use that requires it, for the message.
    """
    reasons = {"the model": reason_to_call(model, {_check_inputs})}
    for name, group in model._rows.items():
        path = module_path(name)
        reasons[path] = reason_changed(model.net, group, model.get_submodule(path))
    for path, reason in reasons.items():
        if reason is not None:
            raise DataError(
                f"{use} requires {model.net.name} as its spec describes it, and {path} {reason}: "
                "undo this (prune.remove, remove_parametrizations, handle.remove()), or use "
                "torch.export.export, which records what the model computes"
            )


def _check_inputs(model: Module, images: tuple[Any, ...], named: dict[str, Any]) -> None:
    assert isinstance(model, Model)
    if not named:
        dtype = next((p.dtype for p in model.parameters()), None)
        check_images(model.net.name, model._inputs, dtype, images)


# ------------------------------------------------------------------------------------ parameters


def fresh_tensors(
    net: Net, *, device: torch.device, dtype: torch.dtype, seed: int
) -> dict[str, Tensor]:
    """Return untrained parameters: weights from N(0, 2 / fan_in) (He et al. 2015), biases 0.

    They are drawn in float32 on the CPU, so they are the same for every type and device.

    Args:
        net: the checked net.
        device: of the tensors.
        dtype: of the tensors.
        seed: of the random numbers.

    Raises:
        MemoryError: the parameters take more memory than the machine has.
        ValueError: ``dtype`` is not a floating-point type.
    """
    require_memory(net, dtype)
    if not dtype.is_floating_point:
        raise ValueError(f"parameters are floating-point numbers, not {dtype}")
    generator = torch.Generator().manual_seed(seed)
    drawn: Any = {"dtype": torch.float32, "device": "cpu"}  # torch's defaults may be set otherwise
    tensors = {}
    for name, parameter, _ in parameter_names(net.graph):
        if parameter.fan_in is None:
            values = torch.full(parameter.shape, parameter.value, **drawn)
        else:
            deviation = (2 / parameter.fan_in) ** 0.5
            values = torch.empty(parameter.shape, **drawn)
            values.normal_(0, deviation, generator=generator)
        tensors[name] = values.to(device=device, dtype=dtype)
    return tensors


def require_memory(net: Net, dtype: torch.dtype) -> None:
    """Raise MemoryError if the parameters take more memory than the machine has."""
    needed = sum(p.elements for _, p, _ in parameter_names(net.graph)) * dtype.itemsize
    available = _memory()
    if needed > available:
        have = available / 2**30
        raise MemoryError(
            f"the parameters of {net.name} take {needed / 2**30:,.0f} GiB, "
            f"and this machine has {have:,.0f} GiB"
        )


def _memory() -> float:
    """Return the memory of this machine in bytes; infinity if it is unknown."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
