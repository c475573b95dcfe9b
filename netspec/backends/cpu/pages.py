"""Memory from the system, in huge pages where the system has them.

A run reads all weights of a net once.  With pages of 4 KiB the processor must look up the address
of each page again; with pages of 2 MiB Inception v3 takes 4 % less time.  Weights, arenas and
scratch memory of all nets come from this module.  Memory that no tensor uses goes back to the
system at once, so that many nets and many batch sizes in one process do not fragment it.
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
"""Size of a huge page in bytes."""

CHUNK = 2**25
"""Bytes that are requested from the system at once.

A page takes no memory until it is written, so a large chunk costs nothing.
"""

ALIGNMENT = 64
"""Alignment of tensors in bytes: a cache line, which is also a full AVX-512 vector."""


class Pages:
    """An allocator that places tensors in chunks, each in the first gap that is large enough.

    The process uses only the memory of the tensors that are alive, rounded up to whole pages.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._chunks: list[_Chunk] = []
        self._left: deque[tuple[_Chunk, int, int]] = deque()

    def empty(self, sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a new uninitialised tensor."""
        require_no_fake_mode()
        if not prod(sizes):
            return torch.empty(sizes, dtype=dtype, device="cpu")
        needed = rounded_up(prod(sizes) * dtype.itemsize, ALIGNMENT)
        with self._lock:
            chunk, start = self._gap(needed)
            memory = chunk.view(start, needed)
            # The finalizer runs when the last tensor on this memory is freed. Not at exit: the
            # system takes all memory then.
            weakref.finalize(memory, self._leave, chunk, start, needed).atexit = False
        # Other tensors may have been freed while this thread had the lock: see _leave.
        self._give_back()
        return torch.frombuffer(memory, dtype=dtype, count=prod(sizes)).view(sizes)

    @property
    def used(self) -> int:
        """Return the size of all tensors that are alive, in bytes."""
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
        """Take back the memory of a freed tensor.

        Python calls this in any thread at any time, even in a thread that holds the lock in
        ``empty``.  So it must not wait for the lock: it only appends to a deque, which is atomic.
        """
        self._left.append((chunk, start, size))
        self._give_back()

    def _give_back(self) -> None:
        """Turn the memory of freed tensors into gaps.

        If the lock is taken, return: its holder calls this method after it has released the lock.
        """
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
    """Memory from the system that begins at the start of a huge page.

    Attributes:
        size: in bytes.
        gaps: the size of each free range, by its first byte.  Adjacent gaps are always merged.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.gaps = {0: size}
        try:
            if sys.platform == "win32":
                self._map = mmap.mmap(-1, size + HUGE)
            else:
                self._map = mmap.mmap(-1, size + HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError):  # OverflowError: 2**63 bytes or more
            raise MemoryError(
                f"the system does not give {size / 2**30:,.1f} GiB of memory for the values of a "
                "net: use a smaller batch or a smaller input"
            ) from None
        # HUGE more bytes than needed, because the system aligns only to small pages.
        whole = torch.frombuffer(self._map, dtype=torch.uint8)
        require(whole, "memory of the system", device="cpu", dtype=torch.uint8)
        self._first = -whole.data_ptr() % HUGE
        if sys.platform == "linux" and size >= HUGE:
            # If the system does not support it, pages are small, and everything else works.
            self._advise(mmap.MADV_HUGEPAGE, 0, size // HUGE * HUGE)

    @property
    def is_empty(self) -> bool:
        return self.gaps == {0: self.size}

    def view(self, start: int, size: int) -> memoryview:
        at = self._first + start
        return memoryview(self._map)[at : at + size]

    def take(self, size: int) -> int | None:
        """Take bytes of the first gap that is large enough; return the first byte, or None."""
        start = min((at for at, gap in self.gaps.items() if gap >= size), default=None)
        if start is not None:
            gap = self.gaps.pop(start)
            if gap > size:
                self.gaps[start + size] = gap - size
        return start

    def give_back(self, start: int, size: int) -> None:
        """Merge freed bytes with the gaps next to them; return whole free pages to the system."""
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
"""The allocator of all nets of the process."""
