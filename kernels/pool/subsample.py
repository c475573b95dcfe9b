"""Trained subsampling: a coefficient times the window's mean or sum, plus a bias.

    y[n, i, j, c] = coefficient[c] p[n, i, j, c] + bias[c]
    p[n, i, j, c] = share (sum over r, s of x[n, i stride + r - top, j stride + s - left, c])

where share is 1 for the sum (LeCun et al. 1998, section II.B) and 1 / (kernel height x width) for
the mean, for all windows: taps outside the map count as zeros.

    dx[n, h, w, c] = coefficient[c] share (sum over windows that cover (h, w) of dy[n, i, j, c])
    dcoefficient[c] = sum over n, i, j of dy[n, i, j, c] p[n, i, j, c]
    dbias[c] = sum over n, i, j of dy[n, i, j, c]

The kernels of the average pool compute y and dx; ``parameter_gradients.py`` computes the gradients
of the parameters.  Only x is saved.  2 x 2 / 2 in 16 bits moves, per input element, 2.5 bytes
forward, 2.5 for dx and 2.5 for the parameters, with one addition each (and one product per output).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from netspec.kernels.launch import Launch
from netspec.kernels.pool import average_gradients, averages, parameter_gradients
from netspec.kernels.pool.geometry import example
from netspec.kernels.windows import Windows

BY = ("mean", "sum")
"""The values that the coefficient can multiply."""

NOTHING_COUNTED = {"FIRST_H": 0, "FIRST_W": 0, "end_h": 1, "end_w": 1}
"""Arguments of the average pool's kernels that are not used here, since all shares are equal."""

# --------------------------------------------------------------------------------------- launches


def launches(
    x: Tensor, coefficient: Tensor, bias: Tensor, y: Tensor, windows: Windows, *, by: str
) -> list[Launch]:
    """Return the launch of y [N, H', W', C] from x [N, H, W, C], coefficient [C] and bias [C]."""
    return averages.launches(
        x,
        y,
        windows,
        share=share_of(windows, by),
        counts=NOTHING_COUNTED,
        coefficient=coefficient,
        bias=bias,
    )


def backward_launches(
    dy: Tensor,
    x: Tensor,
    coefficient: Tensor,
    dx: Tensor,
    dcoefficient: Tensor,
    dbias: Tensor,
    windows: Windows,
    *,
    by: str,
) -> list[Launch]:
    """Return the launches of dx [N, H, W, C], dcoefficient [C] and dbias [C] from dy."""
    share = share_of(windows, by)
    return [
        *average_gradients.launches(
            dy, dx, windows, share=share, counts=NOTHING_COUNTED, coefficient=coefficient
        ),
        *parameter_gradients.launches(dy, x, dcoefficient, dbias, windows, share=share),
    ]


def share_of(windows: Windows, by: str) -> float:
    """Return the factor of the sums of windows."""
    return 1.0 / prod(windows.kernel) if by == "mean" else 1.0


# ---------------------------------------------------------------------------------------- shipped


def shipped(dtype: torch.dtype) -> Iterator[tuple[str, Launch]]:
    """Yield launches of LeNet-5's S2 and S4, on the ``meta`` device.

    ``means`` ships the sums of parts.
    """
    window = [2, 2], [2, 2], [0, 0, 0, 0]
    x, y, windows = example((32, 28, 28, 6), *window, dtype)
    v = x.new_empty(6)
    (forward,) = launches(x, v, v, y, windows, by="sum")
    yield "subsample 28x28x6 2x2/2", forward
    x, y, windows = example((32, 10, 10, 16), *window, dtype)
    v = x.new_empty(16)
    (forward,) = launches(x, v, v, y, windows, by="sum")
    yield "subsample 10x10x16 2x2/2", forward
    in_x, parts, *_ = backward_launches(y, x, v, x, v, v, windows, by="sum")
    yield "subsample backward 10x10x16 2x2/2 in x", in_x
    yield "subsample backward 10x10x16 2x2/2 in the parameters, parts", parts
