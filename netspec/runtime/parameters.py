"""The spec's parameters of a compiled net: look them up, and detect changes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from threading import RLock
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from netspec.ir.parameter_names import parameter_names
from netspec.net import Net
from netspec.runtime.gate import unusable
from netspec.runtime.modules import alike, module_paths, names_by_module, with_modes
from netspec.runtime.uncalled import Tree

_marks = count()


class _Look(NamedTuple):
    """The state of a parameter when it was read; with ``tensor`` None it counts as changed."""

    tensor: Tensor | None
    version: int
    address: int
    shape: torch.Size
    strides: tuple[int, ...]


class Seen(NamedTuple):
    """The state of the parameters when they were read.

    Storages are kept, because the address of a freed storage could be reused, and another tensor
    would then look the same.  Views and weak references of the tensors are not kept, because
    ``torch.utils.swap_tensors`` raises an error if there are any.
    """

    mark: int
    looks: tuple[_Look, ...]
    storages: tuple[object, ...]


class Parameters:
    """The parameters and buffers of a net, looked up by their paths at every use.

    So every way to replace one is noticed: assignment, deletion and assignment, replacing its
    module, ``functional_call``, ``parametrize``, ``swap_tensors`` or ``.data``.

    Args:
        modules: the modules of rows by name; the dictionary itself is used, not a copy.
        net: the checked net.
        dtype: that they must have.
        device: on which they must be.
    """

    def __init__(
        self,
        modules: Mapping[str, Module | None],
        net: Net,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._modules, self._net, self._dtype, self._device = modules, net.name, dtype, device
        self._shapes = {name: torch.Size(p.shape) for name, p, _ in parameter_names(net.graph)}
        self._paths: list[tuple[int, str]] = []
        """(parent, name in it) of each module; the parent is an index of this list, or -1 for the
        dictionary of rows."""
        self._places: list[tuple[int, str]] = []
        """(module, name in it) of each tensor; the module is an index of ``_paths``."""
        known: dict[tuple[str, ...], int] = {(): -1}
        for name in self._shapes:
            *path, last = name.split(".")
            for end in range(1, len(path) + 1):
                if (*path[:end],) not in known:
                    self._paths.append((known[*path[: end - 1],], path[end - 1]))
                    known[*path[:end],] = len(self._paths) - 1
            self._places.append((known[*path,], last))
        graph = net.graph
        self._tree = Tree(
            modules, names_by_module(graph), module_paths(graph), with_modes(graph), alike(graph)
        )
        self._mark = next(_marks)
        _watch(self)

    def touch(self) -> None:
        """Regard the parameters as changed, because some changes cannot be detected."""
        self._mark = next(_marks)  # atomic; with += 1 two threads could set the same number

    def touch_if(self, changed: set[int]) -> None:
        """Regard the parameters as changed if the ``id`` of one of them is in ``changed``."""
        try:
            modules = self._now()
        except (KeyError, AttributeError):  # an incomplete net is read again before it runs
            return
        if any(id(modules[i]._parameters.get(last)) in changed for i, last in self._places):
            self.touch()

    def are(self, seen: Seen | None) -> bool:
        """Return True if the parameters are unchanged since ``seen``; called at every run."""
        if seen is None or seen.mark != self._mark or not self._tree.is_unchanged():
            return False
        try:
            modules = self._now()
            for (index, last), look in zip(self._places, seen.looks, strict=True):
                module = modules[index]
                tensor: Tensor | None = module._parameters.get(last)
                if tensor is None:
                    tensor = module._buffers.get(last)
                if (
                    tensor is not look.tensor
                    or tensor is None
                    or tensor._version != look.version
                    or tensor.data_ptr() != look.address
                    or tensor.stride() != look.strides
                    or tensor.shape != look.shape
                ):
                    return False
        except (KeyError, AttributeError, RuntimeError):
            return False  # a module or a tensor is missing: ``read`` raises an error that names it
        return True

    def read(self) -> tuple[Seen, dict[str, Tensor]]:
        """Return the present state of the parameters, and their values.

        Raises:
            ValueError: one is missing, has another shape, or is on another device.
            TypeError: one has another type, or is not a dense tensor in memory.
        """
        mark = self._mark  # read first, so that a change during reading is noticed the next time
        tensors = self.check()
        looks, storages = [], []
        for tensor in tensors.values():
            storages.append(tensor.untyped_storage())
            # An inference tensor does not have a version.  A tensor with a history is computed
            # again at each access, and keeping it would keep the tensors that it depends on.
            is_traceable = tensor.is_leaf and not tensor.is_inference()
            looks.append(
                _Look(
                    tensor if is_traceable else None,
                    tensor._version if is_traceable else 0,
                    tensor.data_ptr(),
                    tensor.shape,
                    tensor.stride(),
                )
            )
        values = {name: tensor.detach() for name, tensor in tensors.items()}
        return Seen(mark, tuple(looks), tuple(storages)), values

    def check(self) -> dict[str, Tensor]:
        """Return the parameters, after checking that the plan can run with them.

        Raises:
            ValueError: one is missing, has another shape, or is on another device.
            TypeError: one has another type, or is not a dense tensor in memory.
        """
        tensors = self._tensors()
        for name, tensor in tensors.items():
            reason = unusable(tensor)
            if reason is not None:
                raise self._error(TypeError, name, f"has become {reason}")
            if tensor.dtype != self._dtype:
                raise self._error(TypeError, name, f"has become {tensor.dtype}")
            if tensor.shape != self._shapes[name]:
                raise self._error(ValueError, name, f"has become {list(tensor.shape)}")
            if tensor.device != self._device:
                raise self._error(ValueError, name, f"is on {tensor.device}")
        return tensors

    def read_to_run(self) -> tuple[Seen, dict[str, Tensor]]:
        """Return the same as :meth:`read`, after checking that no module needs to be called.

        Raises:
            ValueError, TypeError: as :meth:`read`.
            RuntimeError: as :meth:`Tree.require_uncalled`.
        """
        self._tree.require_uncalled()
        return self.read()

    def require_all(self, training: bool = False) -> None:
        """Check that each parameter exists, is a tensor and has its shape.

        Args:
            training: True if the net is in training mode.

        Raises:
            ValueError: a parameter is missing or has another shape.
            TypeError: a parameter is not a tensor.
            RuntimeError: as :meth:`Tree.require_uncalled`.
        """
        self._tree.require_uncalled(training)
        for name, tensor in self._tensors().items():
            if not isinstance(tensor, Tensor) or is_lazy(tensor):
                raise self._error(TypeError, name, f"has become {unusable(tensor)}")
            if tensor.shape != self._shapes[name]:
                raise self._error(ValueError, name, f"has become {list(tensor.shape)}")

    def _now(self) -> list[Module]:
        """Return the modules with parameters; raise KeyError or AttributeError if one is gone."""
        modules: list[Any] = []
        for parent, step in self._paths:
            modules.append((self._modules if parent < 0 else modules[parent]._modules)[step])
        return modules

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for name in self._shapes:
            *path, last = name.split(".")
            value: Any = self._modules.get(path[0])
            for step in (*path[1:], last):
                value = getattr(value, step, None)
            if value is None:
                raise self._error(ValueError, name, "is missing")
            tensors[name] = value
        return tensors

    def _error(self, kind: type[Exception], name: str, problem: str) -> Exception:
        expected = f"{self._dtype} {list(self._shapes[name])} on {self._device}"
        return kind(
            f"{name} {problem}, but {self._net} is compiled for {expected}: "
            "set it to a parameter of this type, shape and device"
        )


# ------------------------------------------------------------------------- steps without a trace

_watched: WeakSet[Parameters] = WeakSet()
# Reentrant: a signal handler can interrupt a thread that has the lock, and create a model.
_watching = RLock()


def _watch(parameters: Parameters) -> None:
    with _watching:
        _watched.add(parameters)


def _after_step(optimizer: Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Mark the parameters of an optimiser as changed after its step.

    A fused optimiser changes values without their version, and a user's optimiser may do the same.
    """
    stepped = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
    with _watching:
        watched = list(_watched)
    for parameters in watched:
        parameters.touch_if(stepped)


register_optimizer_step_post_hook(_after_step)
