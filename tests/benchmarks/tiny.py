"""Layers small enough for Triton's interpreter, one a kind and more where kinds differ."""

from __future__ import annotations

from benchmarks.layers import Layer

CONV = Layer(
    "conv", (4, 4, 8), (4, 4, 8), (3, 3), (1, 1), (1, 1, 1, 1),
    groups=2, relu=True, parameters=8 * 36 + 8, macs=16 * 8 * 36,
)  # fmt: skip
FIRST = Layer(
    "conv", (6, 6, 3), (3, 3, 4), (3, 3), (2, 2), (0, 1, 0, 1),
    relu=True, is_first=True, parameters=4 * 27 + 4, macs=9 * 4 * 27,
)  # fmt: skip
LRN = (5, 2.0, 1e-2, 0.75)
LAYERS = {
    "conv": CONV,
    "first": FIRST,
    "fc": Layer("fc", (32,), (8,), relu=True, parameters=8 * 33, macs=8 * 32),
    "logits": Layer("fc", (32,), (8,), parameters=8 * 33, macs=8 * 32),
    "lrn": Layer("lrn", (2, 3, 16), (2, 3, 16), lrn=LRN),
    "grouped": Layer("lrn", (2, 3, 16), (2, 3, 16), groups=2, lrn=LRN),
    "lrn_maxpool": Layer("lrn_maxpool", (3, 3, 8), (1, 1, 8), (3, 3), (2, 2), lrn=LRN),
    "maxpool": Layer("maxpool", (6, 6, 8), (3, 3, 8), (3, 3), (2, 2), (0, 1, 0, 1)),
    "padded": Layer("maxpool", (4, 4, 8), (4, 4, 8), (3, 3), (1, 1), (1, 1, 1, 1)),
    "avgpool": Layer("avgpool", (8, 8, 8), (2, 2, 8), (5, 5), (3, 3)),
    "gap": Layer("gap", (3, 3, 8), (1, 1, 8)),
}
MODULES = {
    "conv": "netspec.kernels.conv.operators",
    "fc": "netspec.kernels.fc.operators",
    "lrn": "netspec.kernels.lrn.operators",
    "lrn_maxpool": "netspec.kernels.lrn.operators",
    "maxpool": "netspec.kernels.pool.operators.maxpool",
    "avgpool": "netspec.kernels.pool.operators.avgpool",
    "gap": "netspec.kernels.pool.operators.gap",
}
"""Where the operators of a kind are."""
CASES = [(name, direction) for name, layer in LAYERS.items() for direction in layer.directions]
