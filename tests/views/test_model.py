"""Models print the rows of their nets."""

from __future__ import annotations

import copy

import netspec


def test_a_model_prints_its_rows() -> None:
    net = netspec.load("lenet5")
    compiled, reference = netspec.compile(net), netspec.reference(net, dtype="float64")
    first, *rows = str(compiled).splitlines()
    assert first == "Compiled lenet5: float32 on cpu, evaluation mode"
    assert [row.split()[0] for row in rows] == ["row", *(r.label for r in net.rows), "total"]
    assert rows[1] == "  C1     conv              28x28x6          156"
    assert rows[-1].endswith(f"{net.totals.parameters:,}")
    assert repr(reference).splitlines() == [
        "Model lenet5: float64 on cpu, evaluation mode",
        *rows,
    ]
    assert str(reference) == repr(reference)
    assert repr(copy.deepcopy(reference)) == repr(reference)


def test_rows_of_blocks_are_not_expanded_and_heads_appear_in_training() -> None:
    net = netspec.load("googlenet")
    model = netspec.compile(net)
    lines = repr(model).splitlines()
    bodies = [row for row in net.rows if not row.head]
    assert len(lines) == len(bodies) + 4
    assert next(line for line in lines if line.startswith("  3a ")).split()[1] == "inception"
    assert lines[-1].startswith("  and 6,379,728 parameters of heads, used in training: aux1")
    lines = repr(model.train()).splitlines()
    assert lines[0].endswith("training mode")
    assert len(lines) == len(net.rows) + 3
