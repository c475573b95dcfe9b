"""Measure the rates of copies and matrix products: the floors of all times."""

from __future__ import annotations

from benchmarks import measuring
from benchmarks.floors import rates
from benchmarks.gpu.journal import Log

if __name__ == "__main__":
    Log.of_environment().result("rates", **rates(measuring.on_gpu(rounds=15)))
