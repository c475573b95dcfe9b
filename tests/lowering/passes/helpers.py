"""What the tests of passes share: a net with random parameters, run stage by stage in float64."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, fx

import netspec
from netspec import Net
from netspec.ir.graph import Entry, Graph
from netspec.ir.parameter_names import packings, parameter_names
from netspec.lowering.passes import Outcome, optimise
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple
from tests.helpers import load_rows

ROUNDING = 1e-10
"""How far two orders of the same float64 operations may move a value, against the largest.

Sums here have at most 300 terms and stand in chains of at most some forty stages, each of which
moves a value by no more than a few hundred units of 1.1e-16; batch normalisations with an eps of at
least 0.1 multiply what is there by up to 3 |weight|, a handful of them one behind the other.  A
term that is missing, doubled or in the wrong place is larger by many powers of ten.
"""


def random_model(net: Net, seed: int = 0) -> Model:
    """A model in float64 of which no tensor has the value that fresh ones have."""
    generator = torch.Generator().manual_seed(seed)
    model = netspec.reference(net, dtype=torch.float64)
    state = model.state_dict()
    for name, parameter, _ in parameter_names(net.graph):
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            drawn = 0.5 + 1.5 * torch.rand(parameter.shape, generator=generator).double()
        state[name].copy_(drawn / max(1, parameter.fan_in or 1) ** 0.5)
    return model


def images(net: Net, seed: int = 1, batch: int = 3) -> list[Tensor]:
    """A batch for each input from N(0, 1): negative values too, as a ReLU has to meet some."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [net.graph.stage(name).known_shape.torch for name in net.graph.inputs]
    return [torch.randn(batch, *s, generator=generator, dtype=torch.float64) for s in sizes]


def run(
    model: Model,
    graph: Graph,
    inputs: Sequence[Tensor],
    names: Sequence[str] | None = None,
    *,
    training: bool = False,
) -> tuple[Tensor, ...]:
    """The outputs of a graph, or the activations of some stages, and of the heads in training."""
    lowered = lower(graph, training=training, outputs=names)
    result = fx.Interpreter(model, graph=lowered).run(*inputs)
    if training and graph.heads:
        result, heads = result
        return *as_tuple(result), *heads.values()
    return as_tuple(result)


def activations(model: Model, graph: Graph, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """The value of every stage at inference, by name."""
    names = [stage.name for stage in graph.stages()]
    with torch.no_grad():
        return dict(zip(names, run(model, graph, inputs, names), strict=True))


def assert_values_kept(
    model: Model,
    graph: Graph,
    inputs: Sequence[Tensor],
    wanted: dict[str, Tensor],
    tolerance: float = ROUNDING,
) -> None:
    """Outputs, and every stage that kept its name, are as in the plain net.

    So are the stages that others stand for, as ``graph.same_value`` says.
    """
    outputs = model.net.graph.outputs
    values = activations(model, graph, inputs)
    allowed = tolerance * max(1.0, *(float(value.abs().max()) for value in wanted.values()))
    pairs = [(name, name) for name in values if name in wanted]
    pairs += [(old, new) for old, new in graph.same_value.items() if new in values]
    pairs += zip(outputs, graph.outputs, strict=True)
    for old, new in pairs:
        assert values[new].shape == wanted[old].shape, old
        error = float((values[new] - wanted[old]).abs().max())
        assert error <= allowed, f"{old}: off by {error}, {allowed} allowed"


def assert_parameters_are_the_nets(plain: Graph, rewritten: Graph) -> None:
    """Whatever a stage holds is made of tensors of the spec, in the shape that its operator wants,
    and each is used in one place: once, or by the weight and the bias of one folded stage.
    """
    canonical = {name: parameter.shape for name, parameter, _ in parameter_names(plain)}
    users: dict[str, set[str]] = {}
    for stage in rewritten.stages():
        for packing in packings(rewritten, stage.name).values():
            assert len(packing.names) == len(set(packing.names)), packing
            for name in packing.names:
                users.setdefault(name, set()).add(stage.name)
    assert users.keys() <= canonical.keys()
    for name, stages in users.items():
        # a convolution that changed places with a pool leaves its bias there, and with it the
        # normalisation that is folded into both
        products = sum("/product" in stage for stage in stages)
        assert len(stages) == 1 or (len(stages), products) == (2, 1), (name, stages)


def alone(rows: str, one: ModuleType, header: str | None = None) -> tuple[Net, Outcome]:
    """A net, and what one pass makes of it, whose values are those of the net.

    A second run of the pass finds nothing to do.
    """
    net = load_rows(rows) if header is None else load_rows(rows, header)
    outcome = optimise(net.graph, [one])  # type: ignore[list-item]
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    assert_values_kept(model, outcome.graph, inputs, wanted)
    assert_parameters_are_the_nets(net.graph, outcome.graph)
    again = one.rewrite(outcome.graph.copy())
    assert again == 0, f"a second run of {one.RULE} rewrites {again}"
    return net, outcome


def refused(outcome: Outcome) -> list[tuple[tuple[str, ...], int]]:
    """The stages that a pass left as they were, and the number of the reason."""
    return [(entry.stages, entry.refusal) for entry in outcome.graph.journal if entry.refusal]


def done(outcome: Outcome) -> list[Entry]:
    """What a pass did."""
    return [entry for entry in outcome.graph.journal if not entry.refusal]


def operators(graph: Graph) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, operator and operands of each stage but the inputs."""
    return [
        (stage.name, stage.op.name, graph.operands(stage.name))
        for stage in graph.stages()
        if stage.name not in graph.inputs
    ]
