from __future__ import annotations

import pytest

from netspec.kernels.conv.geometry import Geometry
from netspec.kernels.windows import check_pixels, fitting_windows, windows_over


def test_windows_and_filters_on_them_have_one_arithmetic() -> None:
    """AlexNet's C1 and its pool: 224 by 11/4 with 3 pixels of overhang is 55, and by 3/2 is 27."""
    conv = Geometry(
        batch=2, height=224, width=224, channels=3, count=96, kernel=(11, 11), stride=(4, 4),
        padding=(0, 3, 0, 3),
    )  # fmt: skip
    assert conv.size_in == (2, 224, 224, 3)
    assert conv.size_out == (2, 55, 55, 96)
    pool = windows_over(conv.size_out, [3, 3], [2, 2], [0, 0, 0, 0])
    assert pool.size_out == (2, 27, 27, 96)
    assert (pool.pixels, pool.pixels_out) == (2 * 55 * 55, 2 * 27 * 27)


def test_dilation_widens_a_window_of_filters() -> None:
    plain = {"batch": 1, "height": 9, "width": 9, "channels": 1, "count": 1, "kernel": (3, 3)}
    assert Geometry(**plain).size_out == (1, 7, 7, 1)
    assert Geometry(**plain, dilation=(2, 4)).size_out == (1, 5, 1, 1)


def test_a_pool_s_kernels_get_no_dilation() -> None:
    """They take windows, and an operator's geometry, which has filters, is given for them too."""
    conv = Geometry(batch=1, height=9, width=9, channels=4, count=4, kernel=(3, 3))
    pool = windows_over((1, 9, 9, 4), [3, 3], [1, 1], [0, 0, 0, 0])
    assert conv.window_constants() == pool.window_constants()
    assert set(conv.constants()) - set(conv.window_constants()) == {"DILATION_H", "DILATION_W"}


def test_a_window_may_lie_in_the_padding_but_must_fit() -> None:
    assert fitting_windows((1, 2, 2, 1), [3, 3], [4, 4], [4, 4, 0, 1]).size_out == (1, 2, 1, 1)
    with pytest.raises(ValueError, match="a window of 3 does not fit into a width of 2"):
        fitting_windows((1, 2, 2, 1), [3, 3], [4, 4], [4, 4, 0, 0])


def test_pixels_beyond_32_bits_are_refused_of_input_and_output() -> None:
    pool = windows_over((2**15, 2**8, 2**7, 1), [2, 2], [2, 2], [0, 0, 0, 0])
    check_pixels(pool)
    with pytest.raises(ValueError, match="2147483648 pixels are more than 2143289344"):
        check_pixels(windows_over((2**15, 2**8, 2**8, 1), [2, 2], [2, 2], [0, 0, 0, 0]))
    with pytest.raises(ValueError, match="split the batch"):
        check_pixels(windows_over((2**15, 2**8, 2**7, 1), [2, 2], [1, 1], [1, 1, 2**7, 2**7]))
