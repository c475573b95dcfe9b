"""A compiled net: the plan of the rewritten graph, with packed parameters, as an ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module

from netspec.backends.backend import Executor, Part, Timed
from netspec.backends.furnish import furnish
from netspec.backends.images import check_images, check_out, input_shapes, output_shapes
from netspec.backends.lowered import Lowered, lowered
from netspec.backends.packed import Packed
from netspec.backends.reference import lower
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

    Outputs have no gradients in evaluation mode, unless an image requires them.

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
        self._own: list[tuple[str, Module, str]] = []
        self._seen: tuple[int, ...] = ()
        self._with_gradients: dict[bool, fx.GraphModule] = {}
        self._pack(tensors)
        self.eval()

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
        self.refresh()
        return one_or_all(self._executor(*images, out=given))

    def profile(self, *images: Tensor) -> list[Timed]:
        """Run once in evaluation mode, and time every step of the plan."""
        check_images(self.net.name, self._inputs, self.lowered.dtype, images)
        self.refresh()
        return self._executor.profile(*images)

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
        self._unpack()
        if mode not in self._with_gradients:
            graph = optimise(self.net.graph, TRAINING if mode else ()).graph
            recorded = lower(graph, training=mode, meaning=self.lowered.backend.meaning)
            module = fx.GraphModule(self, recorded, self.net.name)
            self._with_gradients[mode] = module
        return self._with_gradients[mode]

    # ---------------------------------------------------------------------------- parameters

    @property
    def is_unpacked(self) -> bool:
        """Whether the spec's own parameters are held, beside the packed ones."""
        return bool(self._own)

    @property
    def packed(self) -> Packed:
        """The parameters as the steps of the plan want them."""
        return self._packed

    def refresh(self) -> None:
        """Pack the parameters again if somebody changed them."""
        if self._seen != self._versions():
            self._pack(self._held())

    def _pack(self, tensors: dict[str, Tensor]) -> None:
        with torch.inference_mode(False):
            self._packed = Packed(self.lowered, tensors)
        self._executor = self._executor_of(self._packed.parts())
        self._seen = self._versions()

    def _executor_of(self, parts: Mapping[str, Part]) -> Executor:
        made = self.lowered
        return made.backend.executor(made.graph, made.plan, parts)

    def canonical(self) -> dict[str, Tensor]:
        """The parameters and buffers of the spec, by name and in its order."""
        if self.is_unpacked:
            return self._held()
        found = self._packed.unpacked()
        return {name: found[name] for name, *_ in parameter_names(self.net.graph)}

    def _held(self) -> dict[str, Tensor]:
        return {name: getattr(module, last).detach() for name, module, last in self._own}

    def _unpack(self) -> None:
        """Hold the parameters of the spec from now on."""
        if self.is_unpacked:
            return
        with torch.inference_mode(False):
            own = {name: tensor.clone() for name, tensor in self.canonical().items()}
            root = Module()
            furnish(root, self.net.graph, own)
        self._modules.update(root._modules)
        for name in own:
            path, _, last = name.rpartition(".")
            self._own.append((name, root.get_submodule(path), last))
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
            if name.startswith("_") or self.is_unpacked:
                raise
            if not any(
                known.startswith(f"{name}.") for known, *_ in parameter_names(self.net.graph)
            ):
                raise
        self._unpack()
        return super().__getattr__(name)

    def train(self, mode: bool = True) -> Compiled:
        """Switch to training, with dropout and heads, or back to inference."""
        if mode:
            self._unpack()
        elif self.training:
            self._seen = ()  # whatever happened to them, parameters are packed again
        super().train(mode)
        return self

    def named_modules(self, *given: Any, **named: Any) -> Iterator[tuple[str, Module]]:
        """Modules that hold the parameters of the spec, which are held from now on."""
        self._unpack()
        found: Iterator[tuple[str, Module]] = super().named_modules(*given, **named)
        return found

    def load_state_dict(self, *given: Any, **named: Any) -> Any:
        """Take the tensors of a state dict, and pack them."""
        was_unpacked = self.is_unpacked
        try:
            return super().load_state_dict(*given, **named)
        finally:
            if was_unpacked:
                self.refresh()
            else:
                self._drop()

    def _drop(self) -> None:
        """Hold the packed parameters alone again."""
        self._pack(self._held())
        self._own, self._seen = [], ()
        self._with_gradients.clear()
        self._modules.clear()

    def _load_from_state_dict(self, *given: Any) -> None:
        self._unpack()
        super()._load_from_state_dict(*given)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        if not self.is_unpacked:
            destination |= {prefix + name: t for name, t in self.canonical().items()}

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
        tensors = {name: tensor.clone() for name, tensor in self.canonical().items()}
        return Compiled(self.net, self.lowered, tensors).train(self.training)

    def __reduce__(self) -> tuple[Any, ...]:
        made = self.lowered
        chosen = {stage: choice.implementation for stage, choice in made.choices.items()}
        how = (made.backend, made.dtype, made.batch, chosen)
        return _restore, (self.net, how, self.canonical(), self.training)


def _restore(
    net: Net, how: tuple[Any, ...], tensors: dict[str, Tensor], training: bool
) -> Compiled:
    backend, dtype, batch, given = how
    made = lowered(net.graph, backend, dtype=dtype, batch=batch, given=given)
    return Compiled(net, made, tensors).train(training)


class Features(Module):
    """Activations of a compiled net, by a plan of their own; packed parameters are shared.

    Attributes:
        notes: which of the activations are fused away in the compiled net, a sentence each.
    """

    def __init__(self, model: Compiled, names: Sequence[str]) -> None:
        super().__init__()
        self._of = (model,)  # in a tuple, or its parameters would be this module's, too
        self._names = list(names)
        graph, whole = model.net.graph.copy(), model.lowered
        before, graph.outputs = graph.outputs, self._names
        graph.sweep(before)
        first = lowered(graph, whole.backend, dtype=whole.dtype, batch=whole.batch)
        given = {
            stage: whole.choices[stage].implementation
            for stage, work in first.works.items()
            if whole.works.get(stage) == work
        }
        self.lowered = lowered(
            graph, whole.backend, dtype=whole.dtype, batch=whole.batch, given=given
        )
        self.notes = [
            f"{name} is fused away in the compiled {model.net.name}, and computed apart here"
            for name in names
            if name not in whole.graph and name not in whole.graph.same_value
        ]
        self._executor: Executor | None = None
        self._shares: Packed | None = None
        self.eval()

    def forward(self, *images: Tensor) -> Any:
        """The activation, or a tuple of them."""
        (model,) = self._of
        check_images(model.net.name, model._inputs, self.lowered.dtype, images)
        if wants_gradients(images):
            model._unpack()
            meaning = self.lowered.backend.meaning
            recorded = lower(model.net.graph, outputs=self._names, meaning=meaning)
            return fx.GraphModule(model, recorded)(*images)
        model.refresh()
        if self._executor is None or self._shares is not model.packed:
            self._shares = model.packed
            with torch.inference_mode(False):
                parts = model.packed.parts_of(self.lowered, model.canonical)
            made = self.lowered
            self._executor = made.backend.executor(made.graph, made.plan, parts)
        return one_or_all(self._executor(*images))

    def extra_repr(self) -> str:
        """The activations, and the notes."""
        return "\n".join([", ".join(self._names), *self.notes])


def wants_gradients(images: Sequence[Tensor]) -> bool:
    """Whether gradients with respect to an image are asked for."""
    return torch.is_grad_enabled() and any(image.requires_grad for image in images)


def one_or_all(outputs: tuple[Tensor, ...]) -> Any:
    """A single output by itself, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else outputs
