"""The operators of convolutions; importing this registers them under ``torch.ops.netspec``."""

from netspec.kernels.conv.operators.forward import conv2d, conv2d_out, conv2d_relu, conv2d_relu_out
from netspec.kernels.conv.operators.gradients import conv2d_input_gradient, conv2d_weight_gradient
from netspec.kernels.conv.operators.siblings import (
    conv1x1_siblings,
    conv1x1_siblings_out,
    conv1x1_siblings_relu,
    conv1x1_siblings_relu_out,
)

__all__ = [
    "conv1x1_siblings",
    "conv1x1_siblings_out",
    "conv1x1_siblings_relu",
    "conv1x1_siblings_relu_out",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_out",
    "conv2d_relu",
    "conv2d_relu_out",
    "conv2d_weight_gradient",
]
