"""The weights of a case keep activations of order one, and are the same in every process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from netspec.runtime.operations import needed
from netspec.runtime.verification import as_tuple
from netspec.timing.case import Case
from tests.timing.helpers import EVERY, bundled_case, case_of


def sizes(case: Case) -> dict[str, float]:
    """Return the root mean square of each stage that leads to an output, up to its softmax."""
    graph = case.net.graph
    reached = needed(graph, graph.outputs)
    names = [
        stage.name
        for stage in graph.stages()
        # the distances of a radial basis function are not of order one whatever the weights are
        if stage.name in reached and stage.op.name not in ("input", "softmax", "rbf")
    ]
    labels = [f"{name}.{graph.stage(name).op.name}" for name in names]
    with torch.inference_mode():
        values = as_tuple(case.reference().features(*labels)(*case.images))
    return {n: float(y.square().mean().sqrt()) for n, y in zip(names, values, strict=True)}


@pytest.mark.parametrize("name", EVERY)
def test_activations_are_of_order_one_at_every_row(name: str, tmp_path: Path) -> None:
    of = sizes(bundled_case(name, tmp_path))
    far = {stage: size for stage, size in of.items() if not 0.25 < size < 4}
    assert of
    assert not far


def test_unscaled_residual_sums_are_not(tmp_path: Path) -> None:
    case = bundled_case("narrow_resnet50", tmp_path)
    vars(case)["scales"] = {}
    assert max(sizes(case).values()) > 100


def test_weights_of_heads_stay_as_drawn(tmp_path: Path) -> None:
    rows = "a: conv 3x3, 2\nout: fc 3\nhead aux from a, weight=0.5: fc 2\n"
    case = case_of(tmp_path, f"net with_a_head\ninput image 4x4x1\n{rows}")
    assert set(case.scales) == {"a.weight", "out.weight"}


def test_another_process_makes_the_same_weights(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    again = Case.from_json(json.loads(json.dumps(case.as_json())))
    assert again == case
    assert again.scales == case.scales
    first, second = case.weights(), again.weights()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
