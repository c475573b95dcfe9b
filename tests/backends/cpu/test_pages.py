"""Tests of memory in huge pages."""

from __future__ import annotations

import gc
import weakref

import torch

from netspec.backends.cpu.pages import ALIGNMENT, CHUNK, HUGE, Pages


def test_tensors_lie_side_by_side_and_apart() -> None:
    pages = Pages()
    made = [pages.empty((3, n), torch.float32).fill_(n) for n in (1, 5, 7, 100)]
    assert [tuple(x.shape) for x in made] == [(3, 1), (3, 5), (3, 7), (3, 100)]
    assert len({x.untyped_storage().data_ptr() for x in made}) == 1
    assert all((x == n).all() for x, n in zip(made, (1, 5, 7, 100), strict=True))
    assert all(x.data_ptr() % ALIGNMENT == 0 for x in made)


def test_a_large_tensor_begins_on_a_huge_page_and_leaves_the_chunk_as_it_was() -> None:
    pages = Pages()
    first = pages.empty((1,), torch.bfloat16)
    large = pages.empty((CHUNK,), torch.float32).fill_(1)
    then = pages.empty((1,), torch.bfloat16)
    assert large.data_ptr() % HUGE == 0
    assert large.untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
    assert then.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()


def test_a_chunk_goes_with_its_last_tensor() -> None:
    pages = Pages()
    size = CHUNK // 2 // 4
    first = pages.empty((size,), torch.float32)
    chunk = weakref.ref(first._base)
    pages.empty((size,), torch.float32)
    pages.empty((size,), torch.float32)  # the second chunk
    assert chunk() is not None
    del first
    gc.collect()
    assert chunk() is None
