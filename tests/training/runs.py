"""A small net on real digits, and real processes that train it."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from netspec.training.directory import is_run
from netspec.training.loop import Result, resume, train
from netspec.training.progress import Report
from netspec.training.settings import Settings
from tests.forked import forkserver

NET = """net small
input image 8x8x1
C1: conv 3x3, 4 | relu
F2: fc 16 | relu | dropout 0.25
F3: fc 10 | softmax
"""

RECIPE = """train {
    prepare   subtract mean image | range low=0, high=1
    augment   flip
    loss      cross_entropy
    init      glorot
    optimizer sgd lr=0.1, momentum=0.9, decay=0.0005
    batch     64
    epochs    3
    schedule  plateau factor=0.1, times=2, patience=1
}
"""

TIMES = ("images_per_second", "waiting", "seconds", "sha256")
"""What differs from run to run in metrics, and the digest of it."""


def settings(folder: Path, recipe: str = RECIPE, **options: Any) -> Settings:
    """A run of the small net; its spec is written into the folder."""
    spec = folder / "small.net"
    spec.write_text(NET + recipe, encoding="utf-8")
    return Settings(spec=str(spec), **{"data": "digits:8", **options})


def begin_or_resume(asked: Settings, directory: Path, report: Report | None = None) -> Result:
    """What somebody does who finds a run, or finds none."""
    if is_run(directory):
        return resume(directory, report=report)
    return train(asked, directory, report=report)


def started(work: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """A process with one thread that does some work; it is forked from one that has torch."""
    process = forkserver().Process(target=_alone, args=(work, *arguments))
    process.start()
    return process


def _alone(work: Callable[..., Any], *arguments: Any) -> None:
    torch.set_num_threads(1)
    work(*arguments)


def weights(directory: Path) -> bytes:
    """What a run ended with."""
    return (directory / "weights.safetensors").read_bytes()


def metrics(directory: Path) -> list[dict[str, float]]:
    """What a run told, without times."""
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
