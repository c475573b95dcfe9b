"""What the tests of training share: a small net with a recipe, and batches for it."""

from __future__ import annotations

import torch
from torch import Tensor

import netspec
from netspec import Net

HEADER = "net small\ninput image 6x6x2\n"
ROWS = """
a: conv 3x3, 4 | relu | dropout 0.5, scale=test
b: fc 6 | tanh
out: fc 3 | softmax
"""


def recipe(**directives: str) -> str:
    """A ``train`` section: what is given, and what every recipe needs."""
    needed = {"loss": "cross_entropy", "optimizer": "sgd lr=0.1", "batch": "4", "epochs": "2"}
    lines = []
    for name, text in (needed | directives).items():
        lines += [f"    {name} {line}" for line in text.splitlines()]
    return "train {\n" + "\n".join(lines) + "\n}\n"


def small(rows: str = ROWS, **directives: str) -> Net:
    """A small net with a recipe; a directive may have several lines."""
    return netspec.loads(f"{HEADER}{rows}\n{recipe(**directives)}")


def batch(
    count: int = 5, *, size: tuple[int, ...] = (2, 6, 6), classes: int = 3
) -> tuple[Tensor, Tensor]:
    """Images and labels."""
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(count, *size, generator=generator)
    return images, torch.randint(classes, (count,), generator=generator)
