"""Import torchvision without its compiled operators, which need PyTorch with CUDA."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import torch

os.environ["KERAS_BACKEND"] = "torch"


def _define_operators() -> torch.library.Library:
    """Declare the operators that torchvision registers; no model here uses them."""
    package = find_spec("torchvision")
    assert package is not None
    assert package.origin is not None
    text = (Path(package.origin).parent / "_meta_registrations.py").read_text(encoding="utf-8")
    names = re.findall(r'"torchvision::(\w+)"', text) + re.findall(r"def meta_(\w+)", text)
    library = torch.library.Library("torchvision", "DEF")
    for name in dict.fromkeys(names):
        library.define(f"{name}(Tensor x) -> Tensor")
    return library


LIBRARY = _define_operators()
