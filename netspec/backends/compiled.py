"""A compiled net: the plan of the rewritten graph, with packed parameters, as an ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import RLock
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module

from netspec.backends.backend import Executor, Timed
from netspec.backends.features import Features, one_or_all
from netspec.backends.furnish import furnish, order_of_names
from netspec.backends.images import (
    check_images,
    check_out,
    input_shapes,
    output_shapes,
    wants_gradients,
)
from netspec.backends.lowered import Lowered, lowered
from netspec.backends.packed import Copied, Packed
from netspec.backends.reference import Model, lower
from netspec.naming import parameter_names
from netspec.net import Net
from netspec.passes import TRAINING, optimise


class Compiled(Module):
    """A net that was compiled for one device and type.

    ``model(images)`` takes and returns what :class:`netspec.Model` does, and ``state_dict()`` has
    the same names and values.  In evaluation mode, which a new model is in, the plan runs, on
    parameters packed as its steps want them; there is no second copy until somebody asks for
    parameters.  In training mode the parameters are the spec's own; they are packed again for
    evaluation once they have changed.

    Outputs have no gradients in evaluation mode, unless an image requires them, and share no
    memory with images, parameters or each other.  Threads may run it at the same time.  On the CPU
    any batch runs; the memory for the four sizes of batch that ran last is kept.

    Parameters that are changed in place, or replaced, count from the next call on; a change that
    PyTorch keeps no record of, through ``.data`` or NumPy, counts after ``model.eval()``.

    Attributes:
        net: the checked net.
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
        self.net, self.lowered = net, lowered
        self._inputs, self._outputs = input_shapes(net.graph), output_shapes(net.graph)
        self._names = order_of_names(net.graph)
        self._rows = {name.partition(".")[0] for name in self._names}
        self._own: list[tuple[str, Module, str]] = []
        self._seen: tuple[int, ...] = ()
        self._with_gradients: dict[bool, fx.GraphModule] = {}
        self._changing = RLock()
        started = perf_counter()
        self.is_trained = False
        self._pack(tensors)
        self.seconds = {**lowered.seconds, "pack": perf_counter() - started}
        self.training = False

    @property
    def device(self) -> torch.device:
        """Where images have to be."""
        return torch.device(self.lowered.backend.device)

    def as_reference(self) -> Model:
        """The net in plain PyTorch, with a copy of the parameters: to read, trace and export."""
        return Model(self.net, self.canonical())

    # ------------------------------------------------------------------------------- running

    def forward(self, *images: Tensor, out: Tensor | Sequence[Tensor] | None = None) -> Any:
        """The net's output, or a tuple of them; while training (output, {head: output}).

        Args:
            images: a batch for each input, as many images in each.
            out: tensors that the outputs are written to, instead of new ones; not while training.

        Raises:
            ValueError: sizes are not the net's, or ``out`` is given where gradients are.
            TypeError: a type is not the model's.
        """
        if torch.compiler.is_exporting():
            raise RuntimeError("a compiled net cannot be exported: export netspec.reference(net)")
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        given = None if out is None else (out,) if isinstance(out, Tensor) else tuple(out)
        if given is not None:
            check_out(self.net.name, self._outputs, self.lowered.dtype, len(images[0]), given)
        if self.training or wants_gradients(images):
            if given is not None:
                raise ValueError(f"{self.net.name} writes to out= where no gradients are asked for")
            return self._differentiable()(*images)
        return one_or_all(self.refresh()(*images, out=given))

    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once in evaluation mode, and time every step of the plan."""
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        return self.refresh().profile(*images)

    def features(self, *labels: str) -> Features:
        """A module that returns the activation of a row, or a tuple for several rows.

        What is fused away in the compiled net is computed apart there, and its ``notes`` say so.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.

        Raises:
            KeyError: there is no such row or stage.
        """
        return Features(self, [self.net.graph.find(label) for label in labels])

    def _differentiable(self) -> fx.GraphModule:
        mode = self.training
        with self._changing:
            if mode not in self._with_gradients:
                graph = optimise(self.net.graph, TRAINING if mode else ()).graph
                self._with_gradients[mode] = self.record(
                    lower(graph, training=mode, meaning=self.lowered.backend.meaning)
                )
            return self._with_gradients[mode]

    def record(self, lowered: fx.Graph) -> fx.GraphModule:
        """A module that runs recorded operations on the spec's parameters, held from now on."""
        self._unpack()
        module = fx.GraphModule(self, lowered, self.net.name)
        module._modules = self._modules  # so that a parameter that is replaced is so there as well
        return module

    # ---------------------------------------------------------------------------- parameters

    @property
    def is_unpacked(self) -> bool:
        """Whether the spec's own parameters are held, beside the packed ones."""
        return bool(self._own)

    @property
    def packed(self) -> Packed:
        """The parameters as the steps of the plan want them."""
        return self._packed

    def refresh(self) -> Executor:
        """What runs the plan, with parameters packed again if somebody changed them."""
        with self._changing:
            if self._seen != self._versions():
                self._pack(self._held())
            return self._executor

    def _pack(self, tensors: dict[str, Tensor]) -> None:
        with torch.inference_mode(False):
            self._packed = Packed(self.lowered, tensors, is_kept=not self.is_unpacked)
        self._executor = self._packed.executor()
        self._seen = self._versions()

    def canonical(self) -> dict[str, Tensor]:
        """Copies of the spec's parameters and buffers, in the order of a state dict."""
        with self._changing:
            if self.is_unpacked:
                return {name: tensor.clone() for name, tensor in self._held().items()}
            found = self._packed.unpacked()
        return {name: found[name] for name in self._names}

    def _held(self) -> dict[str, Tensor]:
        held = {name: getattr(module, last).detach() for name, module, last in self._own}
        for name, tensor in held.items():
            if tensor.dtype != self.lowered.dtype:
                wanted = f"{self.net.name} is compiled for {self.lowered.dtype}"
                raise TypeError(f"{name} has become {tensor.dtype}, and {wanted}")
        return held

    def _unpack(self) -> None:
        """Hold the parameters of the spec from now on."""
        with self._changing, torch.inference_mode(False):
            if self.is_unpacked:
                return
            root, own = Module(), self.canonical()
            furnish(root, self.net.graph, own)
            self._modules.update(root._modules)
            paths = [(name, *name.rpartition(".")) for name in own]
            self._own = [(name, root.get_submodule(path), last) for name, path, _, last in paths]
            self._packed.kept.clear()
            self._seen = self._versions()

    def _versions(self) -> tuple[int, ...]:
        """Something that changes whenever a parameter does."""
        found = (getattr(module, last) for _, module, last in self._own)
        return tuple(number for t in found for number in (t.data_ptr(), t._version))

    def __getattr__(self, name: str) -> Any:
        """``model.C3.weight``: the parameters of the spec, which are held from now on."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in self.__dict__.get("_rows", ()) or self.is_unpacked:
                raise
        self._unpack()
        return super().__getattr__(name)

    def train(self, mode: bool = True) -> Compiled:
        """Switch to training, with dropout and heads, or back to inference."""
        if mode:
            self._unpack()
            self.is_trained = True
        self._seen = ()  # whatever happened to parameters that are held, they are packed again
        if self.is_unpacked:
            super().train(mode)
        self.training = mode
        return self

    def named_modules(self, *given: Any, **named: Any) -> Iterator[tuple[str, Module]]:
        """Modules that hold the parameters of the spec, which are held from now on."""
        self._unpack()
        found: Iterator[tuple[str, Module]] = super().named_modules(*given, **named)
        return found

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules of rows, which are held from now on."""
        self._unpack()
        return super().named_children()

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Pack the tensors of a state dict, without holding them; messages are PyTorch's."""
        rest = strict, missing_keys, unexpected_keys, error_msgs
        with self._changing:
            if self.is_unpacked:
                self.is_trained = True
                super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
                return
            given = {k.removeprefix(prefix): k for k in state_dict if k.startswith(prefix)}
            shapes = {name: held.shape for name, held, _ in parameter_names(self.net.graph)}
            missing_keys += [prefix + name for name in shapes if strict and name not in given]
            unexpected_keys += [key for name, key in given.items() if strict and name not in shapes]
            found = {name: state_dict[given[name]] for name in shapes if name in given}
            wrong = [
                f"size mismatch for {prefix}{name}: copying a param with shape {tensor.shape} from "
                f"checkpoint, the shape in current model is {torch.Size(shapes[name])}."
                for name, tensor in found.items()
                if tensor.shape != shapes[name]
            ]
            error_msgs += wrong
            if found and not wrong:
                self.is_trained = True
                others = {} if len(found) == len(shapes) else self.canonical()
                if not others:  # let go of what is packed, or there would be two for a while
                    del self._packed, self._executor
                self._pack(Copied(others | found, self.lowered.dtype))

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        if not self.is_unpacked:
            destination.update({prefix + name: t for name, t in self.canonical().items()})

    def _apply(self, fn: Any, recurse: bool = True) -> Compiled:
        probe = torch.empty(0, dtype=self.lowered.dtype, device=self.lowered.backend.device)
        moved = fn(probe)
        if (moved.dtype, moved.device) != (probe.dtype, probe.device):
            raise RuntimeError(
                f"{self.net.name} is compiled for {self.lowered.backend.name} and "
                f"{self.lowered.dtype}: compile it again with another device= or dtype="
            )
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        copied = Compiled(self.net, self.lowered, self.canonical()).train(self.training)
        copied.is_trained = self.is_trained
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        made = self.lowered
        chosen = {stage: choice.implementation for stage, choice in made.choices.items()}
        how = (made.backend, made.dtype, made.batch, chosen)
        return _restore, (self.net, how, self.canonical(), self.training, self.is_trained)


def _restore(
    net: Net, how: tuple[Any, ...], tensors: dict[str, Tensor], training: bool, is_trained: bool
) -> Compiled:
    backend, dtype, batch, given = how
    made = lowered(net.graph, backend, dtype=dtype, batch=batch, given=given)
    model = Compiled(net, made, tensors).train(training)
    model.is_trained = is_trained
    return model
