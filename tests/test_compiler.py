from __future__ import annotations

import pytest
import torch

import netspec
from netspec.errors import DataError


def test_compiling_refuses_what_there_is_not() -> None:
    for device in ("meta", "sm_70", "toaster"):
        with pytest.raises(
            DataError, match=f"no backend for {device}: the backends are cpu, cuda, sm_80"
        ):
            netspec.compile("lenet5", device=device)
    with pytest.raises(ValueError, match=r"dtype must be one of float32, .*, not 'int32'"):
        netspec.compile("lenet5", dtype=torch.int32)
    with pytest.raises(DataError, match="C9"):
        netspec.compile("lenet5", choices={"C9": "torch"})
    assert netspec.compile("lenet5", device="cpu:0").device == torch.device("cpu")
