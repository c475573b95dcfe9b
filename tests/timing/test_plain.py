"""The net as one would write it by hand computes what the reference computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from netspec.runtime.reference import Model, fresh_tensors
from netspec.runtime.verification import random_images
from netspec.timing.plain import plain
from tests.helpers import load_rows

ROWS = {
    "dilated pool": ("a: maxpool 3x2/2, dilation=2x3, pad=1, round=ceil", F.max_pool2d),
    "overhanging pool": ("a: maxpool 3x3/2, pad=1, round=ceil", F.max_pool2d),
    "pool that begins in padding of one side": ("a: maxpool 3x3/2, pad=(0, 1, 0, 1)", None),
    "average without its padding": ("a: avgpool 3x3/1, pad=1, count_pad=off", F.avg_pool2d),
    "average with its padding": ("a: avgpool 3x3/2, pad=1, count_pad=on, round=ceil", F.avg_pool2d),
    "lrn": ("a: lrn 5, k=1, alpha=0.5, beta=0.75", F.local_response_norm),
    "lrn in groups": ("a: conv 1x1, 8 | lrn 5, alpha=0.5, groups=2", torch.square),
    "conv": ("a: conv 3x3, 4, pad=1 | bn eps=1e-3 | relu\nb: fc 3 | softmax", F.conv2d),
}


@pytest.mark.parametrize("name", ROWS)
def test_it_computes_what_the_reference_computes(name: str) -> None:
    rows, _ = ROWS[name]
    net = load_rows(rows)
    tensors = fresh_tensors(net, device=torch.device("cpu"), dtype=torch.float64, seed=0)
    images = random_images(net, batch=2)
    with torch.inference_mode():
        y, wanted = plain(net, tensors)(*images), Model(net, tensors)(*images)
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)


def test_what_pytorch_has_a_function_for_is_that_function() -> None:
    for rows, function in ROWS.values():
        net = load_rows(rows)
        tensors = fresh_tensors(net, device=torch.device("cpu"), dtype=torch.float32, seed=0)
        module = plain(net, tensors)
        called = [node.target for node in module.graph.nodes]
        pads = [node for node in called if node is F.pad]
        if function in (F.max_pool2d, F.avg_pool2d, F.local_response_norm, F.conv2d):
            assert function in called
            assert not pads
        elif function is None:
            assert pads
        else:
            assert F.local_response_norm not in called


def test_weights_are_contiguous_and_those_of_heads_are_held_but_not_used() -> None:
    net = load_rows(
        "a: conv 3x3, 8 | relu\nb: fc 5 | softmax\nhead aux from a, weight=0.3: fc 5 | softmax\n"
    )
    assert net.graph.heads
    tensors = fresh_tensors(net, device=torch.device("cpu"), dtype=torch.float32, seed=0)
    module = plain(net, tensors)
    weights = dict(module.named_parameters())
    assert weights.keys() == tensors.keys()
    assert not any("aux" in str(node.target) for node in module.graph.nodes)
    assert weights["a.weight"].is_contiguous()
