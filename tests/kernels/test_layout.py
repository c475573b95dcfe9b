from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netspec.kernels.layout import (
    check,
    check_apart,
    check_device,
    check_kind,
    check_product,
    laid_out,
    pitch,
)


@given(
    size=st.tuples(*[st.integers(1, 4)] * 3, st.integers(1, 5)),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
)
def test_a_slice_of_channels_is_described_by_its_pitch(
    size: tuple[int, int, int, int], before: int, after: int
) -> None:
    """The pitch finds every element where PyTorch does."""
    batch, height, width, channels = size
    whole = torch.arange(batch * height * width * (before + channels + after))
    whole = whole.reshape(batch, height, width, -1)
    x = whole[..., before : before + channels]
    step = pitch("x", x)
    pixels = torch.arange(batch * height * width).reshape(batch, height, width, 1)
    assert torch.equal(x, before + pixels * step + torch.arange(channels))


def test_a_channels_last_tensor_is_taken_without_a_copy() -> None:
    x = torch.empty(2, 6, 3, 4).contiguous(memory_format=torch.channels_last)
    assert pitch("x", x.permute(0, 2, 3, 1)) == 6


def test_an_empty_batch_has_a_pitch() -> None:
    assert pitch("x", torch.empty(0, 3, 4, 6)) == 6


@pytest.mark.parametrize(
    "x",
    [
        torch.empty(2, 6, 3, 4).permute(0, 2, 3, 1),  # channels first
        torch.empty(2, 3, 4, 12)[..., ::2],  # every other channel
        torch.empty(2, 3, 8, 6)[:, :, :4],  # rows with a gap behind them
        torch.empty(1, 1, 1, 6).expand(2, 3, 4, 6),  # one pixel for all
        torch.empty(2, 3, 4, 1).expand(2, 3, 4, 6),  # one channel for all
    ],
)
def test_other_layouts_are_refused_and_gradients_written_out(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"x must be channels-last.*x.contiguous\(\)"):
        pitch("x", x)
    assert torch.equal(laid_out(x.fill_(1)), x)
    assert laid_out(x).is_contiguous()


def test_a_gradient_in_order_is_not_copied() -> None:
    x = torch.empty(2, 3, 4, 12)[..., :6]
    assert laid_out(x) is x


def test_operands_are_checked_in_words() -> None:
    x = torch.empty(2, 3)
    with pytest.raises(ValueError, match=r"b must be \[4\], and is \[3\]"):
        check("b", torch.empty(3), (4,), like=x)
    with pytest.raises(ValueError, match="b must be contiguous"):
        check("b", torch.empty(6)[::2], (3,), like=x)
    with pytest.raises(TypeError, match=r"b is torch.float16 on cpu, and must be torch.float32"):
        check_kind("b", torch.empty(3, dtype=torch.float16), like=x)
    with pytest.raises(TypeError, match=r"floating point, not torch.int64"):
        check_device(torch.ones(3, dtype=torch.int64))


def test_an_output_shares_no_element_with_an_operand() -> None:
    whole = torch.empty(2, 3, 4, 12)
    check_apart(whole[..., :5], x=whole[..., 5:], b=None)  # side by side in one tensor
    check_apart(whole[..., 5:], x=whole[..., :5])
    check_apart(whole, x=whole.clone())
    check_apart(whole[:1], x=whole[1:])
    for x in (whole, whole[..., 4:], whole[..., :1], whole[1:], whole.flatten()[7:19]):
        with pytest.raises(ValueError, match="y shares memory with x"):
            check_apart(whole[..., :5], x=x)


def test_products_in_bfloat16_are_refused_on_a_cpu() -> None:
    with pytest.raises(RuntimeError, match="triton#11584"):
        check_product(torch.empty(2, dtype=torch.bfloat16))
    check_product(torch.empty(2, dtype=torch.float16))
