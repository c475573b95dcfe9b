"""Time a compiled net and its peers: the same weights and images, in one process, in turns.

This package is ``netspec bench``.  The folder ``benchmarks`` of the repository has modules of the
same names for single layers, and stored results.

This file has only the constants that the command line needs, and does not import torch.
"""

from __future__ import annotations

PEERS = ("eager", "eager-channels-last", "inductor", "onnxruntime", "openvino")
"""The engines that netspec is compared with, by their names in ``netspec.timing.engines``."""

DEVICES = {"cpu": PEERS, "cuda": PEERS[:3]}
"""The devices on which a net can be timed, with the peers that run there."""

DTYPES = ("float32", "bfloat16")

ROUNDS = 15
"""Rounds of measurements, unless given."""
