"""Measure a case: check every engine, then time them in turns.  Tune convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import engines
from benchmarks.engines import DTYPES, Function, Operands, precision_of
from benchmarks.layers import LayerCase, Machine, engines_of
from benchmarks.results import Entry
from benchmarks.timing import GraphTimer
from netspec.timing.timing import Call, Pass, Timer, Timing, interleaved

MICROSECOND = 1e-6


class Bench(NamedTuple):
    """A clock, a device, the size of its last-level cache in bytes, and the number of rounds.

    Operands rotate through twice the size of the cache.
    """

    timer: Timer
    device: str
    cache: int
    rounds: int = 15


def on_gpu(rounds: int) -> Bench:
    """Return the bench of the first GPU."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return Bench(GraphTimer(), "cuda", cache, rounds)


def constants(bench: Bench, dtype: str, *, elements: int = 2**29, size: int = 8192) -> Machine:
    """Measure the copy bandwidth and the rate of matrix products of this machine on random data."""
    kind, device = DTYPES[dtype], bench.device
    with bench.timer.context():
        x = torch.randn(elements, dtype=kind, device=device)
        y = torch.empty_like(x)
        a, b = (torch.randn(size, size, dtype=kind, device=device) for _ in range(2))
        calls: dict[str, Call] = {"copy": lambda: y.copy_(x), "product": lambda: a @ b}
        for call in calls.values():
            call()
        passes = {name: bench.timer.prepared([call]) for name, call in calls.items()}
        times = interleaved(passes, rounds=bench.rounds)
    copy = 2 * x.nbytes / times["copy"].median
    return Machine("this machine", copy, 2 * size**3 / times["product"].median)


def measured(case: LayerCase, names: Sequence[str], bench: Bench, machine: Machine) -> Entry:
    """Return the result of a case."""
    makers = {
        name: partial(engines.MAKERS[name], case.layer, case.dtype)
        for name in engines_of(case.layer, names)
    }
    times = timings(case, makers, bench)
    return entry(case, machine) | {"engines": times}


def entry(case: LayerCase, machine: Machine) -> Entry:
    """Return the part of a result that does not need a measurement."""
    return {
        "kind": case.layer.kind,
        "batch": case.batch,
        "direction": case.direction,
        "dtype": case.dtype,
        **case.cost._asdict(),
        "floor_us": round(machine.floor(case.cost) / MICROSECOND, 3),
    }


def timings(case: LayerCase, makers: Mapping[str, Callable[[], Function]], bench: Bench) -> Entry:
    """Return the timing of each engine, or its deviation if it is too large, or its error."""
    passes: dict[str, Pass] = {}
    entries: Entry = {}
    with bench.timer.context():
        try:
            copies = max(1, ceil(2 * bench.cache / case.cost.bytes))
            sets = [engines.operands(case, bench.device, seed=i) for i in range(copies)]
            expected = engines.exact(case, sets[0])
        except torch.OutOfMemoryError as error:
            return {name: told(error) for name in makers}
        for name, make in makers.items():
            try:
                passes[name], entries[name] = _prepared(case, name, make(), sets, expected, bench)
            except Disagreement as error:
                entries[name] = {"disagrees": str(error)}
            except Exception as error:
                entries[name] = told(error)
        del expected
        for name, timing in interleaved(passes, rounds=bench.rounds).items():
            entries[name] |= in_microseconds(timing)
    return entries


def told(error: Exception) -> Entry:
    """Return the message of an error in one line."""
    return {"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]}


class Disagreement(Exception):
    """The error of a result is larger than rounding explains."""


def _prepared(
    case: LayerCase,
    name: str,
    function: Function,
    sets: Sequence[Operands],
    expected: list[Tensor],
    bench: Bench,
) -> tuple[Pass, Entry]:
    calls = [engines.call(case, name, function, tensors) for tensors in sets]
    first: Any = calls[0]()
    again: Any = calls[0]()
    is_same = all(torch.equal(y, z) for y, z in zip(first, again, strict=True))
    if name != "bare":  # it has no bias and no ReLU, so its result differs
        off, limit = engines.deviation(first, expected), engines.allowed(case)
        if not off <= limit:
            raise Disagreement(f"relative error {off:.2g}, but rounding explains only {limit:.2g}")
    return bench.timer.prepared(calls), {"is_reproducible": is_same}


def in_microseconds(timing: Timing) -> Entry:
    median, low, high = (round(seconds / MICROSECOND, 3) for seconds in timing[:3])
    return {"median_us": median, "low_us": low, "high_us": high, "samples": timing.samples}


# ------------------------------------------------------------------------------------------- tuning


def tuned(case: LayerCase, bench: Bench, machine: Machine) -> Entry:
    """Time every configuration of a forward convolution.

    Return the times, the fastest configuration, and the one that the model chooses.
    """
    from netspec.kernels.conv import configurations, persistent

    geometry = geometry_of(case)
    arithmetic = (DTYPES[case.dtype], precision_of(case.dtype))
    # Operands of a benchmark begin at addresses that descriptors support.
    device = torch.device(bench.device)
    has_descriptors = device.type == "cuda" and persistent.has_descriptors(device)
    candidates = configurations.candidates(geometry, *arithmetic, has_descriptors=has_descriptors)
    by_name = {name_of(configuration): configuration for configuration in candidates}
    makers = {name: partial(with_configuration, case, c) for name, c in by_name.items()}
    times = timings(case, makers, bench)
    timed = {name: time["median_us"] for name, time in times.items() if "median_us" in time}
    fastest = min(timed, key=timed.__getitem__) if timed else None
    return entry(case, machine) | {
        "engines": times,
        "fastest": None if fastest is None else asdict(by_name[fastest]),
        "unmeasured": name_of(configurations.choose(geometry, *arithmetic)),
    }


def geometry_of(case: LayerCase) -> Any:
    """Return a layer as the kernels of convolutions describe it."""
    from netspec.kernels.conv.geometry import Geometry

    layer = case.layer
    height, width, channels = layer.size_in
    return Geometry(
        batch=case.batch,
        height=height,
        width=width,
        channels=channels,
        count=layer.size_out[-1],
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
    )


def name_of(configuration: Any) -> str:
    """Return a name such as ``implicit 128x64x32 4 warps 3 stages``."""
    tile = asdict(configuration.tile)
    size = "x".join(str(tile.pop(name)) for name in ("rows", "columns", "depth"))
    return " ".join(
        [configuration.kernel, size, *(f"{value} {name}" for name, value in tile.items())]
    )


def with_configuration(case: LayerCase, configuration: Any) -> Function:
    """Return a convolution by one configuration."""
    from netspec.kernels.conv.configurations import forward_launches
    from netspec.kernels.launch import run

    geometry = geometry_of(case)
    how = {
        "relu": case.layer.relu,
        "precision": precision_of(case.dtype),
        "configuration": configuration,
    }

    def convolve(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = x.new_empty(geometry.size_out)
        run(forward_launches(x, w, b, y, geometry, **how))
        return y

    return convolve
