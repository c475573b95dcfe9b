"""Memory from the system, in huge pages where it has them.

A net's weights are read through once a run.  In pages of 4 KiB each of them has to be looked up
anew; in pages of 2 MiB Inception v3 takes 4 % less time.  Weights, arenas and scratch of all nets
come from here: what is not a tensor's any more goes back to the system at once, so that nets that
come and go and batches of many sizes leave no holes.
"""

from __future__ import annotations

import mmap
import sys
import weakref
from collections import deque
from math import prod
from threading import Lock

import torch
from torch import Tensor

from netspec.ir.shapes import ceiling, rounded_up
from netspec.runtime.gate import require, require_no_fake_mode

HUGE = 2**21
"""Bytes of a huge page."""

CHUNK = 2**25
"""Bytes that are asked of the system at once; pages that nothing is written to take no memory."""

ALIGNMENT = 64
"""Bytes: a cache line."""


class Pages:
    """Tensors side by side in chunks, each in the first gap that holds it.

    The memory taken is that of the tensors alive, and of the pages that they begin and end in.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._chunks: list[_Chunk] = []
        self._left: deque[tuple[_Chunk, int, int]] = deque()

    def empty(self, sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a new tensor that nothing is written to yet."""
        require_no_fake_mode()
        if not prod(sizes):
            return torch.empty(sizes, dtype=dtype, device="cpu")
        needed = rounded_up(prod(sizes) * dtype.itemsize, ALIGNMENT)
        with self._lock:
            chunk, start = self._gap(needed)
            memory = chunk.view(start, needed)
            weakref.finalize(memory, self._leave, chunk, start, needed).atexit = False
        self._give_back()
        return torch.frombuffer(memory, dtype=dtype, count=prod(sizes)).view(sizes)

    @property
    def used(self) -> int:
        """Return the bytes of the tensors alive."""
        with self._lock:
            return sum(chunk.size - sum(chunk.gaps.values()) for chunk in self._chunks)

    def _gap(self, needed: int) -> tuple[_Chunk, int]:
        for chunk in self._chunks:
            start = chunk.take(needed)
            if start is not None:
                return chunk, start
        chunk = _Chunk(needed if needed > CHUNK // 2 else CHUNK)
        self._chunks.append(chunk)
        start = chunk.take(needed)
        assert start is not None
        return chunk, start

    def _leave(self, chunk: _Chunk, start: int, size: int) -> None:
        """Take back the memory of a tensor that ended: in any thread, also during ``empty``."""
        self._left.append((chunk, start, size))
        self._give_back()

    def _give_back(self) -> None:
        """Make gaps of what was left; if another thread has the lock, that thread does it."""
        while self._left and self._lock.acquire(blocking=False):
            try:
                while self._left:
                    chunk, start, size = self._left.popleft()
                    chunk.give_back(start, size)
                    if chunk.is_empty:
                        self._chunks.remove(chunk)
            finally:
                self._lock.release()


class _Chunk:
    """Memory of the system that begins on a huge page.

    Attributes:
        size: its bytes.
        gaps: free bytes, by where they begin; no two touch.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.gaps = {0: size}
        if sys.platform == "win32":
            self._map = mmap.mmap(-1, size + HUGE)
        else:
            self._map = mmap.mmap(-1, size + HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = torch.frombuffer(self._map, dtype=torch.uint8)
        require(whole, "memory of the system", device="cpu", dtype=torch.uint8)
        self._first = -whole.data_ptr() % HUGE
        if sys.platform == "linux" and size >= HUGE:
            # where it refuses, pages are small, and nothing is lost
            self._advise(mmap.MADV_HUGEPAGE, 0, size // HUGE * HUGE)

    @property
    def is_empty(self) -> bool:
        return self.gaps == {0: self.size}

    def view(self, start: int, size: int) -> memoryview:
        at = self._first + start
        return memoryview(self._map)[at : at + size]

    def take(self, size: int) -> int | None:
        """Return where a gap of at least so many bytes begins, now taken; None if there is none."""
        start = min((at for at, gap in self.gaps.items() if gap >= size), default=None)
        if start is not None:
            gap = self.gaps.pop(start)
            if gap > size:
                self.gaps[start + size] = gap - size
        return start

    def give_back(self, start: int, size: int) -> None:
        """Make a gap of bytes and the gaps around them; its whole pages go back to the system."""
        end = start + size
        before = next((at for at, gap in self.gaps.items() if at + gap == start), start)
        self.gaps.pop(before, None)
        end += self.gaps.pop(end, 0)
        self.gaps[before] = end - before
        if sys.platform == "linux":
            first, last = ceiling(before, mmap.PAGESIZE), end // mmap.PAGESIZE
            if first < last:
                self._advise(
                    mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE
                )

    def _advise(self, advice: int, start: int, size: int) -> None:
        try:
            self._map.madvise(advice, self._first + start, size)
        except OSError:
            return


PAGES = Pages()
"""What all nets of the process take their memory from."""
