"""The reference backend: a checked net as a ``torch.fx.GraphModule`` of plain PyTorch operations.

This is the meaning of a spec.  Every other backend, pass and kernel is held against it, so it is
written to be read, not to be fast: ``model.code`` calls the rows, and ``model.C1.code`` is what a
row computes.
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

    In evaluation mode, which a new model is in, ``model(image)`` returns the net's output, or a
    tuple of them; nothing drops out, and heads are left out.  In training mode a net with heads
    returns ``(output, {head: output})``.  Parameters are called ``ROW[.bN][.opN].parameter``.

    Rows, branches and stages are modules that are called, ``ROW[.bN][.opN]``: they take hooks, can
    be pruned or replaced, and have modes of their own.  A ReLU is an ``nn.ReLU``.

    Args:
        net: the checked net.
        tensors: its parameters and buffers by name, as from :func:`fresh_tensors`.
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
        """Register a hook, which runs before the images are checked, as it may change them."""
        handle = super().register_forward_pre_hook(*arguments, **named)
        hooks = self._forward_pre_hooks
        for check in [number for number, hook in hooks.items() if hook is _check_inputs]:
            hooks.move_to_end(check)  # type: ignore[attr-defined]
        return handle

    def train(self, mode: bool = True) -> Model:
        """Switch to training, with dropout and heads, or back to inference."""
        super().train(mode)
        if "_lowered" in self.__dict__ and self.graph is not self._lowered[mode]:
            self.graph = self._lowered[mode]
        return self

    def features(self, *labels: str) -> fx.GraphModule:
        """Return a module that gives the activation of a row, or a tuple for several rows.

        It calls the model's own modules, at inference whatever their mode.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.  Parameters are shared with the model.

        Raises:
            KeyError: there is no such row or stage.
        """
        return Features(self, [self.net.graph.find(label) for label in labels])

    def logits(self, *images: Tensor) -> Any:
        """The values before the final softmax, or a tuple of them, with gradients, for a loss.

        ``softmax(model.logits(x), 1)`` is ``model(x)``, so ``F.cross_entropy(model.logits(x), y)``
        is the loss of a net that ends in a softmax.  Logits of an output that does not, as of
        ``rbf``, are the output itself.

        Rows are called as for ``model(x)``, in their modes and with their hooks; one that ends in
        the softmax returns what is before it, and the softmax itself is not called.  Of another
        module in the place of such a row they are its output.  In training mode logits of a net
        with heads are ``(logits, {head: logits of the head})``, as a model of torchvision that has
        auxiliary classifiers returns logits of each.

        Of the hooks of the model itself those run that run before a call, as they may change the
        images.

        Args:
            images: a batch for each input, as many images in each.

        Raises:
            ValueError, TypeError: a call of the model raises it.
            RuntimeError: where the softmax or its row was is another module, and what its logits
                are is not known.
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
    """Make a model of the modules of its rows; it is in evaluation mode, they keep theirs."""
    lowered = {mode: lower(net.graph, training=mode, groups=groups) for mode in (True, False)}
    fx.GraphModule.__init__(model, root, lowered[True], class_name=net.name)
    model._modules.update(root._modules)  # what a user added, too
    model.net, model.expects = net, net.expects
    model._lowered, model._rows, model._logits = lowered, groups, logits
    model._inputs = input_shapes(net.graph)
    model.register_forward_pre_hook(_check_inputs, with_kwargs=True)
    model.training = False
    model.graph = lowered[False]


def _carried(model: Model) -> dict[str, Any]:
    """Return the state that a copy takes over, beside modules: hooks, mode, what the user set."""
    return {name: value for name, value in model.__dict__.items() if name not in _APART}


_APART = {
    *("net", "_lowered", "_rows", "_inputs", "_logits", "_modules"),
    *(vars(fx.GraphModule(Module(), fx.Graph())).keys() - vars(Module()).keys()),
}
"""What a copy makes for itself, of its net and its modules."""


def _reassembled(net: Net, modules: dict[str, Module | None]) -> Model:
    root, model = Module(), Model.__new__(Model)
    name_modules_anew(net.graph, modules)
    root._modules.update(modules)
    groups = groups_of(net.graph)
    _assemble(model, net, groups, RecordedLogits(net, groups), root)
    return model


def _restored(net: Net, modules: dict[str, Module | None], training: bool) -> Model:
    """Return a model of an older pickle, whose modules only held parameters."""
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
    """Activations of a reference, by its own modules, at inference whatever their mode.

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
        self._modules = model._modules  # so that a row that is replaced is so here as well
        self._rows, self._names = (
            model._rows,
            [*model._rows.keys() - called_groups(model._rows, names).keys()],
        )
        self.net, self.training = model.net, False

    def __call__(self, *images: Tensor) -> Any:
        """Return the activation, or a tuple of them."""
        for name in self._names:
            path = module_path(name)
            reason = reason_changed(self.net, self._rows[name], self.get_submodule(path))
            if reason is not None:
                raise RuntimeError(
                    f"these features of {self.net.name} are inside {path}, which {reason}: they "
                    f"can be computed of {path} as a whole only"
                )
        with _at_inference(self):
            return super().__call__(*images)


@contextmanager
def _at_inference(module: Module) -> Iterator[None]:
    """Let all modules in a module be in evaluation mode, each in its own again afterwards."""
    training = [inner for inner in module.modules() if inner.training]
    try:
        for inner in training:
            inner.training = False
        yield
    finally:
        for inner in training:
            inner.training = True


def require_unchanged(model: Model, use: str) -> None:
    """Raise DataError unless a model computes what its net does, with parameters of its names.

    Args:
        model: the reference.
        use: what needs such a model, as the error says it.
    """
    reasons = {"the model": reason_to_call(model, {_check_inputs})}
    for name, group in model._rows.items():
        path = module_path(name)
        reasons[path] = reason_changed(model.net, group, model.get_submodule(path))
    for path, reason in reasons.items():
        if reason is not None:
            raise DataError(
                f"{use} takes {model.net.name} as its spec says, and {path} {reason}: undo that "
                "(prune.remove, remove_parametrizations, handle.remove()), or give the model to "
                "torch.export.export, which records what it computes"
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
    """Untrained parameters: weights from N(0, 2 / fan_in), biases zero; the same for every dtype.

    Raises:
        MemoryError: the machine has less memory than the parameters take.
        ValueError: ``dtype`` is not a floating-point type.
    """
    require_memory(net, dtype)
    if not dtype.is_floating_point:
        raise ValueError(f"parameters are floating-point numbers, not {dtype}")
    generator = torch.Generator().manual_seed(seed)
    drawn: Any = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are set to
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
    """Return the bytes of memory of this machine, infinity if it does not tell."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
