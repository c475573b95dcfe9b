"""Training by the kernels: outputs and gradients of every parameter are those of the reference."""

from __future__ import annotations

import pytest
import torch

import netspec
from netspec.runtime.verification import random_images
from tests.backends.cuda.helpers import DEVICE, MAP, TABLE, both, load_rows
from tests.backends.cuda.test_nets import GOOGLENET

NETS = {
    "a small GoogLeNet": GOOGLENET,
    "dilated and grouped": "a: conv 3x3, 4, dilation=2\nb: conv 3x3, 6, groups=2, pad=1 | relu",
    "rounded up": "a: conv 3x3/2, 4, round=ceil | relu | maxpool 2x2/2, round=ceil\nb: fc 3 | relu",
    "lrn and pools": "a: lrn 3 | maxpool 3x3/2, pad=1 | relu\nb: avgpool 2x2/1 | fc 3, bias=off",
    "dilated pools": "a: conv 1x1, 4 | maxpool 2x3, dilation=2\nb: maxpool 2x2/1 | relu\n"
    "c: avgpool 2x2, dilation=2, pad=1, count_pad=off | fc 3",
    "a window of 256": "a: conv 1x1, 2 | maxpool 16x16/1\nb: fc 3",
    "subsampling": "a: subsample 2x2/2, by=sum | tanh\nb: subsample 2x2/2, by=mean\nc: fc 3",
    "plain ones between": "a: conv 3x3, 4 | tanh | local 3x3, 3 | sigmoid | lrn 3\nb: gap",
    "a table of connections": "a: conv 2x2, 4, connect=t | relu\nb: fc 3\n" + TABLE,
    "heads": "a: conv 1x1, 3\nb: fc 4\nhead x from a, weight=0.3: fc 3 | softmax",
}


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_reference(name: str) -> None:
    """In float64, where both differ by the order of sums only."""
    header = MAP.replace("7x9", "16x17") if "256" in name else MAP
    model, exact = both(load_rows(NETS[name], header))
    images = random_images(model.net, batch=2)
    gradients = []
    for one, device in ((model.train(), DEVICE), (exact.train(), torch.device("cpu"))):
        answer = one(*(image.to(device) for image in images))
        output, heads = answer if model.net.graph.heads else (answer, {})
        loss = torch.stack([y.sin().sum() for y in (output, *heads.values())]).sum()
        loss.backward()
        gradients.append({name: p.grad.cpu() for name, p in one.named_parameters()})
    ours, wanted = gradients
    assert ours.keys() == wanted.keys()
    assert ours
    for key, gradient in wanted.items():
        torch.testing.assert_close(ours[key], gradient, rtol=1e-9, atol=1e-9, msg=key)


def test_what_is_recorded_calls_the_kernels() -> None:
    model, _ = both(load_rows("a: conv 3x3, 4 | relu | lrn 3\nb: fc 3", MAP))
    code = model.train()._differentiable(True).code
    for name in ("conv2d_relu", "lrn", "fc"):
        assert f"netspec_backends_cuda_training_{name}(" in code


def test_a_step_of_training_is_seen_by_inference() -> None:
    model, exact = both(load_rows("a: conv 3x3, 4 | relu\nb: fc 3", MAP))
    (image,) = random_images(model.net, batch=2)
    results = []
    for one, device in ((model, DEVICE), (exact, torch.device("cpu"))):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        one.train()
        one(image.to(device)).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            results.append(one.eval()(image.to(device)).cpu())
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)


def test_float32_trains_too() -> None:
    model = netspec.compile(
        load_rows("a: conv 1x1, 4 | relu | maxpool 2x2/2\nb: fc 3", MAP),
        device="cuda",
        dtype=torch.float32,
    ).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    image = torch.rand(2, 5, 7, 9, device=DEVICE)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (model(image) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > losses[1] > losses[2]
