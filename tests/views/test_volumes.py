from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given

from netspec import DataError, Net, SpecError, loads
from netspec.ir.columns import exchanging, parts
from netspec.ir.shapes import Shape
from netspec.views.volumes import Kernel, Volume, volumes
from tests.helpers import load_rows, loaded
from tests.views.chains import chains


def shapes(net: Net) -> list[str]:
    return [f"{volume.columns} x {volume.shape}" for volume in volumes(net)]


def volume(net: Net, row: str) -> Volume:
    (found,) = (one for one in volumes(net) if one.row == row)
    return found


# ---------------------------------------------------------------------------------- of the papers


def test_alexnet_has_the_volumes_of_figure_2() -> None:
    assert shapes(loaded("alexnet")) == [
        "1 x 224x224x3",
        "2 x 55x55x48",
        "2 x 27x27x128",
        "2 x 13x13x192",
        "2 x 13x13x192",
        "2 x 13x13x128",
        "2 x 2048",
        "2 x 2048",
        "1 x 1000",
    ]
    kernels = [one.kernel for one in volumes(loaded("alexnet")) if one.kernel]
    assert [(k.height, k.width, k.channels) for k in kernels] == [
        (11, 11, 3),
        (5, 5, 48),
        (3, 3, 256),
        (3, 3, 192),
        (3, 3, 192),
    ]


def test_alexnet_has_the_words_of_figure_2() -> None:
    words = {one.row: one.words for one in volumes(loaded("alexnet"))}
    assert words["C1"] == ("stride 4",)
    assert words["C2"] == ("max pooling", "3x3/2", "to 27x27")
    assert words["C4"] == ()
    assert words["F7"] == ("dense",)


def test_subsampling_with_parameters_is_a_volume() -> None:
    rows = [one.row for one in volumes(loaded("lenet5"))]
    assert rows == ["image", "C1", "S2", "C3", "S4", "C5", "F6", "out"]
    assert volume(loaded("lenet5"), "S2").kernel == Kernel(height=2, width=2, channels=1)


def test_the_output_of_the_net_is_a_volume() -> None:
    last = volumes(loaded("nin"))[-1]
    assert (last.row, str(last.shape), last.words[0]) == (
        "GAP",
        "1x1x100",
        "global average pooling",
    )


def test_an_inception_module_is_a_volume_with_a_slice_per_branch() -> None:
    module = volume(loaded("googlenet"), "3a")
    assert (module.kind, str(module.shape)) == ("module", "28x28x256")
    assert module.slices == (64, 128, 32, 32)
    assert module.words == ("max pooling", "3x3/2", "to 28x28", "inception")
    assert not any(one.row.startswith("aux") for one in volumes(loaded("googlenet")))
    assert volume(loaded("resnet18"), "conv2_1").slices == ()  # it ends in a sum


def test_groups_on_one_device_halve_the_kernel() -> None:
    kernel = volume(loaded("alexnet_caffe"), "C2").kernel
    assert kernel is not None
    assert kernel.channels == 48


# -------------------------------------------------------------------------------------- any chain


@given(chains())
@example(load_rows("columns 2\na: conv 3x3, 8\nb: lrn 3\nc: fc 7 | dropout 0.5"))
@example(load_rows("columns 2\na: conv 3x3, 8 | maxpool 2x2/2"))
@example(load_rows("a: relu"))
@example(load_rows("a: maxpool 2x2/2 | relu\nb: flatten | relu"))
@example(load_rows("columns 2\na: conv 3x3, 8 | lrn 3, groups=2 | conv 1x1, 8, groups=2"))
def test_volumes_are_sizes_of_the_checked_graph(net: Net) -> None:
    graph, drawn = net.graph, volumes(net)
    columns = graph.columns.number if graph.columns else 1
    whole = [Shape((*v.shape[:-1], v.shape[-1] * v.columns)) for v in drawn]
    assert whole[0] == graph.stage("image").shape
    assert whole[-1] == graph.stage(graph.outputs[0]).shape
    assert drawn[0].columns == drawn[-1].columns == 1
    rows = graph.rows
    for one, shape in zip(drawn[1:], whole[1:], strict=True):
        stages = [graph.stage(name) for name in rows[one.row].stages]
        assert shape in [stage.shape for stage in stages]
        assert one.columns in (1, columns)
    # each convolution and each fully connected layer is drawn
    layers = [s.op.name for s in graph.stages() if s.op.name in ("conv", "fc")]
    assert [v.kind for v in drawn[1:] if v.kind in ("conv", "fc")] == layers
    if columns > 1:
        by_stage = parts(graph)
        split = [s.name for s in graph.stages() if s.op.name in ("conv", "fc")]
        expected = [by_stage[name].makes for name in split]
        kinds = [v for v in drawn if v.kind in ("conv", "fc")]
        assert [v.columns > 1 or v is drawn[-1] for v in kinds] == [
            makes or v is drawn[-1] for v, makes in zip(kinds, expected, strict=True)
        ]


@given(chains())
@example(loaded("alexnet"))
@example(load_rows("columns 2\na: conv 3x3, 8\nb: lrn 3\nc: fc 7 | dropout 0.5"))
@example(load_rows("columns 2\na: conv 3x3, 8 | maxpool 2x2/2"))
@example(load_rows("columns 2\na: conv 3x3, 8"))
def test_columns_exchange_at_the_rows_that_read_all_of_them(net: Net) -> None:
    drawn = volumes(net)
    # the norm of a row may exchange as well, after its convolution
    rows = dict.fromkeys(row for one in drawn for row in one.exchanges)
    assert list(rows) == exchanging(net.graph)
    for before, one in pairwise(drawn):
        if before.columns == one.columns == 1 and before.kind != "input":
            continue
        is_joined = before.columns > 1 and one.columns == 1
        assert not is_joined or one.exchanges


# ------------------------------------------------------------------------------------- no volumes


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (loaded("unet"), "row dec4 reads up4 and enc4"),
        (loads("net a\ninput x 4x4x1\ninput y 4x4x1\ns from x, y: add"), "it has 2 inputs"),
        (load_rows("a: relu\nb: tanh\noutput a, b"), "1 inputs and 2 outputs"),
        (load_rows("a: relu\nb from a: tanh\nc from a: abs\nd from b, c: add"), "row c reads a"),
    ],
)
def test_a_net_that_is_no_chain_is_an_error(net: Net, reason: str) -> None:
    with pytest.raises(DataError, match=f"{net.name} cannot be drawn as volumes: .*{reason}"):
        volumes(net)


def test_a_net_with_symbols_is_an_error() -> None:
    with pytest.raises(SpecError, match="--set n=8"):
        volumes(loads("net a(n)\ninput image 8x8x3\na: fc n"))
