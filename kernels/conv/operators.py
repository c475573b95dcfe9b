"""The operators: convolution, with and without ReLU.

    netspec::conv2d            y = b + x * w
    netspec::conv2d_relu       y = max(b + x * w, 0)
    netspec::conv2d_out, netspec::conv2d_relu_out                the same into a given y

``y`` may be a slice of the channels of a larger tensor, which is how the branches of a
concatenation write their parts in place, and so may ``x``.

Several kernels compute the same forward product.  Which is fastest is for a measurement on the GPU
at hand to say: :func:`candidates` lists what there is to measure, :data:`MEASURED` is where the
outcome goes, and :func:`choose` takes it from there, or what a simple model finds fastest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from netspec.kernels.conv import implicit, packed, persistent, pointwise, split, tiles
from netspec.kernels.conv.geometry import Geometry, check_pixels
from netspec.kernels.conv.gradients import (
    STEPS,
    checked,
    conv2d_input_gradient,
    conv2d_weight_gradient,
)
from netspec.kernels.conv.tiles import Tile
from netspec.kernels.launch import Launch, run
from netspec.kernels.layout import check_apart, check_kind, laid_out, pitch

# --------------------------------------------------------------------------------- configurations


@dataclass(frozen=True)
class Choice:
    """One way to compute a convolution: a kernel, by the name of its file, and its tile."""

    variant: str
    tile: Tile


VARIANTS: dict[str, ModuleType] = {
    "implicit": implicit,
    "packed": packed,
    "split": split,
    "pointwise": pointwise,
    "persistent": persistent,
}
"""The forward kernels by the names of their files; each has ``launches``."""


MEASURED: dict[tuple[Geometry, torch.dtype, str], Choice] = {}
"""The fastest ways as they were measured on the GPU at hand, by geometry, type and precision.  One
that needs tensor descriptors is passed over where operands lie so that they have none."""


def candidates(
    found: Geometry, dtype: torch.dtype, precision: str, *, has_descriptors: bool = False
) -> list[Choice]:
    """Every way worth measuring.

    ``has_descriptors`` says that :func:`netspec.kernels.conv.persistent.fits` holds, which depends
    on where the operands lie and not on their sizes alone.
    """
    kind = tiles.arithmetic(dtype, precision)
    if found.is_pointwise and found.groups == 1:
        ways = [Choice("pointwise", tile) for tile in pointwise.TILES[kind]]
        if has_descriptors:
            ways += [Choice("persistent", tile) for tile in persistent.TILES[kind]]
    else:
        ways = [Choice("implicit", tile) for tile in implicit.TILES[kind]]
    ways += [Choice("split", tile) for tile in split.candidates(found.work, kind)]
    if packed.fits(found):
        ways += [Choice("packed", tile) for tile in packed.TILES[kind]]
    return ways


def choose(
    found: Geometry, dtype: torch.dtype, precision: str, *, has_descriptors: bool = False
) -> Choice:
    """The way that was measured fastest; unmeasured, what the model finds fastest, and for a first
    layer the kernel made for it."""
    measured = MEASURED.get((found, dtype, precision))
    if measured is not None and (has_descriptors or measured.variant != "persistent"):
        return measured
    ways = candidates(found, dtype, precision)
    if packed.fits(found):
        work, ways = packed.work(found), [way for way in ways if way.variant == "packed"]
    else:
        work = found.work
    return min(ways, key=lambda way: tiles.estimate(work, way.tile))


# --------------------------------------------------------------------------------------- launches


def forward_launches(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    found: Geometry,
    *,
    relu: bool,
    precision: str = "ieee",
    choice: Choice | None = None,
) -> list[Launch]:
    """The launches of one forward convolution, chosen or given."""
    way = choice or choose(found, x.dtype, precision, has_descriptors=persistent.fits(x, w, y))
    launches: Callable[..., list[Launch]] = VARIANTS[way.variant].launches
    return launches(x, w, b, y, found, relu=relu, precision=precision, tile=way.tile)


# -------------------------------------------------------------------------------------- operators

_FORWARD = f"(Tensor x, Tensor w, Tensor? b, {STEPS}) -> Tensor"
_OUT = f"(Tensor x, Tensor w, Tensor? b, Tensor(a!) y, {STEPS}) -> ()"


@torch.library.custom_op("netspec::conv2d", mutates_args=(), schema=_FORWARD)
def conv2d(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Tensor:
    """Convolution with bias: y[n, i, j, o] = b[o] + sum over r, s, c of
    x[n, i s_h + r d_h - p_top, j s_v + s d_v - p_left, c] w[o, r, s, c], x zero outside.

    Args:
        x: images [N, H, W, C], contiguous or a slice of the channels of a larger tensor.
        w: filters [O, kh, kw, C / groups], contiguous.
        b: bias [O], or None.
        stride: steps (height, width).
        padding: zeros (top, bottom, left, right); a convolution that rounds up carries its
            overhang in bottom and right.
        dilation: distance between taps (height, width).
        groups: parts that channels and filters fall into.
        precision: ``"ieee"``, or ``"tf32"`` to round float32 factors for the tensor cores.

    Returns:
        [N, H', W', O], contiguous, in the type of x; summed in float32, for float64 in float64.

    Raises:
        ValueError: sizes do not fit, or a layout is no channels-last one; nothing is copied.
        TypeError: types or devices differ.
    """
    return _forward(x, w, b, stride, padding, dilation, groups, precision, relu=False)


@torch.library.custom_op("netspec::conv2d_relu", mutates_args=(), schema=_FORWARD)
def conv2d_relu(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> Tensor:
    """Convolution with bias and ReLU, y = max(conv2d(x, w, b), 0); otherwise as conv2d."""
    return _forward(x, w, b, stride, padding, dilation, groups, precision, relu=True)


@torch.library.custom_op("netspec::conv2d_out", mutates_args=("y",), schema=_OUT)
def conv2d_out(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> None:
    """conv2d into y, [N, H', W', O]: contiguous or a slice of the channels of a larger tensor.

    For inference: no gradient passes.  y shares no element with x, w and b.
    """
    _forward_into(x, w, b, y, stride, padding, dilation, groups, precision, relu=False)


@torch.library.custom_op("netspec::conv2d_relu_out", mutates_args=("y",), schema=_OUT)
def conv2d_relu_out(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    y: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    precision: str,
) -> None:
    """conv2d_relu into y, as conv2d_out."""
    _forward_into(x, w, b, y, stride, padding, dilation, groups, precision, relu=True)


def _forward(x: Tensor, w: Tensor, b: Tensor | None, *steps: Any, relu: bool) -> Tensor:
    found = checked(x, w, b, *steps)
    check_pixels(found)
    y = x.new_empty(found.size_out)
    run(forward_launches(x, w, b, y, found, relu=relu, precision=steps[-1]))
    return y


def _forward_into(
    x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *steps: Any, relu: bool
) -> None:
    found = _checked_into(x, w, b, y, *steps)
    check_pixels(found)
    check_apart(y, x=x, w=w, b=b)
    run(forward_launches(x, w, b, y, found, relu=relu, precision=steps[-1]))


def _checked_into(x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *steps: Any) -> Geometry:
    found = checked(x, w, b, *steps)
    if tuple(y.shape) != found.size_out:
        raise ValueError(f"y must be {list(found.size_out)}, and is {list(y.shape)}")
    check_kind("y", y, like=x)
    pitch("y", y)
    return found


@conv2d.register_fake
@conv2d_relu.register_fake
def _(x: Tensor, w: Tensor, b: Tensor | None, *steps: Any) -> Tensor:
    return x.new_empty(checked(x, w, b, *steps).size_out)


@conv2d_out.register_fake
@conv2d_relu_out.register_fake
def _(x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, *steps: Any) -> None:
    _checked_into(x, w, b, y, *steps)


# -------------------------------------------------------------------------------------- gradients


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor, *, relu: bool) -> None:
    x, w, b, *ctx.steps = inputs
    ctx.has_bias = b is not None
    ctx.save_for_backward(x, w, output if relu else None)


def _backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    x, w, y = ctx.saved_tensors
    dy = laid_out(dy)
    dx = dw = db = None
    if ctx.needs_input_grad[0]:
        dx = conv2d_input_gradient(dy, y, w, x.shape, *ctx.steps)
    if any(ctx.needs_input_grad[1:3]):
        dw, db = conv2d_weight_gradient(dy, y, x, w.shape, *ctx.steps)
    return (dx, dw, db if ctx.has_bias else None, *(None for _ in ctx.steps))


def _remember_relu(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _remember(ctx, inputs, output, relu=True)


def _remember_plain(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _remember(ctx, inputs, output, relu=False)


conv2d.register_autograd(_backward, setup_context=_remember_plain)
conv2d_relu.register_autograd(_backward, setup_context=_remember_relu)
