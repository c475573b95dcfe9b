"""The reference backend: a checked net as a ``torch.fx.GraphModule`` of plain PyTorch operations.

This is the meaning of a spec.  Every other backend, pass and kernel is held against it, so it is
written to be read, not to be fast: each stage is recorded by calling its operator's ``reference``
on proxies, and stays visible in ``model.code``.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import Module

from netspec.ir.graph import Graph
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.ir.parameter_names import RESERVED, packings, parameter_names
from netspec.net import Net
from netspec.runtime.inputs import check_images, input_shapes
from netspec.runtime.modules import attach_tensors


class Model(fx.GraphModule):
    """A net that runs: maps are [N, C, H, W] tensors (channels-last in memory), vectors [N, C].

    In evaluation mode, which a new model is in, ``model(image)`` returns the net's output, or a
    tuple of them; nothing drops out, and heads are left out.  In training mode it returns
    ``(output, {head: output})``.  Parameters are called ``ROW[.bN][.opN].parameter``.

    Args:
        net: the checked net.
        tensors: its parameters and buffers by name, as from :func:`fresh_tensors`.
    """

    def __init__(self, net: Net, tensors: Mapping[str, Tensor]) -> None:
        net.graph.verify()
        lowered = {mode: lower(net.graph, training=mode) for mode in (True, False)}
        root = Module()
        attach_tensors(root, net.graph, tensors)
        super().__init__(root, lowered[True], class_name=net.name)
        self.net, self.expects = net, net.expects
        self._lowered = lowered
        self._inputs = input_shapes(net.graph)
        self.register_forward_pre_hook(_check_inputs, with_kwargs=True)
        self.eval()

    def train(self, mode: bool = True) -> Model:
        """Switch to training, with dropout and heads, or back to inference."""
        super().train(mode)
        if "_lowered" in self.__dict__ and self.graph is not self._lowered[mode]:
            self.graph = self._lowered[mode]
        return self

    def features(self, *labels: str) -> fx.GraphModule:
        """Return a module that gives the activation of a row, or a tuple for several rows.

        Args:
            labels: rows, such as ``"F7"`` or ``"3a"``, or stages, such as ``"3a.b2.relu1"`` and
                ``"C1.conv"``.  Parameters are shared with the model.

        Raises:
            KeyError: there is no such row or stage.
        """
        names = [self.net.graph.find(label) for label in labels]
        return fx.GraphModule(self, lower(self.net.graph, outputs=names), "Features").eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return _restored(self.net, deepcopy(self._modules, memo), self.training)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.net, self._modules, self.training)


def _restored(net: Net, modules: dict[str, Module | None], training: bool) -> Model:
    """Return a model whose parameters, trained or not, are those in the modules."""
    root = Module()
    root._modules.update(modules)
    tensors = {name: attrgetter(name)(root).detach() for name, _, _ in parameter_names(net.graph)}
    model = Model(net, tensors)
    model._modules.update(modules)
    return model.train(training)


def _check_inputs(model: Module, images: tuple[Any, ...], named: dict[str, Any]) -> None:
    assert isinstance(model, Model)
    if not named:
        dtype = next((p.dtype for p in model.parameters()), None)
        check_images(model.net.name, model._inputs, dtype, images)


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
    graph: Graph,
    *,
    training: bool = False,
    outputs: Sequence[str] | None = None,
    meaning: Callable[[Operator, bool], Meaning] = own_meaning,
) -> fx.Graph:
    """Record a graph as an ``fx.Graph`` of plain PyTorch operations.

    Args:
        graph: the shaped graph.
        training: keep dropout and heads, and return ``(output, {head: output})``.
        outputs: return the activations of these stages instead of the net's outputs.
        meaning: what is recorded of an operator, while training or not; called as its reference.
    """
    ends = list(graph.outputs if outputs is None else outputs)
    heads = {h.name: h.output for h in graph.heads.values()} if training else {}
    reached = needed(graph, [*ends, *heads.values()])
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
        elif stage.name in reached:
            by_parameter = packings(graph, stage.name)
            own = dict.fromkeys(n for recipe in by_parameter.values() for n in recipe.names)
            proxies: dict[str, Any] = {
                name: fx.Proxy(lowered.get_attr(name), recorder) for name in own
            }
            parameters: dict[str, Any] = {
                name: by_parameter[name].pack(proxies) for name in by_parameter
            }
            x = [values[operand] for operand in operands]
            if training and stage.op.draws:
                parameters["layer"] = stage.name
            values[stage.name] = meaning(stage.op, training)(inputs, *x, **parameters)
    results = [values[name].node for name in ends]
    result: Any = results[0] if len(results) == 1 else tuple(results)
    if training:
        result = (result, {name: values[output].node for name, output in heads.items()})
    lowered.output(result)
    return lowered


def _identifier(name: str) -> str:
    """Return the name of a stage as a variable of the emitted Python."""
    word = name.replace(".", "_")
    is_taken = word in RESERVED or word in _USED_BY_FX or hasattr(builtins, word)
    return f"_{word}" if word[0].isdigit() or is_taken else word


_USED_BY_FX = ("torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree")
"""Names that the emitted Python takes from its surroundings."""


def needed(graph: Graph, ends: Sequence[str]) -> set[str]:
    """Return the stages that lead to ``ends``."""
    stages: set[str] = set()
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name not in stages:
            stages.add(name)
            waiting += graph.operands(name)
    return stages


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
