"""Check a net with the plan that the model makes: graph and lanes against plain launches.

    python -m benchmarks.gpu.whole NET

For batches of 1, 8 and 32 in bf16:

- the output of the CUDA graph, whose steps run side by side, is compared with float64;
- launched one by one in one stream, the same steps must give the same bits;
- so must 200 replays, in turns with replays on other images: a result that moves is a race.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.journal import Log
from benchmarks.gpu.subject import case_of, off, without_measurements
from netspec.compiler import backend_of
from netspec.lowering.lowered import lowered
from netspec.runtime.compiled import Compiled
from netspec.runtime.verification import as_tuple
from netspec.timing.case import Case

BATCHES = (1, 8, 32)
REPLAYS = 200


def main() -> int:
    (net,) = sys.argv[1:]
    log = Log.of_environment()
    by_key = {f"{net}, batch {batch}": batch for batch in BATCHES}
    with tempfile.TemporaryDirectory() as folder:
        without_measurements(Path(folder))
        for key in log.cases(by_key):
            log.result(key, **checked(case_of(net, by_key[key], Path(folder)), REPLAYS))
            torch.cuda.empty_cache()
    return 0


def checked(case: Case, replays: int) -> dict[str, Any]:
    """Return the result of a case: its deviation, and what is wrong."""
    net = lowered(case.net.graph, backend_of(case.device), dtype=case.type, batch=case.batch)
    model = Compiled(case.net, net, case.weights())
    # Other images before each compared run: otherwise a step that runs too early would find the
    # values of the run before, which are the right ones, and no race would be seen.
    others = [1 - image for image in case.images]
    with torch.inference_mode():
        first = _outputs(model, case.images)
        figures = off(case, first)
        wrong = [] if figures["deviation"] <= figures["allowed"] else ["disagrees with float64"]
        wrong += [figures["incomparable"]] if "incomparable" in figures else []
        if _equal(first, _outputs(model, others)):
            wrong.append("other images have the same outputs")
        if not _equal(first, one_by_one(model, case)):
            wrong.append("the graph and plain launches differ")
        moved = 0
        for _ in range(replays):
            _outputs(model, others)
            moved += not _equal(first, _outputs(model, case.images))
    if moved:
        wrong.append(f"{moved} of {replays} replays differ")
    figures |= {"replays": replays, "steps": len(net.plan.steps)}
    return figures | ({"wrong": "; ".join(wrong)} if wrong else {})


def _outputs(model: Compiled, images: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return as_tuple(model(*images))


def one_by_one(model: Compiled, case: Case) -> tuple[Tensor, ...]:
    """Return the outputs of the steps launched one by one in one stream."""
    executor: Any = model.refresh()
    executor.profile(*case.images)
    memory = executor.bound_plan(case.images).memory
    outputs: tuple[Tensor, ...] = memory.hand_out(case.batch, None)
    return outputs


def _equal(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


if __name__ == "__main__":
    sys.exit(main())
