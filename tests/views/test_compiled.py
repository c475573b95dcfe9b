from __future__ import annotations

from dataclasses import replace

import netspec
from netspec.backends.cpu import CpuBackend
from netspec.views import compiled


class WithArena(CpuBackend):
    """The CPU's, if it could place results."""

    has_arena = True


def test_memory_is_told_with_an_arena_and_without() -> None:
    made = netspec.compile("alexnet").lowered
    arena, bound, total = (4 * n for n in (made.plan.arena, made.plan.bound, made.plan.total))
    assert compiled.memory(made) == (
        f"activations: {bound / 2**20:.1f} MiB an image at once, freed when last read; "
        f"{total / 2**20:.1f} MiB side by side"
    )
    assert compiled.as_json(made)["activations"]["arena"] is None
    placed = replace(made, backend=WithArena())
    assert compiled.memory(placed) == (
        f"activations: {arena / 2**20:.1f} MiB an image in one arena, "
        f"{bound / 2**20:.1f} MiB at least; {total / 2**20:.1f} MiB side by side"
    )
    assert compiled.as_json(placed)["activations"] == {
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


def test_kernels_are_counted_with_where_the_choices_came_from() -> None:
    model = netspec.compile("lenet5", choices={"C1": "torch"})
    assert compiled.kernels(model.lowered) == "12 steps: 8 torch, 4 onednn (preferred, given)"
