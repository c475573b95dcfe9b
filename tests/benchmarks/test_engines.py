"""The engines compute the same, are held to it, and are timed when they do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import engines, measuring
from benchmarks.layers import FORWARD, WEIGHT_GRADIENT, LayerCase, Machine
from benchmarks.timing import GraphTimer
from netspec.ir.ops.lrn import LocalResponseNorm
from netspec.ir.shapes import Shape
from netspec.timing.timing import WallTimer
from tests.benchmarks.tiny import CASES, CONV, FIRST, LAYERS, MODULES
from tests.kernels.helpers import DEVICE, only_on_gpu

BENCH = measuring.Bench(WallTimer(), DEVICE.type, cache=1, rounds=1)
MACHINE = Machine("some", copy=1e9, product=1e9)


def off(name: str, case: LayerCase) -> float:
    operands = engines.operands(case, DEVICE.type, seed=3)
    function = engines.MAKERS[name](case.layer, case.dtype)
    outputs = engines.call(case, name, function, operands)()
    return engines.deviation(outputs, engines.exact(case, operands))


@pytest.mark.parametrize(("name", "direction"), CASES)
def test_netspec_and_pytorch_agree_on_every_kind_and_direction(name: str, direction: str) -> None:
    case = LayerCase(LAYERS[name], 2, direction, "fp32")
    assert off("eager", case) <= engines.allowed(case)
    pytest.importorskip(MODULES[case.layer.kind])
    assert off("netspec", case) <= engines.allowed(case)


@pytest.mark.parametrize("name", ["lrn", "grouped"])
def test_eager_lrn_is_the_one_of_the_specs(name: str) -> None:
    layer = LAYERS[name]
    n, k, alpha, beta = engines.attributes(layer)
    op = LocalResponseNorm(n=n, k=k, alpha=alpha, beta=beta, groups=layer.groups)
    x = engines.operands(LayerCase(layer, 2, FORWARD, "fp32"), "cpu", seed=0)["x"] * 5
    wanted = engines.nhwc(op.reference([Shape(layer.size_in)], engines.nchw(x)))
    assert torch.allclose(engines.eager(layer, "fp32")(x), wanted)


def test_a_bare_convolution_has_no_bias_and_no_relu() -> None:
    case = LayerCase(CONV, 2, FORWARD, "fp32")
    operands = engines.operands(case, "cpu", seed=3)
    bare, whole = (
        engines.call(case, name, engines.MAKERS[name](CONV, "fp32"), operands)()[0]
        for name in ("bare", "eager")
    )
    assert torch.allclose(torch.relu(bare + operands["b"]), whole, atol=1e-5)
    gradients = LayerCase(CONV, 2, WEIGHT_GRADIENT, "fp32")
    operands = engines.operands(gradients, "cpu", seed=3)
    function = engines.bare(CONV, "fp32")
    assert len(engines.call(gradients, "bare", function, operands)()) == 1


def test_an_image_that_overhangs_comes_with_its_zeros_for_pytorch() -> None:
    case = LayerCase(FIRST, 2, FORWARD, "fp32")
    operands = engines.operands(case, "cpu", seed=0)
    seen: list[tuple[int, ...]] = []

    def looking(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x

    for name in ("netspec", "eager"):
        engines.call(case, name, looking, operands)()
    assert seen == [(2, 6, 6, 3), (2, 7, 7, 3)]


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
def test_what_rounding_explains_is_less_than_a_row_that_was_not_written(dtype: str) -> None:
    case = LayerCase(CONV, 32, FORWARD, dtype)
    operands = engines.operands(case, "cpu", seed=0)
    (wanted,) = engines.exact(case, operands)
    rounded = wanted.to(engines.DTYPES[dtype])
    assert engines.deviation([rounded], [wanted]) <= engines.allowed(case)
    rounded[-1, -1] = 0
    assert engines.deviation([rounded], [wanted]) > engines.allowed(case)
    rounded[-1, -1] = torch.nan
    assert not engines.deviation([rounded], [wanted]) <= engines.allowed(case)


def test_a_case_is_checked_and_timed_from_end_to_end() -> None:
    case = LayerCase(CONV, 2, FORWARD, "fp32")
    entry = measuring.measured(case, ["netspec", "bare", "eager"], BENCH, MACHINE)
    elements = 2 * 2 * 16 * 8 + 8 * 36 + 8
    assert entry["bytes"] == 4 * elements
    assert entry["floor_us"] == pytest.approx(max(4e-3 * elements, 1e-3 * entry["operations"]))
    assert list(entry["engines"]) == ["netspec", "bare", "eager"]
    for result in entry["engines"].values():
        assert result["is_reproducible"]
        assert 0 < result["low_us"] <= result["median_us"] <= result["high_us"]


def test_who_disagrees_or_fails_is_told_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(layer: object, dtype: str) -> Callable[..., Tensor]:
        return lambda x, w, b: engines.eager(CONV, dtype)(x, w, b) + 0.1

    def failing(layer: object, dtype: str) -> Callable[..., Tensor]:
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setitem(engines.MAKERS, "netspec", wrong)
    monkeypatch.setitem(engines.MAKERS, "compile", failing)
    case = LayerCase(CONV, 2, FORWARD, "fp32")
    by_engine = measuring.measured(case, ["netspec", "eager", "compile"], BENCH, MACHINE)["engines"]
    assert re.match(r"relative error 0\.\d+, but rounding", by_engine["netspec"].pop("disagrees"))
    assert by_engine["netspec"] == {}
    assert by_engine["compile"] == {"error": "RuntimeError: no such kernel"}
    assert "median_us" in by_engine["eager"]


def test_what_does_not_fit_into_memory_is_an_error_of_the_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> list[Tensor]:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(engines, "exact", full)
    entry = measuring.measured(LayerCase(CONV, 2, FORWARD, "fp32"), ["eager"], BENCH, MACHINE)
    assert entry["engines"] == {"eager": {"error": "OutOfMemoryError: no room"}}


def test_operands_rotate_over_twice_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    case = LayerCase(LAYERS["gap"], 2, FORWARD, "fp32")  # 4 * 2 * (72 + 8) = 640 bytes
    passes: list[int] = []

    class Counting(WallTimer):
        def prepared(self, calls: Any) -> Any:
            passes.append(len(calls))
            return super().prepared(calls)

    for cache in (1, 640, 1000):
        measuring.measured(case, ["eager"], BENCH._replace(timer=Counting(), cache=cache), MACHINE)
    assert passes == [1, 2, 4]


def test_the_machine_is_measured_with_the_same_timer() -> None:
    clock = iter(range(10_000))
    bench = BENCH._replace(timer=WallTimer(clock=lambda: float(next(clock))))
    constants = measuring.constants(bench, "bf16", elements=1000, size=10)
    assert constants == Machine("this machine", copy=2 * 2000, product=2 * 1000)


def test_tuning_times_every_configuration_and_names_the_fastest() -> None:
    from netspec.kernels.conv.configurations import candidates

    case = LayerCase(CONV, 1, FORWARD, "fp32")
    entry = measuring.tuned(case, BENCH, MACHINE)
    configurations = candidates(measuring.geometry_of(case), torch.float32, "ieee")
    by_name = {measuring.name_of(configuration): configuration for configuration in configurations}
    assert list(entry["engines"]) == list(by_name)
    times = {name: result["median_us"] for name, result in entry["engines"].items()}
    fastest = min(times, key=times.__getitem__)
    configuration = by_name[fastest]
    assert entry["fastest"] == {"kernel": configuration.kernel, "tile": vars(configuration.tile)}
    assert entry["unmeasured"] in times


@pytest.mark.gpu
@only_on_gpu
@pytest.mark.parametrize("direction", CONV.directions)
def test_graphs_of_all_engines_on_a_gpu(direction: str) -> None:
    bench = measuring.Bench(GraphTimer(), "cuda", cache=1 << 16, rounds=3)
    case = LayerCase(CONV, 8, direction, "bf16")
    by_engine = measuring.measured(case, list(engines.MAKERS), bench, MACHINE)["engines"]
    assert all("median_us" in result for result in by_engine.values()), by_engine
