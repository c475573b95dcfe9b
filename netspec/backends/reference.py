"""The reference backend: a checked net as a ``torch.fx.GraphModule`` of plain PyTorch operations.

This is the meaning of a spec.  Every other backend, pass and kernel is held against it, so it is
written to be read, not to be fast: each stage is recorded by calling its operator's ``reference``
on proxies, and stays visible in ``model.code``.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module
from torch.nn import Parameter as TorchParameter

from netspec.backends.reserved import RESERVED
from netspec.graph import Graph
from netspec.language.diagnostics import did_you_mean
from netspec.language.source import Source
from netspec.net import Net, from_source
from netspec.operator import Parameter


class Model(fx.GraphModule):
    """A net that runs: maps are [N, C, H, W] tensors (channels-last in memory), vectors [N, C].

    In evaluation mode, which a new model is in, ``model(image)`` returns the net's output, or a
    tuple of them; dropout and heads are left out.  In training mode it returns
    ``(output, {head: output})``.  Parameters are called ``ROW[.bN][.opN].parameter``.

    Args:
        net: the checked net.
        tensors: its parameters and buffers by name, as from :func:`fresh_tensors`.
    """

    def __init__(self, net: Net, tensors: Mapping[str, Tensor]) -> None:
        net.graph.verify()
        lowered = {mode: lower(net.graph, training=mode) for mode in (True, False)}
        super().__init__(_furnished(net.graph, tensors), lowered[True], class_name=net.name)
        self.net = net
        self._lowered = lowered
        shapes = [net.graph.stage(name).known_shape.torch for name in net.graph.inputs]
        self._inputs = tuple(zip(net.graph.inputs, shapes, strict=True))
        self.register_forward_pre_hook(_check_inputs, with_kwargs=True)
        self.eval()

    def train(self, mode: bool = True) -> Model:
        """Switch to training, with dropout and heads, or back to inference."""
        super().train(mode)
        if "_lowered" in self.__dict__ and self.graph is not self._lowered[mode]:
            self.graph = self._lowered[mode]
        return self

    def features(self, *labels: str) -> fx.GraphModule:
        """A module that returns the activation of a row, or a tuple for several rows.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.  Parameters are shared with the model.

        Raises:
            KeyError: there is no such row or stage.
        """
        names = [_find(self.net.graph, label) for label in labels]
        return fx.GraphModule(self, lower(self.net.graph, outputs=names), "Features").eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        copied = {name: tensor.detach().clone() for name, tensor in self.state_dict().items()}
        return Model(self.net, copied).train(self.training)

    def __reduce__(self) -> tuple[Any, ...]:
        source = self.net.source
        files = {key: (file.name, file.text) for key, file in self.net.files.items()}
        state = (self.net.settings, self.state_dict(), self.training)
        return _restore, (source.name, source.text, files, *state)


def _restore(
    name: str,
    text: str,
    files: dict[tuple[str, str], tuple[str, str]],
    settings: dict[str, Any],
    tensors: dict[str, Tensor],
    training: bool,
) -> Model:
    found = {key: Source(*file) for key, file in files.items()}
    net = from_source(Source(name, text), settings, found)
    return Model(net, tensors).train(training)


def _find(graph: Graph, label: str) -> str:
    """The stage that a label means: a row's last, a stage by its name, or ``ROW.op``."""
    if label in graph.rows:
        return graph.rows[label].output
    prefix, _, op = label.rpartition(".")
    if label not in graph and prefix in graph and graph.stage(prefix).op.name == op:
        return prefix
    if label in graph:
        return label
    guess = did_you_mean(label, [*graph.rows, *graph.nx])
    raise KeyError(f"there is no row or stage {label!r}; {guess}".rstrip("; "))


def _check_inputs(model: Module, images: tuple[Any, ...], named: dict[str, Any]) -> None:
    """A clear error for what would fail somewhere inside the net."""
    assert isinstance(model, Model)
    if named:
        return
    if len(images) != len(model._inputs):
        wanted = ", ".join(name for name, _ in model._inputs)
        raise ValueError(f"{model.net.name} takes {wanted}, and was given {len(images)} tensors")
    dtype = next((p.dtype for p in model.parameters()), None)
    for (name, shape), image in zip(model._inputs, images, strict=True):
        if not isinstance(image, Tensor):
            raise TypeError(
                f"{model.net.name} takes {name} as a tensor, not {type(image).__name__}"
            )
        if tuple(image.shape[1:]) != shape or image.dim() == 0:
            wanted = ", ".join(["N", *map(str, shape)])
            given = ", ".join(map(str, image.shape))
            raise ValueError(f"{model.net.name} takes {name} as [{wanted}], not [{given}]")
        if dtype is not None and image.dtype != dtype:
            raise TypeError(f"{model.net.name} is in {dtype}, and {name} in {image.dtype}")


# ------------------------------------------------------------------------------------- lowering


class _Recorder(fx.proxy.GraphAppendingTracer):
    """Names the nodes that a stage records after the stage."""

    stage = ""

    def create_node(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
    ) -> fx.Node:
        if kind in ("call_function", "call_method"):
            name = self.stage
        return super().create_node(kind, target, args, kwargs, name, type_expr)


def lower(
    graph: Graph, *, training: bool = False, outputs: Sequence[str] | None = None
) -> fx.Graph:
    """Record a graph as an ``fx.Graph`` of plain PyTorch operations.

    Args:
        graph: the shaped graph.
        training: keep dropout and heads, and return ``(output, {head: output})``.
        outputs: return the activations of these stages instead of the net's outputs.
    """
    ends = list(graph.outputs if outputs is None else outputs)
    heads = {h.name: h.output for h in graph.heads.values()} if training else {}
    needed = _needed(graph, [*ends, *heads.values()])
    lowered = fx.Graph()
    recorder = _Recorder(lowered)
    values: dict[str, Any] = {}
    for stage in graph.stages():
        recorder.stage = _identifier(stage.name)
        operands, inputs = graph.operands(stage.name), graph.shapes_into(stage.name)
        if not operands:
            image = fx.Proxy(lowered.placeholder(_identifier(stage.name)), recorder)
            if stage.known_shape.is_map:
                image = image.contiguous(memory_format=torch.channels_last)
            values[stage.name] = image
        elif stage.name in needed:
            held = [*stage.op.parameters(inputs), *stage.op.buffers(inputs)]
            parameters: dict[str, Any] = {
                name: fx.Proxy(lowered.get_attr(attribute(stage.name, name)), recorder)
                for name in held
            }
            meaning = stage.op.training_reference if training else stage.op.reference
            x = [values[operand] for operand in operands]
            values[stage.name] = meaning(inputs, *x, **parameters)
    results = [values[name].node for name in ends]
    result: Any = results[0] if len(results) == 1 else tuple(results)
    if training:
        result = (result, {name: values[output].node for name, output in heads.items()})
    lowered.output(result)
    return lowered


def _identifier(name: str) -> str:
    """The name of a stage as a variable of the emitted Python."""
    word = name.replace(".", "_")
    is_taken = word in RESERVED or word in _USED_BY_FX or hasattr(builtins, word)
    return f"_{word}" if word[0].isdigit() or is_taken else word


_USED_BY_FX = ("torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree")
"""Names that the emitted Python takes from its surroundings."""


def _needed(graph: Graph, ends: Sequence[str]) -> set[str]:
    """The stages that lead to ``ends``."""
    found: set[str] = set()
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph.operands(name)
    return found


# ------------------------------------------------------------------------------------ parameters


def parameter_names(graph: Graph) -> Iterator[tuple[str, Parameter, bool]]:
    """Name, description and whether it is trained, of every tensor that the net holds."""
    for stage in graph.stages():
        inputs = graph.shapes_into(stage.name)
        for name, parameter in stage.op.parameters(inputs).items():
            yield attribute(stage.name, name), parameter, True
        for name, buffer in stage.op.buffers(inputs).items():
            yield attribute(stage.name, name), buffer, False


def fresh_tensors(
    net: Net, *, device: torch.device, dtype: torch.dtype, seed: int
) -> dict[str, Tensor]:
    """Untrained parameters: weights from N(0, 2 / fan_in), biases zero; the same for every dtype.

    Raises:
        MemoryError: the machine has less memory than the parameters take.
    """
    held = list(parameter_names(net.graph))
    needed = sum(p.elements for _, p, _ in held) * dtype.itemsize
    available = _memory()
    if needed > available:
        have = available / 2**30
        raise MemoryError(
            f"the parameters of {net.name} take {needed / 2**30:,.0f} GiB, "
            f"and this machine has {have:,.0f} GiB"
        )
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, parameter, _ in held:
        if parameter.fan_in is None:
            values = torch.full(parameter.shape, parameter.value)
        else:
            deviation = (2 / parameter.fan_in) ** 0.5
            values = torch.empty(parameter.shape).normal_(0, deviation, generator=generator)
        tensors[name] = values.to(device=device, dtype=dtype)
    return tensors


def _memory() -> float:
    """Bytes of memory of this machine, as far as it tells."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _furnished(graph: Graph, tensors: Mapping[str, Tensor]) -> Module:
    """A module that holds the tensors under their names."""
    root = Module()
    for name, _, is_trained in parameter_names(graph):
        *path, last = name.split(".")
        module = root
        for step in path:
            if step not in module._modules:
                module.add_module(step, Module())
            module = module.get_submodule(step)
        tensor = tensors[name]
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        if is_trained:
            module.register_parameter(last, TorchParameter(tensor))
        else:
            module.register_buffer(last, tensor)
    return root


def attribute(stage: str, parameter: str) -> str:
    """The name of a parameter; a label that PyTorch uses itself gets an underscore behind it."""
    steps = [
        f"{step}_" if step.startswith("__") or step.rstrip("_") in RESERVED else step
        for step in stage.split(".")
    ]
    return ".".join([*steps, parameter])
