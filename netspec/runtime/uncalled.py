"""Modules that a compiled net has but does not call, and errors for changes without effect."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn

from torch.nn import BatchNorm2d, Module
from torch.nn import Parameter as TorchParameter
from torch.nn.utils.parametrize import type_before_parametrizations


class _Tensors(dict[str, Any]):
    """The parameters of a module; after a deletion, also as they were before, until one is set."""

    before: dict[str, Any] | None = None

    def __delitem__(self, name: str) -> None:
        self.before = dict(self)
        super().__delitem__(name)

    def __setitem__(self, name: str, tensor: Any) -> None:
        self.before = None
        super().__setitem__(name, tensor)

    def restore(self) -> None:
        """Undo a deletion."""
        if self.before is not None:
            before = self.before
            self.clear()
            self.update(before)
            self.before = None


class Caller(NamedTuple):
    """A model that does not call some of its modules; ``way_out`` is the end of messages."""

    name: str
    way_out: str


COMPILED = Caller(
    "a compiled net",
    "use netspec.reference(net), which calls every row, or model.as_reference(), which also has "
    "these parameters",
)


def _refuse_hook(module: Module, *arguments: Any, **named: Any) -> NoReturn:
    path, _, model = vars(module)["_held"]
    raise not_called(path, "so hooks and a new forward would not run", model)


def _refuse_at(path: str, *arguments: Any, **named: Any) -> NoReturn:
    raise not_called(path, "so hooks and a new forward would not run")


class Uncalled(Module):
    """A module that has tensors and is not called.

    It raises an error for changes that have an effect only at a call, such as hooks.  Pruning,
    spectral and weight normalisation first replace a parameter by one with another name, then add a
    hook.  The new parameter raises the error already, and the deleted one is restored, so that such
    a change is not half done.

    Args:
        path: of the module in the net.
        names: of its parameters and buffers.
        model: that does not call it.
    """

    _held: tuple[str, tuple[str, ...], Caller]

    def __init__(self, path: str, names: tuple[str, ...], model: Caller = COMPILED) -> None:
        super().__init__()
        self.__dict__.update(_held=(path, names, model), _parameters=_Tensors())

    def register_parameter(self, name: str, param: TorchParameter | None) -> None:
        """Register a parameter of the spec; raise RuntimeError for any other."""
        path, names, model = self._held
        if name not in names:
            if isinstance(self._parameters, _Tensors):
                self._parameters.restore()
            raise not_called(path, f"so a new parameter {name} would have no effect", model)
        super().register_parameter(name, param)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "forward":
            _refuse_hook(self)
        if is_setting(name, value):
            path, _, model = self._held
            raise not_called(path, f"so {name}={value!r} would have no effect", model)
        super().__setattr__(name, value)

    def forward(self, *arguments: Any, **named: Any) -> NoReturn:
        """Raise RuntimeError: the module cannot compute anything."""
        path, _, model = self._held
        raise not_called(path, "which only has parameters", model)

    register_forward_hook = _refuse_hook
    register_forward_pre_hook = _refuse_hook
    register_full_backward_hook = _refuse_hook
    register_full_backward_pre_hook = _refuse_hook
    register_backward_hook = _refuse_hook


def refusing(module: Module, path: str) -> Module:
    """Make a module of PyTorch raise an error for hooks, because a compiled net does not call it.

    It keeps its class, because programs search for modules by class to add hooks.
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
"""The methods of a module that register hooks for its calls."""


def is_setting(name: str, value: Any) -> bool:
    """Return True if an attribute is a setting of an operator, such as ``p`` of a dropout."""
    is_plain = isinstance(value, bool | int | float | str | tuple)
    return is_plain and name != "training" and not name.startswith("_")


class Alike(NamedTuple):
    """The module of PyTorch that computes the same as a stage: its exact class and settings."""

    kind: type[Module]
    settings: Mapping[str, Any]


def settings_of(module: Module) -> dict[str, Any]:
    """Return the settings of a module of PyTorch, such as the size of a window."""
    return {name: value for name, value in vars(module).items() if is_setting(name, value)}


def reason_to_call(module: Module, known: Collection[object] = ()) -> str | None:
    """Return what a module has that has an effect only when it is called, or None.

    Args:
        module: the module.
        known: hooks that are ignored.
    """
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
    """Return the error for a change of a module that has no effect because it is not called."""
    return RuntimeError(
        f"{model.name} does not call the module {path}, {consequence}: {model.way_out}"
    )


class _Accepted(NamedTuple):
    """A module that was checked: its parent's modules, its name there, and its state to compare."""

    inside: Mapping[str, Module | None]
    step: str
    module: Module
    settings: ItemsView[str, Any]
    number: int


class Tree:
    """The modules of a compiled net, of which none is called.

    Args:
        modules: the modules of rows by name; the dictionary itself is kept.
        tensors: the names of the tensors of each module that has tensors, by its path.
        paths: of all modules, each before its submodules.
        have_modes: the paths of modules that compute something else during training.
        alike: PyTorch's equivalent module of a stage that has one, by its path.
    """

    def __init__(
        self,
        modules: Mapping[str, Module | None],
        tensors: Mapping[str, tuple[str, ...]],
        paths: Collection[str],
        have_modes: Collection[str],
        alike: Mapping[str, Alike],
    ) -> None:
        self._modules, self._have_modes, self._alike = modules, have_modes, alike
        self._allowed: dict[str, set[str]] = {path: {*tensors.get(path, ())} for path in paths}
        self._required = {path: set(names) for path, names in self._allowed.items()}
        for path in paths:
            outer, _, step = path.rpartition(".")
            if outer:
                self._allowed[outer].add(step)
                if any(f"{inner}.".startswith(f"{path}.") for inner in tensors):
                    self._required[outer].add(step)
        self._accepted: list[_Accepted] | None = None
        self._others: list[tuple[str, Module]] = []
        """Accepted modules that a user put in the place of others.  They do not raise errors for
        hooks, so they are checked again at every run."""

    def is_unchanged(self) -> bool:
        """Return True if no module changed since the last check; called at every run."""
        if self._accepted is None:
            try:
                self.require_uncalled()
            except RuntimeError:
                return False
        assert self._accepted is not None
        for inside, step, module, settings, number in self._accepted:
            if (
                inside.get(step) is not module
                or "forward" in module.__dict__  # PyTorch's modules accept it without an error
                or not settings <= module.__dict__.items()
                or len(module._modules) + len(module._buffers) != number
            ):
                return False
        return not any(self._need(path, module) for path, module in self._others)

    def require_uncalled(self, training: bool = False) -> None:
        """Raise RuntimeError if a module has a change that has an effect only when it is called.

        Such changes are hooks, a parameter or a module that the net does not have, a module that is
        missing or computes something else, and, if the net is ``training``, a dropout or ``bn`` in
        evaluation mode.
        """
        known: dict[str, Mapping[str, Module | None]] = {"": self._modules}
        accepted, others = [], []
        for path in self._allowed:
            outer, _, step = path.rpartition(".")
            if outer not in known:
                continue  # its parent is missing, which is reported for the parameters
            inside = known[outer]
            module = inside.get(step)
            if module is None:
                if self._required[path]:
                    continue
                raise not_called(path, "so deleting it would have no effect")
            need = self._need(path, module)
            if need is None and training and path in self._have_modes and not module.training:
                need = "which is in evaluation mode"
            if need is not None:
                raise not_called(path, need)
            known[path] = module._modules
            settings = {} if type(module) is Uncalled else self._settings(path)
            number = len(module._modules) + len(module._buffers)
            accepted.append(_Accepted(inside, step, module, settings.items(), number))
            if "_held" not in vars(module):
                others.append((path, module))
        self._accepted, self._others = accepted, others

    def _settings(self, path: str) -> Mapping[str, Any]:
        return self._alike[path].settings if path in self._alike else {}

    def _need(self, path: str, module: Module) -> str | None:
        """Return the change of a module that has an effect only when it is called, or None.

        Accepted are the original module, and PyTorch's equivalent module with the same tensors.  A
        parametrisation is also accepted: tensors are looked up, so its result is used.
        """
        reason, kind = reason_to_call(module), type_before_parametrizations(module)
        if reason is not None:
            return f"which {reason}"
        if kind is not Uncalled:
            alike, is_own = self._alike.get(path), "_held" in vars(module)
            if alike is None or kind is not alike.kind or not (is_own or self._required[path]):
                return f"which is of class {kind.__name__} now"
            for name, value in alike.settings.items():
                if vars(module).get(name) != value:
                    now = vars(module).get(name)
                    return f"which has {name}={now!r} now, and the row has {name}={value!r}"
        allowed = self._allowed[path] | {"parametrizations"}
        if kind is BatchNorm2d:
            allowed |= {"num_batches_tracked"}  # used only with momentum=None, which no row has
        held = {**module._parameters, **module._modules, **module._buffers}
        others = [name for name, value in held.items() if value is not None and name not in allowed]
        if others:
            return f"which is of class {kind.__name__} and has `{others[0]}`"
        if kind is Uncalled:
            return None  # missing parameters are reported where parameters are read
        missing = [name for name in self._required[path] if getattr(module, name, None) is None]
        if not missing:
            return None
        return f"which is of class {kind.__name__} and does not have `{min(missing)}`"
