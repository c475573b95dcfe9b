"""Modules that a compiled net holds and does not call, which say so where it matters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn

from torch.nn import Module
from torch.nn import Parameter as TorchParameter


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


def _refuse_hook(module: Module, *arguments: Any, **named: Any) -> NoReturn:
    path, _, model = vars(module)["_held"]
    raise not_called(path, "so that nothing would run there", model)


def _refuse_at(path: str, *arguments: Any, **named: Any) -> NoReturn:
    raise not_called(path, "so that nothing would run there")


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


def refusing(module: Module, path: str) -> Module:
    """Let a module of PyTorch's own refuse hooks as well, as a compiled net does not call it.

    It keeps its class, by which programs find what they hang hooks on.
    """
    refuse = partial(_refuse_at, path)
    vars(module).update(dict.fromkeys(HOOKS, refuse), _held=(path, (), COMPILED))
    return module


HOOKS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_backward_hook",
)
"""The methods that register what runs at a call of a module."""


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


class Tree:
    """The modules of a compiled net, of which none is called.

    Args:
        modules: the modules of rows by name; the dictionary itself is kept.
        tensors: the names of the tensors in each module that has some, by its path.
        paths: of all modules, an outer one before those inside it.
        have_modes: the paths of those that compute something else while training.
    """

    def __init__(
        self,
        modules: Mapping[str, Module | None],
        tensors: Mapping[str, tuple[str, ...]],
        paths: Collection[str],
        have_modes: Collection[str],
    ) -> None:
        self._modules, self._have_modes = modules, have_modes
        self._allowed: dict[str, set[str]] = {path: {*tensors.get(path, ())} for path in paths}
        self._required = {path: set(names) for path, names in self._allowed.items()}
        for path in paths:
            outer, _, step = path.rpartition(".")
            if outer:
                self._allowed[outer].add(step)
                if any(f"{inner}.".startswith(f"{path}.") for inner in tensors):
                    self._required[outer].add(step)
        self._accepted: list[tuple[Mapping[str, Module | None], str, Module]] | None = None
        self._others: list[tuple[str, Module]] = []
        """Those accepted that somebody put in the place of one that refuses hooks."""

    def is_unchanged(self) -> bool:
        """Return whether nothing has to be required again.  It is asked at every run."""
        if self._accepted is None:
            try:
                self.require_uncalled()
            except RuntimeError:
                return False
        assert self._accepted is not None
        for inside, step, module in self._accepted:
            if inside.get(step) is not module or "forward" in module.__dict__:
                return False  # a module of PyTorch's own takes a forward without a word
        return not any(self._need(path, module) for path, module in self._others)

    def require_uncalled(self, training: bool = False) -> None:
        """Raise RuntimeError if a module has what counts only where it is called.

        That are hooks, a parameter or a module that the net does not have, and, while the net is
        ``training``, a dropout or ``bn`` in evaluation mode.
        """
        known: dict[str, Mapping[str, Module | None]] = {"": self._modules}
        accepted, others = [], []
        for path in self._allowed:
            outer, _, step = path.rpartition(".")
            inside = known.get(outer, {})
            module = inside.get(step)
            if module is None:
                continue  # whose parameters are missing, or it needs none
            need = self._need(path, module)
            if need is None and training and path in self._have_modes and not module.training:
                need = "which is in evaluation mode"
            if need is not None:
                raise not_called(path, need)
            known[path] = module._modules
            accepted.append((inside, step, module))
            if "_held" not in vars(module):
                others.append((path, module))
        self._accepted, self._others = accepted, others

    def _need(self, path: str, module: Module) -> str | None:
        """Return what a module has that counts only where it is called, or None.

        It may hold the tensors of the one that it replaces, whatever its class is, and nothing
        else; what a parametrisation computes counts, as it is looked up.
        """
        reason, kind = reason_to_call(module), type(module)
        if reason is not None:
            return f"which {reason}"
        if "_held" in vars(module) or kind is Module:  # as a net of an older pickle has
            return None
        if not self._required[path]:
            return f"which is of class {kind.__name__} now"
        allowed = self._allowed[path] | {"parametrizations"}
        held = {**module._parameters, **module._modules}
        others = [name for name, value in held.items() if value is not None and name not in allowed]
        if others:
            return f"which is of class {kind.__name__} and has `{others[0]}`"
        missing = [name for name in self._required[path] if getattr(module, name, None) is None]
        return f"which is of class {kind.__name__} and has no `{min(missing)}`" if missing else None
