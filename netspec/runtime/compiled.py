"""A compiled net: the plan of the rewritten graph, with packed parameters, as an ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from threading import RLock
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module

from netspec.ir.parameter_names import earlier_names, named_anew, parameter_names
from netspec.lowering.backend import Executor, Timed
from netspec.lowering.lowered import Lowered, lowered
from netspec.net import Net
from netspec.printing import PrintedByRows
from netspec.runtime.differentiable import Differentiable
from netspec.runtime.features import Features, ending_in
from netspec.runtime.inputs import check_images, check_out, input_shapes, one_or_all, output_shapes
from netspec.runtime.loading import (
    Before,
    Messages,
    complex_ones,
    fitting,
    keep_as_they_are,
    name_anew,
)
from netspec.runtime.logits import Logits
from netspec.runtime.modules import (
    OnDemand,
    furnish,
    holders,
    is_furnished,
    module_paths,
    order_of_names,
)
from netspec.runtime.packed import Copied, Packed, State
from netspec.runtime.parameters import Parameters, Seen
from netspec.runtime.plain import run_plainly
from netspec.runtime.reference import Model
from netspec.runtime.transforms import (
    needs_operations,
    outside_transforms,
    refuse_export,
    refuse_recording,
    refuse_script,
    refuse_vmap,
    run_eagerly,
)


class Compiled(PrintedByRows, OnDemand):
    """A net that was compiled for one device and type.

    ``model(images)`` has the same arguments and result as :class:`netspec.Model`, and
    ``state_dict()`` the same names and values.  A new model is in evaluation mode: it runs the
    plan, with parameters packed for its steps.  Parameters in the form of the spec are created, in
    addition, when they are first used: by the caller, in training mode, or for images with NaN or
    huge values, for which plain PyTorch computes the result.

    In evaluation mode outputs do not have gradients, unless an image requires them.  Outputs do not
    share memory with images, parameters or each other.  Several threads may call the model at the
    same time, also while another thread loads parameters: each call uses all old or all new ones.
    On the CPU any batch size runs; the memory of the four most recent batch sizes is kept.

    A parameter that is changed in place or replaced, or that an optimiser updated, is used from the
    next call on.  PyTorch does not record a change through ``.data``, NumPy, DLPack, a storage, a
    collective or another process: call ``model.eval()`` after it.

    ``load_state_dict`` loads all tensors or, if it raises an error, none.  New packed parameters
    are complete before the old ones are freed, so both are in memory for a moment.  Parameters of
    the spec, if the model has them, are copied too.  ``assign=True`` keeps the given tensors.

    Inside ``torch.func`` and ``forward_ad`` the net runs in plain PyTorch.  It raises a
    RuntimeError if PyTorch's operations are recorded (``torch.jit``, ``make_fx``,
    ``torch.export``, ``FakeTensorMode``): use ``model.as_reference()`` for that.

    On a GPU a batch runs in a bucket of 1, 2, 4, 8, 16, 32, 64, 128 or 256 images, the smallest
    that is large enough; a larger batch raises a ValueError.  The memory of a bucket is kept, and
    its first run takes longer: kernels are compiled, and captured into a CUDA graph.

    Attributes:
        expects: its preprocessing and class names, from its spec or the file of its weights.
        is_trained: True if its parameters were loaded or trained, False if they are random.
        seconds: the time of each step of compiling, by name.

    Args:
        net: the checked net; also an attribute.
        lowered: its rewritten graph, choices and plan; also an attribute.
        tensors: its parameters and buffers by name; the dictionary is emptied as they are packed.
    """

    __prepare_scriptable__ = refuse_script

    def __init__(self, net: Net, lowered: Lowered, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.net, self.lowered, self.expects = net, lowered, net.expects
        self._inputs, self._outputs = input_shapes(net.graph), output_shapes(net.graph)
        self._names = order_of_names(net.graph)
        self._rows = {path for path in module_paths(net.graph) if "." not in path}
        self._own: Parameters | None = None
        self._differentiable = Differentiable(self, net.graph)
        self._logits = Logits(self)
        self._changing = RLock()
        started = perf_counter()
        self.is_trained = False
        self._state = self._packed_of(tensors)
        self.seconds = {**lowered.seconds, "pack": perf_counter() - started}
        self.training = False

    @property
    def device(self) -> torch.device:
        """The device on which images must be."""
        return torch.device(self.lowered.backend.device)

    def as_reference(self) -> Model:
        """Return the net in plain PyTorch with a copy of the parameters: to read, trace, export."""
        model = Model(self.net, self.canonical())
        model.expects = self.expects
        return model

    # ------------------------------------------------------------------------------- running

    def forward(self, *images: Tensor, out: Tensor | Sequence[Tensor] | None = None) -> Any:
        """Return the net's output, or a tuple of several; called as ``model(*images)``.

        In training mode a net with heads returns ``(output, {head: output})``.

        Args:
            images: a batch for each input, [N, C, H, W] or [N, C], with the same N in each.
            out: tensors for the outputs, instead of new ones; only without gradients.

        Raises:
            ValueError: sizes are wrong, a parameter is missing, or ``out`` is used with gradients.
            TypeError: a tensor has another type than the model.
            RuntimeError: PyTorch's operations are recorded, or a module has hooks or was replaced.
        """
        if torch.compiler.is_compiling():
            refuse_export(self.net.name)
            if not self.training:
                return run_eagerly(self, *images, out=out)
        elif not self.training:
            refuse_recording(self.net.name, *images)
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        outputs = check_out(self.net.name, self._outputs, self.lowered.dtype, images, out)
        if self.training or needs_operations(images):
            if outputs is not None:
                reason = "in training mode or with gradients: call it without out="
                raise ValueError(f"{self.net.name} cannot write to out= {reason}")
            if not torch.compiler.is_compiling():
                refuse_vmap(self.net.name, images)
            return self._differentiable(self.training)(*images)
        answer = self.refresh()(*images, out=outputs)
        plain = self._differentiable
        return one_or_all(answer or run_plainly(plain, self._changing, images, outputs))

    def logits(self, *images: Tensor) -> Any:
        """Return the values before the final softmax, or a tuple of several, for a loss.

        ``softmax(model.logits(x), 1)`` is ``model(x)``, so ``F.cross_entropy(model.logits(x), y)``
        is the loss of a net that ends in a softmax.  For an output without a softmax, such as
        ``rbf``, the logits are the output itself.  Arguments and errors are those of a call of the
        model, and its forward pre-hooks run first; there is no ``out=``.

        In training mode dropout is applied and ``bn`` updates its statistics, as in a call of the
        model.  A net with heads then returns ``(logits, {head: logits of the head})``.  In
        evaluation mode the plan runs if no gradients are needed: in ``torch.no_grad()``, in
        ``torch.inference_mode()``, or if no tensor requires them.
        """
        return self._logits(*images)

    def profile(self, *images: Tensor) -> list[Timed]:
        """Run the plan once in evaluation mode, and return the time of each step."""
        refuse_recording(self.net.name, *images)
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        return self.refresh().profile(*images)

    def features(self, *labels: str) -> Features:
        """Return a module that computes the activation of a row, or a tuple for several rows.

        An activation that the compiled net does not compute, because of a fusion, is computed by
        additional steps; the attribute ``notes`` of the module names it.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.

        Raises:
            KeyError: the net does not have such a row or stage.
        """
        return Features(self, ending_in(self.net.graph, labels))

    def record(self, lowered: fx.Graph) -> fx.GraphModule:
        """Return a module of recorded operations on the spec's parameters, which are created."""
        self._unpack()
        if self._own is not None:
            self._own.require_all()
        module = fx.GraphModule(self, lowered, self.net.name)
        module._modules = self._modules  # shared, so that it uses parameters that are replaced
        return module

    # ---------------------------------------------------------------------------- parameters

    @property
    def is_unpacked(self) -> bool:
        """True if the model has the spec's parameters in addition to the packed ones."""
        return self._own is not None

    @property
    def packed(self) -> Packed:
        """The parameters packed for the steps of the plan."""
        return self._state.packed

    def refresh(self) -> Executor:
        """Return the executor of the plan, after packing parameters that changed."""
        # Without the spec's parameters nothing can have changed, so no lock is needed.
        if self._own is None:
            return self._state.executor
        with self._changing:
            if not self._own.are(self._state.seen):
                seen, values = self._own.read_to_run()
                self._state = self._packed_of(self._copied(values), seen)
            return self._state.executor

    @contextmanager
    def _unchanged(self) -> Iterator[tuple[Executor, Packed]]:
        """Yield the executor and its packed parameters; no thread changes them within the block."""
        with self._changing, torch.inference_mode(False):
            yield self.refresh(), self._state.packed

    def _packed_of(self, tensors: dict[str, Tensor], seen: Seen | None = None) -> State:
        refuse_recording(self.net.name)
        with torch.inference_mode(False):
            packed = Packed(self.lowered, tensors, is_kept=not self.is_unpacked)
            return State(packed, packed.executor(), seen)

    def _copied(self, tensors: dict[str, Tensor]) -> Copied:
        return Copied(tensors, self.lowered.dtype, self.device)

    def canonical(self) -> dict[str, Tensor]:
        """Return copies of the spec's parameters and buffers, in the order of a state dict."""
        refuse_recording(self.net.name)
        with self._changing:
            if self._own is not None:
                values = self._own.read()[1]
                return {name: values[name].clone() for name in self._names}
            unpacked = self._state.packed.unpacked()
        return {name: unpacked[name] for name in self._names}

    def _unpack(self) -> None:
        """Create the parameters of the spec, unless the model has them already."""
        with self._changing:
            if self.is_unpacked or not self._names:
                return
            with outside_transforms():
                root = holders(self.net.graph, self.canonical())
            root.train(self.training)
            self._hold({**self._modules, **root._modules})

    def _hold(self, modules: dict[str, Module | None]) -> None:
        """Use the parameters in these modules, whose values must be the packed ones."""
        own = Parameters(modules, self.net, self.lowered.dtype, self.device)
        state = self._state._replace(seen=own.read()[0])
        # One update, so that other threads see either all three old values or all three new ones.
        self.__dict__.update(_modules=modules, _own=own, _state=state)
        state.packed.kept.clear()

    def train(self, mode: bool = True) -> Compiled:
        """Switch to training mode, with dropout and heads, or to evaluation mode; unpacked
        parameters are packed again before the next run, even if no change was noticed."""
        with self._changing:
            if mode:
                self._unpack()
            if self._own is not None:
                self._own.touch()
                for child in super().children():
                    child.train(mode)
            self.__dict__.update(training=mode, is_trained=self.is_trained or mode)
        return self

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load parameters by name: all of them or, if an error is raised, none."""
        refuse_recording(self.net.name)
        with self._changing:
            if assign or is_furnished(self):
                self._unpack()
            state, is_trained = self._state, self.is_trained
            before = Before(self)
            try:
                return super().load_state_dict(state_dict, strict, assign)
            except BaseException:
                before.restore()
                self.__dict__.update(_state=state, is_trained=is_trained)
                raise

    def _load_from_state_dict(
        self,
        state_dict: MutableMapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Pack the tensors of a state dict without keeping them; messages are PyTorch's."""
        name_anew(self.net.graph, state_dict, prefix)
        messages = Messages(missing_keys, unexpected_keys, error_msgs)
        is_assigned = local_metadata.get("assign_to_params_buffers", False)
        with self._changing:
            if is_assigned or is_furnished(self):
                self._unpack()
            if not self.is_unpacked:
                shapes = {name: p.shape for name, p, _ in parameter_names(self.net.graph)}
                tensors = fitting(state_dict, prefix, shapes, messages)
                if tensors:
                    others = {} if len(tensors) == len(shapes) else self.canonical()
                    state = self._packed_of(self._copied(others | tensors))
                    self.__dict__.update(_state=state, is_trained=True)
                return
            error_msgs += complex_ones(state_dict, prefix)
            # Inside another module, PyTorch would set one parameter after another, and an error
            # would leave half of them loaded.  So load them here first, all or none.
            if prefix:
                own = {k.removeprefix(prefix): v for k, v in state_dict.items()}
                with suppress(RuntimeError):  # the modules inside report the same error below
                    self.load_state_dict(own, strict=False, assign=is_assigned)
                keep_as_they_are(state_dict, self.state_dict(prefix=prefix, keep_vars=True))
            super()._load_from_state_dict(state_dict, prefix, {**local_metadata}, strict, *messages)
            self.is_trained = True

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # tensors that a user added
        if not self.is_unpacked:
            destination.update({prefix + name: t for name, t in self.canonical().items()})

    def _apply(self, fn: Any, recurse: bool = True) -> Compiled:
        probe = torch.empty(0, dtype=self.lowered.dtype, device=self.lowered.backend.device)
        moved = fn(probe)
        if (moved.dtype, moved.device) != (probe.dtype, probe.device):
            fixed = f"{self.net.name} is compiled for {self.lowered.backend.name} and {probe.dtype}"
            raise RuntimeError(f"{fixed}: compile it again with another device= or dtype=")
        if moved.device.type == "cpu" and moved.is_shared():  # share_memory()
            self._unpack()
        if self.is_unpacked:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        with self._changing:
            copied = Compiled(self.net, self.lowered, self.canonical())
            memo[id(self)] = copied
            copied.__dict__.update(deepcopy(self._carried(), memo))
            if self.is_unpacked:
                copied._hold(copied._modules)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        lowered = self.lowered
        chosen = {stage: choice.implementation for stage, choice in lowered.choices.items()}
        arguments = (lowered.backend, lowered.dtype, lowered.batch, chosen)
        with self._changing:
            tensors = None if self.is_unpacked else self.canonical()
            return _restored, (self.net, arguments, tensors, self._modules), self._carried()

    def _carried(self) -> dict[str, Any]:
        """Return the state that a copy takes over: modules, hooks, modes, attributes of users."""
        return {name: value for name, value in self.__dict__.items() if name not in _APART}


_APART = {
    *("net", "lowered", "seconds", "_inputs", "_outputs", "_names", "_rows"),
    *("_own", "_state", "_differentiable", "_logits", "_changing"),
}
"""The attributes that a copy does not take over, but computes from its net and parameters."""


def _restored(
    net: Net,
    arguments: tuple[Any, ...],
    tensors: dict[str, Tensor] | None,
    modules: dict[str, Module | None],
) -> Compiled:
    backend, dtype, batch, chosen = arguments
    lowered_net = lowered(net.graph, backend, dtype=dtype, batch=batch, decided=chosen)
    if tensors is not None:
        return Compiled(net, lowered_net, dict(named_anew(earlier_names(net.graph), tensors)))
    furnish(net.graph, modules)
    own = Parameters(modules, net, dtype, torch.device(backend.device))
    model = Compiled(net, lowered_net, {name: t.clone() for name, t in own.read()[1].items()})
    model._hold(modules)
    return model
