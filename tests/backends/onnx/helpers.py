"""What the tests of exports share: a net for each operator, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

import netspec
from netspec import Net
from netspec.ir.ops import OPERATORS
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple, tolerance
from tests.ir.ops.helpers import HEADER, example_rows, images

CASES = {name: example_rows(kind) for name, kind in OPERATORS.items()} | {
    "add, of rows": "a: conv 1x1, 4\nb from image: conv 1x1, 4\nc from a, b, a: add",
    "adaptive_avgpool, of equal windows": "a: adaptive_avgpool 3x2",
    "adaptive_avgpool, larger than the map": "a: conv 1x1, 6 | adaptive_avgpool 12x3",
    "avgpool, padding not counted": "a: avgpool 3x2/2, pad=(1, 0, 0, 1), count_pad=off",
    "avgpool, overhang": (
        "a: conv 1x1, 6 | avgpool 3x3/2, pad=(1, 2, 0, 1), count_pad=on, round=ceil"
    ),
    "avgpool, dilation": "a: avgpool 3x2, dilation=2x3",
    "avgpool, dilation and padding": (
        "a: avgpool 3x2/2, dilation=2x3, pad=(1, 2, 0, 1), count_pad=on, round=ceil"
    ),
    "avgpool, dilation and padding not counted": (
        "a: avgpool 3x2, dilation=2, pad=2, count_pad=off"
    ),
    "bn of a vector": "a: fc 5 | bn eps=1e-3",
    "concat, of rows": "a: conv 1x1, 4\nb from a, image: concat",
    "concat of vectors": "a: fc 4\nb from image: fc 3\nc from a, b: concat",
    "conv, asymmetric padding": "a: conv 3x3, 4, pad=(2, 0, 1, 0), bias=off",
    "conv, overhang": "a: conv 3x3/2, 4, pad=(0, 0, 1, 0), round=ceil",
    "conv, dilation and groups": "a: conv 3x3, 4, dilation=2x1, groups=2",
    "conv, connection table": (
        "connect who {\nX..\n.X.\nX.X\n..X\nXX.\n.X.\n}\na: conv 3x3, 3, connect=who"
    ),
    "deconv, dilation": "a: deconv 3x2/2, 4, dilation=2x3, pad=(1, 0, 0, 2), output_pad=1",
    "deconv, groups": "a: deconv 3x2/2, 4, pad=(1, 0, 0, 2), groups=2",
    "deconv, without bias": "a: deconv 4x4/2, 4, pad=1, bias=off",
    "deconv, stride above the kernel": "a: deconv 2x1, 4, stride=3x2, output_pad=2x1",
    "dropout, between layers": "a: conv 1x1, 4 | dropout 0.5 | fc 3",
    "dropout, scaled at test time": "a: conv 1x1, 4 | dropout 0.4, scale=test | fc 3",
    "fc, without bias": "a: fc 5 | fc 3, bias=off",
    "gelu, by tanh": "a: gelu form=tanh",
    "gn of a vector": "a: fc 6 | gn 3, eps=1e-3",
    "identity, before others": "a: identity | relu",
    "lcn, of a convolution": "a: conv 1x1, 6 | lcn 5x3, sigma=1.5",
    "lcn, window larger than the map": "a: conv 1x1, 6 | lcn 25x21, sigma=6",
    "local, dilation and groups": "a: local 3x3, 4, dilation=2x1, groups=2, bias=off",
    "ln of a vector": "a: fc 5 | ln eps=1e-3",
    "lrn, window larger than the channels": "a: lrn 15, k=1, alpha=0.1, beta=0.5",
    "lrn, groups": "a: lrn 3, k=1, alpha=0.3, beta=0.75, groups=2",
    "lrn_within, window larger than the map": "a: lrn_within 25, alpha=0.1, k=2, beta=0.5",
    "maxpool, dilation": "a: maxpool 3x2/2, dilation=2x3, pad=(1, 0, 1, 0), round=ceil",
    "maxpool, dilation and more padding than taps": "a: maxpool 2x3, dilation=4x1, pad=2x0",
    "maxpool, overhang": "a: maxpool 3x3/2, pad=(1, 0, 1, 0), round=ceil",
    "mul, of rows": "a: conv 1x1, 6\nb from image: gap\nc from b, a, image: mul",
    "prelu, shared": "a: prelu shared=on",
    "prelu of a vector": "a: fc 5 | prelu",
    "softmax of a vector": "a: flatten | softmax",
    "subsample, sum": "a: subsample 2x2, by=sum, round=ceil",
    "tanh, plain": "a: tanh",
    "upsample, align_corners": "a: upsample 3x2, by=bilinear, align_corners=on",
    "upsample, nearest": "a: upsample 3x2, by=nearest",
    "tanh, behind a convolution": "a: conv 1x1, 6 | tanh scale=1.7159, slope=2/3",
}
"""Rows for each operator, its example and what ONNX says in another way."""


def compiled(net: Net | str, dtype: torch.dtype = torch.float32) -> Model:
    """A model in which biases and statistics are not what they are in a fresh one."""
    model = netspec.reference(net, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            values = torch.empty(tensor.shape, dtype=torch.float64)
            if name.endswith(("bias", "running_mean")):
                tensor.copy_(values.normal_(0, 0.5, generator=generator))
            elif name.endswith(("running_var", "coefficient")):
                tensor.copy_(values.uniform_(0.5, 1.5, generator=generator))
    return model


def example(rows: str, dtype: torch.dtype = torch.float32) -> Model:
    return compiled(netspec.loads(HEADER + rows, "example.net"), dtype)


def images_for(model: Model, batch: int) -> list[Tensor]:
    """Values from N(0, 1) for each input."""
    graph = model.net.graph
    return [images(graph.stage(name).known_shape, batch).float() for name in graph.inputs]


def run(content: bytes, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of an ONNX model in ONNX Runtime."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    outputs = session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})
    return [torch.from_numpy(np.asarray(output)) for output in outputs]


def assert_exact(model: Model, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
    """The outputs are those of the model in float64, up to the rounding of float32."""
    twin = Model(model.net, {name: t.double() for name, t in model.state_dict().items()})
    with torch.no_grad():
        wanted = as_tuple(twin(*(x.double() for x in inputs)))
    allowed = tolerance(model.net, torch.float32)
    for y, z in zip(outputs, wanted, strict=True):
        assert y.shape == z.shape
        assert (y.double() - z).norm() <= allowed * z.norm()


def kinds(content: bytes) -> list[str]:
    """The operators of an ONNX model, one a node."""
    return [node.op_type for node in onnx.load_from_string(content).graph.node]
