"""Which layers there are, and what they cost, by hand."""

from __future__ import annotations

from math import inf

import pytest

import netspec
from benchmarks.layers import (
    BATCHES,
    BYTES,
    DIRECTIONS,
    FORWARD,
    INPUT_GRADIENT,
    NETS,
    WEIGHT_GRADIENT,
    WITH_INDEX,
    Cost,
    Layer,
    LayerCase,
    Machine,
    cases,
    cost,
    layers,
    planned,
)


def named(net: str, row: str, kind: str = "") -> Layer:
    (matching,) = (layer for layer, rows in layers(net).items() if row in rows)
    assert not kind or matching.kind == kind
    return matching


@pytest.mark.parametrize(
    ("net", "kind", "rows", "distinct"),
    [
        ("alexnet", "conv", 5, 5),
        ("alexnet", "lrn", 2, 2),
        ("alexnet", "maxpool", 3, 3),
        ("alexnet", "lrn_maxpool", 2, 2),
        ("alexnet", "fc", 3, 3),
        ("vgg16_3", "conv", 13, 9),  # C32 = C33, C42 = C43, C51 = C52 = C53
        ("vgg16_3", "maxpool", 5, 5),
        ("vgg16_3", "lrn", 0, 0),
        ("vgg16_3", "fc", 3, 3),
        ("googlenet", "conv", 3 + 9 * 6 + 2, 51),
        ("googlenet", "maxpool", 4 + 9, 10),  # 4b = 4c = 4d and 5a = 5b
        ("googlenet", "lrn", 2, 2),
        ("googlenet", "lrn_maxpool", 1, 1),  # pool1 comes before its LRN
        ("googlenet", "gap", 1, 1),
        ("googlenet", "avgpool", 2, 2),
        ("googlenet", "fc", 5, 2),  # out and both fc2, 1024 to 1000; both fc1
    ],
)
def test_every_row_is_there_and_equal_ones_once(
    net: str, kind: str, rows: int, distinct: int
) -> None:
    row_names = [names for layer, names in layers(net).items() if layer.kind == kind]
    assert (sum(map(len, row_names)), len(row_names)) == (rows, distinct)


@pytest.mark.parametrize("net", NETS)
def test_they_sum_to_what_the_net_claims(net: str) -> None:
    spec = netspec.load(net)
    counted = [(layer, len(rows)) for layer, rows in layers(net).items()]
    assert sum(layer.parameters * n for layer, n in counted) == spec.totals_with_heads.parameters
    assert sum(layer.macs * n for layer, n in counted) == spec.totals_with_heads.macs


def test_labels_tell_all_layers_apart() -> None:
    every = {layer for net in NETS for layer in layers(net)}
    assert len({layer.label for layer in every}) == len(every)


def test_what_overhangs_is_padding_at_the_far_sides() -> None:
    assert named("alexnet", "C1").padding == (0, 3, 0, 3)  # 54 * 4 + 11 = 227
    assert named("googlenet", "conv1").padding == (3, 3, 3, 3)
    assert named("googlenet", "pool1.maxpool").padding == (0, 1, 0, 1)  # 55 * 2 + 3 = 113
    assert named("alexnet", "S1.maxpool").padding == (0, 0, 0, 0)


def test_relu_is_where_the_spec_has_it() -> None:
    assert all(layer.relu for net in NETS for layer in layers(net) if layer.kind == "conv")
    assert named("alexnet", "F7").relu
    assert not named("alexnet", "F8").relu


def test_nobody_wants_the_gradient_of_an_image() -> None:
    assert named("vgg16_3", "C11").directions == (FORWARD, WEIGHT_GRADIENT)
    assert named("vgg16_3", "C12").directions == (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT)


def test_cases_of_several_nets_share_equal_layers() -> None:
    rows_by_case = cases(NETS, [32], ["fc"], "bf16")
    (rows,) = (
        r for case, r in rows_by_case.items() if "alexnet F7" in r and case.direction == FORWARD
    )
    assert rows == ["alexnet F7", "vgg16_3 FC2"]
    assert len({case.key for case in rows_by_case}) == len(rows_by_case)
    every = cases(NETS, BATCHES, DIRECTIONS, "bf16")
    assert len(every) == 3 * len(cases(NETS, [1], DIRECTIONS, "bf16"))


# ----------------------------------------------------------------------------- bytes and operations

X1, Y1, W1 = 224 * 224 * 3, 55 * 55 * 96, 96 * 11 * 11 * 3 + 96
X2, Y2, W2 = 27 * 27 * 96, 27 * 27 * 256, 256 * 5 * 5 * 48 + 256


@pytest.mark.parametrize(
    ("row", "direction", "batch", "elements", "macs"),
    [
        ("C1", FORWARD, 1, X1 + W1 + Y1, 55 * 55 * 96 * 363),
        ("C1", WEIGHT_GRADIENT, 1, Y1 + Y1 + X1 + W1, 55 * 55 * 96 * 363),
        ("C2", FORWARD, 32, 32 * (X2 + Y2) + W2, 32 * 27 * 27 * 256 * 1200),
        ("C2", INPUT_GRADIENT, 32, 32 * (2 * Y2 + X2) + W2 - 256, 32 * 27 * 27 * 256 * 1200),
        ("C3", FORWARD, 1, 169 * 256 + 169 * 384 + 384 * 2304 + 384, 169 * 384 * 2304),
        ("C4", FORWARD, 1, 169 * 384 * 2 + 384 * 1728 + 384, 169 * 384 * 1728),
        ("C5", FORWARD, 1, 169 * 384 + 169 * 256 + 256 * 1728 + 256, 169 * 256 * 1728),
        ("F6", FORWARD, 1, 9216 + 4096 + 9217 * 4096, 9216 * 4096),
        ("F7", FORWARD, 256, 256 * 8192 + 4097 * 4096, 256 * 4096 * 4096),
        ("F7", WEIGHT_GRADIENT, 256, 256 * 3 * 4096 + 4097 * 4096, 256 * 4096 * 4096),
        ("F8", FORWARD, 1, 4096 + 1000 + 4097 * 1000, 4096 * 1000),
        ("F8", INPUT_GRADIENT, 1, 1000 + 4096 * 1000 + 4096, 4096 * 1000),  # no ReLU, no mask
    ],
)
def test_layers_of_alexnet_by_hand(
    row: str, direction: str, batch: int, elements: int, macs: int
) -> None:
    layer = named("alexnet", row)
    assert cost(layer, batch, direction, 2) == Cost(2 * elements, 2 * macs)
    assert cost(layer, batch, direction, 4) == Cost(4 * elements, 2 * macs)


def test_lrn_moves_four_bytes_an_element_and_six_backward() -> None:
    layer = named("alexnet", "C1.lrn")
    elements = 32 * 55 * 55 * 96
    assert cost(layer, 32, FORWARD, 2) == Cost(4 * elements, 14 * elements)
    assert cost(layer, 32, INPUT_GRADIENT, 2).bytes == 6 * elements


def test_overlapping_max_pooling_moves_two_bytes_and_a_quarter_of_two_or_three() -> None:
    layer = named("alexnet", "S1.maxpool")
    x, y = 55 * 55 * 96, 27 * 27 * 96
    assert cost(layer, 1, FORWARD, 2) == Cost(2 * x + 2 * y, 8 * y)
    assert cost(layer, 1, WITH_INDEX, 2) == Cost(2 * x + 3 * y, 8 * y)
    assert cost(layer, 1, INPUT_GRADIENT, 2) == Cost(2 * x + 3 * y, y)
    assert 2.7 < cost(layer, 1, WITH_INDEX, 2).bytes / x < 2.75


def test_lrn_and_pooling_as_one_move_what_the_pool_moves() -> None:
    layer = named("alexnet", "C1.lrn+S1.maxpool", "lrn_maxpool")
    pool = cost(named("alexnet", "S1.maxpool"), 8, FORWARD, 2)
    assert cost(layer, 8, FORWARD, 2).bytes == pool.bytes
    assert layer.directions == (FORWARD,)


def test_means_by_hand() -> None:
    gap, pool = named("googlenet", "out.gap"), named("googlenet", "aux1.avgpool")
    assert cost(gap, 1, FORWARD, 2) == Cost(2 * 50 * 1024, 50 * 1024)
    assert cost(pool, 1, FORWARD, 2) == Cost(2 * 512 * (196 + 16), 25 * 16 * 512)
    assert cost(pool, 1, INPUT_GRADIENT, 2).bytes == 2 * 512 * (196 + 16)


# ------------------------------------------------------------------------------------------- floors


def test_a_floor_is_the_longer_of_moving_and_computing() -> None:
    machine = Machine("some", copy=100.0, product=10.0)
    assert machine.floor(Cost(bytes=200, operations=10)) == 2.0
    assert machine.floor(Cost(bytes=200, operations=50)) == 5.0
    assert Machine("some", copy=100.0).floor(Cost(200, 10**9)) == 2.0


def test_the_plan_is_for_the_measured_h200_and_knows_its_rate_in_bf16_only() -> None:
    assert planned("bf16") == Machine("H200", 4.3e12, 790e12)
    assert all(planned(dtype).product == inf for dtype in BYTES if dtype != "bf16")
    case = LayerCase(named("vgg16_3", "C12"), 256, FORWARD, "bf16")
    floor = planned("bf16").floor(case.cost)
    assert floor == pytest.approx(256 * 2 * 224 * 224 * 64 * 576 / 790e12)
