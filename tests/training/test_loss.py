from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec import DataError
from netspec.training.loss import loss
from netspec.training.trainee import Trainee
from tests.training.nets import ROWS, batch, recipe, small

LOGITS = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 3.0]]).double()
LABELS = torch.tensor([1, 0])


def test_cross_entropy_is_minus_the_mean_log_probability() -> None:
    net = small()
    value = loss(net, net.recipe, LOGITS, {}, LABELS)
    wanted = -(LOGITS.softmax(1)[0, 1].log() + LOGITS.softmax(1)[1, 0].log()) / 2
    torch.testing.assert_close(value, wanted)


def test_large_logits_neither_overflow_nor_vanish() -> None:
    net = small()
    logits = torch.tensor([[1000.0, 0.0, -1000.0]], requires_grad=True)
    value = loss(net, net.recipe, logits, {}, torch.tensor([1]))
    assert value.item() == 1000
    value.backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[1, -1, 0]]


def test_half_precision_is_summed_in_float32() -> None:
    net = small()
    logits = torch.randn(2_000, 3).bfloat16()
    labels = torch.zeros(2_000, dtype=torch.int64)
    value = loss(net, net.recipe, logits, {}, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(net, net.recipe, logits.float(), {}, labels))


def test_heads_count_by_their_weight() -> None:
    net = small(f"{ROWS}head h from a, weight=0.3: gap | flatten | fc 3 | softmax\n")
    alone = loss(small(), net.recipe, LOGITS, {}, LABELS)
    value = loss(net, net.recipe, LOGITS, {"h": LOGITS}, LABELS)
    torch.testing.assert_close(value, 1.3 * alone)


@given(st.integers(1, 7))
def test_parts_of_a_batch_add_up_to_the_mean_of_the_whole(cut: int) -> None:
    net = small()
    logits, labels = torch.randn(8, 3).double(), torch.randint(3, (8,))
    parts = [
        loss(net, net.recipe, logits[part], {}, labels[part], total=8)
        for part in (slice(cut), slice(cut, None))
    ]
    torch.testing.assert_close(sum(parts), loss(net, net.recipe, logits, {}, labels))


def test_a_map_of_one_pixel_is_a_vector_of_logits() -> None:
    net = small("a: gap | softmax")
    value = loss(net, net.recipe, LOGITS[:, :, None, None], {}, LABELS)
    torch.testing.assert_close(value, loss(small(), net.recipe, LOGITS, {}, LABELS))


def test_squared_error_is_the_distance_from_one_hot() -> None:
    net = small("a: fc 3", loss="squared_error")
    value = loss(net, net.recipe, LOGITS, {}, LABELS)
    assert value.item() == ((1 + 1 + 1) + (1 + 0 + 9)) / 2


def test_squared_error_of_a_softmax_is_of_its_output() -> None:
    net, plain = (small(rows, loss="squared_error") for rows in (ROWS, "a: fc 3"))
    value = loss(net, net.recipe, LOGITS, {}, LABELS)
    torch.testing.assert_close(value, loss(plain, net.recipe, LOGITS.softmax(1), {}, LABELS))


CODES = "codes signs 2x1 {\n X X .\n X . .\n}\n"


def test_squared_error_of_radial_basis_functions_is_the_right_ones_output() -> None:
    net = small(f"{CODES}a: fc 2\nout: rbf signs", loss="squared_error")
    trainee, (x, y) = Trainee(netspec.compile(net)), batch()
    outputs, _ = trainee(x)
    codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
    vectors = trainee.model.features("a")(x)
    wanted = ((vectors - codes[y]) ** 2).sum(1).mean()
    torch.testing.assert_close(loss(net, net.recipe, outputs, {}, y), wanted)


def test_cross_entropy_of_a_net_that_answers_by_the_least_is_refused() -> None:
    net = netspec.loads(f"net n\ninput x 4\n{CODES}a: fc 2\nout: rbf signs\n{recipe()}")
    with pytest.raises(DataError, match="write `loss squared_error`"):
        loss(net, net.recipe, LOGITS, {}, LABELS)
