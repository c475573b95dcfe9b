"""The kernels of a layer: which are shown, in which colours, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import netspec
from netspec.errors import DataError
from netspec.see.figures import GAP, repeats

NET = netspec.loads("""net small
columns 2
input image 8x8x3
C1: conv 3x3, 4 | relu
C2: conv 3x3x2, 6, groups=2 | relu
C3: conv 3x3, 8 | relu
F4: fc 5 | softmax
""")


def model() -> netspec.Compiled:
    """A net whose kernel n of C1 has the weight n in red at its corner, and else nothing."""
    compiled = netspec.compile(NET)
    state = {name: torch.zeros_like(value) for name, value in compiled.state_dict().items()}
    for number in range(4):
        state["C1.weight"][number, 0, 0, 0] = number
    state["C1.weight"][3, :, 2, 2] = -1.5  # grey
    state["C2.weight"][5, 1, 0, 2] = 2.0
    compiled.load_state_dict(state)
    return compiled


def test_kernels_are_images_whose_zero_is_mid_grey() -> None:
    seen = netspec.see.filters(model())
    assert seen.row == "C1"
    assert seen.kernels.shape == (4, 3, 3, 3)
    assert seen.kernels[2, 0, 0].tolist() == [2, 0, 0]
    assert seen.images[2, 0, 0].tolist() == [1, 0.5, 0.5]
    assert seen.images[1, 0, 0].tolist() == [1, 0.5, 0.5]  # each kernel has its own scale
    assert seen.images[3, 2, 2].tolist() == [0.25] * 3
    assert (seen.images[0] == 0.5).all()  # a kernel of zeros
    assert seen.norms.tolist() == pytest.approx([0, 1, 2, (9 + 3 * 1.5**2) ** 0.5])


def test_a_common_contrast_keeps_the_sizes_of_kernels() -> None:
    images = netspec.see.filters(model(), contrast="common").images
    assert images[:, 0, 0, 0].tolist() == pytest.approx([0.5, 4 / 6, 5 / 6, 1])


def test_the_share_of_colour_is_that_of_the_sum_of_squares() -> None:
    colour = netspec.see.filters(model()).colour
    # a weight w in one of three channels: w^2 - 3 (w/3)^2 of w^2 is colour, which is 2/3
    assert colour.tolist() == pytest.approx([0, 2 / 3, 2 / 3, 9 * (2 / 3) / (9 + 3 * 1.5**2)])


def test_the_halves_of_a_net_with_columns_are_one_above_the_other() -> None:
    seen = netspec.see.filters(model())
    assert seen.halves == 2
    panels = seen.figure().axes
    assert [axes.get_title() for axes in panels] == ["column 1 of 2", "column 2 of 2"]
    upper, lower = (axes.images[0].get_array() for axes in panels)
    assert upper[GAP, GAP].tolist() == seen.images[0, 0, 0].tolist()
    assert lower[GAP, GAP].tolist() == seen.images[2, 0, 0].tolist()
    some = netspec.see.filters(model(), kernels=[3, 1])
    assert (some.halves, some.numbers.tolist()) == (1, [3, 1])


def test_kernels_of_few_channels_are_shown_by_channel() -> None:
    seen = netspec.see.filters(model(), row="C2")
    assert seen.kernels.shape == (6, 3, 3, 2)
    assert not seen.is_colour
    assert seen.kernels[5, 0, 2].tolist() == [0, 2]
    panels = [axes for axes in seen.figure().axes if axes.get_visible()]
    assert [axes.get_ylabel() for axes in panels] == list("012345")
    assert panels[5].images[0].get_array().shape == (
        *(GAP + 3 * repeats(3, 3) + GAP, GAP + 2 * (3 * repeats(3, 3) + GAP)),
        3,
    )


def test_kernels_of_many_channels_are_shown_on_request() -> None:
    with pytest.raises(DataError, match=r"C3 see 6 channels.*8 kernels, such as kernels 0,1,2"):
        netspec.see.filters(model(), row="C3")
    seen = netspec.see.filters(model(), row="C3", kernels=[7])
    assert seen.kernels.shape == (1, 3, 3, 6)


def test_a_connection_table_leaves_unconnected_maps_at_zero() -> None:
    seen = netspec.see.filters("lenet5", weights="digits", row="C3", kernels=[0, 15])
    used = np.abs(seen.kernels).sum((1, 2)) > 0
    assert used.tolist() == [[True] * 3 + [False] * 3, [True] * 6]


def test_blue_green_red_is_shown_as_red_green_blue() -> None:
    compiled = model()
    compiled.expects = netspec.loads(
        "net a\ninput image 8x8x3\nC1: conv 3x3, 4\nF: fc 2\nprepare order bgr\n"
    ).expects
    assert netspec.see.filters(compiled).kernels[2, 0, 0].tolist() == [0, 0, 2]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"(?s)does not have a row `C11`; did you mean `C1.*C1, C2"):
        netspec.see.filters(model(), row="C11")
    with pytest.raises(DataError, match=r"F4 of small does not have a convolution.*C1, C2, C3"):
        netspec.see.filters(model(), row="F4")
    with pytest.raises(DataError, match=r"C1 of small does not have a map 4: its maps are 0 to 3"):
        netspec.see.filters(model(), kernels=[0, 4])
    with pytest.raises(DataError, match=r"give one of 3a\.b1, 3a\.b2"):
        netspec.see.filters("googlenet", row="3a")
    with pytest.raises(DataError, match="does not have a convolution, whose kernels are images"):
        netspec.see.filters(netspec.loads("net a\ninput image 8x8x3\nF: fc 2\n"))


def test_random_weights_are_named_in_the_caption() -> None:
    assert "random weights, not trained" in netspec.see.filters(NET).caption
    trained = netspec.see.filters("lenet5", weights="digits").caption
    assert trained == "6 kernels 5x5x1 of C1\nlenet5, weights digits"


def test_weights_that_are_not_finite_are_named() -> None:
    compiled = netspec.compile(NET)
    with torch.no_grad():
        compiled.get_submodule("C2").weight[1, 0, 2, 2] = float("nan")
    with pytest.raises(DataError, match=r"weights of small are not finite: C2.weight is NaN at"):
        netspec.see.filters(compiled)
