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
    refuse_vmap,
    run_eagerly,
)


class Compiled(PrintedByRows, OnDemand):
    """A net that was compiled for one device and type.

    ``model(images)`` takes and returns what :class:`netspec.Model` does, and ``state_dict()`` has
    the same names and values.  In evaluation mode, which a new model is in, the plan runs, on
    parameters packed as its steps want them; a second copy is made when somebody asks for them, or
    the plain net answers, for NaN and huge values.  While training, they are the spec's own.

    Outputs have no gradients in evaluation mode, unless an image requires them, and share no
    memory with images, parameters or each other.  Threads may run it at the same time, also while
    another one loads: each run has the old parameters or the new ones.  On the CPU any batch runs;
    the memory for the four sizes of batch that ran last is kept.

    Parameters that are changed in place or replaced, in whatever way, and those that an optimiser
    stepped, count from the next call on.  PyTorch keeps no record of a change through ``.data``,
    NumPy, DLPack, a storage, a collective or another process: call ``model.eval()`` after one.

    ``load_state_dict`` loads everything or, if it raises, nothing.  New packed parameters are
    complete before the old ones go, so both are in memory for a moment; where the spec's own are
    held, a copy of them is.  ``assign=True`` holds the tensors given.

    Where a call is differentiated (``torch.func``, ``forward_ad``) or transformed, the plain net
    runs.  What records PyTorch's operations (``torch.jit.trace``, ``make_fx``, ``torch.export``,
    ``FakeTensorMode``) is refused: it takes ``model.as_reference()``.

    Attributes:
        net: the checked net.
        expects: what it expects of images, and what its outputs mean: as its spec says, or the
            file that its weights are from.
        lowered: its rewritten graph, choices and plan.
        is_trained: whether its parameters were loaded or trained, not drawn at random.
        seconds: how long each step of compiling took.

    On a GPU, batches run in buckets of 1, 2, 4, 8, 16, 32, 64, 128 and 256 images, each in the
    smallest that holds it; a larger batch is a ValueError.  A bucket keeps its memory, and its
    first run takes longer: kernels are compiled, and captured into a CUDA graph.

    Args:
        net: the checked net.
        lowered: its rewritten graph, choices and plan.
        tensors: its parameters and buffers by name; the dictionary is emptied as they are packed.
    """

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
        """Return the device that images have to be on."""
        return torch.device(self.lowered.backend.device)

    def as_reference(self) -> Model:
        """The net in plain PyTorch, with a copy of the parameters: to read, trace and export."""
        model = Model(self.net, self.canonical())
        model.expects = self.expects
        return model

    # ------------------------------------------------------------------------------- running

    def forward(self, *images: Tensor, out: Tensor | Sequence[Tensor] | None = None) -> Any:
        """The net's output, or a tuple of them; while training with heads (output, {head: output}).

        Args:
            images: a batch for each input, as many images in each.
            out: tensors that the outputs are written to, instead of new ones; not while training.

        Raises:
            ValueError: sizes are not the net's, a parameter is missing or of another size, or
                ``out`` is given where gradients are.
            TypeError: a type is not the model's.
            RuntimeError: PyTorch's operations are recorded, and the compiled net runs without them.
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
                raise ValueError(f"{self.net.name} writes to out= where no gradients are asked for")
            if not torch.compiler.is_compiling():
                refuse_vmap(self.net.name, images)
            return self._differentiable(self.training)(*images)
        answer = self.refresh()(*images, out=outputs)
        plain = self._differentiable
        return one_or_all(answer or run_plainly(plain, self._changing, images, outputs))

    def logits(self, *images: Tensor) -> Any:
        """The values before the final softmax, or a tuple of them, with gradients, for a loss.

        ``softmax(model.logits(x), 1)`` is ``model(x)``, so ``F.cross_entropy(model.logits(x), y)``
        is the loss of a net that ends in a softmax.  Logits of an output that does not, as of
        ``rbf``, are the output itself.

        In training mode dropout acts and ``bn`` updates its statistics, as in a call of the model;
        of a net with heads they are ``(logits, {head: logits of the head})``, as a model of
        torchvision that has auxiliary classifiers returns logits of each.  In evaluation mode the
        plan runs where no gradients are recorded: in ``torch.no_grad()`` and
        ``torch.inference_mode()``, and where nothing requires them.

        Hooks that the model has for images run before it; there is no ``out=``.

        Args:
            images: a batch for each input, as many images in each.

        Raises:
            ValueError, TypeError, RuntimeError: a call of the model raises it.
        """
        return self._logits(*images)

    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once in evaluation mode, and time every step of the plan."""
        refuse_recording(self.net.name, *images)
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        return self.refresh().profile(*images)

    def features(self, *labels: str) -> Features:
        """Return a module that gives the activation of a row, or a tuple for several rows.

        What is fused away in the compiled net is computed apart there, and its ``notes`` say so.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.

        Raises:
            KeyError: there is no such row or stage.
        """
        return Features(self, ending_in(self.net.graph, labels))

    def record(self, lowered: fx.Graph) -> fx.GraphModule:
        """Return a module of recorded operations on the spec's parameters, held from now on."""
        self._unpack()
        if self._own is not None:
            self._own.require_all()
        module = fx.GraphModule(self, lowered, self.net.name)
        module._modules = self._modules  # so that a parameter that is replaced is so there as well
        return module

    # ---------------------------------------------------------------------------- parameters

    @property
    def is_unpacked(self) -> bool:
        """Return whether the spec's own parameters are held, beside the packed ones."""
        return self._own is not None

    @property
    def packed(self) -> Packed:
        """Return the parameters as the steps of the plan want them."""
        return self._state.packed

    def refresh(self) -> Executor:
        """Return the executor of the plan; parameters that changed are packed again first."""
        if self._own is None:
            return self._state.executor
        with self._changing:
            if not self._own.are(self._state.seen):
                seen, values = self._own.read_to_run()
                self._state = self._packed_of(self._copied(values), seen)
            return self._state.executor

    @contextmanager
    def _unchanged(self) -> Iterator[tuple[Executor, Packed]]:
        """Yield the executor and its packed parameters, which nobody changes within the block."""
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
        """Hold the parameters of the spec from now on."""
        with self._changing:
            if self.is_unpacked or not self._names:
                return
            with outside_transforms():
                root = holders(self.net.graph, self.canonical())
            root.train(self.training)
            self._hold({**self._modules, **root._modules})

    def _hold(self, modules: dict[str, Module | None]) -> None:
        """Hold parameters in modules; their values are the packed ones."""
        own = Parameters(modules, self.net, self.lowered.dtype, self.device)
        state = self._state._replace(seen=own.read()[0])
        self.__dict__.update(_modules=modules, _own=own, _state=state)  # all at once
        state.packed.kept.clear()

    def train(self, mode: bool = True) -> Compiled:
        """Switch to training, with dropout and heads, or back to inference: parameters that are
        held are packed again before the next run, whatever happened to them."""
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
        """Load parameters by name: all of them or, if anything is raised, none."""
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
        """Pack the tensors of a state dict, without holding them; messages are PyTorch's."""
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
            if prefix:  # inside another module, whose load would set one parameter after another
                own = {k.removeprefix(prefix): v for k, v in state_dict.items()}
                with suppress(RuntimeError):  # which the modules inside say again
                    self.load_state_dict(own, strict=False, assign=is_assigned)
                keep_as_they_are(state_dict, self.state_dict(prefix=prefix, keep_vars=True))
            super()._load_from_state_dict(state_dict, prefix, {**local_metadata}, strict, *messages)
            self.is_trained = True

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # what a user added
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
        """Return the state that a copy takes over: modules, hooks, modes, and what the user set."""
        return {name: value for name, value in self.__dict__.items() if name not in _APART}


_APART = {
    *("net", "lowered", "seconds", "_inputs", "_outputs", "_names", "_rows"),
    *("_own", "_state", "_differentiable", "_logits", "_changing"),
}
"""What a copy makes for itself, of its net and its parameters."""


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
