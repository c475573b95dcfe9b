from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netspec.backends.cpu.images import copying
from netspec.backends.cpu.scratch import Scratch
from tests.backends.cpu.guarded import GuardedScratch, guarded_copy

TYPES = [torch.float32, torch.bfloat16, torch.float64]

ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x.contiguous(),
    "channels-last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every second column": lambda x: x.repeat_interleave(2, 3)[..., ::2],
    "negated when read": lambda x: torch._neg_view(-x),
    "one image for all": lambda x: x[:1].expand_as(x),
}


def copied(x: Tensor, slot: Tensor) -> Tensor:
    """The slot after a copy of other images and one of these, as [N, C, H, W]."""
    scratch = Scratch()
    copy = copying(slot, "image", scratch)
    scratch.hand_out()
    copy(torch.rand(x.shape).to(x.dtype))
    copy(x)
    return slot.permute(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", [(1, 3, 7, 5), (4, 1, 2, 9), (2, 17, 6, 6), (3, 3, 1, 1)])
def test_images_of_any_order(sizes: tuple[int, ...], order: str, dtype: torch.dtype) -> None:
    batch, channels, height, width = sizes
    x = ORDERS[order](torch.randn(sizes).to(dtype))
    slot = torch.full((batch, height, width, channels), torch.nan, dtype=dtype)
    assert torch.equal(copied(x, slot), x)


def test_vectors() -> None:
    slot, x = torch.full((2, 5), torch.nan), torch.rand(2, 5)
    copying(slot, "vector", Scratch())(x)
    assert torch.equal(slot, x)


def test_values_are_copied_as_they_are() -> None:
    special = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0, 1e-45, 3.4e38])
    x = special.repeat(9).view(1, 3, 3, 6)
    y = copied(x, torch.zeros(1, 3, 6, 3)).contiguous()
    assert torch.equal(y.view(torch.int32), x.view(torch.int32))


@pytest.mark.parametrize("dtype", TYPES[:2])
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("sizes", [(1, 3, 7, 5), (2, 17, 6, 6), (5, 3, 32, 31)])
def test_nothing_beyond_the_images_is_read_or_written(
    sizes: tuple[int, ...], at_end: bool, dtype: torch.dtype
) -> None:
    """A read or a write beyond ends this process with a signal."""
    batch, channels, height, width = sizes
    x = guarded_copy(torch.rand(sizes).to(dtype), at_end=at_end)
    y = guarded_copy(torch.zeros(batch, height, width, channels).to(dtype), at_end=at_end)
    scratch = GuardedScratch(at_end=at_end)
    copy = copying(y, "image", scratch)
    scratch.hand_out()
    copy(x)
    assert torch.equal(y.permute(0, 3, 1, 2), x)


@pytest.mark.parametrize(
    "image", [torch.rand(1, 3, 4, 4).to_sparse(), torch.rand(1, 3, 4, 4, device="meta")]
)
def test_images_that_are_not_in_memory(image: Tensor) -> None:
    scratch = Scratch()
    copy = copying(torch.zeros(1, 4, 4, 3), "photo", scratch)
    scratch.hand_out()
    with pytest.raises(TypeError, match=r"^photo is .*: pass a dense tensor in memory$"):
        copy(image)
