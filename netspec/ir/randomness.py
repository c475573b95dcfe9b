"""Counter-based random numbers: functions of purpose and index, not of the order of drawing.

Philox (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a key
and a counter into random bits.  The key is made of the seed and a purpose, the counter says which
step, sample and value: so crops, orders and dropout masks do not depend on the number of workers,
ranks or columns, nor on a resume.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from netspec.ir.shapes import ceiling

if TYPE_CHECKING:
    from torch import Tensor


def _key(seed: int, purpose: str, words: int) -> list[int]:
    """A key of 64-bit words for one purpose of one seed."""
    text = f"{seed} {purpose}".encode()
    digest = blake2b(text, digest_size=8 * words).digest()
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(words)]


def generator(seed: int, purpose: str, *counter: int) -> np.random.Generator:
    """A generator of its own for a purpose, such as ``"augment"``, and up to three counters.

    Args:
        seed: of the run.
        purpose: what is drawn; purposes are independent of each other.
        counter: what it is drawn for, such as the epoch and the example; each below 2**64.
    """
    assert len(counter) <= 3, "the last word of the counter counts what is drawn"
    words = [0, *counter, *[0] * (3 - len(counter))]
    bits = np.random.Philox(key=np.array(_key(seed, purpose, 2), np.uint64), counter=words)
    return np.random.Generator(bits)


# ------------------------------------------------------------------------------- dropout's masks


@dataclass(frozen=True)
class _Masks:
    seed: int
    step: int
    samples: Tensor


_masks: ContextVar[_Masks | None] = ContextVar("masks", default=None)


@contextmanager
def masks(seed: int, step: int, samples: Tensor) -> Iterator[None]:
    """Within this context, dropout is a function of seed, step, layer and sample.

    Args:
        seed: of the run.
        step: of training, counted from its beginning; below 2**32.
        samples: [N], the number of each image of the batch, 0 <= number < 2**32: its place in the
            global batch, or in the data.
    """
    token = _masks.set(_Masks(seed, step, samples))
    try:
        yield
    finally:
        _masks.reset(token)


def keep(x: Tensor, rate: float, layer: str, column: int = 0) -> Tensor:
    """Return which values of ``x`` dropout keeps: bools, false with probability ``rate``.

    Within :func:`masks` the same on every device, and for every part of a batch or of its
    channels; elsewhere from PyTorch's own generator.

    Args:
        x: [N, C, H, W] or [N, C].
        rate: 0 <= rate < 1, to within 2**-32.
        layer: the name of the stage that drops.
        column: which part of the layer's channels ``x`` has, of equal ones (AlexNet, section 3.2).

    Raises:
        ValueError: there are not as many images as samples.
    """
    import torch
    from torch.overrides import handle_torch_function, has_torch_function_unary

    if has_torch_function_unary(x):  # a proxy of torch.fx, which records the call
        kept: Tensor = handle_torch_function(keep, (x,), x, rate, layer, column)
        return kept
    active = _masks.get()
    if active is None:
        return torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - rate)
    if len(active.samples) != len(x):
        raise ValueError(f"{layer}: masks for {len(active.samples)} samples, and {len(x)} images")
    values = x.shape[1:].numel()
    first = column * values
    key = _key(active.seed, f"dropout {layer}", 1)[0]
    places = range(first // 4, ceiling(first + values, 4))
    least, skipped = round(rate * 2**32), first % 4
    if x.device.type == "cpu":
        numbers = active.samples.cpu().numpy().astype(np.int64)
        kept = torch.from_numpy(_kept_by_numpy(numbers, places, active.step, key, least))
    else:
        samples = active.samples.to(x.device, torch.int64)
        kept = _kept_by_torch(samples, places, active.step, key, least)
    return kept[:, skipped : skipped + values].reshape(x.shape)


def _kept_by_torch(samples: Tensor, places: range, step: int, key: int, least: int) -> Tensor:
    """Return which words are at least ``least``: bool [N, 4 len(places)]."""
    import torch

    row = torch.arange(places.start, places.stop, device=samples.device)[None, :]
    zero = row.new_zeros(1, 1)
    words = philox(row, samples[:, None], zero + step, zero, key)
    return torch.stack([word >= least for word in words], dim=2).flatten(1)


_IN_CACHE = 2**14
"""Counters per part: their words and as many intermediate ones stay in a core's cache."""


def _kept_by_numpy(
    samples: np.ndarray, places: range, step: int, key: int, least: int
) -> np.ndarray:
    """Do the same with NumPy, on the calling thread.

    PyTorch would share each of a hundred short operations among its threads, and wait for them,
    which takes seconds where cores are busy with something else.
    """
    kept = np.empty((len(samples), len(places), 4), bool)
    row = np.arange(places.start, places.stop, dtype=np.int64)[None, :]
    zero = np.zeros((1, 1), np.int64)
    count = max(1, _IN_CACHE // max(1, len(places)))
    for start in range(0, len(samples), count):
        part = slice(start, start + count)
        words = philox(row, samples[part, None], zero + step, zero, key)
        for i, word in enumerate(words):
            np.greater_equal(word, least, out=kept[part, :, i])
    return kept.reshape(len(samples), 4 * len(places))


_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_LOW = 0xFFFFFFFF


Words = TypeVar("Words", "Tensor", "np.ndarray")


def philox(a: Words, b: Words, c: Words, d: Words, key: int) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 of a counter of four 32-bit words, with a key of 64 bits.

    Words are int64, of PyTorch, which has few operations on unsigned ones, or of NumPy.  They
    broadcast, so that in the first two rounds they stay as narrow as the counter is.
    """
    k0, k1 = key & _LOW, key >> 32
    for _ in range(_ROUNDS):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]  # modulo 2**64, sign and all
        a, b, c, d = (
            ((second >> 32) & _LOW) ^ b ^ k0,
            second & _LOW,
            ((first >> 32) & _LOW) ^ d ^ k1,
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return a, b, c, d
