from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

import netspec
from netspec.backends.cpu import IMPLEMENTATIONS
from netspec.backends.cpu.implementation import Call, into
from netspec.backends.cpu.lrn import TiledLrnMaxPool
from netspec.backends.cpu.scratch import Scratch
from netspec.ir.fused.lrn_maxpool import LrnMaxPool
from netspec.lowering.implementation import Problem, Tensors
from netspec.runtime.verification import random_images, tolerance, verify
from tests.helpers import load_rows, loaded, some_by_default

SIZES = {"H": 9, "W": 7, "C1": 20, "C2": 8}
SETTINGS = {"inception_module": SIZES, "inception_naive": SIZES, "unet": {"n": 8}}
"""Values of the symbols, and a U-Net with a quarter of the channels, which takes less time."""


LONG = {"alexnet", "densenet121", "googlenet_bn", "inception_v3"}
"""Nets that take seconds; the others have the same operators."""


@pytest.mark.parametrize(
    "name",
    some_by_default((n for n in netspec.bundled() if not n.startswith("vgg1")), but=LONG),
)
def test_float32_is_as_near_to_float64_as_its_rounding_allows(name: str) -> None:
    model = netspec.compile(loaded(name, **SETTINGS.get(name, {})))
    result = verify(model, random_images(model.net))
    assert result.passed
    assert 0 < result.error < result.allowed < 1e-4


def test_the_allowance_grows_with_the_roundoff_and_the_terms() -> None:
    short, long = load_rows("a: fc 10"), load_rows("a: fc 10\nb: fc 10\nc: fc 10")
    assert tolerance(short, torch.float64) < tolerance(short, torch.float32)
    assert tolerance(short, torch.float32) < tolerance(long, torch.float32)
    # one sum of 192 terms, and the input itself, with unit roundoff 2^-24
    expected = 2 * 2**-24 * 193**0.5 + 2 * 2**-24 * 2**0.5
    assert tolerance(short, torch.float32) == pytest.approx(expected)


def test_a_model_that_computes_something_else_does_not_pass() -> None:
    model = netspec.reference("lenet5")
    images = random_images(model.net)
    assert verify(model, images).passed
    original = model.features

    def wrong(*labels: str) -> object:
        features = original(*labels)
        with torch.no_grad():
            features.C1.weight.add_(1e-3)
        return features

    model.features = wrong  # type: ignore[assignment, method-assign]
    assert not verify(model, images).passed


def test_a_module_that_differs_from_its_own_stages_does_not_pass() -> None:
    model = netspec.compile("lenet5")
    model.register_forward_hook(lambda module, images, output: output * (1 + 1e-6))
    assert not verify(model, random_images(model.net)).passed


def test_an_implementation_that_is_wrong_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shifted(TiledLrnMaxPool):
        def bind(
            self,
            problem: Problem,
            packed: Tensors,
            x: Sequence[Tensor],
            y: Tensor,
            scratch: Scratch,
        ) -> Sequence[Call]:
            return [
                *super().bind(problem, packed, x, y, scratch),
                into(y, lambda: y.roll(1, dims=1)),
            ]

    monkeypatch.setitem(IMPLEMENTATIONS, LrnMaxPool, (Shifted(),))
    model = netspec.compile("alexnet")
    result = verify(model, random_images(model.net))
    assert result.error > 100 * result.allowed
    assert not result.passed


def test_an_output_that_is_no_number_does_not_pass() -> None:
    model = netspec.compile(load_rows("a: fc 2\nb from image: fc 3\noutput a, b"))
    images = random_images(model.net)
    assert verify(model, images).passed
    with torch.no_grad():
        model.b.bias[1] = float("nan")
    assert not verify(model, images).passed


def test_a_net_without_parameters_is_verified_in_its_type() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        model = netspec.compile(load_rows("a: relu"), dtype=dtype)
        assert verify(model, random_images(model.net)).passed
    assert verify(netspec.reference(load_rows("a: relu")), random_images(model.net)).passed


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_verified_too_and_nonsense_does_not_pass(dtype: torch.dtype) -> None:
    model = netspec.compile("googlenet", dtype=dtype)
    result = verify(model, random_images(model.net))
    assert 0 < result.error < result.allowed < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_run(dtype: torch.dtype) -> None:
    model = netspec.compile("lenet5", dtype=dtype)
    assert model(torch.rand(1, 1, 32, 32, dtype=dtype)).dtype == dtype


def test_random_images_have_the_size_of_each_input() -> None:
    header = "net two\ninput left 8x6x3\ninput code 5\n"
    net = load_rows("a from left: flatten\nb from a, code: concat", header)
    assert [tuple(i.shape) for i in random_images(net, batch=2)] == [(2, 3, 8, 6), (2, 5)]
