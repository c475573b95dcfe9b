"""A compiled net beside its peers: the same weights, the same images, in one process, in turns.

It ships with the package, as ``netspec bench``.  The folder ``benchmarks`` of the repository has
modules of the same names for single layers, and the results that are kept.

What the command line has to know without importing torch stands here.
"""

from __future__ import annotations

PEERS = ("eager", "eager-channels-last", "inductor", "onnxruntime", "openvino")
"""The engines that netspec is held against, as ``netspec.bench.engines`` has them."""

DEVICES = {"cpu": PEERS, "cuda": PEERS[:3]}
"""Where a net is timed, and the peers that run there."""

DTYPES = ("float32", "bfloat16")
