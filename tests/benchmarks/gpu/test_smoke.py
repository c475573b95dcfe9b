"""The smoke test finds what is wrong with a kernel; here it runs in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.gpu import smoke
from benchmarks.gpu.cases import ROWS, Case, cases
from benchmarks.gpu.journal import FOLDER, STAGE, Journal
from netspec.backends.cuda.conv import AtenConv
from netspec.kernels.launch import Launch
from netspec.kernels.shipped import FAMILIES, launches
from tests.kernels.helpers import ON_GPU
from tests.kernels.interpreter import remember_builtins

DEVICE = "cuda" if ON_GPU else "cpu"
CONV = Case("implicit", "5x4x6", "conv 3x3, 7, pad=1 | relu", 2, "fp32", "aten")
QUICK = (
    Case("implicit", "5x4x6", "conv 3x3, 7, pad=1 | relu", 2, "fp16", "implicit-64x32x64-4w4s"),
    Case("packed", "9x8x3", "conv 5x5, 4, stride=2", 1, "fp32", "triton"),
    Case("pointwise", "3x4x8", "conv 1x1, 5", 2, "tf32", "triton"),
    Case("input_gradient", "5x4x6", "conv 3x3, 7, pad=1 | relu", 1, "fp16", "gradient"),
    Case("fc", "2x2x8", "fc 9 | relu", 2, "fp16", "triton"),
    Case("lrn", "3x3x9", "lrn 5", 2, "fp16", "triton"),
    Case("lrn", "3x2x9", "lrn 3, beta=0.5", 1, "fp32", "gradient"),
    Case("lrn_maxpool", "5x5x9", "lrn 5 | maxpool 3x3/2", 1, "fp32", "triton"),
    Case("maxpool", "5x4x9", "maxpool 3x3/2, round=ceil", 2, "fp16", "triton"),
    Case("maxpool", "5x4x9", "maxpool 3x3/2 | relu", 1, "fp16", "gradient"),
    Case("avgpool", "4x4x9", "avgpool 3x3/1, pad=1, count_pad=off", 2, "fp16", "triton"),
    Case("avgpool", "3x3x9", "gap", 2, "fp16", "gradient"),
    Case("subsample", "4x4x3", "subsample 2x2/2, by=mean", 2, "fp32", "gradient"),
)

remember_builtins()


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.family} {case.way}")
def test_right_kernels_are_right(case: Case) -> None:
    result = smoke.checked(case, DEVICE)
    assert result.keys() == {"off"}, result
    assert 0 <= result["off"] <= 1


def spoiling(spoil: Callable[[Tensor], object]) -> Callable[..., Sequence[Callable[[], object]]]:
    """Return a ``bind`` of PyTorch's convolution whose result is then spoiled."""
    bind = AtenConv.bind

    def spoiled(self: AtenConv, *how: Any) -> list[Callable[[], object]]:
        return [*bind(self, *how), lambda: spoil(how[-1][0])]

    return spoiled


TURN = iter(range(10))

SPOILED = {
    "an element that is not written": (lambda y: y[0, 0, 0, :1].fill_(torch.nan), "inf times"),
    "an element that is a little off": (lambda y: y[1, 2, 3, 4:5].add_(1e-3), "times the allowed"),
    "a result that moves": (lambda y: y[0, 0, 0, 0].add_(1e-9 + next(TURN)), "two runs differ"),
    "memory that was not written": (
        lambda y: y[1, 2, 3, 4:5].add_(torch.empty(1) * 0),
        "inf times",
    ),
    "a write past the end": (
        lambda y: y.as_strided((1,), (1,), y.storage_offset() + y.shape[3]).fill_(0),
        "written outside",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_wrong_kernel_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil, said = SPOILED[name]
    monkeypatch.setattr(AtenConv, "bind", spoiling(spoil))
    assert said in smoke.checked(CONV, DEVICE)["wrong"]


def test_a_gradient_that_reads_memory_that_was_not_written_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = next(case for case in QUICK if case.way == "gradient")
    meaning = smoke.meaning

    def wrong(*how: Any) -> Any:
        compute = meaning(*how)
        return lambda inputs, x, **parameters: compute(
            inputs, x + torch.empty(()) * x.sum() * 0, **parameters
        )

    monkeypatch.setattr(smoke, "meaning", wrong)
    assert "inf times the allowed error" in smoke.checked(case, DEVICE)["wrong"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in QUICK if case.way == "gradient")
    meaning = smoke.meaning

    def wrong(*how: Any) -> Any:
        compute = meaning(*how)
        return lambda inputs, x, **parameters: compute(inputs, x * 1.01, **parameters)

    monkeypatch.setattr(smoke, "meaning", wrong)
    assert "times the allowed error" in smoke.checked(case, DEVICE)["wrong"]


def test_an_implementation_that_raises_is_an_error_of_its_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*how: Any) -> None:
        raise RuntimeError("unable to find an engine")

    monkeypatch.setattr(AtenConv, "bind", refuse)
    assert smoke.checked(CONV, DEVICE) == {"error": "RuntimeError: unable to find an engine"}


def test_the_program_appends_each_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv(STAGE, "smoke")
    monkeypatch.setattr("sys.argv", ["smoke", "subsample"])
    monkeypatch.setattr(smoke, "cases", lambda family, kind, device: [
        case._replace(arithmetic=kind) for case in QUICK if case.family == family
    ])  # fmt: skip
    assert smoke.main() == 0
    journal = Journal(tmp_path)
    kinds = [line["kind"] for line in journal.lines("smoke")]
    assert kinds == ["started", "result"] * (4 if ON_GPU else 2)  # types
    assert all(line["off"] <= 1 for line in journal.lines("smoke", "result"))


@pytest.mark.slow
@pytest.mark.parametrize("family", ROWS)
def test_every_case_that_the_interpreter_can_run(family: str) -> None:
    for arithmetic in ("fp16", "fp32"):
        for case in cases(family, arithmetic, DEVICE):
            result = smoke.checked(case, DEVICE)
            assert "wrong" not in result, (case.key, result)


def test_every_shipped_kernel_is_launched_by_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed: launches are only noted."""
    launched: set[str] = set()

    def note(self: Launch) -> None:
        launched.add(self.kernel.__name__)

    monkeypatch.setattr(Launch, "__call__", note)
    for family in FAMILIES:
        for case in cases(family, "fp16", DEVICE):
            if case.size in ("alexnet", "vgg16_3", "googlenet"):
                continue
            smoke.checked(case, DEVICE, is_once=True)
    shipped = {
        launch.kernel.__name__
        for family in FAMILIES
        for _, launch in launches(family, torch.float16)
    }
    assert shipped - launched == set()
