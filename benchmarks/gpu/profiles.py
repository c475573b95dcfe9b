"""Time the steps of nets one by one, as ``netspec bench --layers`` does, with the model's plan.

python -m benchmarks.gpu.profiles NET-BATCH ...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.engine import model_of
from benchmarks.gpu.journal import Log
from benchmarks.gpu.subject import case_of, without_measurements
from netspec.compiler import backend_of
from netspec.timing.case import Case
from netspec.timing.floor import of_stage
from netspec.timing.layers import profiled
from netspec.timing.machine import alike

ROUNDS = 5


def main() -> None:
    log = Log.of_environment()
    with tempfile.TemporaryDirectory() as folder:
        without_measurements(Path(folder))
        for key in log.cases(sys.argv[1:]):
            net, _, batch = key.rpartition("-")
            case = case_of(net, int(batch), Path(folder))
            log.result(key, net=net, batch=int(batch), **profile(case))


def profile(case: Case, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the median and the floor of each step in microseconds, and the rates of the rounds."""
    with alike(case.torch_device):
        backend = backend_of(case.device)
        model = model_of(case, backend, is_measured=False)
        measured = profiled(model, case.images, rounds)
    problems, rates = model.lowered.problems, measured.rates
    plan = zip(model.lowered.plan.steps, measured.steps, measured.kept, strict=True)
    steps = [
        {
            "stage": step.stage,
            "way": step.implementation,
            "us": round(timed.median * 1e6, 2),
            "floor_us": round(1e6 * of_stage(problems[step.stage], backend, rates, kept), 2),
        }
        for step, timed, kept in plan
    ]
    return {"steps": steps, "rates": measured.rates._asdict()}


if __name__ == "__main__":
    main()
