"""The gradient of local response normalisation.

    dx[i] = dy[i] s[i]^-beta - 2 alpha beta x[i] sum over j in W(i) of dy[j] x[j] s[j]^(-beta - 1)

since j is in W(i) exactly if i is in W(j); s and W are those of ``scales.py``.  Only x is saved by
the forward pass; s is computed again.

With chunks, x and dy are read once and dx is written once; s is computed 1.5 times per element for
n = 5.  In bfloat16 with n = 5 on sm_90 that takes 37 instructions per element (counted, not
measured).  An H200 at 1.75 GHz has time for 48 instructions while it moves 6 bytes at 85 % of
4.3 TB/s.  The kernels with shifted loads compute the sum over W(i) in a second launch, and store
its terms between the two.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator_dtype
from netspec.kernels.launch import Launch, power_of_two
from netspec.kernels.layout import pitch
from netspec.kernels.lrn.chunks import neighbourhood, window_sums
from netspec.kernels.lrn.scales import (
    LAYERS,
    chunked_launch,
    constants,
    is_chunked,
    powers,
    scales,
    shifted_launch,
    shifted_scale,
    window,
)
from netspec.kernels.tuples import append, together

# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def chunked_backward(
    x_ptr, dy_ptr, dx_ptr, x_pitch, dy_pitch, dx_pitch, items,
    CHANNELS: tl.constexpr, PART: tl.constexpr, HALO: tl.constexpr, X_HALO: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Compute BLOCK chunks of dx.

    Terms and s are needed for n // 2 channels on each side of a chunk, and x for twice as many.
    """
    item = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pixel = (item // (CHANNELS // CHUNK)).to(tl.int64)
    chunk = item % (CHANNELS // CHUNK)
    is_inside = item < items
    place = chunk % (PART // CHUNK)
    x_at = x_ptr + pixel * (x_pitch // CHUNK * CHUNK) + chunk * CHUNK
    dy_at = dy_ptr + pixel * (dy_pitch // CHUNK * CHUNK) + chunk * CHUNK
    dx_at = dx_ptr + pixel * (dx_pitch // CHUNK * CHUNK) + chunk * CHUNK
    x = neighbourhood(x_at, is_inside, place, PART // CHUNK, X_HALO, CHUNK, ACCUMULATOR)
    dy = neighbourhood(dy_at, is_inside, place, PART // CHUNK, HALO, CHUNK, ACCUMULATOR)
    s = scales(x, X_HALO - (N - 1), CHUNK + N - 1, N, K, ALPHA)
    direct = ()
    terms = ()
    for i in tl.static_range(CHUNK + N - 1):
        power, inverse = powers(s[i], BETA)
        through = dy[HALO - N // 2 + i] * power
        direct = append(direct, through)
        terms = append(terms, through * (x[X_HALO - N // 2 + i] * inverse))
    sums = window_sums(terms, N, CHUNK)
    dx = ()
    for i in tl.static_range(CHUNK):
        dx = append(dx, direct[N // 2 + i] - 2 * ALPHA * BETA * x[X_HALO + i] * sums[i])
    tl.store(
        dx_at[:, None] + tl.arange(0, CHUNK)[None, :],
        together(dx, CHUNK).to(dx_ptr.dtype.element_ty),
        mask=is_inside[:, None],
    )


@triton.jit
def shifted_terms(
    x_ptr, dy_ptr, direct_ptr, terms_ptr, x_pitch, dy_pitch, pixels, channels, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr, ACCUMULATOR: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute dy s^-beta and dy x s^(-beta - 1), both contiguous."""
    pixel = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_inside = (pixel < pixels) & (c < channels)
    x_at = x_ptr + pixel * x_pitch + c
    s = shifted_scale(x_at, is_inside, c % part, part, reach, K, ALPHA, ACCUMULATOR)
    power, inverse = powers(s, BETA)
    x = tl.load(x_at, mask=is_inside, other=0.0).to(ACCUMULATOR)
    dy = tl.load(dy_ptr + pixel * dy_pitch + c, mask=is_inside, other=0.0).to(ACCUMULATOR)
    direct = dy * power
    tl.store(direct_ptr + pixel * channels + c, direct, mask=is_inside)
    tl.store(terms_ptr + pixel * channels + c, direct * (x * inverse), mask=is_inside)


@triton.jit
def shifted_backward(
    x_ptr, direct_ptr, terms_ptr, dx_ptr, x_pitch, dx_pitch, pixels, channels, part, reach,
    ALPHA: tl.constexpr, BETA: tl.constexpr, ACCUMULATOR: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Compute dx of ROWS pixels x COLUMNS channels from the results of :func:`shifted_terms`."""
    pixel = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_inside = (pixel < pixels) & (c < channels)
    total = tl.zeros((ROWS, COLUMNS), ACCUMULATOR)
    for step in range(2 * reach + 1):
        there = c % part + (step - reach)
        is_there = is_inside & (there >= 0) & (there < part)
        term_at = terms_ptr + pixel * channels + c + (step - reach)
        total += tl.load(term_at, mask=is_there, other=0.0)
    x = tl.load(x_ptr + pixel * x_pitch + c, mask=is_inside, other=0.0).to(ACCUMULATOR)
    direct = tl.load(direct_ptr + pixel * channels + c, mask=is_inside, other=0.0)
    dx = direct - 2 * ALPHA * BETA * x * total
    tl.store(dx_ptr + pixel * dx_pitch + c, dx.to(dx_ptr.dtype.element_ty), mask=is_inside)


# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor, dy: Tensor, dx: Tensor, n: int, k: float, alpha: float, beta: float, groups: int
) -> list[Launch]:
    """Return the launches of dx from dy and x; all are [N, H, W, C], or slices of channels."""
    if x.numel() == 0:
        return []
    part, reach = window(x.shape[3], n, groups)
    attributes = constants(k, alpha, beta, x.dtype)
    x_map = {"x_ptr": x, "x_pitch": pitch("x", x)}
    dy_map = {"dy_ptr": dy, "dy_pitch": pitch("dy", dy)}
    dx_map = {"dx_ptr": dx, "dx_pitch": pitch("dx", dx)}
    if is_chunked(2 * reach, part, x, dy, dx):
        arguments = attributes | x_map | dy_map | dx_map | {"X_HALO": power_of_two(2 * reach)}
        return [chunked_launch(chunked_backward, arguments, x, part, reach)]
    kept = accumulator_dtype(x.dtype)
    direct, terms = (torch.empty(x.shape, dtype=kept, device=x.device) for _ in range(2))
    between = {"direct_ptr": direct, "terms_ptr": terms}
    arguments = attributes | x_map | dy_map | between
    first = shifted_launch(shifted_terms, arguments, x, part, reach)
    del attributes["K"]
    arguments = attributes | x_map | dx_map | between
    return [first, shifted_launch(shifted_backward, arguments, x, part, reach)]


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield the launches of the layers at batch 32, on the ``meta`` device."""
    for size, channels, n, k, alpha, groups in LAYERS:
        x, dy, dx = (
            torch.empty(32, size, size, channels, dtype=dtype, device="meta") for _ in range(3)
        )
        (launch,) = launches(x, dy, dx, n, k, alpha, 0.75, groups)
        yield f"lrn backward {size}x{size}x{channels}, {groups} groups", launch
