"""One engine of :mod:`benchmarks.gpu.nets`: it reads words and answers each with a line of JSON.

    python -m benchmarks.gpu.engine ENGINE NET BATCH

| engine | is |
|---|---|
| ``netspec`` | the compiled net, as the model plans it |
| ``netspec-tuned`` | the compiled net after measuring a short list of ways for each layer |
| ``eager-channels-last`` | plain PyTorch, channels-last, ``cudnn.benchmark`` on |
| ``inductor-extern`` | ``torch.compile`` with cuDNN's convolutions and cuBLAS's products |
| ``inductor-aten`` | ``torch.compile`` with maximum tuning, and cuDNN's convolutions |
| ``inductor`` | ``torch.compile`` with maximum tuning, and its own convolutions too |
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import torch

from benchmarks.gpu.journal import Log
from benchmarks.gpu.short import Note, ShortList
from benchmarks.gpu.subject import case_of, off, without_measurements
from netspec.backends.cuda.implementation import Target
from netspec.backends.cuda.measure import tuning
from netspec.backends.tuning import described
from netspec.compiler import backend_of
from netspec.files.writing import write_whole
from netspec.lowering.backend import Backend
from netspec.lowering.choices import Outcomes
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import lowered
from netspec.runtime.compiled import Compiled
from netspec.runtime.verification import as_tuple
from netspec.timing.case import Case
from netspec.timing.engine import Engine
from netspec.timing.engines import EagerChannelsLast, Inductor, InductorWithCudnn, inferring
from netspec.timing.machine import alike
from netspec.timing.measure import Turn
from netspec.timing.timing import Call, timer_of


def planned(case: Case) -> Call:
    """Return a call of the net as the model plans it."""
    return inferring(model_of(case, backend_of(case.device), is_measured=False), case)


def tuned(case: Case, note: Note) -> Call:
    """Return a call of the net with measured implementations of the short list."""
    backend = ShortList(str(case.torch_device), note)
    return inferring(model_of(case, backend, is_measured=True), case)


def model_of(case: Case, backend: Backend, *, is_measured: bool) -> Compiled:
    how: dict[str, Any] = {"dtype": case.type, "batch": case.batch, "is_measured": is_measured}
    return Compiled(case.net, lowered(case.net.graph, backend, **how), case.weights())


class InductorWithLibraries(Inductor):
    """Inductor that leaves convolutions and products to libraries.

    With maximum tuning, it computes 1x1 convolutions as products and compiles some twenty kernels
    for each: GoogLeNet, which has 38 of them, would not be ready within the limit of a stage.
    """

    options: ClassVar[dict[str, Any]] = {
        "max_autotune_conv_backends": "ATEN",
        "max_autotune_gemm_backends": "ATEN",
    }


PEERS: dict[str, Engine] = {
    "eager-channels-last": EagerChannelsLast(),
    "inductor-extern": InductorWithLibraries(),
    "inductor-aten": InductorWithCudnn(),
    "inductor": Inductor(),
}


def noted(log: Log, case: Case) -> Note:
    """Return a function that notes the outcomes of a problem, and keeps the file of all of them."""
    path = tuning(Target(str(case.torch_device))).path

    def note(problem: Problem, outcomes: Outcomes) -> None:
        layer = described(problem)
        log.result(f"tuned {layer}", problem=layer, outcomes=dict(outcomes))
        with suppress(OSError):
            write_whole(log.journal.folder / path.name, path.read_bytes())

    return note


def makers(log: Log) -> dict[str, Callable[[Case], Call]]:
    """Return the engines by name."""
    return {
        "netspec": planned,
        "netspec-tuned": lambda case: tuned(case, noted(log, case)),
        **{name: engine.compile for name, engine in PEERS.items()},
    }


def main() -> None:
    name, net, batch = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    with tempfile.TemporaryDirectory() as folder:
        case = case_of(net, int(batch), Path(folder))
        if name == "netspec":
            without_measurements(Path(folder))
        with alike(case.torch_device):
            if name in PEERS:
                PEERS[name].prepare(case)  # imports, at the same time as the other engines
            serve(case, makers(Log.of_environment())[name], lambda line: answer(answers, line))


def answer(file: Any, line: Mapping[str, Any]) -> None:
    print(json.dumps(line), file=file, flush=True)


def serve(
    case: Case, make: Callable[[Case], Call], say: Callable[[Mapping[str, Any]], None]
) -> None:
    """Load what every engine needs, then obey: ``compile`` once, and ``turn`` as often as asked."""
    assert case.images
    assert case.scales
    run: Callable[[], float] | None = None
    for word in sys.stdin:
        try:
            if word.strip() == "compile":
                call, figures = compiled(case, make)
                if not figures["deviation"] <= figures["allowed"]:
                    # It is timed all the same: a peer is shown and explained, not dropped.
                    said = f"relative error {figures['deviation']:.1e}"
                    figures["disagrees"] = f"{said}, {figures['allowed']:.1e} allowed"
                elif "incomparable" in figures:
                    figures["disagrees"] = figures["incomparable"]
                run = Turn(call, timer_of(case.torch_device))
                say(figures)
            elif run is not None:
                say({"seconds": run()})
        except Exception as error:  # whatever an engine raises is its answer
            text = (str(error).strip() or "no message").splitlines()[0]
            say({"error": f"{type(error).__name__}: {text}"[:200]})


def compiled(case: Case, make: Callable[[Case], Call]) -> tuple[Call, dict[str, Any]]:
    """Return the call of an engine, the seconds until its first result, and its deviation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of engines about themselves
        started = perf_counter()
        call = make(case)
        outputs = as_tuple(call())
        if case.torch_device.type == "cuda":
            torch.cuda.synchronize()  # calls return before the GPU is done
        taken = perf_counter() - started
    return call, {"compile_s": round(taken, 2)} | off(case, outputs)


if __name__ == "__main__":
    main()
