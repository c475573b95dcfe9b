from __future__ import annotations

import pytest

import netspec
from netspec.views import compiled


def test_memory_is_told_beside_the_least_and_the_sum() -> None:
    lowered = netspec.compile("alexnet").lowered
    arena, bound, total = (
        4 * n for n in (lowered.plan.arena, lowered.plan.bound, lowered.plan.total)
    )
    assert compiled.memory(lowered) == (
        f"activations: {arena / 2**20:.1f} MiB per image in one arena "
        f"(at least {bound / 2**20:.1f} MiB; {total / 2**20:.1f} MiB if not shared)"
    )
    assert compiled.as_json(lowered)["activations"] == {
        "arena": arena, "bound": bound, "total": total,
    }  # fmt: skip


def test_passes_that_did_nothing_are_left_out() -> None:
    model = netspec.compile("alexnet")
    first, *rest = compiled.rewrites(model.net.graph, model.lowered)
    assert first == f"{len(model.net.graph)} stages -> {len(model.lowered.graph)}"
    assert [line.split()[1] for line in rest] == [
        rule for rule, count in model.lowered.rewrites.items() if count
    ]
    assert "fold_batchnorm" not in " ".join(rest)


@pytest.mark.usefixtures("not_intel")
def test_kernels_are_counted_with_where_the_choices_came_from() -> None:
    model = netspec.compile("lenet5", choices={"C1": "torch"})
    said = "11 steps: 6 torch, 3 onednn, 2 onednn-stream (preferred, given)"
    assert compiled.kernels(model.lowered) == said
