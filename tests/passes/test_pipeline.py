"""All passes over random nets and the bundled specs: what was computed still is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings

import netspec
from netspec.backends.reference import Model
from netspec.graph import Graph
from netspec.passes import PIPELINE, TRAINING, Pass, optimise
from tests.passes.helpers import (
    ROUNDING,
    activations,
    assert_outputs_kept,
    assert_parameters_are_the_nets,
    assert_values_kept,
    furnished,
    images,
    run,
)
from tests.passes.strategy import specs

Tensors = dict[str, torch.Tensor]

CHOICES = [*((one,) for one in PIPELINE), *(PIPELINE[:end] for end in range(2, len(PIPELINE) + 1))]
"""Each pass alone, and the beginnings of the pipeline up to the whole of it."""


@settings(max_examples=25)
@given(specs())
def test_passes_keep_what_is_computed_at_inference(text: str) -> None:
    net = netspec.loads(text)
    model, given = furnished(net), images(net)
    wanted = activations(model, net.graph, given)
    for passes in CHOICES:
        made = optimise(net.graph, passes).graph
        assert_values_kept(model, made, given, wanted)
        assert_outputs_kept(model, net.graph, made, wanted, given)
        assert_parameters_are_the_nets(net.graph, made)


@settings(max_examples=40)
@given(specs())
def test_a_second_run_finds_nothing_to_do(text: str) -> None:
    graph = netspec.loads(text).graph
    for passes in (*CHOICES, TRAINING):
        made = optimise(graph, passes).graph
        assert set(optimise(made, passes).rewrites.values()) == {0}, [p.RULE for p in passes]


@settings(max_examples=30)
@given(specs(training=True))
def test_passes_keep_gradients_while_training(text: str) -> None:
    """Outputs, heads, statistics, and the gradients of all parameters and inputs.

    Dropout has a rate of zero here: with another the masks depend on the order of the stages.
    """
    net = netspec.loads(text)
    model, given = furnished(net), images(net)
    wanted = _trained(model, net.graph, given)
    for passes in (*((one,) for one in TRAINING), TRAINING):
        found = _trained(model, optimise(net.graph, passes).graph, given)
        for plain, made in zip(wanted, found, strict=True):
            assert made.keys() == plain.keys()
            largest = max((float(x.abs().max()) for x in plain.values()), default=0.0)
            for name, value in plain.items():
                error = float((made[name] - value).abs().max())
                assert error <= ROUNDING * max(1.0, largest), name




def _trained(
    model: Model, graph: Graph, given: Sequence[torch.Tensor]
) -> tuple[Tensors, Tensors, Tensors]:
    """Outputs with heads, gradients, and statistics, after one run that leaves the model as it was."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    leaves = dict(model.named_parameters())
    leaves |= {n: x.clone().requires_grad_() for n, x in zip(graph.inputs, given, strict=True)}
    results = run(model, graph, [leaves[name] for name in graph.inputs], training=True)
    generator = torch.Generator().manual_seed(2)
    loss = sum(
        (y * torch.randn(y.shape, generator=generator, dtype=torch.float64)).sum() for y in results
    )
    assert isinstance(loss, torch.Tensor)
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
    outputs = {str(place): y.detach() for place, y in enumerate(results)}
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    return outputs, gradients, statistics


# --------------------------------------------------------------------------------- bundled specs

NUMBERS = {
    "inception_module": {"H": 28, "W": 28, "C": 192},
    "inception_naive": {"H": 28, "W": 28, "C": 192},
}


@pytest.mark.parametrize("name", netspec.bundled())
def test_every_bundled_spec_goes_through(name: str) -> None:
    """Verified after each pass; the second run finds nothing to do."""
    graph = netspec.load(name, **_settings(name)).graph
    for passes in (PIPELINE, TRAINING):
        made = optimise(graph, passes).graph
        assert_parameters_are_the_nets(graph, made)
        assert set(optimise(made, passes).rewrites.values()) == {0}
        assert not made.rows
        assert graph.outputs[0] in {made.outputs[0], *made.same_value}
