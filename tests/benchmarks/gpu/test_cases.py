"""The cases of the smoke test: all kernels, all tiles, hard ones first, the same ones each time."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.cases import (
    ARITHMETIC,
    LIBRARIES,
    NETS,
    ROWS,
    Case,
    cases,
    implementations,
    problem,
)
from netspec.kernels.conv import implicit, narrow, packed, persistent, pointwise, tiled
from netspec.kernels.fc import forward as fc
from netspec.kernels.shipped import FAMILIES


def test_every_family_has_cases_in_every_type() -> None:
    assert ROWS.keys() == FAMILIES.keys()
    for family in FAMILIES:
        for arithmetic in ("bf16", "fp16", "fp32"):
            assert cases(family, arithmetic, "cpu"), (family, arithmetic)


def test_a_key_names_a_case() -> None:
    for family in ("lrn_maxpool", "fc", "implicit"):
        for case in cases(family, "bf16", "cpu"):
            assert Case.of_key(case.key) == case


def test_the_kernels_of_a_gpu_are_those_that_are_compiled_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persistent, "has_descriptors", lambda device: True)
    for family in ("implicit", "persistent", "fc"):
        here, there = (cases(family, "fp16", device) for device in ("cpu", "cuda"))
        assert {case.way for case in there} & set(LIBRARIES)
        kernels = [{case for case in every if case.way not in LIBRARIES} for every in (here, there)]
        assert kernels[0] == kernels[1]


def test_those_with_8_warps_come_first() -> None:
    warps = [case.warps for case in cases("implicit", "fp16", "cpu")]
    assert warps == sorted(warps, reverse=True)
    assert warps[0] == 8
    # With 8 warps there is every tile of the general convolution, also those that ship with 4.
    names = {case.way for case in cases("implicit", "fp16", "cpu") if case.warps == 8}
    assert len(names) == len(implicit.TILES["half"])


TILES = {
    "implicit": implicit,
    "packed": packed,
    "pointwise": pointwise,
    "persistent": persistent,
    "tiled": tiled,
    "narrow": narrow,
}


@pytest.mark.parametrize("family", TILES)
def test_every_tile_has_a_case(family: str) -> None:
    for arithmetic, kind in {"fp16": "half", "fp32": "ieee", "tf32": "tf32"}.items():
        ways = {case.way for case in cases(family, arithmetic, "cpu")}
        for tile in TILES[family].TILES[kind]:
            size = f"{tile.rows}x{tile.columns}x{tile.depth}"
            assert f"{family}-{size}-{tile.warps}w{tile.stages}s" in ways, (arithmetic, tile)


def test_every_stream_has_a_case() -> None:
    ways = {case.way for case in cases("fc", "fp16", "cpu")}
    for stream in fc.STREAMS:
        assert f"stream-{stream.rows}x{stream.lanes}-{stream.warps}w" in ways


def test_layers_of_nets_are_cases() -> None:
    layers = [case for family in ROWS for case in cases(family, "bf16", "cpu") if case.size in NETS]
    assert len(layers) > 30
    assert {case.size for case in layers} == set(NETS)
    for case in layers:
        assert problem(case).batch == 2


def test_an_implementation_is_found_by_its_name() -> None:
    for case in cases("fc", "fp16", "cpu") + cases("split", "fp16", "cpu"):
        names = [one.name for one in implementations(problem(case), case, "cpu")]
        assert case.way in names
    assert ARITHMETIC["tf32"] == (torch.float32, "tf32")
