"""Convert a graph to PyTorch operations by calling the ``reference`` of its operators on proxies.

All conversions of a graph to an ``fx.Graph`` use :func:`lower`.  A *group* is the stages of a row,
of a branch or of one operator; their names have the same beginning.  A group can be recorded
separately, and called as a module by the graph around it.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx

from netspec.ir.graph import Graph, Stage
from netspec.ir.logits import ends_of
from netspec.ir.operator import Meaning, Operator, own_meaning
from netspec.ir.parameter_names import RESERVED, module_path, packings
from netspec.runtime.stopping import before_softmax


class Group(NamedTuple):
    """The stages that one module computes.

    Attributes:
        name: the common beginning of their names.
        stages: in order.
        inputs: the values of other stages that they read.
        outputs: their values that other stages read.
        whole: if the module stops before its final softmax, the number of values that it returns
            without stopping; otherwise None.
    """

    name: str
    stages: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    whole: int | None = None

    @property
    def own(self) -> str | None:
        """The stage with the name of the group, or None."""
        return self.name if self.name in self.stages else None


def groups_of(graph: Graph) -> dict[str, Group]:
    """Return the groups of a net by name, each before the groups inside it.

    Only consecutive stages form a group.  Stages with a common beginning are not consecutive only
    if a row of a block has the name of a branch, such as ``b1``.
    """
    order = [stage.name for stage in graph.stages() if graph.operands(stage.name)]
    members: dict[str, list[int]] = {}
    for place, stage in enumerate(order):
        steps = stage.split(".")
        for end in range(1, len(steps) + 1):
            members.setdefault(".".join(steps[:end]), []).append(place)
    groups = {}
    for name, places in members.items():
        if places[-1] - places[0] == len(places) - 1:
            stages = order[places[0] : places[-1] + 1]
            inside = set(stages)
            read = dict.fromkeys(x for stage in stages for x in graph.operands(stage))
            inputs = [x for x in read if x not in inside]
            groups[name] = Group(name, (*stages,), (*inputs,), _given(graph, stages))
    return groups


def _given(graph: Graph, stages: Sequence[str]) -> tuple[str, ...]:
    """Return the values of ``stages`` that other stages read or that are outputs; else the last."""
    ends, inside = set(ends_of(graph)), set(stages)
    outputs = [x for x in stages if x in ends or not inside >= {*graph.consumers(x)}]
    return (*outputs,) or (stages[-1],)


def groups_before_softmax(
    whole: Graph, graph: Graph, groups: Mapping[str, Group]
) -> dict[str, Group]:
    """Return the groups of a net for its graph without final softmaxes.

    Args:
        whole: the net's graph.
        graph: the result of :func:`without_softmax` for it.
        groups: the groups of ``whole``.
    """
    called = {}
    for name, group in groups.items():
        stages = tuple(stage for stage in group.stages if stage in graph)
        if stages:
            inputs = tuple(x if x in graph else whole.operands(x)[0] for x in group.inputs)
            outputs = _given(graph, stages)
            is_same = stages == group.stages and outputs == group.outputs
            called[name] = Group(
                name, stages, inputs, outputs, None if is_same else len(group.outputs)
            )
    return called


def lower(
    graph: Graph,
    *,
    training: bool = False,
    outputs: Sequence[str] | None = None,
    meaning: Callable[[Operator, bool], Meaning] = own_meaning,
    groups: Mapping[str, Group] | None = None,
    group: Group | None = None,
) -> fx.Graph:
    """Record a graph as an ``fx.Graph`` of plain PyTorch operations.

    Args:
        graph: with shapes.
        training: keep dropout and heads; a net with heads returns ``(output, {head: output})``.
        outputs: return the activations of these stages instead of the net's outputs.
        meaning: returns the function that is recorded for an operator, in training or not; it has
            the arguments of :meth:`Operator.reference`.
        groups: groups to call as modules, the largest possible ones; a group with one of
            ``outputs`` inside is not called.  By default no group is called.
        group: record only the stages of this group, and return its outputs.
    """
    recording = _Recording(graph, training, meaning, group)
    heads: dict[str, str] = {}
    if group is not None:
        ends, stages = list(group.outputs), list(map(graph.stage, group.stages))
        for name in group.inputs:
            recording.take(name)
    else:
        ends, stages = list(graph.outputs if outputs is None else outputs), list(graph.stages())
        heads = {h.name: h.output for h in graph.heads.values()} if training else {}
    called = called_groups(groups or {}, outputs or ())
    given = () if group is None else group.inputs
    reached = needed(graph, [*ends, *heads.values()], given)
    for stage in stages:
        if not graph.operands(stage.name):
            recording.take_image(stage)
        elif stage.name in reached and stage.name not in recording.values:
            outer = _outermost(called, stage.name, group)
            if outer is None:
                recording.record(stage)
            elif stage.name == outer.stages[0]:
                recording.call(outer)
    return recording.finished(ends, heads)


def called_groups(groups: Mapping[str, Group], wanted: Sequence[str]) -> Mapping[str, Group]:
    """Return the groups without a wanted value inside, which a call would not return."""
    if not wanted:
        return groups
    return {
        name: group
        for name, group in groups.items()
        if not any(x in group.stages and x not in group.outputs for x in wanted)
    }


def _outermost(called: Mapping[str, Group], stage: str, within: Group | None) -> Group | None:
    """Return the largest group that contains a stage and is smaller than ``within``, or None."""
    steps = stage.split(".")
    first = 0 if within is None else within.name.count(".") + 1
    names = (".".join(steps[:end]) for end in range(first + 1, len(steps) + 1))
    return next((called[name] for name in names if name in called), None)


class _Recorder(fx.proxy.GraphAppendingTracer):
    """A tracer that gives the nodes of a stage the name of the stage."""

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
        if kind in ("call_function", "call_method", "call_module"):
            name = self.stage
        return super().create_node(kind, target, args, kwargs, name, type_expr)


class _Recording:
    """An ``fx.Graph`` under construction, with the proxy of each value."""

    def __init__(
        self,
        graph: Graph,
        training: bool,
        meaning: Callable[[Operator, bool], Meaning],
        group: Group | None,
    ) -> None:
        self.graph, self.training, self.meaning = graph, training, meaning
        self.prefix = "" if group is None else f"{module_path(group.name)}."
        self.lowered = fx.Graph()
        self.recorder = _Recorder(self.lowered)
        self.values: dict[str, Any] = {}
        self._arguments: set[str] = set()

    def take(self, name: str) -> Any:
        """Record an argument."""
        word = _identifier(name)
        while word in self._arguments:  # of another stage, such as `a.relu` and `a_relu`
            word += "_"
        self._arguments.add(word)
        node = self.lowered.placeholder(word)
        self.values[name] = fx.Proxy(node, self.recorder)
        return self.values[name]

    def take_image(self, stage: Stage) -> None:
        """Record an input of the net, and the conversion of a map to channels-last."""
        self.recorder.stage = _identifier(stage.name)
        image = self.take(stage.name)
        if stage.known_shape.is_map:
            self.values[stage.name] = image.contiguous(memory_format=torch.channels_last)

    def record(self, stage: Stage) -> None:
        """Record the operations of a stage."""
        graph = self.graph
        self.recorder.stage = _identifier(stage.name)
        by_parameter = packings(graph, stage.name)
        own = dict.fromkeys(n for recipe in by_parameter.values() for n in recipe.names)
        proxies: dict[str, Any] = {name: self._tensor(name) for name in own}
        parameters: dict[str, Any] = {
            name: by_parameter[name].pack(proxies) for name in by_parameter
        }
        x = [self.values[operand] for operand in graph.operands(stage.name)]
        if self.training and stage.op.draws:
            parameters["layer"] = stage.name
        meaning = self.meaning(stage.op, self.training)
        self.values[stage.name] = meaning(graph.shapes_into(stage.name), *x, **parameters)

    def call(self, group: Group) -> None:
        """Record a call of the module of a group."""
        self.recorder.stage = _identifier(group.name)
        path = module_path(group.name).removeprefix(self.prefix)
        operands = tuple(self.values[name] for name in group.inputs)
        y: Any
        if group.whole is None:
            y = self.recorder.create_proxy("call_module", path, operands, {})
        else:
            module = fx.Proxy(self.lowered.get_attr(path), self.recorder)
            called = (module, *operands)
            options = {"outputs": group.whole}
            y = self.recorder.create_proxy("call_function", before_softmax, called, options)
        several = len(group.outputs) > 1
        self.values |= {name: y[i] if several else y for i, name in enumerate(group.outputs)}

    def finished(self, ends: Sequence[str], heads: Mapping[str, str]) -> fx.Graph:
        """Return the graph, with its outputs."""
        results = [self.values[name].node for name in ends]
        result: Any = results[0] if len(results) == 1 else tuple(results)
        if heads:
            result = (result, {name: self.values[output].node for name, output in heads.items()})
        self.lowered.output(result)
        return self.lowered

    def _tensor(self, name: str) -> fx.Proxy:
        return fx.Proxy(self.lowered.get_attr(name.removeprefix(self.prefix)), self.recorder)


def _identifier(name: str) -> str:
    """Return the name of a stage as a variable of the generated Python code."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    is_taken = word in RESERVED or word in _USED_BY_FX or hasattr(builtins, word)
    return f"_{word}" if word[0].isdigit() or is_taken else word


_USED_BY_FX = ("torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree")
"""Global names that the generated Python code uses."""


def needed(graph: Graph, ends: Sequence[str], given: Sequence[str] = ()) -> set[str]:
    """Return ``given`` and the stages that must be computed for ``ends`` if ``given`` are known."""
    stages = set(given)
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name not in stages:
            stages.add(name)
            waiting += graph.operands(name)
    return stages
