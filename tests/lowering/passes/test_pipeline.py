"""All passes over random nets and the bundled specs: what was computed still is."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given

import netspec
from netspec.ir.graph import Graph
from netspec.lowering.passes import PASSES, PIPELINE, TRAINING, Pass, PassError, optimise
from netspec.runtime.reference import Model
from tests.examples import examples
from tests.helpers import load_rows, loaded, some_by_default
from tests.lowering.passes.helpers import (
    ROUNDING,
    activations,
    assert_parameters_are_the_nets,
    assert_values_kept,
    images,
    operators,
    random_model,
    run,
)
from tests.lowering.passes.strategy import specs

Tensors = dict[str, torch.Tensor]

CHOICES = [*((one,) for one in PIPELINE), *(PIPELINE[:end] for end in range(2, len(PIPELINE) + 1))]
"""Each pass alone, and the beginnings of the pipeline up to the whole of it."""


@examples(25)
@given(specs())
def test_passes_keep_what_is_computed_at_inference(text: str) -> None:
    net = netspec.loads(text)
    model, inputs = random_model(net), images(net)
    wanted = activations(model, net.graph, inputs)
    for passes in (*CHOICES, TRAINING):
        optimised, rewrites = optimise(net.graph, passes)
        if not rewrites[passes[-1].RULE] and passes is not TRAINING:
            continue  # the same graph as one pass before
        assert_values_kept(model, optimised, inputs, wanted)
        assert_parameters_are_the_nets(net.graph, optimised)


@examples(40)
@given(specs())
def test_a_second_run_finds_nothing_to_do(text: str) -> None:
    graph = netspec.loads(text).graph
    for passes in (*CHOICES, TRAINING):
        optimised = optimise(graph, passes).graph
        assert set(optimise(optimised, passes).rewrites.values()) == {0}, [p.RULE for p in passes]


@examples(40)
@given(specs())
def test_stages_keep_their_order(text: str) -> None:
    """So that each dropout gets the random numbers that it gets in the plain net."""
    graph = netspec.loads(text).graph
    for passes in (*CHOICES, TRAINING):
        optimised = optimise(graph, passes).graph
        kept = [stage.name for stage in optimised.stages() if stage.name in graph]
        assert kept == [stage.name for stage in graph.stages() if stage.name in optimised]


@examples(30)
@given(specs(training=True))
def test_passes_keep_gradients_while_training(text: str) -> None:
    """Outputs, heads, statistics, and the gradients of all parameters and inputs.

    Dropout has a rate of zero here; that masks are the same is what the order of stages says.
    """
    net = netspec.loads(text)
    model, inputs = random_model(net), images(net)
    wanted = _trained(model, net.graph, inputs)
    for passes in (*((one,) for one in TRAINING), TRAINING):
        results = _trained(model, optimise(net.graph, passes).graph, inputs)
        for plain, ours in zip(wanted, results, strict=True):
            assert ours.keys() == plain.keys()
            largest = max((float(x.abs().max()) for x in plain.values()), default=0.0)
            for name, value in plain.items():
                error = float((ours[name] - value).abs().max())
                assert error <= ROUNDING * max(1.0, largest), name


def _trained(
    model: Model, graph: Graph, inputs: Sequence[torch.Tensor]
) -> tuple[Tensors, Tensors, Tensors]:
    """Outputs with heads, gradients and statistics, of a run that leaves the model as it was."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    leaves = dict(model.named_parameters())
    leaves |= {n: x.clone().requires_grad_() for n, x in zip(graph.inputs, inputs, strict=True)}
    results = run(model, graph, [leaves[name] for name in graph.inputs], training=True)
    generator = torch.Generator().manual_seed(2)
    loss = sum(
        (y * torch.randn(y.shape, generator=generator, dtype=torch.float64)).sum() for y in results
    )
    assert isinstance(loss, torch.Tensor)
    derivatives = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {name: g for name, g in zip(leaves, derivatives, strict=True) if g is not None}
    outputs = {str(place): y.detach() for place, y in enumerate(results)}
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    return outputs, gradients, statistics


# ------------------------------------------------------------------------------------------ order

AVERAGE = "avgpool 3x3, pad=1, count_pad=on"
ROWS = {
    ("drop_training", "drop_flatten"): "a: flatten | identity | fc 5",
    ("drop_training", "fuse_relu"): "a: conv 3x3, 4 | dropout 0.5 | relu",
    ("drop_training", "flatten_concat"): "a: concat { concat { relu; tanh } | identity; abs }",
    ("drop_flatten", "fold_dropout"): "a: dropout 0.5, scale=test | flatten | fc 5",
    ("fold_batchnorm", "commute_avgpool"): f"a: {AVERAGE} | conv 1x1, 2, bias=off | bn eps=1e-3",
    ("fold_batchnorm", "fuse_relu"): "a: conv 3x3, 4 | bn eps=1e-3 | relu",
    ("drop_training", "fuse_activation"): "a: conv 3x3, 4 | identity | silu",
    ("fold_batchnorm", "fuse_activation"): "a: conv 3x3, 4 | bn eps=1e-3 | silu",
    ("commute_avgpool", "fuse_relu"): f"a: {AVERAGE} | conv 1x1, 2 | relu",
    ("commute_maxpool", "fuse_relu"): "a: tanh | relu | maxpool 2x2/2",
    ("fold_dropout", "merge_siblings"): """
        a from image: conv 1x1, 2
        b from image: dropout 0.5, scale=test | conv 1x1, 2
        c from a, b: concat
    """,
    ("fuse_relu", "merge_siblings"): """
        a from image: conv 1x1, 2 | relu
        b from image: conv 1x1, 2 | relu
        c from a, b: concat
    """,
    ("fuse_relu", "fuse_lrn_maxpool"): "a: lrn 3 | maxpool 2x2/2 | relu",
}
"""Rows of which two passes make one net in the order of ``PIPELINE``, another in the reverse."""


@pytest.mark.parametrize(("first", "second"), ROWS)
def test_passes_stand_where_they_do_for_a_reason(first: str, second: str) -> None:
    rules = [one.RULE for one in PIPELINE]
    assert rules.index(first) < rules.index(second)
    graph, passes = load_rows(ROWS[first, second]).graph, (PASSES[first], PASSES[second])
    reverse = optimise(graph, passes[::-1]).graph
    assert operators(optimise(graph, passes).graph) != operators(reverse)


def test_an_invalid_graph_names_the_pass_that_left_it_and_those_before() -> None:
    def lose_an_operand(graph: Graph) -> int:
        graph.nx.remove_edges_from(list(graph.nx.in_edges("a.relu")))
        return 1

    careless = SimpleNamespace(
        RULE="careless", EQUATION="f(x) => f()", REMARK="", REFUSALS={}, rewrite=lose_an_operand
    )
    graph = load_rows("a: relu").graph
    message = r"^the pass careless left an invalid graph: a.relu: 0 operands$"
    with pytest.raises(PassError, match=message):
        optimise(graph, [careless])
    message = (
        r"^the pass careless \(after drop_training, fuse_relu\) left an invalid graph: a.relu: 0 op"
    )
    with pytest.raises(PassError, match=message):
        optimise(graph, [PASSES["drop_training"], PASSES["fuse_relu"], careless])


# --------------------------------------------------------------------------------- bundled specs

SIZES = {"H": 28, "W": 28, "C1": 192, "C2": 64}


@pytest.mark.parametrize("name", some_by_default(netspec.bundled()))
def test_every_bundled_spec_goes_through(name: str) -> None:
    """Verified after each pass; the second run finds nothing to do."""
    is_symbolic = name in ("inception_module", "inception_naive")
    graph = loaded(name, **(SIZES if is_symbolic else {})).graph
    for passes in (PIPELINE, TRAINING):
        optimised = optimise(graph, passes).graph
        assert_parameters_are_the_nets(graph, optimised)
        assert set(optimise(optimised, passes).rewrites.values()) == {0}


def _rewrites(name: str, passes: Sequence[Pass]) -> dict[str, int]:
    outcome = optimise(loaded(name).graph, passes)
    return {rule: count for rule, count in outcome.rewrites.items() if count}


def test_what_passes_make_of_alexnet() -> None:
    """Two dropouts, which scale at test time; ReLU behind C1 to C5, F6 and F7; S1 and S2 pool what
    was normalised.
    """
    assert _rewrites("alexnet", PIPELINE) == {
        "fold_dropout": 2, "fuse_relu": 7, "fuse_lrn_maxpool": 2
    }  # fmt: skip
    assert _rewrites("alexnet", TRAINING) == {"fuse_relu": 7}


def test_what_passes_make_of_googlenet() -> None:
    """Two heads of 8 stages and a dropout; 3 + 9 * 6 convolutions, each with its ReLU; three 1x1
    convolutions of each of nine modules in one; pool2 takes what was normalised.

    In training each head has two more ReLU, behind a convolution and a fully connected layer.
    """
    assert _rewrites("googlenet", PIPELINE) == {
        "drop_training": 17, "fuse_relu": 57, "fuse_lrn_maxpool": 1, "merge_siblings": 18
    }  # fmt: skip
    assert _rewrites("googlenet", TRAINING) == {"fuse_relu": 61, "merge_siblings": 18}


def test_what_passes_make_of_inception_v3() -> None:
    """A head of 10 stages and a dropout; 94 convolutions, each with its normalisation and ReLU; a
    pool in each of 3 + 4 + 2 modules goes behind its convolution; two siblings of three in each of
    the nine go into the first, and one of two in 7a; four `split` stand in another concatenation.

    In training ReLU stands behind normalisations: only pool1 and pool2 get past theirs, and take
    it in.
    """
    assert _rewrites("inception_v3", PIPELINE) == {
        "drop_training": 11, "fold_batchnorm": 94, "commute_avgpool": 9, "fuse_relu": 94,
        "merge_siblings": 19, "flatten_concat": 4,
    }  # fmt: skip
    assert _rewrites("inception_v3", TRAINING) == {
        "commute_maxpool": 2, "fuse_relu": 2, "merge_siblings": 19, "flatten_concat": 4
    }  # fmt: skip
