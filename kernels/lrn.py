"""Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3).

    y[i] = x[i] s[i]^-beta,  s[i] = k + alpha sum over j in W(i) of x[j]^2

for every pixel, with W(i) the n channels around i that lie in its part: there are ``groups`` parts
of neighbouring channels, as on two GPUs.  alpha is not divided by n.  With dy[i] = dL / dy[i],

    dx[i] = dy[i] s[i]^-beta - 2 alpha beta x[i] sum over j in W(i) of dy[j] x[j] s[j]^(-beta - 1)

since j is in W(i) just when i is in W(j).  Nothing is saved but x: s is computed again.

There are two pairs of kernels, and :func:`is_chunked` chooses.  In chunks (``kernels/chunks.py``) x
is read once and y written once forward; backward x and dy are read once and dx written once, with s
computed 1.5 times an element for n = 5.  In bfloat16 for n = 5 and sm_90 that is 18 and 37
instructions an element, counted and not measured; an H200 at 1.75 GHz has time for 31 while it
moves 4 bytes at 88 % of 4.3 TB/s, and for 48 while it moves 6 at 85 %.

Everything else, a part whose channels no chunk divides or a wide window, takes loads that are
shifted by one channel after the other; its backward has the sum over W(i) in a second launch and
keeps the terms between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from netspec.kernels.arithmetic import accumulator, accumulator_dtype
from netspec.kernels.chunks import append, chunk_of, fits, neighbourhood, together, window_sums
from netspec.kernels.launch import Launch, blocks, power_of_two, run
from netspec.kernels.layout import check_device, check_kind, laid_out, pitch

# --------------------------------------------------------------------------------- configurations

BLOCK = 128
"""Chunks a program: one a thread, so that a multiprocessor holds as many threads as it can."""

AREA = 1024
"""Elements a program of the shifted kernels."""


def is_chunked(reach: int, part: int, *maps: Tensor) -> bool:
    """Whether chunks can do it: they divide part and pitch, and ``reach`` ends in the next one.

    ``reach`` is how far a kernel looks from a channel: n // 2 forward and twice that backward.
    """
    return fits(part, power_of_two(reach), *maps)


# ---------------------------------------------------------------------------------------- kernels


@triton.jit
def powers(s, BETA: tl.constexpr):
    """(s^-beta, s^-1), without a library's pow; s is positive."""
    if BETA == 0.75:
        root = tl.rsqrt(s)
        return root * tl.sqrt(root), root * root
    elif BETA == 0.5:
        root = tl.rsqrt(s)
        return root, root * root
    elif BETA == 1:
        inverse = 1 / s
        return inverse, inverse
    elif BETA == 0:  # as a case of its own because log2 of an overflown s is no number to scale
        return tl.full(s.shape, 1, s.dtype), 1 / s
    else:
        return tl.exp2(-BETA * tl.log2(s)), 1 / s


@triton.jit
def scales(
    x, FIRST: tl.constexpr, COUNT: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr,
):  # fmt: skip
    """s of the COUNT channels whose windows begin at x[FIRST], x[FIRST + 1], ..."""
    squares = ()
    for i in tl.static_range(COUNT + N - 1):
        squares = append(squares, x[FIRST + i] * x[FIRST + i])
    sums = window_sums(squares, N, COUNT)
    s = ()
    for i in tl.static_range(COUNT):
        s = append(s, K + ALPHA * sums[i])
    return s


@triton.jit
def normalised(
    x_at, is_inside, place, CHUNKS: tl.constexpr, HALO: tl.constexpr, CHUNK: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """y of the chunks that x_at points to: [BLOCK, CHUNK]."""
    x = neighbourhood(x_at, is_inside, place, CHUNKS, HALO, CHUNK, ACCUMULATOR)
    s = scales(x, HALO - N // 2, CHUNK, N, K, ALPHA)
    y = ()
    for i in tl.static_range(CHUNK):
        power, _ = powers(s[i], BETA)
        y = append(y, x[HALO + i] * power)
    return together(y, CHUNK)


@triton.jit
def chunked(
    x_ptr, y_ptr, x_pitch, y_pitch, items,
    CHANNELS: tl.constexpr, PART: tl.constexpr, HALO: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """BLOCK chunks of y; an item is a chunk of a pixel, the chunks of a pixel side by side."""
    item = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pixel = (item // (CHANNELS // CHUNK)).to(tl.int64)
    chunk = item % (CHANNELS // CHUNK)
    is_inside = item < items
    # Triton knows of a size whether 16 divides it; here it shall know that CHUNK does.
    x_at = x_ptr + pixel * (x_pitch // CHUNK * CHUNK) + chunk * CHUNK
    y_at = y_ptr + pixel * (y_pitch // CHUNK * CHUNK) + chunk * CHUNK
    y = normalised(
        x_at, is_inside, chunk % (PART // CHUNK), PART // CHUNK, HALO, CHUNK,
        N, K, ALPHA, BETA, ACCUMULATOR,
    )  # fmt: skip
    tl.store(
        y_at[:, None] + tl.arange(0, CHUNK)[None, :],
        y.to(y_ptr.dtype.element_ty),
        mask=is_inside[:, None],
    )


@triton.jit
def chunked_backward(
    x_ptr, dy_ptr, dx_ptr, x_pitch, dy_pitch, dx_pitch, items,
    CHANNELS: tl.constexpr, PART: tl.constexpr, HALO: tl.constexpr, X_HALO: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    ACCUMULATOR: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """BLOCK chunks of dx.  Terms are wanted for n // 2 channels beside a chunk, so s is too, and x
    for twice as many."""
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
def shifted_scale(
    x_at, is_inside, place, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, ACCUMULATOR: tl.constexpr,
):  # fmt: skip
    """s of the channels that x_at points to, each at its ``place`` in its part; any shape."""
    total = tl.zeros(x_at.shape, ACCUMULATOR)
    for step in range(2 * reach + 1):
        there = place + (step - reach)
        is_there = is_inside & (there >= 0) & (there < part)
        x = tl.load(x_at + (step - reach), mask=is_there, other=0.0).to(ACCUMULATOR)
        total += x * x
    return K + ALPHA * total


@triton.jit
def shifted(
    x_ptr, y_ptr, x_pitch, y_pitch, pixels, channels, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr, ACCUMULATOR: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """y of ROWS pixels x COLUMNS channels."""
    pixel = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    c = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_inside = (pixel < pixels) & (c < channels)
    x_at = x_ptr + pixel * x_pitch + c
    s = shifted_scale(x_at, is_inside, c % part, part, reach, K, ALPHA, ACCUMULATOR)
    power, _ = powers(s, BETA)
    y = tl.load(x_at, mask=is_inside, other=0.0).to(ACCUMULATOR) * power
    tl.store(y_ptr + pixel * y_pitch + c, y.to(y_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def shifted_terms(
    x_ptr, dy_ptr, direct_ptr, terms_ptr, x_pitch, dy_pitch, pixels, channels, part, reach,
    K: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr, ACCUMULATOR: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """dy s^-beta, and dy x s^(-beta - 1), both contiguous."""
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
    """dx of ROWS pixels x COLUMNS channels, of what :func:`shifted_terms` left."""
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


def lrn_launches(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int
) -> list[Launch]:
    """y = LRN(x) as one launch; x and y [N, H, W, C], each a slice of channels if need be."""
    if x.numel() == 0:
        return []
    part = x.shape[3] // groups
    reach = min(n // 2, part - 1)
    constants = {"K": k, "ALPHA": alpha, "BETA": beta, "ACCUMULATOR": accumulator(x.dtype)}
    maps = {"x_ptr": x, "y_ptr": y, "x_pitch": pitch("x", x), "y_pitch": pitch("y", y)}
    if is_chunked(reach, part, x, y):
        return [_chunked(chunked, maps, constants, x, part, reach)]
    return [_shifted(shifted, maps, constants, x, part, reach)]


def lrn_backward_launches(
    x: Tensor, dy: Tensor, dx: Tensor, n: int, k: float, alpha: float, beta: float, groups: int
) -> list[Launch]:
    """dx of dy and x; all [N, H, W, C], each a slice of channels if need be."""
    if x.numel() == 0:
        return []
    part = x.shape[3] // groups
    reach = min(n // 2, part - 1)
    constants = {"K": k, "ALPHA": alpha, "BETA": beta, "ACCUMULATOR": accumulator(x.dtype)}
    x_map = {"x_ptr": x, "x_pitch": pitch("x", x)}
    dy_map = {"dy_ptr": dy, "dy_pitch": pitch("dy", dy)}
    dx_map = {"dx_ptr": dx, "dx_pitch": pitch("dx", dx)}
    if is_chunked(2 * reach, part, x, dy, dx):
        maps = x_map | dy_map | dx_map | {"X_HALO": power_of_two(2 * reach)}
        return [_chunked(chunked_backward, maps, constants, x, part, reach)]
    kept = accumulator_dtype(x.dtype)
    direct, terms = (torch.empty(x.shape, dtype=kept, device=x.device) for _ in range(2))
    between = {"direct_ptr": direct, "terms_ptr": terms}
    first = _shifted(shifted_terms, x_map | dy_map | between, constants, x, part, reach)
    del constants["K"]
    second = _shifted(shifted_backward, x_map | dx_map | between, constants, x, part, reach)
    return [first, second]


def _chunked(
    kernel: Any, maps: dict[str, Any], constants: dict[str, Any], x: Tensor, part: int, reach: int
) -> Launch:
    chunk = chunk_of(x)
    items = x.numel() // chunk
    arguments = (
        maps
        | constants
        | {
            "items": items,
            "CHANNELS": x.shape[3],
            "PART": part,
            "HALO": power_of_two(reach),
            "N": 2 * reach + 1,
            "BLOCK": BLOCK,
            "CHUNK": chunk,
        }
    )
    return Launch(kernel, (blocks(items, BLOCK),), arguments)


def _shifted(
    kernel: Any, maps: dict[str, Any], constants: dict[str, Any], x: Tensor, part: int, reach: int
) -> Launch:
    channels = x.shape[3]
    pixels = x.numel() // channels
    columns = min(power_of_two(channels), 128)
    rows = AREA // columns
    arguments = (
        maps
        | constants
        | {
            "pixels": pixels,
            "channels": channels,
            "part": part,
            "reach": reach,
            "ROWS": rows,
            "COLUMNS": columns,
        }
    )
    return Launch(kernel, (blocks(pixels, rows), blocks(channels, columns)), arguments)


# -------------------------------------------------------------------------------------- operators


def check_lrn(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int) -> None:
    """Refuse what is no LRN of a map ``x`` [N, H, W, C].

    Raises:
        ValueError: n is even or below 1; k is not above 0; alpha or beta is below 0; groups do not
            divide the channels; the layout is no channels-last one, or the map too large.
        TypeError: the type is none that the kernels run on.
    """
    check_device(x)
    pitch("x", x)
    if n < 1 or n % 2 == 0:
        raise ValueError(f"n must be odd and at least 1, and is {n}")
    if not (k > 0 and alpha >= 0 and beta >= 0):
        raise ValueError(
            f"k must be above 0, and alpha and beta at least 0; they are {k}, {alpha} and {beta}"
        )
    if groups < 1 or x.shape[3] % groups:
        raise ValueError(f"{x.shape[3]} channels do not fall into {groups} groups")
    if x.shape[0] * x.shape[1] * x.shape[2] >= 2**31 or x.numel() // chunk_of(x) >= 2**31 - BLOCK:
        raise ValueError(f"x {list(x.shape)} is more than one launch counts: split the batch")


def check_alike(name: str, y: Tensor, x: Tensor) -> None:
    """Refuse a map of another size, type or device than ``x``.

    Raises:
        ValueError: its size differs, or its layout is no channels-last one.
        TypeError: its type or its device differs.
    """
    pitch(name, y)
    if y.shape != x.shape:
        raise ValueError(f"{name} must be {list(x.shape)}, and is {list(y.shape)}")
    check_kind(name, y, x)


@torch.library.custom_op("netspec::lrn", mutates_args=())
def lrn(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> Tensor:
    """x (k + alpha sum of x^2 over n channels)^-beta; x and the result [N, H, W, C].

    Raises:
        ValueError, TypeError: see :func:`check_lrn`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    run(lrn_launches(x, y, n, k, alpha, beta, groups))
    return y


@torch.library.custom_op("netspec::lrn_out", mutates_args={"y"})
def lrn_out(
    x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> None:
    """The same into ``y`` [N, H, W, C], which may be a slice of channels but no part of ``x``.

    Raises:
        ValueError, TypeError: see :func:`check_lrn` and :func:`check_alike`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    check_alike("y", y, x)
    run(lrn_launches(x, y, n, k, alpha, beta, groups))


@torch.library.custom_op("netspec::lrn_backward", mutates_args=())
def lrn_backward(
    x: Tensor, dy: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> Tensor:
    """dx of ``x`` and ``dy``, all [N, H, W, C].

    Raises:
        ValueError, TypeError: see :func:`check_lrn` and :func:`check_alike`.
    """
    check_lrn(x, n, k, alpha, beta, groups)
    check_alike("dy", dy, x)
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    run(lrn_backward_launches(x, dy, dx, n, k, alpha, beta, groups))
    return dx


@lrn.register_fake
def _(x: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


@lrn_out.register_fake
def _(x: Tensor, y: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1) -> None:
    return None


@lrn_backward.register_fake
def _(
    x: Tensor, dy: Tensor, n: int, k: float, alpha: float, beta: float, groups: int = 1
) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.attributes = inputs
    ctx.save_for_backward(x)


def _differentiate(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    dx = lrn_backward(x, laid_out(dy), *ctx.attributes)
    return (dx, *[None] * len(ctx.attributes))


lrn.register_autograd(_differentiate, setup_context=_save)


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """The launches of AlexNet's and GoogLeNet's layers, at batch 32, on no device."""
    for size, channels, n, k, alpha, groups in (
        (55, 96, 5, 2.0, 1e-4, 2),
        (27, 256, 5, 2.0, 1e-4, 2),
        (56, 64, 5, 1.0, 2e-5, 1),
        (56, 192, 5, 1.0, 2e-5, 1),
    ):
        x, y, dx = (
            torch.empty(32, size, size, channels, dtype=dtype, device="meta") for _ in range(3)
        )
        label = f"{size}x{size}x{channels}, {groups} groups"
        for launch in lrn_launches(x, y, n, k, alpha, 0.75, groups):
            yield f"lrn forward {label}", launch
        for launch in lrn_backward_launches(x, y, dx, n, k, alpha, 0.75, groups):
            yield f"lrn backward {label}", launch
