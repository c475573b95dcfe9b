"""Small nets with planted weights, whose pictures are known."""

from __future__ import annotations

import numpy as np
import torch

import netspec
from netspec.data.dataset import Pixels

CORNER = netspec.loads("""net corner
input image 16x16x1
C1: conv 1x1, 2 | relu
F2: fc 2 | softmax
prepare range low=0, high=1
""")


def corner_net(classes: tuple[str, ...] = ("bright", "dark")) -> netspec.Compiled:
    """A net that looks at a corner only, 4 rows of 2 pixels: bright ones are of the first class.

    Map 0 of C1 is the image, map 1 is half of it.
    """
    model = netspec.compile(CORNER, dtype="float64", classes=classes)
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    state["C1.weight"][:, 0, 0, 0] = torch.tensor([1.0, 0.5])
    looks_at = torch.zeros(2, 2, 16, 16, dtype=torch.float64)  # [class, map, row, column]
    looks_at[0, 0, :4, :2] = 1.0
    state["F2.weight"] = looks_at.reshape(2, -1)
    state["F2.bias"] = torch.tensor([-6.0, 0.0], dtype=torch.float64)
    model.load_state_dict(state)
    return model


def white() -> Pixels:
    """A white image, of which the corner net says bright."""
    return np.full((16, 16), 255, np.uint8)
