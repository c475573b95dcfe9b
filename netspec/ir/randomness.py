"""Counter-based random numbers: they depend on what they are for, not on the order of drawing.

Philox (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3") maps a key
and a counter to random bits.  The key is made from the seed and a purpose; the counter is the step,
sample and value.  Therefore crops, orders of images and dropout masks do not depend on the number
of workers, ranks or columns, and are the same after a resume.
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
    """Return a key of ``words`` 64-bit words for a seed and a purpose."""
    text = f"{seed} {purpose}".encode()
    digest = blake2b(text, digest_size=8 * words).digest()
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(words)]


def generator(seed: int, purpose: str, *counter: int) -> np.random.Generator:
    """Return a separate generator for a purpose, such as ``"augment"``, and up to three counters.

    Args:
        seed: of the run.
        purpose: a name; numbers of different purposes are independent.
        counter: what the numbers are for, such as the epoch and the example; each below 2**64.
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
    """Make dropout masks a function of seed, step, layer and sample within this context.

    Args:
        seed: of the run.
        step: of training, counted from its beginning; below 2**32.
        samples: [N], the number of each image of the batch, 0 <= number < 2**32: its position in
            the global batch, or in the data.
    """
    token = _masks.set(_Masks(seed, step, samples))
    try:
        yield
    finally:
        _masks.reset(token)


def keep(x: Tensor, rate: float, layer: str, column: int = 0) -> Tensor:
    """Return True for each value of ``x`` that dropout keeps: False with probability ``rate``.

    Within :func:`masks`, the mask of an image is the same on every device, in every batch and for
    every division of the channels.  Otherwise it comes from PyTorch's generator.

    Args:
        x: [N, C, H, W] or [N, C].
        rate: 0 <= rate < 1, rounded to a multiple of 2**-32.
        layer: the name of the dropout's stage.
        column: the index of the equal part of the layer's channels that ``x`` has (AlexNet, section
            3.2).

    Returns:
        bool, in the shape of ``x``.

    Raises:
        ValueError: the number of images is not the number of samples of :func:`masks`.
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
        raise ValueError(
            f"{layer}: dropout masks are set for {len(active.samples)} samples, but the batch has "
            f"{len(x)} images; name one sample per image"
        )
    # Value i of the whole layer is word i % 4 of the counter i // 4, so a column that begins in the
    # middle of a counter skips its first words.
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
    """Return True for each random word that is at least ``least``: bool [N, 4 len(places)].

    Args:
        samples: [N].
        places: the first words of the counters.
        step: the third word of the counters.
        key: of the seed and the layer.
        least: rate * 2**32.
    """
    import torch

    row = torch.arange(places.start, places.stop, device=samples.device)[None, :]
    zero = row.new_zeros(1, 1)
    words = philox(row, samples[:, None], zero + step, zero, key)
    return torch.stack([word >= least for word in words], dim=2).flatten(1)


_IN_CACHE = 2**14
"""Counters computed at a time: their words and the intermediate ones fit in a core's cache."""


def _kept_by_numpy(
    samples: np.ndarray, places: range, step: int, key: int, least: int
) -> np.ndarray:
    """Do the same with NumPy, on the calling thread.

    PyTorch would divide each of about a hundred short operations among its threads and wait for
    them, which takes seconds if other programs use the cores.
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
    """Return the four random words of Philox4x32-10 for a counter of four words and a 64-bit key.

    Words are 32 bits in int64 tensors or arrays, because PyTorch has few operations on unsigned
    integers.  They broadcast, so the first two rounds work on the small shapes of the counter.
    """
    k0, k1 = key & _LOW, key >> 32
    for _ in range(_ROUNDS):
        # int64 products wrap modulo 2**64; the masks below remove the sign that >> copies.
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            ((second >> 32) & _LOW) ^ b ^ k0,
            second & _LOW,
            ((first >> 32) & _LOW) ^ d ^ k1,
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return a, b, c, d
