"""The notations of printed sizes and kernels, each with one that means something else."""

from __future__ import annotations

import pytest

from netspec.checking.notation import Numbers, kernel_mismatch, kernel_shown, size_mismatch
from netspec.ir.ops.concat import Concat
from netspec.ir.ops.conv import Conv
from netspec.ir.ops.fc import FullyConnected
from netspec.ir.ops.gap import GlobalAveragePool
from netspec.ir.ops.local import Local
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.ops.maxpool import MaxPool
from netspec.ir.ops.rbf import RadialBasis
from netspec.ir.shapes import Kernel, Shape
from netspec.ir.values import Codes
from tests.helpers import problems

NET = """net example
{columns}
input image {size}
a: {stage}
document "a table", depth={depth} {{
    a | {input} | {kernel} | {output} |
}}
"""


def told(
    stage: str,
    size: str,
    *,
    depth: str = "in",
    columns: str = "",
    input: str = "",
    kernel: str = "",
    output: str = "",
) -> list[str]:
    """The codes of a net of one row whose table prints these cells."""
    cells = {"input": input, "kernel": kernel, "output": output}
    text = NET.format(stage=stage, size=size, depth=depth, columns=columns, **cells)
    return [d.code for d in problems(text)]


# ------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("6x8x96", "8x6x96"),
        ("6×8×96", "6×8×97"),
        ("6 x 8 x 96", "6 x 8 x 95"),
        ("6 × 8 × (2*48)", "6 × 8 × (2*47)"),
        ("6x8x48 (x2)", "6x8x48 (x3)"),
        ("6x8x48(×2)", "6x8x48(×1)"),
        ("6x8x48 (x2GPU)", "6x8x49 (x2GPU)"),
        ("6x8x48x2GPU", "6x8x48x3GPU"),
        ("6x8x16x2GPU (x3)", "6x8x16x2GPU (x2)"),
        ("6 x 8 x 48 (x2)", "6 x 8 x 48"),
        ("12/2 x 8 x 96", "12/3 x 8 x 96"),
        ("6x8x96", "6x8x96/1"),
        ("6x8x96", "6x8"),
        ("6x8x96", "6x8x96x1"),
        ("6x8x96", "4608"),
    ],
)
def test_sizes_of_maps(right: str, wrong: str) -> None:
    for cell in ("input", "output"):
        assert told("relu", "6x8x96", **{cell: right}) == []  # type: ignore[arg-type]
        assert told("relu", "6x8x96", **{cell: wrong}) == ["NS401"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "right", ["100", "1x100", "1x1x100", "50 (x2)", "1x50 (x2)", "1x1x50x2GPU"]
)
def test_one_number_may_stand_for_a_vector(right: str) -> None:
    assert told("fc 100", "6x8x3", output=right) == []
    assert told("fc 101", "6x8x3", output=right) == ["NS401"]


def test_several_inputs_of_one_size_are_joined() -> None:
    text = """net example
input image 8x8x3
a: conv 1x1, 4
b from image: conv 1x1, 6
m from a, b: concat
document "a table" { m | %s | concat | 8x8x10 | 0 }
"""
    assert problems(text % "8x8x10") == []
    assert problems(text % "8x8x5 (x2)") == []
    assert [d.code for d in problems(text % "8x8x6 (x2)")] == ["NS401"]


# ------------------------------------------------------------------------------------------ kernels

CONV = "conv 5x3, 96, stride=2"
POINT = "conv 1x1, 96"
POOL = "maxpool 3x2/2"


@pytest.mark.parametrize(
    ("stage", "right", "wrong"),
    [
        (CONV, "5x3", "3x5"),
        (CONV, "5x3/2", "5x3/1"),
        (CONV, "5x3x7", "5x3x96"),
        (CONV, "5×3×7/2", "5×3×8/2"),
        (CONV, "5x3x7/2, 96", "5x3x7/2, 95"),
        (CONV, "5x3/2, 96", "4x3/2, 96"),
        (CONV, "5x3x7/2, 48 (x2)", "5x3x7/2, 48 (x3)"),
        (CONV, "5x3x7/2, 48(×2GPU)", "5x3x7/2, 47(×2GPU)"),
        (CONV, "(5x3)x96/2", "(5x3)x97/2"),
        (CONV, "(5x3)x96", "(5x4)x96"),
        (CONV, "(5x3)x48 (x2)", "(5x3)x48"),
        (CONV, "(5x3x7)x96/2", "(5x3x8)x96/2"),
        (CONV, "(5x3x7)x96", "(5x3x7)x7"),
        (CONV, "5 x 3 x 7/2", "5 x 3 x 7/3"),
        (CONV, "5 x (1+2) x (14/2)", "5 x (1+1) x (14/2)"),
        (CONV, "5x3x7", "5x3x7x96"),
        (CONV, "5x3x7", "5x3x7 (x2)"),
        (CONV, "5x3", "105x96"),
        (CONV, "5x3", "concat"),
        (POINT, "7x96", "96x7"),
        (POINT, "7x48 (x2)", "7x48"),
        (POINT, "1x1", "1x2"),
        (POINT, "1x1x7/1, 96", "1x1x7/1, 7"),
        (POINT, "(1x1)x96/1", "(1x1)x7/1"),
        (POOL, "3x2/2", "3x2/3"),
        (POOL, "3x2", "2x3"),
        (POOL, "3x2x7/2", "3x2x8/2"),
        (POOL, "3x2/2", "3x2/2, 7"),
        (POOL, "3x2/2", "3x2/2 (x2)"),
        (POOL, "3x2x7", "3x2x7x1"),
        ("subsample 2x2/2, by=sum", "2x2/2", "2x2/1"),
        ("avgpool 3x2/2", "3 x 2/2", "3 x 3/2"),
        ("gap", "20x30", "30x20"),
        ("gap", "20x30x7/1", "20x30x7/2"),
        ("gap", "20x30x7", "20x30x8"),
        ("fc 96", "4200x96", "4200x95"),
        ("fc 96", "(20x30x7)x96", "(20x30x8)x96"),
        ("fc 96", "20x30x7x96", "20x30x96"),
        ("fc 96", "4200x48 (x2)", "4200x48 (x3)"),
        ("fc 96", "4200x48x2GPU", "4200x48x1GPU"),
        ("fc 96", "4200 x (48*2)", "4200 x 48"),
        ("fc 96", "4200x96", "4200x96/1"),
        ("fc 96", "4200x96", "4200x96, 96"),
        ("concat { relu; tanh }", "concat", "1x1"),
        ("concat { relu; tanh }", "拼接", "2x2/2"),
        ("relu", "", "1x1"),
        ("lrn 5", "", "5x5"),
    ],
)
def test_kernels(stage: str, right: str, wrong: str) -> None:
    assert told(stage, "20x30x7", kernel=right) == []
    assert told(stage, "20x30x7", kernel=wrong) == ["NS401"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("5x3x96/2", "5x3x7/2"),
        ("5x3x48 (x2)", "5x3x48"),
        ("5x3/2, 96", "5x3/2, 7"),
        ("5x3", "5x4"),
        ("(5x3)x96/2", "(5x3)x7/2"),
        ("(5x3x7)x96", "(5x3x96)x96"),
        ("5x3x96", "5x3x96x7"),
    ],
)
def test_kernels_whose_third_number_counts_filters(right: str, wrong: str) -> None:
    assert told(CONV, "20x30x7", depth="out", kernel=right) == []
    assert told(CONV, "20x30x7", depth="out", kernel=wrong) == ["NS401"]


def test_pools_are_one_on_each_device() -> None:
    for stage, kernel in ((POOL, "3x2/2"), ("gap", "20x30"), ("conv 5x3, 4", "5x3x4")):
        for copies, codes in (("", []), (" (x2)", []), (" (x3)", ["NS401"])):
            errors = told(stage, "20x30x4", columns="columns 2", kernel=kernel + copies)
            assert errors == codes


def test_channels_of_a_grouped_convolution_are_those_each_filter_sees() -> None:
    grouped = "conv 3x3, 8, groups=2"
    assert told(grouped, "6x6x4", kernel="3x3x2/1, 4 (x2)") == []
    assert told(grouped, "6x6x4", kernel="3x3x4/1, 4 (x2)") == ["NS401"]


def test_unequal_strides_are_never_one_number() -> None:
    stage = "conv 3x3, 8, stride=2x1"
    assert told(stage, "9x9x4", kernel="3x3x4, 8") == []
    assert told(stage, "9x9x4", kernel="3x3x4/2, 8") == ["NS401"]


@pytest.mark.parametrize("kernel", ["12x2", "(4x3)x2", "12x1 (x2)"])
def test_codes_are_printed_as_a_matrix(kernel: str) -> None:
    op = RadialBasis(codes=Codes("pictures", 4, 3, ((1,) * 12, (-1,) * 12)))
    rows = "input image 4x3x1\na: rbf codes\n"
    table = "codes codes 4x3 {\n" + "XXX ...\n" * 4 + "}\n"
    document = f'document "a table" {{ a | | {kernel} | 2 | 0 }}\n'
    assert problems("net n\n" + rows + table + document) == []
    assert [d.code for d in problems("net n\n" + rows + table + document.replace("2 ", "3 "))]
    assert kernel_shown(op, [Shape((12,))], "in") == "12x2"


@pytest.mark.parametrize(
    "cell", ["1x1xC2", "HxW", "3x3/x", "3x3/2/2", "(3x3", "3x3)", "x3", "3x", "(x2)", "3x3/2GPU"]
)
def test_what_is_no_notation_is_refused(cell: str) -> None:
    assert told("conv 3x3, 4", "8x8x3", kernel=cell)[0] in ("NS101", "NS102")


def test_numbers_that_are_out_of_range_are_told() -> None:
    digits = "9" * 5000
    for kernel in (f"3x3, 4 (x{digits})", f"3x{digits}", f"3x3/{digits}", f"3x3, {digits}"):
        assert told("conv 3x3, 4", "8x8x3", kernel=kernel) == ["NS007"]
    assert told("relu", "8x8x3", output=f"8x8x3x{digits}GPU") == ["NS007"]
    assert told("relu", "8x8x3", output=f"8x8x{'9' * 18} (x{'9' * 18})") == ["NS401"]


# ------------------------------------------------------------------------------------------ reasons

MAP = [Shape((20, 30, 7))]
OP = Conv(kernel=Kernel(5, 3), stride=(2, 2), count=96)


def reason(printed: Numbers, depth: str = "in") -> str:
    mismatch = kernel_mismatch(printed, OP, MAP, depth, 1)
    return mismatch.reason if mismatch else ""


def test_a_mismatch_says_which_number_is_wrong() -> None:
    assert reason(Numbers([5, 3, 7], 2, 96)) == ""
    assert reason(Numbers([5, 3, 8], 2)) == "the number of channels is printed as 8, and is 7"
    assert reason(Numbers([4, 4], 1)) == (
        "the height is printed as 4, and is 5; the width is printed as 4, and is 3; "
        "the stride is printed as 1, and is 2"
    )
    assert reason(Numbers([5, 3, 7]), "out") == "the number of filters is printed as 7, and is 96"
    assert reason(Numbers([])) == "the kernel is printed as a join, and is conv"
    mismatch = size_mismatch(Numbers([20, 30, 3], copies=2), MAP[0])
    assert mismatch is not None
    assert mismatch.reason == "20x30x6 is printed, and 20x30x7 derived"


def test_kernels_are_shown_as_the_table_prints_them() -> None:
    assert kernel_shown(OP, MAP, "in") == "5x3x7/2, 96"
    assert kernel_shown(OP, MAP, "out") == "5x3x96/2"
    assert kernel_shown(Local(kernel=Kernel(3, 3), count=4), MAP, "out") == "3x3x4/1"
    assert kernel_shown(FullyConnected(count=10), MAP, "out") == "4200x10"
    assert kernel_shown(MaxPool(kernel=Kernel(3, 3, None, 2)), MAP, "out") == "3x3/2"
    assert kernel_shown(GlobalAveragePool(), MAP, "in") == "20x30"
    assert kernel_shown(Concat(), MAP * 2, "in") == "concat"
    assert kernel_shown(LocalResponseNorm(n=5), MAP, "in") == "none"
