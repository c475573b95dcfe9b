"""Time training steps of a net on the GPU in bf16, by netspec, eager PyTorch and torch.compile.

    python -m benchmarks.steps --batch N [--net alexnet] [--rounds N]

The result is printed as JSON.  A step is forward, the mean of -log p of the labels, backward, and
fused SGD with momentum and weight decay.  Images and labels are already on the GPU and rotate
through twice its L2 cache.  The whole step of each engine is replayed as a CUDA graph, in turns.
``torch.compile`` has maximum tuning without its own graphs.

| engine | is |
|---|---|
| ``netspec`` | ``netspec.compile(...).train()`` |
| ``eager`` | the reference in PyTorch's own functions, channels-last, ``cudnn.benchmark`` on |
| ``compile`` | the same under ``torch.compile`` |
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import Module

from benchmarks import measuring
from benchmarks.layers import layers
from benchmarks.measuring import told
from netspec.ir.ops.dropout import Dropout
from netspec.runtime.verification import tolerance
from netspec.timing.case import Case
from netspec.timing.engines import compiled
from netspec.timing.machine import alike, machine
from netspec.timing.measure import in_milliseconds
from netspec.timing.timing import Call, Pass, interleaved

WARM = 3
"""Steps before the capture of a graph: they compile, tune, and allocate the optimizer's state."""
RATE = 1e-6
"""A learning rate so low that thousands of steps on the same random images do not diverge."""
DTYPES = {"bfloat16": "bf16", "float32": "fp32"}

Gradients = dict[str, Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--net", default="alexnet")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    case = Case(options.net, {}, options.batch, "bfloat16", Path(), "cuda")
    with alike(case.torch_device):
        print(json.dumps(measured(case, measuring.on_gpu(options.rounds))))


def measured(case: Case, bench: measuring.Bench, **sizes: int) -> dict[str, Any]:
    """Return the result of each engine: its gradients are compared with float64, then its step is
    timed.  An engine that fails or disagrees has its error instead of a time."""
    rates = measuring.constants(bench, DTYPES[case.dtype], **sizes)
    classes = case.net.graph.stage(case.net.graph.outputs[0]).known_shape.elements
    labels = torch.arange(case.batch, device=case.torch_device) % classes
    entries: dict[str, dict[str, Any]] = {}
    passes: dict[str, Pass] = {}
    with bench.timer.context():
        with without_dropout():
            expected = gradients(case.reference(torch.float64).train(), case, labels)
        for name, make in ENGINES.items():
            try:
                with without_dropout():
                    off = deviation(gradients(make(case), case, labels), expected)
                entries[name] = {"deviation": off, "allowed": allowed(case)}
                if not off <= allowed(case):
                    entries[name]["error"] = "disagrees"
                    continue
                passes[name] = bench.timer.prepared(steps(make(case), case, labels))
            except Exception as error:
                entries[name] = told(error)
        for name, timing in interleaved(passes, rounds=bench.rounds).items():
            entries[name] |= in_milliseconds(timing)
    floor = max(operations(case) / rates.product, moved(case) / rates.copy) * 1e3
    kept = {"net": case.spec, "batch": case.batch, "dtype": case.dtype, "floor_ms": floor}
    return kept | {"machine": machine(case.torch_device), "engines": entries}


# ------------------------------------------------------------------------------------------ engines


def by_compile(case: Case) -> Module:
    torch._dynamo.reset()
    mode = "max-autotune-no-cudagraphs"
    model = case.reference().train()
    return torch.compile(model, mode=mode, fullgraph=True, dynamic=False)  # type: ignore[return-value]


ENGINES: dict[str, Callable[[Case], Module]] = {
    "netspec": lambda case: compiled(case).train(),
    "eager": lambda case: case.reference().train(),
    "compile": by_compile,
}


def loss_of(model: Module, images: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the mean of -log p of the labels for the first output; heads are ignored."""
    first = model(*images)
    while isinstance(first, tuple):  # a tuple of outputs, or of outputs and heads
        first = first[0]
    chosen: Tensor = first.double().log().gather(1, labels[:, None])
    return -chosen.mean()


def steps(model: Module, case: Case, labels: Tensor) -> list[Call]:
    """Run a few warm-up steps; return a step for each set of images."""
    options: dict[str, Any] = {"momentum": 0.9, "weight_decay": 5e-4, "fused": True}
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, **options)

    def step(images: Sequence[Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, images, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(WARM):
        step(case.images)
    return [lambda images=images: step(images) for images in case.sets]  # type: ignore[misc]


# ---------------------------------------------------------------------------------------- agreement


def without_dropout() -> Any:
    """Turn dropout off: engines draw different masks, so gradients could not be compared."""
    return mock.patch.object(Dropout, "training_reference", Dropout.reference)


def gradients(model: Module, case: Case, labels: Tensor) -> Gradients:
    parameter = next(model.parameters())
    images = [image.to(parameter.dtype) for image in case.images]
    loss_of(model, images, labels).backward()  # type: ignore[no-untyped-call]
    names = ((name.removeprefix("_orig_mod."), p) for name, p in model.named_parameters())
    return {name: p.grad for name, p in names if p.grad is not None}


def deviation(gradients: Gradients, expected: Gradients) -> float:
    """Return |g - exact| / |exact| in the Euclidean norm of all gradients together."""
    assert gradients.keys() == expected.keys(), gradients.keys() ^ expected.keys()
    off = sum(float((gradients[name].double() - g).square().sum()) for name, g in expected.items())
    return sqrt(off / sum(float(g.square().sum()) for g in expected.values()))


def allowed(case: Case) -> float:
    """Return the deviation that rounding explains.

    Forward and backward each have the error e of ``tolerance``.  ReLU and max-pooling select
    gradients by comparing values with this error: of N(0, 1) a share of 0.8 e has the wrong result.
    Relative to the half that passes this is 1.6 e, and the error in norm is its root, sqrt(1.6 e),
    for each such operator; the squares add.  The bound is far above the errors of right engines,
    but below the error of an omitted layer.
    """
    graph = case.net.graph
    masks = sum(stage.op.name in ("relu", "maxpool") for stage in graph.stages() if not stage.head)
    e = tolerance(case.net, case.type)
    return 2 * e + sqrt(1.6 * e * masks)


# ------------------------------------------------------------------------------------------- floors


def operations(case: Case) -> int:
    """Return the operations of a step: forward, and all gradients except that of the images."""
    by_layer = layers(case.spec)
    macs = sum(len(names) * x.macs * (2 if x.is_first else 3) for x, names in by_layer.items())
    return 2 * macs * case.batch


def moved(case: Case) -> int:
    """Return the minimum traffic of a step in bytes: weights and momenta, read and written."""
    return 4 * case.net.totals.parameters * case.type.itemsize


if __name__ == "__main__":
    main()
