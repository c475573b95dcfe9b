"""The engines: a layer computed by netspec's kernels and by PyTorch.

An engine is a function of a layer's operands, channels-last: ``(x, w, b) -> y`` or ``(x) -> y``.
For all engines, gradients are computed by autograd from a y that was computed before the clock
started.

| engine | is |
|---|---|
| ``netspec`` | the operator of :mod:`netspec.kernels` |
| ``bare`` | a convolution alone, by cuDNN: no bias, no ReLU |
| ``eager`` | PyTorch's own functions, one by one, ``cudnn.benchmark`` on |
| ``compile`` | the same under ``torch.compile`` with maximum tuning |
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.layers import FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, WITH_INDEX, Layer, LayerCase
from netspec.timing.timing import Call

Operands = dict[str, Tensor]
Function = Callable[..., Tensor]

DTYPES = {
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "tf32": torch.float32,
}
WANTED = {
    FORWARD: (),
    WITH_INDEX: ("x",),  # PyTorch computes the index only if x requires a gradient
    INPUT_GRADIENT: ("x",),
    WEIGHT_GRADIENT: ("w", "b"),
}


def precision_of(dtype: str) -> str:
    """Return the precision of the kernels: all engines use TF32, or none."""
    return "tf32" if dtype == "tf32" else "ieee"


# ------------------------------------------------------------------------------------------ engines


def netspec(layer: Layer, dtype: str) -> Function:
    """Return netspec's operator.

    It is imported here, so that an import error affects only layers of this kind.
    """
    kernel, stride, padding = list(layer.kernel), list(layer.stride), list(layer.padding)
    precision = precision_of(dtype)
    match layer.kind:
        case "conv":
            from netspec.kernels.conv import operators

            conv = operators.conv2d_relu if layer.relu else operators.conv2d
            steps = (stride, padding, [1, 1], layer.groups, precision)
            return lambda x, w, b: conv(x, w, b, *steps)
        case "fc":
            from netspec.kernels.fc.operators import fc, fc_relu

            product = fc_relu if layer.relu else fc
            return lambda x, w, b: product(x, w, b, precision)
        case "lrn":
            from netspec.kernels.lrn.operators import lrn

            return lambda x: lrn(x, *attributes(layer), layer.groups)
        case "lrn_maxpool":
            from netspec.kernels.lrn.operators import lrn_maxpool

            window = (kernel, stride, padding)
            return lambda x: lrn_maxpool(x, *attributes(layer), layer.groups, *window)
        case "maxpool":
            from netspec.kernels.pool.operators.maxpool import max_pool

            return lambda x: max_pool(x, kernel, stride, padding)
        case "avgpool":
            from netspec.kernels.pool.operators.avgpool import avgpool

            return lambda x: avgpool(x, kernel, stride, padding, [0, 0], False)
        case _:
            from netspec.kernels.pool.operators.gap import gap

            return gap


def eager(layer: Layer, dtype: str) -> Function:
    """Return PyTorch's functions on a channels-last view of the same memory."""
    match layer.kind:
        case "conv":
            convolve = bare(layer, dtype)
            return lambda x, w, b: activated(layer, convolve(x, w, b, bias=b))
        case "fc":
            return lambda x, w, b: activated(layer, F.linear(x, w, b))
        case "lrn":
            return lambda x: nhwc(normalised(layer, nchw(x)))
        case "lrn_maxpool":
            return lambda x: nhwc(pooled(layer, normalised(layer, nchw(x))))
        case "maxpool":
            return lambda x: nhwc(pooled(layer, nchw(x)))
        case "avgpool":
            return lambda x: nhwc(F.avg_pool2d(nchw(x), layer.kernel, layer.stride))
        case _:
            return lambda x: nhwc(F.adaptive_avg_pool2d(nchw(x), 1))


def bare(layer: Layer, dtype: str) -> Function:
    """Return a convolution without bias and ReLU."""
    # Asymmetric padding is added to x before the clock starts: see ``call``.
    padding = layer.padding[::2] if is_symmetric(layer) else (0, 0)

    def convolve(x: Tensor, w: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        y = F.conv2d(nchw(x), nchw(w), bias, layer.stride, padding, groups=layer.groups)
        return nhwc(y)

    return convolve


def compiled(layer: Layer, dtype: str) -> Function:
    """Return the layer under ``mode="max-autotune"`` without PyTorch's own CUDA graph.

    That graph would copy every operand.  The compiler is reset before each layer, because it falls
    back to eager mode without a warning after too many recompilations; ``fullgraph`` makes other
    fallbacks errors.
    """
    import torch._functorch.config

    torch._dynamo.reset()
    torch._functorch.config.donated_buffer = False  # a gradient is taken many times
    mode = "max-autotune-no-cudagraphs"
    return torch.compile(eager(layer, dtype), mode=mode, fullgraph=True, dynamic=False)


MAKERS: dict[str, Callable[[Layer, str], Function]] = {
    "netspec": netspec,
    "bare": bare,
    "eager": eager,
    "compile": compiled,
}


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(y: Tensor) -> Tensor:
    return y.permute(0, 2, 3, 1)


def attributes(layer: Layer) -> tuple[int, float, float, float]:
    assert layer.lrn is not None, layer.label
    return layer.lrn


def activated(layer: Layer, y: Tensor) -> Tensor:
    return F.relu(y) if layer.relu else y


def normalised(layer: Layer, x: Tensor) -> Tensor:
    """Return the LRN of x: PyTorch's LRN does not have groups, and divides alpha by n."""
    n, k, alpha, beta = attributes(layer)
    parts = [F.local_response_norm(p, n, alpha * n, beta, k) for p in x.chunk(layer.groups, 1)]
    return parts[0] if layer.groups == 1 else torch.cat(parts, 1)


def pooled(layer: Layer, x: Tensor) -> Tensor:
    padding, is_ceil = layer.padding[::2], not is_symmetric(layer)
    return F.max_pool2d(x, layer.kernel, layer.stride, padding, ceil_mode=is_ceil)


def is_symmetric(layer: Layer) -> bool:
    return layer.padding[::2] == layer.padding[1::2]


# ----------------------------------------------------------------------------------------- operands


def operands(case: LayerCase, device: str, seed: int) -> Operands:
    """Return x, dy, and w and b if the layer has them, from N(0, 1).

    Weights are scaled such that the result has variance 1.  For gradients b is zero: rounding then
    cannot change the sign of y, on which the mask of ReLU depends.
    """
    layer, dtype = case.layer, DTYPES[case.dtype]
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device=device, dtype=dtype)

    tensors = {"x": normal(case.batch, *layer.size_in)}
    if layer.parameters:
        count, terms = layer.size_out[-1], layer.macs // layer.elements_out
        seen = (*layer.kernel, layer.size_in[-1] // layer.groups)
        size = (count, *seen) if layer.kind == "conv" else (count, terms)
        tensors |= {"w": normal(*size) / sqrt(terms), "b": normal(count)}
        if case.direction != FORWARD:
            tensors["b"].zero_()
    if case.direction in (INPUT_GRADIENT, WEIGHT_GRADIENT):
        tensors["dy"] = normal(case.batch, *layer.size_out)
    return tensors


def call(case: LayerCase, engine: str, function: Function, tensors: Operands) -> Call:
    """Return the call that is timed; it returns its new tensors.

    For gradients, y is computed here, before the clock starts.  PyTorch's convolution has no
    argument for asymmetric padding, so x is padded here too: PyTorch does not pay for it.
    """
    layer = case.layer
    if layer.kind == "conv" and engine != "netspec" and not is_symmetric(layer):
        assert case.direction != INPUT_GRADIENT, "it would be that of the padded x"
        top, bottom, left, right = layer.padding
        tensors = tensors | {"x": F.pad(tensors["x"], (0, 0, left, right, top, bottom))}
    names = WANTED[case.direction]
    leaves = {
        name: tensor.detach().requires_grad_(name in names)
        for name, tensor in tensors.items()
        if name != "dy"
    }
    if case.direction == FORWARD:
        return lambda: _without_gradient(function, leaves)
    if case.direction == WITH_INDEX:
        return lambda: [function(**leaves)]
    y, dy = function(**leaves), tensors["dy"]
    sources = [leaves[name] for name in names]

    def differentiate() -> list[Tensor]:
        gradients = torch.autograd.grad(y, sources, dy, retain_graph=True, allow_unused=True)
        return [gradient for gradient in gradients if gradient is not None]  # "bare" has no b

    return differentiate


def _without_gradient(function: Function, leaves: Operands) -> list[Tensor]:
    with torch.no_grad():
        return [function(**leaves)]


# ---------------------------------------------------------------------------------------- agreement


def exact(case: LayerCase, tensors: Operands) -> list[Tensor]:
    """Return the result in a wider type: float64 for float32, float32 for shorter types."""
    wide = torch.float64 if DTYPES[case.dtype] == torch.float32 else torch.float32
    widened = {name: tensor.to(wide) for name, tensor in tensors.items()}
    function = eager(case.layer, case.dtype)
    return [y.detach() for y in call(case, "eager", function, widened)()]


def deviation(outputs: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest |y - exact| / |exact|, in Euclidean norms of whole tensors."""
    both = zip(outputs, expected, strict=True)
    return max(
        float((y.detach().to(z.dtype) - z).norm() / z.norm().clamp(min=1e-30)) for y, z in both
    )


def allowed(case: LayerCase) -> float:
    """Return the deviation that rounding explains.

    Each rounding to the type has an error of at most eps / 2.  There are two roundings for a sum
    and its bias, and six in LRN (square, window, alpha, k, power, quotient).  A float32 sum of K
    terms with random signs adds about sqrt(K) eps, and TF32 adds 2^-10; call this sum s.  Where
    ReLU masks a gradient, a value closer to zero than s may have either sign.  Of N(0, 1) that is a
    share of 0.8 s; relative to the half that passes it is 1.6 s, and in norm its root.  The tests
    of the kernels check single elements.
    """
    layer = case.layer
    outputs = max(1, min(case.batch * layer.elements_out, layer.parameters))
    summed = sqrt(case.batch * layer.macs / outputs) * torch.finfo(torch.float32).eps
    summed += 2.0**-10 if case.dtype == "tf32" else 0.0
    is_masked = layer.relu and case.direction != FORWARD
    rounded = (6 if layer.lrn else 2) / 2 * torch.finfo(DTYPES[case.dtype]).eps
    return rounded + summed + (sqrt(1.6 * summed) if is_masked else 0)
