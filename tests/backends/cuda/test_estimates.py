"""Choices without a measurement, on a GPU that is elsewhere."""

from __future__ import annotations

import pytest
import torch

import netspec
from netspec.backends.cuda import CudaBackend, estimates
from netspec.backends.cuda.conv import geometry
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.ir.fused.fc_relu import FullyConnectedRelu
from netspec.ir.ops.conv import Conv
from netspec.ir.shapes import Kernel, Shape
from netspec.lowering.implementation import Problem
from netspec.lowering.lowered import lowered

BF16 = torch.bfloat16


def conv(side: int, channels: int, count: int, kernel: int, batch: int) -> Problem:
    pad = (kernel // 2,) * 4
    op = ConvRelu(kernel=Kernel(kernel, kernel), count=count, pad=pad)
    return Problem(op, (Shape((side, side, channels)),), BF16, batch)


def fc(terms: int, count: int, batch: int) -> Problem:
    return Problem(FullyConnectedRelu(count=count), (Shape((terms,)),), BF16, batch)


def preferred(problem: Problem, device: str = "meta") -> str:
    first, *_ = CudaBackend(device).implementations(problem)
    return first.name


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (conv(56, 128, 256, 3, 32), "cudnn"),  # VGG16: the pipeline is filled again at every tap
        (conv(56, 128, 256, 3, 256), "cudnn"),
        (conv(224, 3, 64, 3, 32), "triton"),  # where cuDNN is assumed to reach 12 % of the peak
        (conv(14, 512, 128, 1, 1), "triton"),  # GoogLeNet: a second launch costs more
        (fc(9216, 4096, 1), "triton"),  # AlexNet: bound by the bandwidth
        (fc(9216, 4096, 32), "blas"),
        (fc(9216, 4096, 256), "blas"),
    ],
)
def test_the_least_estimate_is_preferred(problem: Problem, name: str) -> None:
    assert preferred(problem) == name


def test_without_estimates_netspecs_kernels_are_preferred() -> None:
    problem = conv(56, 128, 256, 3, 32)
    float32 = Problem(problem.op, problem.inputs, torch.float32, 32)
    assert preferred(float32) == preferred(Problem(problem.op, problem.inputs, torch.float64, 2))
    assert preferred(float32) == "triton"
    float16 = Problem(problem.op, problem.inputs, torch.float16, 32)
    assert preferred(float16, "cpu") == "triton"  # Triton's interpreter


@pytest.mark.parametrize("batch", [32, 256])
@pytest.mark.parametrize("name", ["alexnet", "vgg16_3", "googlenet"])
def test_convolutions_of_whole_nets_are_not_estimated_slower_than_cudnns(
    name: str, batch: int
) -> None:
    """So a net that was not measured should not be slower than one that takes cuDNN for all."""
    net = lowered(netspec.load(name).graph, CudaBackend("meta"), dtype=BF16, batch=batch)
    chosen = ours = cudnn = 0.0
    for stage, problem in net.problems.items():
        if isinstance(problem.op, Conv):
            windows = geometry(problem.op, problem.inputs, batch)
            times = {
                "triton": estimates.triton_conv(windows),
                "cudnn": estimates.cudnn_conv(windows),
            }
            ours += times["triton"]
            cudnn += times["cudnn"]
            chosen += times[net.choices[stage].implementation]
    assert chosen <= cudnn
    assert ours > 1.2 * cudnn  # what preferring netspec's kernels everywhere would cost
