"""The operators as a whole: what their fakes do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from netspec.kernels import operators  # noqa: F401 (registers torch.ops.netspec)

ops: Any = torch.ops.netspec
CONV = ([1, 1], [0, 0, 0, 0], [1, 1], 1, "no precision")
LRN = (4, -1.0, 0.0, 0.0, 5)
POOL = ([2, 2], [2, 2], [0, 0, 0, 0])
AVERAGE = (*POOL, [0, 0], False)


def empty(*size: int) -> Tensor:
    """Integers, channels first in memory: what no operator takes."""
    last = size[-1]
    return torch.empty(last, *size[:-1], dtype=torch.int32).movedim(0, -1)


def fakes() -> dict[str, tuple[Callable[[Tensor], Any], Any]]:
    """A call of each operator on x [2, 4, 4, 6], and the sizes of its results."""
    w, b, small = empty(3, 3, 3, 6), empty(99), empty(2, 2, 2, 6)
    point, wide, wrong = empty(5, 1, 1, 6), (2, 4, 4, 6), empty(1, 1, 1, 1)
    return {
        "conv2d": (lambda x: ops.conv2d(x, w, b, *CONV), (2, 2, 2, 3)),
        "conv2d_relu": (lambda x: ops.conv2d_relu(x, w, b, *CONV), (2, 2, 2, 3)),
        "conv2d_out": (lambda x: ops.conv2d_out(x, w, b, wrong, *CONV), None),
        "conv2d_relu_out": (lambda x: ops.conv2d_relu_out(x, w, b, wrong, *CONV), None),
        "conv2d_input_gradient": (
            lambda x: ops.conv2d_input_gradient(wrong, None, w, x.shape, *CONV),
            wide,
        ),
        "conv2d_weight_gradient": (
            lambda x: ops.conv2d_weight_gradient(wrong, None, x, w.shape, *CONV),
            [(3, 3, 3, 6), (3,)],
        ),
        "conv1x1_siblings": (
            lambda x: ops.conv1x1_siblings(x, point, b, [9, 2], "none"),
            [(2, 4, 4, 9), (2, 4, 4, 2)],
        ),
        "conv1x1_siblings_relu": (
            lambda x: ops.conv1x1_siblings_relu(x, point, b, [9], "none"),
            [(2, 4, 4, 9)],
        ),
        "conv1x1_siblings_out": (
            lambda x: ops.conv1x1_siblings_out(x, point, b, [wrong], "none"),
            None,
        ),
        "conv1x1_siblings_relu_out": (
            lambda x: ops.conv1x1_siblings_relu_out(x, point, b, [wrong], "none"),
            None,
        ),
        "fc": (lambda x: ops.fc(x.flatten(1), b[:, None], b, "none"), (2, 99)),
        "fc_relu": (lambda x: ops.fc_relu(x.flatten(1), b[:, None], b, "none"), (2, 99)),
        "lrn": (lambda x: ops.lrn(x, *LRN), wide),
        "lrn_out": (lambda x: ops.lrn_out(x, wrong, *LRN), None),
        "lrn_backward": (lambda x: ops.lrn_backward(x, wrong, *LRN), wide),
        "lrn_maxpool": (lambda x: ops.lrn_maxpool(x, *LRN, *POOL), (2, 2, 2, 6)),
        "lrn_maxpool_out": (lambda x: ops.lrn_maxpool_out(x, wrong, *LRN, *POOL), None),
        "maxpool": (lambda x: ops.maxpool(x, *POOL), (2, 2, 2, 6)),
        "maxpool_relu": (lambda x: ops.maxpool_relu(x, *POOL), (2, 2, 2, 6)),
        "maxpool_out": (lambda x: ops.maxpool_out(x, wrong, *POOL), None),
        "maxpool_relu_out": (lambda x: ops.maxpool_relu_out(x, wrong, *POOL), None),
        "maxpool_with_index": (lambda x: ops.maxpool_with_index(x, *POOL), [(2, 2, 2, 6)] * 2),
        "maxpool_relu_with_index": (
            lambda x: ops.maxpool_relu_with_index(x, *POOL),
            [(2, 2, 2, 6)] * 2,
        ),
        "maxpool_backward": (lambda x: ops.maxpool_backward(small, wrong, 4, 4, *POOL), wide),
        "avgpool": (lambda x: ops.avgpool(x, *AVERAGE), (2, 2, 2, 6)),
        "avgpool_out": (lambda x: ops.avgpool_out(x, wrong, *AVERAGE), None),
        "avgpool_backward": (lambda x: ops.avgpool_backward(small, 4, 4, *AVERAGE), wide),
        "gap": (ops.gap, (2, 1, 1, 6)),
        "gap_backward": (lambda x: ops.gap_backward(small, 4, 4), wide),
        "subsample": (lambda x: ops.subsample(x, b, b, *POOL, "neither"), (2, 2, 2, 6)),
        "subsample_backward": (
            lambda x: ops.subsample_backward(small, x, b, *POOL, "neither"),
            [wide, (99,), (99,)],
        ),
    }


with FakeTensorMode():
    X, FAKES = empty(2, 4, 4, 6), fakes()


def sizes(result: Any) -> Any:
    if isinstance(result, Tensor):
        return tuple(result.shape)
    return None if result is None else [tuple(tensor.shape) for tensor in result]


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_checks_no_operand_and_knows_the_sizes(name: str) -> None:
    call, expected = FAKES[name]
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert sizes(call(X)) == expected


def test_every_operator_is_among_them() -> None:
    registered = {
        name.removeprefix("netspec::")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("netspec::")
    }
    assert registered == set(FAKES)


class Small(torch.nn.Module):
    """One operator of each family."""

    def forward(self, x: Tensor) -> Tensor:
        w = torch.ones(4, 3, 3, 6)
        y = ops.conv2d_relu(x, w, None, [1, 1], [1, 1, 1, 1], [1, 1], 1, "ieee")
        y = ops.maxpool_relu(ops.lrn(y, 3, 1.0, 0.1, 0.5, 1), *POOL)
        (y,) = ops.conv1x1_siblings(y, torch.ones(4, 1, 1, 4), None, [4], "ieee")
        return ops.fc(ops.gap(ops.avgpool(y, *AVERAGE)).flatten(1), torch.ones(2, 4), None)


def test_a_batch_may_be_a_symbol() -> None:
    """A check in a fake would make a condition of the batch, which export refuses."""
    batch = torch.export.Dim("batch", min=0, max=2**40)
    program = torch.export.export(
        Small(), (torch.ones(2, 8, 8, 6),), dynamic_shapes={"x": {0: batch}}
    )
    (result,) = program.graph_module.graph.output_node().args[0]
    assert isinstance(result.meta["val"].shape[0], torch.SymInt)
    assert result.meta["val"].shape[1] == 2
