"""Columns on real processes: loss, gradients and weights are those of one process."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import netspec
from netspec import loads
from netspec.ir import collectives
from netspec.ir.parameter_names import parameter_names
from netspec.training.columns import Spread
from netspec.training.parallel import Ranks
from netspec.training.trainee import Trainee
from netspec.views.exchanges import exchanges
from tests.training.ranks import together
from tests.training.steps import batch, difference, train

ROUNDING = 1e-10
"""Two orders of the same float64 sums: at most some thousand terms of 1.1e-16 each, through two
steps of training in nets of at most ten layers."""

ALEXNET = """
net like_alexnet
default round=ceil
columns 2
block norm = lrn 5, k=2, alpha=0.3, beta=0.75, groups=2
input image 19x19x3
C1: conv 3x3/2, 8 | relu | norm
S1: maxpool 3x3/2
C2: conv 3x3, 12, pad=1, groups=2 | relu | norm | dropout 0.2
C3: conv 3x3, 8, pad=1 | relu
C4: conv 3x3, 8, pad=1, groups=2 | relu
S5: maxpool 3x3/2
F6: fc 16 | relu | dropout 0.5, scale=test
F7: fc 12 | relu | dropout 0.5, scale=test
F8: fc 10 | softmax
"""

EVERYTHING = """
net everything
columns 2
input image 12x12x4
a: lrn 3, groups=2 | conv 3x3, 8, groups=2 | relu            # a whole value, read in parts
b: concat { conv 1x1, 4; conv 3x3, 4, pad=1; bn eps=0.1; lrn 3 }   # parts and a whole read one
c: lrn 3, alpha=0.2 | conv 3x3, 8, groups=2 | subsample 2x2/2, by=mean | tanh
d: conv 1x1, 4, connect=pairs | sigmoid | bn eps=0.1
e: add { identity; conv 1x1, 4 } | abs | avgpool 2x2/1
head side from c, weight=0.3: gap | flatten | fc 5 | dropout 0.5 | softmax   # 5 are not divided
f from e: local 2x2, 6, groups=2 | flatten | fc 7 | relu | dropout 0.3
g: fc 5
connect pairs {
    X.X.
    XX.X
    ..XX
    X..X
    XXXX
    .X..
    ..X.
    X.X.
}
"""


def one_and_all(ranks: Ranks, text: str, sizes: tuple[int, ...]) -> float:
    """How far the ranks together are from one of them alone."""
    net = loads(text)
    return difference(train(Ranks(), net, sizes), train(ranks, net, sizes))


def both(ranks: Ranks, sizes: tuple[int, ...]) -> list[float]:
    return [one_and_all(ranks, text, sizes) for text in (ALEXNET, EVERYTHING)]


def test_two_columns_learn_what_one_process_does() -> None:
    for differences in together(2, both, (3, 2), columns=2):
        assert max(differences) < ROUNDING


def test_columns_of_two_parts_of_each_batch_do_so_on_four() -> None:
    for differences in together(4, both, (3, 1), columns=2):
        assert max(differences) < ROUNDING


NARROW = """
net narrow from alexnet {
    F6: fc 256 | relu | dropout 0.5, scale=test
    F7: fc 256 | relu | dropout 0.5, scale=test
}
"""


def alexnet(ranks: Ranks, text: str) -> tuple[float, float]:
    """How far the ranks together are from one alone, and the share of parameters of each."""
    net = loads(text)
    together = train(ranks, net, (1,))
    alone = train(Ranks(), net, (1,)) if ranks.is_first else together
    share = sum(p.elements for _, p, _ in parameter_names(Spread(net, ranks).net.graph))
    return difference(alone, together), share / net.totals.parameters


def test_alexnet_itself_halves_on_two_columns() -> None:
    """All eight layers, with two fully connected ones narrower, which have most parameters."""
    for distance, share in together(2, alexnet, NARROW, columns=2):
        assert distance < ROUNDING
        assert share == 0.5


class Counting:
    """PyTorch's functional collectives, which count the bytes that leave this rank of two."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.sent = inner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def all_gather_into_tensor(self, x: Tensor, *rest: Any) -> Any:
        self.sent += x.nbytes
        return self.inner.all_gather_into_tensor(x, *rest)

    def reduce_scatter_tensor(self, x: Tensor, *rest: Any) -> Any:
        self.sent += x.nbytes // 2
        return self.inner.reduce_scatter_tensor(x, *rest)

    def all_reduce(self, x: Tensor, *rest: Any) -> Any:
        self.sent += x.nbytes  # half of it to be added up, then half of the sum
        return self.inner.all_reduce(x, *rest)


def sent(ranks: Ranks, text: str, images: int) -> list[int]:
    """The bytes that leave a rank forward, and back, in a step."""
    net = loads(text)
    trainee = Trainee(netspec.compile(Spread(net, ranks).net))
    collectives.functional = counting = Counting(collectives.functional)
    logits, heads = trainee(batch(net, 0, images)[0].float())
    forward, counting.sent = counting.sent, 0
    sum(y.sum() for y in (logits, *heads.values())).backward()
    return [forward, counting.sent]


def test_what_the_summary_says_is_what_ranks_send() -> None:
    for text in (ALEXNET, EVERYTHING):
        said = exchanges(loads(text)).results
        counts = together(2, sent, text, 3, columns=2)
        forward, backward = (sum(one) for one in zip(*counts, strict=True))
        assert (forward, backward) == (3 * said["forward"], 3 * said["backward"])
