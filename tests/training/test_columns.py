"""Columns on real processes: loss and gradients are those of one process, and so is a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import netspec
from netspec import Net, load, loads
from netspec.backends.reference import Model, lower
from netspec.randomness import masks
from netspec.training.columns import Spread
from netspec.training.loss import loss
from netspec.training.parallel import Ranks
from tests.passes.helpers import furnished
from tests.training.ranks import together
