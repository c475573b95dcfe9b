"""A short run that pictures of runs are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

import netspec

NET = """net small
input image 8x8x1
C1: conv 3x3, 4 | relu
F2: fc 10 | softmax
train {
    prepare   range low=0, high=1
    loss      cross_entropy
    optimizer sgd lr=0.1, momentum=0.9
    batch     64
    epochs    3
    schedule  every 2, factor=0.1
}
"""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs on digits of 8x8 pixels, whose rate falls after the second.

    It has weights of epochs 0, 1 and 3.
    """
    folder = tmp_path_factory.mktemp("see") / "run"
    netspec.train(netspec.loads(NET), "digits:8", folder, seed=1, snapshots=(0, 1, 3))
    return folder
