"""Tests of memory from the system: where tensors lie, and what is held once they are gone."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from mmap import PAGESIZE
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor

import netspec
from netspec import loads
from netspec.backends.cpu.pages import ALIGNMENT, CHUNK, HUGE, PAGES, Pages, _Chunk

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is resident")
TINY = "net t\ninput image 12x12x1\na: conv 5x5, 6 | relu | maxpool 2x2/2\nb: fc 10 | softmax\n"


def resident() -> int:
    """Bytes of the process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGESIZE


def test_tensors_lie_side_by_side_and_apart() -> None:
    pages = Pages()
    tensors = [pages.empty((3, n), torch.float32).fill_(n) for n in (1, 5, 7, 100)]
    assert [tuple(x.shape) for x in tensors] == [(3, 1), (3, 5), (3, 7), (3, 100)]
    assert all((x == n).all() for x, n in zip(tensors, (1, 5, 7, 100), strict=True))
    first = tensors[0].data_ptr()
    assert first % HUGE == 0
    assert [x.data_ptr() - first for x in tensors] == [0, ALIGNMENT, 2 * ALIGNMENT, 4 * ALIGNMENT]


@pytest.mark.parametrize("size", [2**60, 2**64])
def test_memory_that_the_system_does_not_give_is_named(size: int) -> None:
    with pytest.raises(MemoryError, match=f"does not give {size / 2**30:,.1f} GiB"):
        _Chunk(size)


def test_a_tensor_has_a_storage_of_its_own_size() -> None:
    """So that a check against the storage is one against the tensor's own memory."""
    x = Pages().empty((3, 5), torch.bfloat16)
    assert x.untyped_storage().nbytes() == 30
    assert x.storage_offset() == 0


def test_a_large_tensor_begins_on_a_huge_page_and_leaves_the_chunk_as_it_was() -> None:
    pages = Pages()
    first = pages.empty((1,), torch.bfloat16)
    large = pages.empty((CHUNK,), torch.float32)
    then = pages.empty((1,), torch.bfloat16)
    assert large.data_ptr() % HUGE == 0
    assert then.data_ptr() - first.data_ptr() == ALIGNMENT


def test_no_element() -> None:
    assert Pages().empty((0, 3), torch.float32).shape == (0, 3)


def test_what_is_left_is_taken_again_and_never_what_is_alive() -> None:
    """Tensors come and go at random, in threads; each keeps what was written to it."""
    pages = Pages()

    def work(seed: int) -> None:
        random = Random(seed)
        alive: list[tuple[Tensor, int]] = []
        for number in range(300):
            for x, value in alive:
                assert (x == value).all()
            if len(alive) > 6 or (alive and random.random() < 0.4):
                alive.pop(random.randrange(len(alive)))
            value = seed * 1000 + number
            size = random.choice([1, 17, 1000, 5000, 70000])
            alive.append((pages.empty((size,), torch.int32).fill_(value), value))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    gc.collect()
    assert pages.used == 0
    assert not pages._chunks


def test_a_view_keeps_its_memory() -> None:
    pages = Pages()
    part = pages.empty((100,), torch.float32).fill_(3)[10:20]
    assert pages.used > 0
    pages.empty((100,), torch.float32).fill_(4)
    assert (part == 3).all()
    del part
    assert pages.used == 0


@linux
def test_small_tensors_hold_none_of_the_large_ones_that_lay_between() -> None:
    """60 small tensors among 60 of 4 MiB; what the system has lent in the end is that of the small
    ones, and at most a huge page for each chunk that is left."""
    pages = Pages()
    kept, large = [], []
    before = resident()
    for _ in range(60):
        kept.append(pages.empty((10,), torch.float32).fill_(1))
        large.append(pages.empty((2**20,), torch.float32).fill_(1))
    assert resident() - before > 200 * 2**20
    large.clear()
    gc.collect()
    assert pages.used == 60 * ALIGNMENT
    assert resident() - before < (len(pages._chunks) + 2) * HUGE


@linux
def test_batches_of_many_sizes_hold_the_memory_of_four_bound_plans() -> None:
    """The bound plans of the four batches that ran last, which are all of one size here, however
    many came before."""
    model = netspec.compile(loads(TINY))

    def used() -> int:
        for count in range(60, 64):
            model(torch.zeros(count, 1, 12, 12))
        gc.collect()
        return PAGES.used

    first = used()
    for count in range(1, 60):
        model(torch.zeros(count, 1, 12, 12))
    assert used() == first


@linux
def test_small_nets_hold_none_of_the_large_nets_that_are_gone() -> None:
    large = loads("net l\ninput image 8x8x64\na: conv 3x3, 512 | relu\nb: conv 3x3, 512\n")
    gc.collect()
    before = PAGES.used
    small = []
    for _ in range(8):
        gone = netspec.compile(large)
        assert PAGES.used - before > 4 * (64 + 512) * 512 * 9
        small.append(netspec.compile(loads(TINY)))
        del gone
        gc.collect()
        assert PAGES.used - before < len(small) * 2**16
