"""The bundled specs against the tables and totals of their papers."""

from __future__ import annotations

import pytest

from netspec import bundled, load
from netspec.language.read import BUNDLED
from netspec.views.summary import summary

TOTALS = {
    # Krizhevsky et al. 2012, section 3.5: parameters and MACs of the grouped, two-column net
    "alexnet": (60_965_224, 724_406_816, 60_965_224, 724_406_816),
    # Szegedy et al. 2014, Table 1, with biases; then with both auxiliary heads
    "googlenet": (6_998_552, 1_582_671_872, 13_378_280, 1_591_044_096),
    # LeCun et al. 1998 with a dense C3: 60,850 - 1,516 + 2,416 parameters
    "lenet5": (61_750, 416_520, 61_750, 416_520),
}

OUTPUTS = {
    "alexnet": "55x55x96 27x27x96 27x27x256 13x13x256 13x13x384 13x13x384 13x13x256 6x6x256 "
    "4096 4096 1000",
    "googlenet": "112x112x64 56x56x64 56x56x192 28x28x192 28x28x256 28x28x480 14x14x480 14x14x512 "
    "14x14x512 14x14x512 14x14x528 14x14x832 7x7x832 7x7x832 7x7x1024 1000 1000 1000",
    "lenet5": "28x28x6 14x14x6 10x10x16 5x5x16 1x1x120 84 10",
}

LINES = {"alexnet": 20, "googlenet": 40, "lenet5": 12}


@pytest.mark.parametrize("name", bundled())
def test_totals_are_those_of_the_paper(name: str) -> None:
    net = load(name)
    totals, with_heads = net.totals, net.totals_with_heads
    found = (totals.parameters, totals.macs, with_heads.parameters, with_heads.macs)
    assert found == TOTALS[name]


@pytest.mark.parametrize("name", bundled())
def test_every_row_has_the_size_of_the_table(name: str) -> None:
    rows = summary(load(name))["rows"]
    assert ["x".join(map(str, row["output"])) for row in rows] == OUTPUTS[name].split()


@pytest.mark.parametrize("name", bundled())
def test_every_row_claims_its_size(name: str) -> None:
    net = load(name)
    assert all(any(c.kind == "size" for c in row.claims) for row in net.graph.rows.values())


@pytest.mark.parametrize("name", bundled())
def test_a_spec_is_as_short_as_its_table(name: str) -> None:
    lines = (BUNDLED / f"{name}.net").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.split("#")[0].strip()) for line in lines) <= LINES[name]


def test_the_receptive_field_grows_as_in_alexnet() -> None:
    rows = {row["label"]: row["field"] for row in summary(load("alexnet"))["rows"]}
    # padding of 2 at stride 8, then three times 1 at stride 16
    assert rows["S5"] == {"size": [195, 195], "start": [-64, -64], "stride": [32, 32]}
    # C1, S1, C2, S2, C3, C4, C5 by size + (kernel - 1) * stride
    assert [rows[r]["size"][0] for r in ("C1", "S1", "C2", "S2", "C3", "C4", "C5")] == [
        11, 19, 51, 67, 99, 131, 163
    ]  # fmt: skip


def test_each_inception_module_adds_up_as_in_the_paper() -> None:
    rows = {row["label"]: row["parameters"] for row in summary(load("googlenet"))["rows"]}
    # weights and biases of 3a: 1x1 64, 1x1 96 + 3x3 128, 1x1 16 + 5x5 32, projection 32
    weights = 192 * (64 + 96 + 16 + 32) + 96 * 128 * 9 + 16 * 32 * 25
    assert rows["3a"] == weights + 64 + 96 + 128 + 16 + 32 + 32


def test_alexnet_has_659272_neurons_not_650000() -> None:
    assert (
        load("alexnet").totals.neurons == 290_400 + 186_624 + 64_896 * 2 + 43_264 + 4096 * 2 + 1000
    )
