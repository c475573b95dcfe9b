"""The spec's own parameters of a compiled net: where they are now, and whether they changed."""

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
    """A parameter as it was read; ``tensor`` is None if no later look can equal it."""

    tensor: Tensor | None
    version: int
    address: int
    shape: torch.Size
    strides: tuple[int, ...]


class Seen(NamedTuple):
    """The state of the parameters when they were read.

    The storages are kept, or their addresses could be handed out again: then another tensor would
    look the same.  The tensors themselves cannot be kept by a view or a weak reference, with which
    ``torch.utils.swap_tensors`` would refuse to work.
    """

    mark: int
    looks: tuple[_Look, ...]
    storages: tuple[object, ...]


class Parameters:
    """The parameters and buffers of a net, looked up by their paths at every use.

    So it does not matter how one was replaced: set, deleted and set, with its module, by
    ``functional_call``, ``parametrize``, ``swap_tensors`` or ``.data``.

    Args:
        modules: the modules of rows by name; the dictionary itself is kept.
        net: whose parameters they are.
        dtype: their type.
        device: where they have to be.
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
        """Each module's parent, by its place in this list or -1 for none, and its name there."""
        self._places: list[tuple[int, str]] = []
        """Each tensor's module, by its place in the other list, and its name there."""
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
        """Take the parameters for changed, as some changes leave no trace."""
        self._mark = next(_marks)  # not += 1, with which two threads may lose one of two changes

    def touch_if(self, changed: set[int]) -> None:
        """Take the parameters for changed if one of them has one of these identities."""
        try:
            modules = self._now()
        except (KeyError, AttributeError):  # an incomplete net is read again before it runs
            return
        if any(id(modules[i]._parameters.get(last)) in changed for i, last in self._places):
            self.touch()

    def are(self, seen: Seen | None) -> bool:
        """Return whether the parameters are what was seen.  It is asked at every run."""
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
            return False  # a module is gone, or the tensor has no address: ``read`` says which
        return True

    def read(self) -> tuple[Seen, dict[str, Tensor]]:
        """Return what the parameters are now, and their values.

        Raises:
            ValueError: one is missing, of another shape, or elsewhere.
            TypeError: one is of another type, or not a dense tensor in memory.
        """
        mark = self._mark  # before anything is read: what changes meanwhile is seen the next time
        tensors = self.check()
        looks, storages = [], []
        for tensor in tensors.values():
            storages.append(tensor.untyped_storage())
            # A tensor of inference mode has no version; one with a history is computed anew each
            # time, and would keep what it was computed from.
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
        """Return the parameters, which requires that each is what the net was compiled for.

        Raises:
            ValueError: one is missing, of another shape, or elsewhere.
            TypeError: one is of another type, or not a dense tensor in memory.
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
                raise self._error(ValueError, name, f"is on {tensor.device} now")
        return tensors

    def read_to_run(self) -> tuple[Seen, dict[str, Tensor]]:
        """Return what :meth:`read` does, where a run without calls of modules uses it.

        Raises:
            ValueError, TypeError: :meth:`read` raises it.
            RuntimeError: :meth:`Tree.require_uncalled` raises it.
        """
        self._tree.require_uncalled()
        return self.read()

    def require_all(self, training: bool = False) -> None:
        """Raise an error unless each is there, a tensor, and of its shape.

        Args:
            training: whether the net trains.

        Raises:
            ValueError, TypeError: a parameter is not.
            RuntimeError: :meth:`Tree.require_uncalled` raises it.
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
            f"{name} {problem}, and {self._net} is compiled for {expected}: "
            "set it to such a parameter"
        )


# ------------------------------------------------------------------------- steps without a trace

_watched: WeakSet[Parameters] = WeakSet()
_watching = RLock()  # entered again by a thread that was interrupted on its way out


def _watch(parameters: Parameters) -> None:
    with _watching:
        _watched.add(parameters)


def _after_step(optimizer: Optimizer, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """A fused optimiser changes values and not their version, and others of their own may."""
    stepped = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
    with _watching:
        watched = list(_watched)
    for parameters in watched:
        parameters.touch_if(stepped)


register_optimizer_step_post_hook(_after_step)
