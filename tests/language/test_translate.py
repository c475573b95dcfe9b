"""Calls of PyTorch and Keras, and the stages that compute the same."""

from __future__ import annotations

import pytest

from netspec.language.translate import translated
from tests.helpers import HEADER, load_rows, problems

CALLS = {
    "Conv2d(3, 64, 7, stride=2, padding=3)": "conv 7x7/2, 64, pad=3",
    "Conv2d(3, 64, 7, 2, 3, 1, 1, False)": "conv 7x7/2, 64, pad=3, bias=off",
    "Conv2d(3, 6, kernel_size=(5, 3), stride=(2, 1))": "conv 5x3, 6, stride=2x1",
    "Conv2d(3, 3, 3, dilation=2, groups=3, padding='same')":
        "conv 3x3, 3, pad=same, dilation=2, groups=3",
    "Conv2D(16, 7, padding='same')": "conv 7x7, 16, pad=same",
    "Conv2D(16, (3, 3), 2, 'valid', activation='relu')": "conv 3x3/2, 16 | relu",
    "Conv2D(filters=16, kernel_size=[3, 3], use_bias=False)": "conv 3x3, 16, bias=off",
    "MaxPool2d(3, 2)": "maxpool 3x3/2",
    "MaxPool2d(2)": "maxpool 2x2/2",
    "MaxPool2d((2, 1))": "maxpool 2x1, stride=2x1",
    "MaxPool2d(3, stride=2, padding=1)": "maxpool 3x3/2, pad=1",
    "MaxPooling2D()": "maxpool 2x2/2",
    "AveragePooling2D(pool_size=(2, 2), strides=None)": "avgpool 2x2/2",
    "Linear(120, 84)": "fc 84",
    "Linear(120, out_features=84, bias=False)": "fc 84, bias=off",
    "Dense(256)": "fc 256",
    "Dense 256, activation=softmax": "fc 256 | softmax",
    "Dropout(0.3)": "dropout 0.3",
    "Dropout()": "dropout 0.5",
    "BatchNorm2d(64)": "bn eps=1e-5",
    "BatchNorm2d(64, eps=1e-3, momentum=0.01)": "bn eps=1e-3",
    "BatchNormalization()": "bn eps=1e-3",
    "GroupNorm(3, 6)": "gn 3, eps=1e-5",
    "MaxPool2d(3, 2, ceil_mode=True)": "maxpool 3x3/2, round=ceil",
    "MaxPool2d(3, 2, 1, 2)": "maxpool 3x3/2, pad=1, dilation=2",
    "AvgPool2d(2)": "avgpool 2x2/2",
    "AvgPool2d(3, 2, 1)": "avgpool 3x3/2, pad=1, count_pad=on",
    "AvgPool2d(3, 1, 1, ceil_mode=True, count_include_pad=False)":
        "avgpool 3x3, pad=1, round=ceil, count_pad=off",
    "AdaptiveAvgPool2d((1, 1))": "gap",
    "AdaptiveAvgPool2d(1)": "gap",
    "AdaptiveAvgPool2d(output_size=(7, 6))": "adaptive_avgpool 7x6",
    "ConvTranspose2d(64, 32, 2, stride=2)": "deconv 2x2/2, 32",
    "ConvTranspose2d(6, 3, 3, 2, 1, 1, 3, False, 2)":
        "deconv 3x3/2, 3, pad=1, dilation=2, output_pad=1, groups=3, bias=off",
    "Conv2DTranspose(32, (2, 2), strides=2, padding='valid')": "deconv 2x2/2, 32",
    "DepthwiseConv2D((3, 3), padding='same', use_bias=False)":
        "conv 3x3, channels, pad=same, groups=channels, bias=off",
    "Upsample(scale_factor=2)": "upsample 2, by=nearest",
    "Upsample(scale_factor=(2, 3), mode='bilinear', align_corners=True)":
        "upsample 2x3, by=bilinear, align_corners=on",
    "Upsample(scale_factor=2, mode='bilinear')": "upsample 2, by=bilinear, align_corners=off",
    "UpSampling2D()": "upsample 2, by=nearest",
    "UpSampling2D((3, 2), interpolation='bilinear')":
        "upsample 3x2, by=bilinear, align_corners=off",
    "ReLU(inplace=True)": "relu",
    "ReLU(True)": "relu",
    "ReLU(6.)": "relu6",
    "ReLU(max_value=6)": "relu6",
    "ReLU6(True)": "relu6",
    "LeakyReLU(0.2, inplace=True)": "leaky_relu slope=0.2",
    "LeakyReLU(negative_slope=0.1)": "leaky_relu slope=0.1",
    "LeakyReLU(alpha=0.3)": "leaky_relu slope=0.3",
    "ELU()": "elu",
    "ELU(alpha=0.5)": "elu alpha=0.5",
    "GELU()": "gelu",
    "GELU(approximate='tanh')": "gelu form=tanh",
    "Hardtanh()": "clip -1, 1",
    "Hardtanh(0, max_val=4)": "clip 0, 4",
    "Hardswish()": "hardswish",
    "Identity()": "identity",
    "Flatten()": "flatten",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_call_keeps_its_values(call: str) -> None:
    assert translated(call) == CALLS[call]
    load_rows(f"a from image: conv 9x9, 6, pad=4\nb: {CALLS[call].replace('groups=3', 'groups=1')}")


@pytest.mark.parametrize(
    "call",
    [
        "Conv2d(3, 64)",  # without a kernel
        "Conv2d(3, 64, 3, padding_mode='reflect')",  # a value that netspec does not have
        "Conv2d(3, 64, 3, 1, 0, 1, 1, True, 'zeros')",
        "Conv2d(*sizes)",
        "Conv2D(16, 3, data_format='channels_first')",
        "Conv2D(16, 3, activation='gelu_new')",
        "MaxPool2d(3, 2, ceil_mode=ceil)",
        "MaxPool2d(3, 2, return_indices=True)",
        "AvgPool2d(3, 2, divisor_override=2)",
        "AdaptiveAvgPool2d((None, 7))",
        "Conv2DTranspose(32, 2, 2, 'same')",  # deconv does not have pad=same
        "DepthwiseConv2D(3, depth_multiplier=2)",
        "Upsample(14)",  # a size
        "Upsample(scale_factor=2, mode='bicubic')",
        "UpSampling2D(2, interpolation='lanczos3')",
        "ReLU(4)",
        "ReLU(negative_slope=0.1)",
        "LeakyReLU()",  # 0.01 in PyTorch, 0.3 in Keras
        "GELU(approximate='sigmoid')",
        "PReLU()",  # one slope in PyTorch, one per value in Keras
        "Hardtanh(low)",
        "Flatten(2)",
        "Linear(120)",
        "Dense(2 + 3)",
        "Dropout(p)",
        "conv2d(3, 64, 7)",  # PyTorch's function takes tensors
        "LSTM(10)",
    ],
)
def test_a_call_with_a_part_that_has_no_counterpart_is_not_translated(call: str) -> None:
    assert translated(call) == ""


def test_the_error_shows_the_stage_with_the_values_of_the_row() -> None:
    rows = ("MaxPool2d(3, 2)", "Dense(256)", "Linear 120, 84", "Dropout(0.3) | relu")
    helps = [problems(f"{HEADER}a: {row}\n")[0].help for row in rows]
    assert helps == [
        "write `maxpool 3x3/2`",
        "write `fc 256`",
        "write `fc 84`",
        "write `dropout 0.3`",
    ]
