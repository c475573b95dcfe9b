"""Damaged files of all formats: each is read, or refused with a message."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from netspec import DataError
from netspec.pretrained.formats import read
from tests.pretrained.formats import test_caffe as caffe
from tests.pretrained.formats import test_keras as keras
from tests.pretrained.formats import test_matconvnet as matconvnet


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict())


def pytorch(folder: Path) -> Path:
    torch.save({"epoch": 1, "model": state()}, folder / "a.pth")
    return folder / "a.pth"


def old_pytorch(folder: Path) -> Path:
    torch.save(state(), folder / "a.pth", _use_new_zipfile_serialization=False)
    return folder / "a.pth"


def safetensors(folder: Path) -> Path:
    save_file(state(), folder / "a.safetensors")
    return folder / "a.safetensors"


def onnx(folder: Path) -> Path:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["y"], name="/conv/Conv"),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "conv.weight")
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [image], [output], [weight])
    (folder / "a.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    return folder / "a.onnx"


def caffemodel(folder: Path) -> Path:
    weight, bias = caffe.blob(caffe.random(4, 3, 3, 3)), caffe.blob(caffe.random(4))
    conv = caffe.layer("conv1", "Convolution", weight, bias, bottom=["data"], top=["c"])
    norms = caffe.norm("bn", "c", "bn"), caffe.scale("sc", "bn", "sc")
    return caffe.wrote(folder, caffe.NET, conv, *norms)


def old_caffemodel(folder: Path) -> Path:
    weight, bias = caffe.old_blob(caffe.random(4, 3, 3, 3)), caffe.old_blob(caffe.random(4))
    return caffe.wrote(folder, caffe.NET, caffe.old_layer("conv1", 4, weight, bias))


def h5(folder: Path) -> Path:
    values = {"conv/kernel:0": keras.random(3, 3, 3, 4), "conv/bias:0": keras.random(4)}
    return keras.h5(folder, {"conv": values}, keras_version="2.2.4")


def weights_h5(folder: Path) -> Path:
    return keras.weights_h5(folder, {"conv2d": [keras.random(3, 3, 3, 4), keras.random(4)]})


def mat(folder: Path, *, compressed: bool = True) -> Path:
    weights = matconvnet.cell(matconvnet.random(3, 3, 3, 4), matconvnet.random(1, 4))
    conv = {"type": "conv", "name": "conv1", "weights": weights}
    return matconvnet.simplenn(folder / "a.mat", conv, {"type": "relu"}, compressed=compressed)


def plain_mat(folder: Path) -> Path:
    return mat(folder, compressed=False)


def damaged(content: bytes, number: int) -> bytes:
    """A file that is cut, or has some other bits, another number, or bytes more or less."""
    choice, changed = random.Random(number), bytearray(content)
    at = choice.randrange(len(content))
    match choice.choices(["cut", "bits", "number", "more", "less"], [1, 5, 3, 1, 1])[0]:
        case "cut":
            del changed[at:]
        case "bits":
            for _ in range(choice.choice([1, 1, 2, 8])):
                changed[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
        case "number":
            size = choice.choice([1, 2, 4, 8])
            value = choice.choice([0, 1, 2**28, 2**34, 2 ** (8 * size - 1), -1, len(content)])
            replaced = (value % 2 ** (8 * size)).to_bytes(size, "little")
            changed[at : at + size] = choice.choice([replaced, replaced[::-1]])
        case "more":
            changed[at:at] = content[at // 2 : at // 2 + 64]
        case "less":
            del changed[at : at + choice.randrange(1, 32)]
    return bytes(changed)


@pytest.mark.parametrize(
    "count",
    [pytest.param(range(120), id="120"), pytest.param(range(120, 5000), marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    "write",
    [
        pytorch, old_pytorch, safetensors, onnx, caffemodel, old_caffemodel, h5, weights_h5, mat,
        plain_mat,
    ],
)  # fmt: skip
def test_a_damaged_file_is_read_or_refused(
    write: Callable[[Path], Path], count: range, tmp_path: Path
) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    assert read(path).layers
    refused = 0
    for number in count:
        path.write_bytes(damaged(content, number))
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert str(error).isprintable(), (number, str(error))
            assert str(path) in str(error), (number, str(error))
            assert "invalid argument" not in str(error), number  # what a seek to nowhere says
    assert refused > len(count) / 8
