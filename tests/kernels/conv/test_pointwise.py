from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from netspec.kernels.conv import pointwise
from netspec.kernels.conv.operators import siblings
from netspec.kernels.conv.tiles import ProductTile
from netspec.kernels.launch import run
from tests.examples import examples
from tests.kernels import helpers
from tests.kernels.helpers import DEVICE, DTYPES, assert_within, guarded, normal, rounding, within


def reference(x: Tensor, w: Tensor, b: Tensor | None, *, relu: bool) -> tuple[Tensor, Tensor]:
    """Exact outputs of all siblings side by side, and the sums of the terms' absolute values."""
    x, w = x.double().cpu(), w.double().cpu()[:, 0, 0]
    b = torch.zeros(w.shape[0], dtype=torch.float64) if b is None else b.double().cpu()
    y = x @ w.T + b
    return torch.where(y < 0, 0.0, y) if relu else y, x.abs() @ w.T.abs() + b.abs()


def assert_close(
    ys: Sequence[Tensor], x: Tensor, w: Tensor, b: Tensor | None, *, relu: bool, precision: str
) -> None:
    exact, magnitude = reference(x, w, b, relu=relu)
    first = 0
    for y in ys:
        part = slice(first, first + y.shape[3])
        allowed = rounding(
            exact[..., part],
            x.dtype,
            terms=x.shape[3],
            magnitude=magnitude[..., part],
            precision=precision,
        )
        assert_within(y, exact[..., part], allowed)
        first += y.shape[3]
    assert first == w.shape[0]


def operands(
    batch: int, height: int, width: int, channels: int, count: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        normal(batch, height, width, channels, dtype=dtype, seed=1),
        normal(count, 1, 1, channels, dtype=dtype, seed=2),
        normal(count, dtype=dtype, seed=3),
    )


counts = st.lists(st.integers(1, 80), min_size=1, max_size=4)
OUT = {
    False: siblings.conv1x1_siblings_out,
    True: siblings.conv1x1_siblings_relu_out,
}
FUNCTIONAL = {
    False: siblings.conv1x1_siblings,
    True: siblings.conv1x1_siblings_relu,
}


@examples(40)
@given(
    batch=st.integers(0, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    channels=st.integers(1, 70),
    counts=counts,
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    has_bias=st.booleans(),
    is_slice=st.booleans(),
    precision=st.sampled_from(["ieee", "tf32"]),
)
@example(1, 1, 1, 1, [1], torch.float32, True, True, False, "ieee")
@example(1, 1, 1, 1, [1, 1, 1, 1], torch.float32, True, True, True, "ieee")
@example(2, 5, 7, 300, [33], torch.float16, False, True, True, "ieee")
@example(1, 2, 3, 16, [64, 96, 16, 48], torch.float16, True, True, False, "ieee")
@example(1, 2, 3, 16, [1, 65, 1, 64], torch.float64, False, True, True, "ieee")
@example(0, 4, 4, 8, [8, 8], torch.float16, True, True, False, "ieee")
def test_each_sibling_fills_its_own_slice_and_nothing_else(
    batch: int,
    height: int,
    width: int,
    channels: int,
    counts: list[int],
    dtype: torch.dtype,
    relu: bool,
    has_bias: bool,
    is_slice: bool,
    precision: str,
) -> None:
    x, w, bias = operands(batch, height, width, channels, sum(counts), dtype)
    b = bias if has_bias else None
    memory = [
        guarded(batch, height, width, count, dtype=dtype, before=3 + i, after=5 - i)
        for i, count in enumerate(counts)
    ]
    x_read = within(x) if is_slice else x
    OUT[relu](x_read, w, b, [m.slice for m in memory], precision)
    for m in memory:
        m.assert_intact()
        m.assert_written()
    assert_close([m.slice for m in memory], x, w, b, relu=relu, precision=precision)


@examples(12)
@given(counts=counts, dtype=st.sampled_from(DTYPES), relu=st.booleans())
def test_the_functional_forms_return_one_map_a_sibling(
    counts: list[int], dtype: torch.dtype, relu: bool
) -> None:
    x, w, b = operands(2, 3, 5, 19, sum(counts), dtype)
    ys = FUNCTIONAL[relu](x, w, b, counts, "ieee")
    assert [tuple(y.shape) for y in ys] == [(2, 3, 5, count) for count in counts]
    assert_close(ys, x, w, b, relu=relu, precision="ieee")


TILES = [tile for known in pointwise.TILES.values() for tile in known]


@pytest.mark.parametrize("tile", [*TILES, ProductTile(32, 16, 16, warps=8, stages=2)], ids=str)
def test_every_tile_computes_the_same(tile: ProductTile) -> None:
    x, w, b = operands(1, 9, 17, 40, 100, torch.float32)
    whole = guarded(1, 9, 17, 100, dtype=torch.float32)
    ys = list(whole.slice.split([40, 20, 33, 7], dim=3))
    run(pointwise.sibling_launches(x, w, b, ys, relu=True, precision="ieee", tile=tile))
    whole.assert_intact()
    assert_close(ys, x, w, b, relu=True, precision="ieee")


def test_siblings_fill_a_concatenation_in_place() -> None:
    counts = [64, 96, 16]
    x, w, b = operands(2, 3, 3, 24, sum(counts), torch.float32)
    whole = guarded(2, 3, 3, sum(counts), dtype=torch.float32)
    siblings.conv1x1_siblings_out(x, w, b, list(whole.slice.split(counts, dim=3)), "ieee")
    whole.assert_intact()
    assert_close([whole.slice], x, w, b, relu=False, precision="ieee")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy, in the interpreter
def test_nan_and_infinities_pass_as_in_pytorch() -> None:
    x = torch.tensor([[-torch.inf, 1.0], [torch.inf, 1.0], [torch.nan, 1.0], [2.0, -3.0]])
    x = x.to(DEVICE).reshape(1, 2, 2, 2)
    w = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], device=DEVICE).reshape(3, 1, 1, 2)
    ys = siblings.conv1x1_siblings_relu(x, w, None, [2, 1], "ieee")
    y = torch.cat(list(ys), dim=3).cpu()
    expected = (x.reshape(4, 2) @ w.reshape(3, 2).T).relu().cpu().reshape(1, 2, 2, 3)
    torch.testing.assert_close(y, expected, equal_nan=True)


def test_extreme_values_of_half_precision_are_summed_in_float32() -> None:
    x = torch.full((1, 1, 1, 64), 1e4, dtype=torch.float16, device=DEVICE)
    w = torch.full((2, 1, 1, 64), 0.5, dtype=torch.float16, device=DEVICE)
    w[:, :, :, 1::2] = -0.5
    b = torch.tensor([1.0, -1.0], dtype=torch.float16, device=DEVICE)
    ys = siblings.conv1x1_siblings(x, w, b, [1, 1], "ieee")
    assert [y.item() for y in ys] == [1.0, -1.0]


def samples() -> list[tuple[Tensor, Tensor, Tensor | None, list[int], str]]:
    cases: list[tuple[Tensor, Tensor, Tensor | None, list[int], str]] = []
    for batch, channels, counts, dtype, precision in (
        (2, 5, [3], torch.float32, "ieee"),
        (1, 17, [4, 1, 20], torch.float16, "tf32"),
        (0, 8, [2, 2, 2, 2], torch.float64, "ieee"),
    ):
        x, w, b = operands(batch, 2, 3, channels, sum(counts), dtype)
        cases.append((x, w, b if batch else None, counts, precision))
    return cases


@pytest.mark.parametrize("sample", samples(), ids=["one", "three", "no batch"])
@pytest.mark.parametrize("relu", [False, True])
def test_opcheck(sample: tuple[Tensor, Tensor, Tensor | None, list[int], str], relu: bool) -> None:
    x, w, b, counts, precision = sample
    torch.library.opcheck(FUNCTIONAL[relu], (x, w, b, counts, precision))
    whole = x.new_zeros(*x.shape[:3], sum(counts) + 3)
    ys = list(whole[..., 1 : 1 + sum(counts)].split(counts, dim=3))
    torch.library.opcheck(OUT[relu], (x, w, b, ys, precision))
    torch.library.opcheck(OUT[relu], (x, w, b, [y.contiguous() for y in ys], precision))


def test_what_does_not_fit_is_refused() -> None:
    op, out = FUNCTIONAL[False], OUT[False]
    x, w, b = operands(1, 2, 3, 4, 5, torch.float32)
    y = x.new_empty(1, 2, 3, 5)
    for arguments, said in (
        ((x, w, b, [2, 2]), "counts must be"),
        ((x, w, b, [5, 0]), "counts must be"),
        ((x, w, b, [1, 1, 1, 1, 1]), "counts must be"),
        ((x, w, b, []), "counts must be"),
        ((x, w[..., :3].contiguous(), b, [5]), "does not fit x"),
        ((x, w.expand(5, 2, 1, 4).contiguous(), b, [5]), r"\[O, 1, 1, C\]"),
        ((x, normal(4, 1, 1, 5, dtype=x.dtype).permute(3, 1, 2, 0), b, [5]), "w must be contig"),
        ((x, w, b[:4], [5]), "b must be"),
        ((x.permute(0, 3, 1, 2), w, b, [5]), "does not fit x|channels-last"),
        ((normal(1, 4, 2, 3, dtype=x.dtype).permute(0, 2, 3, 1), w, b, [5]), "x must be channels"),
        ((x, w, b, [5], "half"), "precision must be"),
    ):
        with pytest.raises(ValueError, match=said):
            op(*arguments, *["ieee"][: 5 - len(arguments)])
    for arguments, said in (
        ((x, w, b, [y[..., :2]]), "counts must be"),
        ((x, w, b, [x.new_empty(1, 3, 2, 5)]), "pixels of x"),
        ((x, w, b, [x.new_empty(1, 5, 2, 3).permute(0, 2, 3, 1)]), r"ys\[0\] must be channels"),
        ((x, w, b, [y[0]]), r"ys\[0\] must be \[N, H, W, C\]"),
    ):
        with pytest.raises(ValueError, match=said):
            out(*arguments, "ieee")
    with pytest.raises(TypeError, match="w is"):
        op(x, w.half(), b, [5], "ieee")
    with pytest.raises(TypeError, match=r"ys\[0\] is"):
        out(x, w, b, [y.half()], "ieee")


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
def test_gradients_agree_with_finite_differences(relu: bool, has_bias: bool) -> None:
    x, w, b = operands(1, 2, 2, 3, 4, torch.float64)
    leaves = [leaf.requires_grad_() for leaf in ((x, w, b) if has_bias else (x, w))]

    def run_all(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(FUNCTIONAL[relu](*tensors, *([] if has_bias else [None]), [1, 3], "ieee"))

    assert helpers.gradcheck(run_all, leaves)


def test_the_tile_is_chosen_by_what_it_covers() -> None:
    best = pointwise.choose(49, [384, 192, 48], 832, torch.float16, "ieee")
    assert best.rows < 64, "49 pixels do not fill the rows of a tall tile"
    wide = pointwise.choose(100_000, [512], 512, torch.float16, "ieee")
    assert (wide.rows, wide.columns) == (128, 128)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shipped_launches_cover_their_maps(dtype: torch.dtype) -> None:
    for label, launch in pointwise.shipped(dtype):
        rows, columns = launch.arguments["ROWS"], launch.arguments["COLUMNS"]
        counts = [launch.arguments[f"count_{i}"] for i in range(4)]
        needed = -(-launch.arguments["pixels"] // rows) * sum(-(-c // columns) for c in counts)
        assert launch.grid == (needed,), label


@helpers.gpu
@helpers.only_on_gpu
def test_offsets_beyond_31_bits() -> None:
    pixels, channels = 2**20, 2**11 + 8
    x = torch.zeros(1, 2, pixels // 2, channels, dtype=torch.float16, device=DEVICE)
    x[0, 1, -1] = 1
    w = torch.ones(16, 1, 1, channels, dtype=torch.float16, device=DEVICE)
    (y,) = FUNCTIONAL[False](x, w, None, [16], "ieee")
    assert y[0, 1, -1].eq(channels).all()
    assert y[0, 1, :-1].eq(0).all()


@helpers.gpu
@helpers.only_on_gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_warps(dtype: torch.dtype) -> None:
    tile = replace(pointwise.choose(64, [64], 64, dtype, "ieee"), warps=8)
    x, w, b = operands(2, 13, 11, 200, 100, dtype)
    ys = [x.new_empty(2, 13, 11, 60), x.new_empty(2, 13, 11, 40)]
    run(pointwise.sibling_launches(x, w, b, ys, relu=True, precision="ieee", tile=tile))
    assert_close(ys, x, w, b, relu=True, precision="ieee")
