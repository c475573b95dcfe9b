"""What a convolution is computed with: what there is to choose from, and what the model takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from netspec.kernels.conv import implicit, packed, persistent, split, tiles
from netspec.kernels.conv.configurations import (
    Configuration,
    candidates,
    choose,
    forward_launches,
)
from netspec.kernels.conv.geometry import example
from netspec.kernels.launch import run
from tests.kernels.conv.layers import Layer


def test_a_given_configuration_is_launched_and_not_that_of_the_model() -> None:
    layer = Layer((1, 3, 3, 16), 2, (2, 2), dtype=torch.float64)
    tile = replace(split.TILES["double"][0], splits=2)
    configuration = Configuration("split", tile)
    assert choose(layer.geometry, layer.dtype, "ieee") != configuration
    y = torch.empty(layer.geometry.size_out, dtype=layer.dtype, device=layer.x.device)
    launches = forward_launches(
        layer.x, layer.w, layer.b, y, layer.geometry, relu=False, configuration=configuration
    )
    assert launches[0].kernel is split.parts
    run(launches)
    torch.testing.assert_close(y.cpu(), layer.y)


def test_the_persistent_kernel_is_a_candidate_where_there_are_descriptors() -> None:
    geometry = example((1, 4, 4, 16), (8, 1, 1, 16), torch.float16)[-1]
    without = candidates(geometry, torch.float16, "ieee")
    added = candidates(geometry, torch.float16, "ieee", has_descriptors=True)
    assert [c.tile for c in added if c not in without] == list(persistent.TILES["half"])
    assert {c.kernel for c in added} == {"pointwise", "persistent"}


def test_the_configuration_follows_the_shape() -> None:
    first = example((32, 224, 224, 3), (96, 11, 11, 3), torch.float16, stride=4)[-1]
    small = example((1, 7, 7, 192), (384, 3, 3, 192), torch.float16, padding=1)[-1]
    large = example((256, 28, 28, 128), (192, 3, 3, 128), torch.float16, padding=1)[-1]
    kernels = [choose(layer, torch.float16, "ieee").kernel for layer in (first, small, large)]
    assert kernels == ["packed", "split", "implicit"]


@pytest.mark.parametrize("precision", ["ieee", "tf32"])
def test_every_candidate_is_a_shipped_tile(precision: str) -> None:
    """So that what a measurement may choose has been compiled ahead."""
    small = example((1, 7, 7, 192), (384, 3, 3, 192), torch.float32, padding=1)[-1]
    configurations = candidates(small, torch.float32, precision)
    for kernel, known in (("implicit", implicit.TILES), ("split", split.TILES)):
        cut = {replace(c.tile, splits=1) for c in configurations if c.kernel == kernel}
        assert cut == set(known[precision])
    assert all((c.tile.splits > 1) == (c.kernel == "split") for c in configurations)
    first = example((32, 224, 224, 3), (96, 11, 11, 3), torch.float32, stride=4)[-1]
    configurations = candidates(first, torch.float32, precision)
    assert [c.tile for c in configurations if c.kernel == "packed"] == list(packed.TILES[precision])
    assert choose(first, torch.float32, precision).tile in packed.TILES[precision]


def test_more_programs_are_not_slower_by_the_model_until_the_gpu_is_full() -> None:
    tile = implicit.TILES["half"][0]
    half, full, more = (
        tiles.estimate(tiles.Product(128 * n, 128, 9, 128), tile) for n in (66, 132, 133)
    )
    assert half == full < more
