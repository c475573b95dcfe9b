from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given
from hypothesis import strategies as st

from netspec.ir.reach import Reach
from netspec.ir.shapes import Field, Kernel, Pair, Shape, ShapeError, Window, rounded_up, slide

sizes = st.integers(1, 24)
kernels = st.integers(1, 6)
strides = st.integers(1, 7)
dilations = st.integers(1, 4)
sides = st.integers(0, 5)
roundings = st.sampled_from(["floor", "ceil"])


def window(
    size_in: int,
    kernel: int,
    stride: int = 1,
    *,
    dilation: int = 1,
    padding: Pair | str = (0, 0),
    rounding: str = "floor",
    clip: bool = False,
) -> Window:
    return slide(
        0,
        size_in,
        kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        rounding=rounding,
        clip=clip,
    )


def placed(*args: int, **options: Any) -> Window | str:
    """The window, or the code of the refusal."""
    try:
        return window(*args, **options)
    except ShapeError as error:
        return error.code


def refusal(*args: int, axis: int = 0, **options: Any) -> ShapeError:
    defaults = {"dilation": 1, "padding": (0, 0), "rounding": "floor", "clip": False}
    size_in, kernel, stride = args
    with pytest.raises(ShapeError) as caught:
        slide(axis, size_in, kernel, stride=stride, **(defaults | options))
    return caught.value


# ------------------------------------------------------------------------- sizes and placements


def walk(
    size_in: int,
    kernel: int,
    stride: int,
    dilation: int,
    before: int,
    after: int,
    rounding: str,
    clip: bool,
) -> list[int] | str:
    """Where windows start when they are placed one at a time, or the code of the refusal."""
    reach, end = (kernel - 1) * dilation, size_in + after
    if -before + reach >= end:
        return "NS201"
    starts = [-before]
    while starts[-1] + reach + 1 < end:
        start = starts[-1] + stride
        if rounding == "floor" and start + reach >= end:
            break
        starts.append(start)
    if clip and rounding == "ceil" and starts[-1] >= size_in:
        starts.pop()
    taps = [[start + tap * dilation for tap in range(kernel)] for start in starts]
    if any(all(not 0 <= tap < size_in for tap in window) for window in taps):
        return "NS202"
    return starts


@given(sizes, kernels, strides, dilations, sides, sides, roundings, st.booleans())
@example(1, 1, 1, 1, 0, 0, "ceil", True)
@example(5, 2, 2, 1, 1, 1, "ceil", True)
@example(5, 2, 2, 1, 1, 1, "ceil", False)
@example(1, 2, 1, 3, 3, 3, "floor", False)
@example(7, 2, 7, 1, 0, 0, "ceil", False)
def test_windows_stand_where_placing_them_one_at_a_time_puts_them(
    size_in: int,
    kernel: int,
    stride: int,
    dilation: int,
    before: int,
    after: int,
    rounding: str,
    clip: bool,
) -> None:
    expected = walk(size_in, kernel, stride, dilation, before, after, rounding, clip)
    axis = placed(
        size_in,
        kernel,
        stride,
        dilation=dilation,
        padding=(before, after),
        rounding=rounding,
        clip=clip,
    )
    if isinstance(expected, str) or isinstance(axis, str):
        assert axis == expected
        return
    assert list(axis.starts()) == expected
    assert axis.size_out == len(expected)
    last_tap = expected[-1] + (kernel - 1) * dilation
    assert axis.overhang == max(0, last_tap + 1 - size_in - after)


@pytest.mark.parametrize(("rounding", "size_out"), [("floor", 54), ("ceil", 55)])
def test_224_under_a_kernel_of_11_by_4(rounding: str, size_out: int) -> None:
    assert window(224, 11, 4, rounding=rounding).size_out == size_out


def test_rounding_up_gives_every_size_of_alexnet() -> None:
    rows = [(11, 4, 0, False), (3, 2, 0, True), (5, 1, 2, False), (3, 2, 0, True)]
    rows += [(3, 1, 1, False)] * 3 + [(3, 2, 0, True)]
    heights = [224]
    for kernel, stride, pad, clip in rows:
        padding = (pad, pad)
        axis = window(heights[-1], kernel, stride, padding=padding, rounding="ceil", clip=clip)
        heights.append(axis.size_out)
    assert heights == [224, 55, 27, 27, 13, 13, 13, 13, 6]


@given(sizes, kernels, strides, sides, st.booleans())
@example(5, 2, 2, 1, True)
@example(1, 1, 7, 0, True)
def test_sizes_of_pools_are_those_of_pytorch(
    size_in: int, kernel: int, stride: int, pad: int, rounds_up: bool
) -> None:
    pad = min(pad, kernel // 2)
    assume(size_in + 2 * pad >= kernel)
    x = torch.zeros(1, 1, size_in, 1)
    pooled = F.max_pool2d(x, (kernel, 1), (stride, 1), (pad, 0), ceil_mode=rounds_up)
    rounding = "ceil" if rounds_up else "floor"
    axis = window(size_in, kernel, stride, padding=(pad, pad), rounding=rounding, clip=True)
    assert axis.size_out == pooled.shape[2]


@given(sizes, kernels, strides, dilations, sides)
def test_sizes_of_convolutions_are_those_of_pytorch(
    size_in: int, kernel: int, stride: int, dilation: int, pad: int
) -> None:
    reach = dilation * (kernel - 1)
    pad = min(pad, reach)
    assume(reach < size_in + 2 * pad and dilation <= size_in)
    x, weight = torch.zeros(1, 1, size_in, 1), torch.zeros(1, 1, kernel, 1)
    y = F.conv2d(x, weight, stride=(stride, 1), padding=(pad, 0), dilation=(dilation, 1))
    axis = window(size_in, kernel, stride, dilation=dilation, padding=(pad, pad))
    assert axis.size_out == y.shape[2]


# ------------------------------------------------------------------------------ words of padding


@given(sizes, kernels, strides, dilations)
def test_same_is_the_rule_of_tensorflow(
    size_in: int, kernel: int, stride: int, dilation: int
) -> None:
    assume(dilation <= size_in)
    effective = kernel + (kernel - 1) * (dilation - 1)
    rest = size_in % stride
    total = max(effective - (stride if rest == 0 else rest), 0)
    axis = window(size_in, kernel, stride, dilation=dilation, padding="same")
    assert axis.size_out == ceil(size_in / stride)
    assert (axis.before, axis.after) == (total // 2, total - total // 2)


@given(sizes, strides, kernels)
def test_same_on_a_pool_holds_with_both_roundings(size_in: int, stride: int, kernel: int) -> None:
    for rounding in ("floor", "ceil"):
        axis = window(size_in, kernel, stride, padding="same", rounding=rounding, clip=True)
        assert axis.size_out == ceil(size_in / stride)


def test_same_puts_the_odd_one_after() -> None:
    axis = window(8, 2, padding="same")
    assert (axis.before, axis.after) == (0, 1)


@given(sizes, st.sampled_from([1, 3, 5, 7]))
def test_half_keeps_the_size_at_stride_one(size_in: int, kernel: int) -> None:
    axis = window(size_in, kernel, padding="half")
    assert axis.size_out == size_in
    assert axis.before == axis.after == (kernel - 1) / 2


def test_half_counts_the_holes_of_a_dilated_kernel() -> None:
    assert window(9, 3, dilation=2, padding="half").starts() == range(-2, 7)


@pytest.mark.parametrize(("axis", "word"), [(0, "height"), (1, "width")])
def test_half_refuses_an_even_kernel(axis: int, word: str) -> None:
    error = refusal(8, 4, 1, axis=axis, padding="half")
    assert error.code == "NS203"
    assert error.message == f"pad=half needs an odd kernel, and this one is 4 in {word}"


# -------------------------------------------------------------------------------------- refusals


def test_a_window_larger_than_its_padded_input_is_refused() -> None:
    error = refusal(4, 7, 1, axis=1, padding=(1, 1))
    assert error.code == "NS201"
    assert error.message == "the window is larger than its input in width: 7 and 4 + 2 of padding"
    assert error.origins == ((0, 1),)


def test_dilation_counts_towards_the_size_of_a_window() -> None:
    assert window(5, 3, dilation=2).size_out == 1
    assert refusal(4, 3, 1, dilation=2).code == "NS201"


@pytest.mark.parametrize(
    ("size_in", "kernel", "stride", "options", "message"),
    [
        (8, 2, 1, {"padding": (2, 0)}, "window 1 of 9 sees no input in height: it starts at -2"),
        (8, 2, 1, {"padding": (0, 2)}, "window 9 of 9 sees no input in height: it starts at 8"),
        (8, 1, 4, {"rounding": "ceil"}, "window 3 of 3 sees no input in height: it starts at 8"),
        (
            1,
            2,
            1,
            {"dilation": 3, "padding": (3, 3)},
            "window 2 of 4 sees no input in height: it starts at -2",
        ),
    ],
    ids=["in front", "behind", "overhanging", "stepping over"],
)
def test_a_window_that_sees_no_input_is_refused(
    size_in: int, kernel: int, stride: int, options: dict[str, Any], message: str
) -> None:
    error = refusal(size_in, kernel, stride, **options)
    assert error.code == "NS202"
    assert error.message == f"{message}, and the input is {size_in}"


@pytest.mark.parametrize(
    ("stride", "options", "name"),
    [
        (2**31, {}, "stride"),
        (1, {"dilation": 2**30, "padding": (2**30, 2**30)}, "window"),
        (1, {"dilation": 2**30 - 1, "padding": (2**30 - 1, 2**30 - 1)}, "padded map"),
        (1, {"dilation": 2**32 + 1, "padding": "half"}, "window"),  # the lower 32 bits are 1
    ],
)
def test_sizes_that_backends_would_cut_off_are_refused(
    stride: int, options: dict[str, Any], name: str
) -> None:
    error = refusal(8, 3, stride, **options)
    assert error.code == "NS007"
    assert error.message.startswith(f"the {name} is too large in height: ")


def test_the_largest_sizes_are_allowed() -> None:
    most = 2**30 - 5
    assert window(8, 3, dilation=most, padding=(most, most)).size_out == 8
    assert window(8, 3, 2**31 - 1).size_out == 1


# --------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("rounding", "clip", "starts", "overhang"),
    [
        ("floor", False, [-1, 1, 3], 0),
        ("ceil", False, [-1, 1, 3, 5], 1),
        ("ceil", True, [-1, 1, 3, 5], 1),
    ],
)
def test_starts_and_overhang_of_a_padded_window(
    rounding: str, clip: bool, starts: list[int], overhang: int
) -> None:
    axis = window(7, 3, 2, padding=(1, 0), rounding=rounding, clip=clip)
    assert list(axis.starts()) == starts
    assert axis.overhang == overhang


def test_a_clipped_pool_has_one_window_less_and_no_overhang() -> None:
    axis = window(5, 2, 2, padding=(1, 1), rounding="ceil", clip=True)
    assert list(axis.starts()) == [-1, 1, 3]
    assert axis.overhang == 0


@given(sizes, kernels, dilations, st.integers(-30, 30))
def test_a_window_sees_input_when_one_of_its_taps_does(
    size_in: int, kernel: int, dilation: int, start: int
) -> None:
    axis = Window(size_in, kernel, 1, dilation, 0, 0, 1, "")
    taps = [start + tap * dilation for tap in range(kernel)]
    assert axis.sees_input(start) == any(tap in range(size_in) for tap in taps)


@given(sizes, kernels, strides, sides, roundings)
def test_the_formula_works_out_to_the_size(
    size_in: int, kernel: int, stride: int, side: int, rounding: str
) -> None:
    side = min(side, kernel - 1)
    axis = placed(size_in, kernel, stride, padding=(side, 0), rounding=rounding)
    assume(isinstance(axis, Window))
    assert eval(axis.formula, {"floor": floor, "ceil": ceil}) == axis.size_out


def test_the_formula_shows_the_padding_only_where_there_is_some() -> None:
    assert window(224, 11, 4, rounding="ceil").formula == "ceil((224-11)/4) + 1"
    assert window(27, 5, padding=(2, 2)).formula == "27+4-5 + 1"


# ------------------------------------------------------------------------------- receptive fields

axes = st.tuples(kernels, strides, dilations, st.integers(0, 5))


def pixels(chain: list[tuple[int, int, int, int]], output: int) -> tuple[int, int]:
    """First and last pixel of the input that one output of the chain reaches, tap by tap."""
    reached = {output}
    for kernel, stride, dilation, before in reversed(chain):
        reached = {
            position * stride - before + tap * dilation
            for position in reached
            for tap in (0, kernel - 1)
        }
    return min(reached), max(reached)


@given(st.lists(st.tuples(axes, axes), max_size=4), st.integers(0, 3))
def test_a_field_is_what_the_taps_of_the_windows_reach(
    layers: list[tuple[tuple[int, int, int, int], tuple[int, int, int, int]]], output: int
) -> None:
    field = Field()
    for layer in layers:
        vertical, horizontal = (Window(50, k, s, d, before, 0, 9, "") for k, s, d, before in layer)
        field = field.through((vertical.reach, horizontal.reach))
    for axis in (0, 1):
        first, last = pixels([layer[axis] for layer in layers], output)
        assert first == field.start[axis] + output * field.stride[axis]
        assert last == first + field.size[axis] - 1


def test_the_last_pool_of_alexnet_sees_195_pixels() -> None:
    layers = [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), *[(3, 1, 1)] * 3, (3, 2, 0)]
    field, size = Field(), 224
    for kernel, stride, pad in layers:
        axis = window(size, kernel, stride, padding=(pad, pad), rounding="ceil")
        field, size = field.through((axis.reach, axis.reach)), axis.size_out
    assert field.size == (195, 195)
    assert field.stride == (32, 32)
    assert field.start == (-64, -64)


def test_padding_of_alexnet_alone_moves_its_field_out_of_the_image() -> None:
    layers = [(11, 4), (3, 2), (5, 1), (3, 2), *[(3, 1)] * 3, (3, 2)]
    field = Field()
    for kernel, stride in layers:
        axis = window(300, kernel, stride)
        field = field.through((axis.reach, axis.reach))
    assert field == Field(size=(195, 195), start=(0, 0), stride=(32, 32))


pairs = st.tuples(st.integers(1, 9), st.integers(1, 9))
fields = st.builds(
    Field, size=pairs, start=st.tuples(st.integers(-9, 9), st.integers(-9, 9)), stride=pairs
)


@given(fields, pairs, st.integers(1, 5))
def test_a_field_over_a_map_covers_the_fields_of_all_its_positions(
    field: Field, size: Pair, channels: int
) -> None:
    whole = field.over(Shape((*size, channels)))
    for axis in (0, 1):
        reached = {
            field.start[axis] + position * field.stride[axis] + pixel
            for position in range(size[axis])
            for pixel in range(field.size[axis])
        }
        assert whole.start[axis] == min(reached)
        assert whole.size[axis] == max(reached) - min(reached) + 1


def test_fields_after_upsampling_stay_exact() -> None:
    """Nearest by 2, a 3x3 window, bilinear by 2, a window of stride 4: pixels by hand.

    Outputs of the first window see pixels (-1, 0), (0, 1), (0, 1), (1, 2), ...; those between two
    of them in the bilinear map see both.
    """
    nearest, bilinear = Reach(((0, 0), (0, 0)), 1), Reach(((-1, 0), (0, 1)), 1)
    window, wide = Reach(((-1, 1),), 1), Reach(((0, 1),), 4)
    field = Field()
    for reach in (nearest, window, bilinear):
        field = field.through((reach, reach))
    assert field.stride == (Fraction(1, 4), Fraction(1, 4))
    assert [field.reaches[0].at(i) for i in range(4)] == [(-1, 0), (-1, 1), (-1, 1), (0, 1)]
    assert field.size == (3, 3)
    assert Field.union([field, Field(stride=(0, 0))]).reaches[0].at(3) == (0, 1)
    field = field.through((wide, wide))
    assert field == Field(size=(3, 3), start=(-1, -1), stride=(1, 1))


def test_a_field_over_a_vector_stays_as_it_is() -> None:
    field = Field(size=(3, 4), start=(-1, 0), stride=(2, 2))
    assert field.over(Shape((10,))) == field


@given(st.lists(fields, min_size=1, max_size=4))
def test_a_union_is_the_smallest_field_that_covers_all(branches: list[Field]) -> None:
    joined = Field.union(branches)
    for axis in (0, 1):
        seen = {f.start[axis] + pixel for f in branches for pixel in range(f.size[axis])}
        assert joined.start[axis] == min(seen)
        assert joined.start[axis] + joined.size[axis] - 1 == max(seen)
        assert joined.stride[axis] == max(f.stride[axis] for f in branches)


@pytest.mark.parametrize(("size", "text"), [((7, 7), "7"), ((1, 3), "1x3")])
def test_a_field_prints_one_number_when_it_is_square(size: Pair, text: str) -> None:
    assert str(Field(size=size)) == text


# ---------------------------------------------------------------------------- shapes and kernels


@pytest.mark.parametrize(
    ("shape", "printed"),
    [
        ((4096,), (4096,)),
        ((4096,), (1, 4096)),
        ((4096,), (1, 1, 4096)),
        ((1, 1, 4096), (4096,)),
        ((1, 1, 4096), (1, 4096)),
        ((1, 1, 1), (1,)),
        ((1, 5, 3), (1, 5, 3)),
    ],
)
def test_sizes_that_mean_the_same_agree(shape: tuple[int, ...], printed: tuple[int, ...]) -> None:
    assert Shape(shape).agrees_with(printed)


@pytest.mark.parametrize(
    ("shape", "printed"),
    [
        ((4096,), (4096, 1, 1)),
        ((4096,), (1, 4095)),
        ((5, 3), (1, 5, 3)),
        ((1, 5, 3), (5, 1, 3)),
        ((5, 5, 3), (5, 5, 4)),
        ((2, 2, 3), (12,)),
    ],
)
def test_sizes_that_differ_do_not_agree(shape: tuple[int, ...], printed: tuple[int, ...]) -> None:
    assert not Shape(shape).agrees_with(printed)


def test_a_map_is_printed_as_the_documents_do_and_ordered_as_pytorch_does() -> None:
    shape = Shape((5, 7, 3))
    assert str(shape) == "5x7x3"
    assert shape.torch == (3, 5, 7)
    assert (shape.is_map, shape.channels, shape.elements) == (True, 3, 105)


def test_a_vector_has_its_length_for_channels() -> None:
    shape = Shape((84,))
    assert str(shape) == "84"
    assert shape.torch == (84,)
    assert (shape.is_map, shape.channels, shape.elements) == (False, 84, 84)


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (Kernel(11, 11, 3, 4), "11x11x3/4"),
        (Kernel(3, 3, None, 2), "3x3/2"),
        (Kernel(1, 3, 64), "1x3x64"),
        (Kernel(1, 7), "1x7"),
    ],
)
def test_a_kernel_prints_as_it_is_written(kernel: Kernel, text: str) -> None:
    assert str(kernel) == text
    assert kernel.size == (kernel.height, kernel.width)


def test_a_clipped_pool_pads_no_further_than_its_windows_reach() -> None:
    axis = window(4, 2, 2, padding=(0, 2), rounding="ceil", clip=True)
    assert (axis.size_out, axis.tail, axis.overhang) == (2, 0, 0)


def test_the_arithmetic_of_a_clipped_pool_tells_of_the_window_left_out() -> None:
    axis = window(5, 2, 2, padding=(1, 1), rounding="ceil", clip=True)
    assert axis.size_out == 3
    assert axis.formula == "ceil((5+2-2)/2) + 1, less a window that would start outside"


def test_same_padding_means_one_size_for_both_roundings() -> None:
    for rounding in ("floor", "ceil"):
        axis = window(4, 1, 2, padding="same", rounding=rounding, clip=False)
        assert (axis.size_out, axis.overhang) == (2, 0)


def test_sizes_are_rounded_up_to_a_multiple() -> None:
    assert [rounded_up(size, 64) for size in (0, 1, 64, 65)] == [0, 64, 64, 128]
