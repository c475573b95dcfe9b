"""Times of a compiled net and of its peers: the same weights and images, one process, in turns.

It ships with the package, as ``netspec bench``.  The folder ``benchmarks`` of the repository has
modules of the same names for single layers, and the results that are kept.

Constants that the command line needs without importing torch stand here.
"""

from __future__ import annotations

PEERS = ("eager", "eager-channels-last", "inductor", "onnxruntime", "openvino")
"""The engines that netspec is compared with, by their names in ``netspec.timing.engines``."""

DEVICES = {"cpu": PEERS, "cuda": PEERS[:3]}
"""The devices that a net is timed on, and the peers that run there."""

DTYPES = ("float32", "bfloat16")

ROUNDS = 15
"""Rounds of measurements, unless given."""
