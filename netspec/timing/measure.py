"""Measure a case: compile and check every engine, time them in turns, then measure memory."""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from math import ceil, isfinite
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any, NamedTuple

import torch

from netspec.errors import DataError
from netspec.language.definitions import Setting
from netspec.net import Net
from netspec.timing import memory
from netspec.timing.agreement import Exact, deviation, exact, incomparable
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.engines import engines
from netspec.timing.floor import floor
from netspec.timing.machine import Others, alike, machine
from netspec.timing.rates import HOST, Rates, Yardstick, yardsticks
from netspec.timing.timing import Call, Pass, Timer, Timing, interleaved, timer_of
from netspec.timing.verdict import LEAST, disturbance

Entry = dict[str, Any]
Advance = Callable[[str], None]
"""Called with the name of each step when it begins, at most :func:`steps` times."""

SAMPLE = 0.02
"""The duration of a turn in seconds: far longer than a context switch."""

WARM = 1
"""The number of rounds that are not counted."""

MEASUREMENTS = 4
"""The largest number of measurements of a case: it is repeated if the machine is not quiet."""

LONGEST = 120.0
"""The seconds after which a measurement is not repeated."""

IDLE = 50
"""The largest number of waits, of 2 ms each, for the threads of the engine before."""

OURS = "netspec"


def bench(
    specs: Sequence[str | Net],
    *,
    settings: Mapping[str, Setting],
    batches: Sequence[int],
    dtype: str,
    against: Sequence[str],
    rounds: int,
    device: str = "cpu",
    advance: Advance = lambda step: None,
) -> Entry:
    """Return the whole result: the machine, its rates, and a case for each spec and batch."""

    def measure(case: Case) -> Entry:
        return measured(case, against, rounds, advance)

    options: dict[str, Any] = {"batches": batches, "dtype": dtype, "device": device}
    return answer(specs, settings=settings, measure=measure, **options)


def answer(
    specs: Sequence[str | Net],
    *,
    settings: Mapping[str, Setting],
    batches: Sequence[int],
    dtype: str,
    device: str,
    measure: Callable[[Case], Entry],
) -> Entry:
    """Return the machine, the medians of its rates over all cases, and the result of each case."""
    cases, torch_device = [], HOST
    for spec in specs:
        for batch in batches:
            with tempfile.TemporaryDirectory(prefix="netspec-bench-") as folder:
                case = (
                    Case(spec.name, spec.settings, batch, dtype, Path(folder), device, spec)
                    if isinstance(spec, Net)
                    else Case(spec, settings, batch, dtype, Path(folder), device)
                )
                torch_device = case.torch_device
                with alike(torch_device):
                    cases.append(measure(case))
    kept = ("gflop_per_s", "copy_gb_per_s")
    rates = {key: statistics.median(case["floor"][key] for case in cases) for key in kept}
    return {"machine": machine(torch_device), "floor": {"dtype": dtype} | rates, "cases": cases}


def steps(specs: int, batches: int, against: int, rounds: int) -> int:
    """Return the number of calls of ``advance`` in a run in which every engine can be timed."""
    timed = against + 1
    return specs * batches * (2 * timed + (rounds + WARM) * timed)


def measured(
    case: Case, against: Sequence[str], rounds: int, advance: Advance = lambda step: None
) -> Entry:
    """Return the result of a case, with an entry for each engine, netspec first.

    The entry of an engine that cannot run has ``error``.
    """
    every = engines()
    chosen = [every[name] for name in (OURS, *against)]
    turns: dict[str, Turn] = {}
    entries = {}
    expected, timer = exact(case), timer_of(case.torch_device)
    refusal = incomparable(case, expected)
    title = title_of(case)
    for engine in chosen:
        if refusal is not None:
            entries[engine.name] = untimed(engine) | {"error": refusal}
            continue
        advance(f"{title}: {engine.name} compiles")
        entry, call = compiled(engine, case, expected)
        entries[engine.name] = entry
        if call is not None:
            turns[engine.name] = Turn(call, timer, case.torch_device)
    known = yardsticks(case.type, case.torch_device)
    last = until_quiet(turns, known, timer, rounds, lambda: advance(f"{title}: engines take turns"))
    shortest = {name: last.timings[name].shortest for name in known}
    rates = Rates.of(known, shortest, case.torch_device)
    for name, turn in turns.items():
        advance(f"{title}: memory of {name}")
        entries[name] |= in_milliseconds(last.timings[name]) | memory_of(case, name)
        entries[name]["cpu_ms"] = statistics.median(turn.processor[-rounds:]) * 1e3
    best, ratio = compared(list(entries.values()))
    reason = last.reason
    if ratio is None:
        reason = "no peer was timed" if best is None else "netspec was not timed"
    return {
        "spec": case.spec,
        "name": case.net.name,
        "batch": case.batch,
        "dtype": case.dtype,
        "rounds": rounds,
        "measurements": last.number,
        "others": last.others,
        "floor": floor(case, rates),
        "engines": list(entries.values()),
        "best_peer": best,
        "ratio": ratio if reason is None else None,
        "ratio_error": reason,
    }


class Measurement(NamedTuple):
    """Rounds of turns.

    Attributes:
        number: of this measurement; those before it were disturbed.
        timings: of engines and yardsticks by name.
        others: the share of the processors that other processes used, or None if unknown.
        reason: why netspec and the best peer are not compared, or None.
    """

    number: int
    timings: dict[str, Timing]
    others: float | None
    reason: str | None


def until_quiet(
    turns: Mapping[str, Turn],
    known: Mapping[str, Yardstick],
    timer: Timer,
    rounds: int,
    advance: Callable[[], None],
) -> Measurement:
    """Measure until nothing disturbs, or until a limit is reached; return the last measurement.

    ``advance`` is called before each turn of an engine in the first measurement.
    """
    work: dict[str, Pass] = {name: Turn(one.call, timer) for name, one in known.items()}
    noted = {name: _noted(run, advance) for name, run in turns.items()}
    started = perf_counter()
    for number in range(1, MEASUREMENTS + 1):
        others = Others()
        engines = noted if number == 1 else turns
        timings = interleaved({**engines, **work}, rounds=rounds, warm=WARM)
        share = others.share()
        peers = sorted(turns.keys() - {OURS}, key=lambda name: timings[name].median)
        ranked = {name: timings[name] for name in (OURS, *peers[:1]) if name in turns}
        reason = disturbance(ranked, share)
        if reason is None or rounds < LEAST or perf_counter() - started > LONGEST:
            break
    return Measurement(number, timings, share, reason)


def title_of(case: Case) -> str:
    """Return the net and the batch, for progress."""
    return f"{case.net.name}, batch {case.batch}"


def compiled(engine: Engine, case: Case, expected: Sequence[Exact]) -> tuple[Entry, Call | None]:
    """Compile an engine and compare its outputs.

    Return its entry, and its call, or None if it fails or its outputs are wrong.  If they are
    wrong, its alternative is tried.
    """
    entry = untimed(engine)
    try:
        with warnings.catch_warnings(), alike(case.torch_device):
            warnings.simplefilter("ignore")  # warnings of engines about themselves
            engine.prepare(case)
            started = perf_counter()
            call = engine.compile(case)
            outputs = call()
            if case.torch_device.type == "cuda":
                torch.cuda.synchronize()  # calls return before the GPU is done
            entry["compile_s"] = perf_counter() - started
        off = deviation(case, outputs, expected)
    except Exception as error:
        return entry | {"error": told(error)}, None
    entry |= {"deviation": off.error if isfinite(off.error) else None, "allowed": off.allowed}
    if off.agrees:
        return entry | {"note": engine.note}, call
    said = f"relative error {off.error:.1e}, {off.allowed:.1e} allowed"
    if other := engine.alternative(case):
        entry, its_call = compiled(other, case, expected)
        return entry | {"note": f"{other.note} ({said})"}, its_call
    return entry | {"error": f"disagrees: {said}"}, None


def untimed(engine: Engine) -> Entry:
    """Return the entry of an engine that has not been measured, with its name and version."""
    measures = ("median_ms", "spread_ms", "cpu_ms", "compile_s", "peak_mb", "error", "note")
    checks = ("deviation", "allowed", "peak_error")
    return {"name": engine.name, "version": engine.version} | dict.fromkeys(measures + checks)


def told(error: Exception) -> str:
    """Return the message of an error in one line."""
    text = (str(error).strip() or type(error).__name__).split("\n")[0]
    return text[:200] if isinstance(error, DataError) else f"{type(error).__name__}: {text}"[:200]


class Turn:
    """The turns of an engine: one call without a clock, then enough timed calls for a sample.

    The first call is not timed because caches are still those of the previous engine.

    Attributes:
        processor: the processor time of all threads of this process in each turn, in seconds per
            call.
    """

    def __init__(self, call: Call, timer: Timer, device: torch.device = HOST) -> None:
        self._call, self._device = call, device
        with alike(device):
            call()
            self._count = max(1, ceil(SAMPLE / timer.prepared([call])()))
        self._timed = timer.prepared([call] * self._count)
        self.processor: list[float] = []

    def __call__(self) -> float:
        _wait_for_idle_threads()
        with alike(self._device):
            self._call()
            started = process_time()
            seconds = self._timed()
            self.processor.append((process_time() - started) / self._count)
            return seconds


def _wait_for_idle_threads() -> None:
    """Wait until this process is idle: threads of some engines spin for a while after a call.

    Those of ONNX Runtime do so for 20 to 40 ms, and would slow the next engine.
    """
    for _ in range(IDLE):
        started = process_time()
        sleep(0.002)
        if process_time() - started < 0.0004:
            return


def _noted(run: Pass, advance: Callable[[], None]) -> Pass:
    def noted() -> float:
        advance()
        return run()

    return noted


def in_milliseconds(timing: Timing) -> Entry:
    """Return the median and the quartiles in milliseconds."""
    spread = [timing.low * 1e3, timing.high * 1e3]
    return {"median_ms": timing.median * 1e3, "spread_ms": spread}


def memory_of(case: Case, name: str) -> Entry:
    """Return the peak memory of an engine, or the reason why it is unknown."""
    try:
        peak = memory.peak(case.as_json(), name, torch.get_num_threads())
    except DataError as error:
        return {"peak_error": str(error)}
    return {"peak_mb": peak / 1e6}


def compared(entries: Sequence[Entry]) -> tuple[str | None, float | None]:
    """Return the fastest peer, and its median divided by netspec's: above 1, netspec is faster."""
    timed = {e["name"]: e["median_ms"] for e in entries if e["median_ms"] is not None}
    ours = timed.pop(OURS, None)
    if not timed:
        return None, None
    best = min(timed, key=timed.__getitem__)
    return best, None if ours is None else timed[best] / ours
