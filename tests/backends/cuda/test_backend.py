from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netspec
from netspec.backends.cuda import CudaBackend
from netspec.compiler import backend_of
from netspec.errors import DataError
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.shapes import Kernel, Shape
from netspec.lowering.implementation import Problem
from netspec.runtime.verification import random_images, verify
from tests.backends.cuda.helpers import MAP, ON_GPU, load_rows

without_gpu = pytest.mark.skipif(ON_GPU, reason="there is a GPU")


@without_gpu
def test_without_a_gpu_the_interpreter_has_to_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_of(torch.device("cuda"))
    assert (backend.name, backend.device) == ("cuda", "cpu")
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(DataError, match="there is no NVIDIA GPU: compile for cpu, or set TRITON_I"):
        backend_of(torch.device("cuda"))


def test_without_triton_there_is_a_sentence_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspec.compiler.find_spec", lambda name: None)
    with pytest.raises(DataError, match="need Triton"):
        backend_of(torch.device("cuda"))


def test_other_devices_are_refused() -> None:
    with pytest.raises(DataError, match="for xpu: the backends are cpu, cuda, sm_80, sm_90"):
        backend_of(torch.device("xpu"))


def test_a_precision_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ValueError, match="ieee, tf32"):
        CudaBackend("cpu", precision="bf16x3")


def test_tf32_is_used_when_asked_for_and_else_not() -> None:
    op = ConvRelu(kernel=Kernel(3, 3), count=64, bias=False)
    problem = Problem(op, (Shape((16, 16, 64)),), torch.float32, 1)
    tiles = {
        precision: {
            implementation.name
            for implementation in CudaBackend("meta", precision).implementations(problem)
        }
        for precision in ("ieee", "tf32")
    }
    assert tiles["ieee"] != tiles["tf32"]
    parameters = {"weight": torch.empty(64, 64, 3, 3, device="meta")}
    for precision in ("ieee", "tf32"):
        (implementation, *_) = CudaBackend("meta", precision).implementations(problem)
        x, y = torch.empty(1, 16, 16, 64, device="meta"), torch.empty(1, 14, 14, 64, device="meta")
        packed = implementation.pack(problem, parameters)
        launch, *_ = implementation.bind(problem, packed, [x], [y])
        assert launch.arguments["PRECISION"] == precision  # type: ignore[attr-defined]


@without_gpu
def test_measured_choices_are_kept_and_run(measurements: Path) -> None:
    net = load_rows("a: conv 1x1, 4 | relu\nb: fc 3", MAP)
    model = netspec.compile(net, device="cuda", dtype=torch.float32, measured=True)
    choice = model.lowered.choices["b"]
    assert choice.origin == "measured"
    assert all(seconds is not None and seconds > 0 for seconds in choice.candidates.values())
    fastest = min(choice.candidates, key=lambda name: choice.candidates[name] or 0)
    assert choice.implementation == fastest
    assert len(list(measurements.iterdir())) == 1
    again = netspec.compile(net, device="cuda", dtype=torch.float32, measured=True)
    assert again.lowered.choices == model.lowered.choices
    assert verify(model, random_images(net)).passed


def test_choices_can_be_given() -> None:
    net = load_rows("a: conv 3x3, 4 | relu", MAP)
    model = netspec.compile(net, device="cuda", choices={"a.relu": "aten"})
    assert [step.implementation for step in model.lowered.plan.steps] == ["aten"]
    with pytest.raises(
        DataError, match="cannot be computed by 'cublas': choose one of triton, aten"
    ):
        netspec.compile(net, device="cuda", choices={"a.relu": "cublas"})
