"""Keras's layers in PyTorch's layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import Damaged
from netspec.pretrained.layers import Layer

NORMS = ("batch_normalization", "layer_normalization", "group_normalization")
ROLES = {
    "conv2d": ("kernel", "bias"),
    "conv2d_transpose": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "p_re_lu": ("alpha",),
}
"""The variables of a layer in the order of Keras, by type; the first two of a norm are optional."""

ALIASES = {
    "convolution2d": "conv2d",
    "atrous_convolution2d": "conv2d",
    "deconvolution2d": "conv2d_transpose",
    "convolution2d_transpose": "conv2d_transpose",
    "separable_convolution2d": "separable_conv2d",
    "separableconvolution2d": "separable_conv2d",
    "sync_batch_normalization": "batch_normalization",
    "batchnormalization": "batch_normalization",
    "prelu": "p_re_lu",
}
"""Other names of types: of Keras 1, in classes and, without ``_``, in names of layers."""

OLD_ROLES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # it is a variance, in spite of its name
    "alphas": "alpha",
}
"""Names of variables in Keras 1."""

_NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "pointwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "alpha": "weight",
}
"""netspec's names of variables, by Keras's."""

THEANO = (
    "its kernels are in the order of Theano, in which they are also flipped",
    "load it in Keras with the backend tensorflow, which converts them, and save it again",
)


@dataclass(frozen=True)
class Variables:
    """The variables of a layer of Keras.

    Attributes:
        name: of the layer.
        type: a key of :data:`ROLES`, another type, or empty if it is not known.
        path: of the layer in the file.
        position: in the order of execution; None if the file does not say.
        values: by the names of Keras, such as ``kernel`` and ``moving_mean``.
        places: the path of each in the file.
        eps: what a normalisation adds to the variance; None if the file does not say.
    """

    name: str
    type: str
    path: str
    position: int | None
    values: Mapping[str, Tensor]
    places: Mapping[str, str]
    eps: float | None = None


def type_of(name: str) -> str:
    """Return the type in a name that Keras made, such as ``conv2d_12``; empty for other names."""
    stem = re.sub(r"_[0-9]+$", "", name)
    stem = ALIASES.get(stem, stem)
    return stem if stem in ROLES else ""


def layers_of(variables: Variables) -> list[Layer]:
    """Return the layers of PyTorch that compute what a layer of Keras does: one, or two.

    Raises:
        Damaged: kernels are in the order of Theano, or do not fit their biases.
    """
    values = variables.values
    kind = ALIASES.get(variables.type, variables.type) or _guessed(values)
    roles, sizes = {*values}, {role: value.dim() for role, value in values.items()}
    bias = {role: value for role, value in values.items() if role == "bias"}
    if not all(value.is_floating_point() for value in values.values()):
        return [_layer(variables, "other", values)]  # a layer that was quantised
    match kind:
        case "dense" if roles - {"bias"} == {"kernel"} and sizes["kernel"] == 2:
            return [_layer(variables, "fc", {"kernel": values["kernel"].t(), **bias})]
        case "conv2d" if roles - {"bias"} == {"kernel"} and sizes["kernel"] == 4:
            _require_order(variables, values["kernel"].shape[3])
            kernel = values["kernel"].permute(3, 2, 0, 1)
            return [_layer(variables, "conv", {"kernel": kernel, **bias})]
        case "conv2d_transpose" if roles - {"bias"} == {"kernel"} and sizes["kernel"] == 4:
            _require_order(variables, values["kernel"].shape[2])
            kernel = values["kernel"].permute(3, 2, 0, 1)
            return [_layer(variables, "deconv", {"kernel": kernel, **bias})]
        case "depthwise_conv2d" if roles - {"bias"} in ({"kernel"}, {"depthwise_kernel"}):
            (role,) = roles - {"bias"}
            if sizes[role] == 4:
                _require_order(variables, values[role].shape[2] * values[role].shape[3])
                return [_layer(variables, "conv", {role: _depthwise(values[role]), **bias})]
        case "separable_conv2d" if roles - {"bias"} == {"depthwise_kernel", "pointwise_kernel"}:
            first, second = values["depthwise_kernel"], values["pointwise_kernel"]
            if first.dim() == second.dim() == 4:
                _require_order(variables, second.shape[3])
                return [
                    _layer(
                        variables, "conv", {"depthwise_kernel": _depthwise(first)}, "/depthwise"
                    ),
                    _layer(
                        variables,
                        "conv",
                        {"pointwise_kernel": second.permute(3, 2, 0, 1), **bias},
                        "/pointwise",
                    ),
                ]
        case _ if kind in NORMS and roles <= {*ROLES[kind]} and {*sizes.values()} == {1}:
            return [_layer(variables, "norm", values)]
        case "p_re_lu" if roles == {"alpha"}:
            return [_layer(variables, "other", {"alpha": _slopes(values["alpha"])})]
    return [_layer(variables, "other", values)]


def scale_or_center(first: Sequence[Tensor], name: str) -> str:
    """Return whether the only trained vectors of norms are their ``gamma`` or their ``beta``.

    A file without names and without configuration does not say.  Initial betas are 0, and trained
    ones are on both sides of it; gammas are hardly ever negative.  So betas can be recognised, and
    gammas cannot: betas may all be positive.

    Args:
        first: the vectors of all norms of one type that have only one.
        name: of one of them, for the message.

    Raises:
        Damaged: it cannot be decided.
    """
    values = torch.cat([value.flatten().float() for value in first])
    if len(values) and (values <= 0).float().mean() >= 0.25:
        return "beta"
    raise Damaged(
        f"it does not say whether the vector of {shown(name)} is its gamma or its beta",
        "save the whole model as a .keras file, which does",
    )


def _layer(
    variables: Variables,
    kind: str,
    values: Mapping[str, Tensor],
    suffix: str = "",
) -> Layer:
    return Layer(
        variables.name + suffix,
        kind,
        {_NAMES.get(role, role): value for role, value in values.items()},
        {_NAMES.get(role, role): variables.places[role] for role in values},
        "hwc",
        variables.eps,
    )


def _guessed(values: Mapping[str, Tensor]) -> str:
    """Return the type of a layer whose class is not known, as far as its variables show it."""
    roles, kernel = {*values} - {"bias"}, values.get("kernel")
    if roles == {"kernel"} and kernel is not None:
        bias = values.get("bias")
        is_transposed = bias is not None and kernel.dim() == 4 and len(bias) != kernel.shape[3]
        if is_transposed and bias is not None and len(bias) == kernel.shape[2]:
            return "conv2d_transpose"
        return {2: "dense", 4: "conv2d"}.get(kernel.dim(), "")
    if roles and roles <= {*ROLES["batch_normalization"]}:
        return "batch_normalization"
    return {
        ("depthwise_kernel",): "depthwise_conv2d",
        ("depthwise_kernel", "pointwise_kernel"): "separable_conv2d",
        ("alpha",): "p_re_lu",
    }.get(tuple(sorted(roles)), "")


def _require_order(variables: Variables, outputs: int) -> None:
    """Raise Damaged if a bias does not have one value per output of a kernel."""
    bias = variables.values.get("bias")
    if bias is None or tuple(bias.shape) == (outputs,):
        return
    kernel = variables.values.get("kernel")
    if kernel is not None and tuple(bias.shape) == kernel.shape[:1]:
        raise Damaged(*THEANO)
    raise Damaged(
        f"it is damaged: the layer {shown(variables.name)} has {outputs} outputs, and a bias "
        f"of the shape {list(bias.shape)}"
    )


def _depthwise(kernel: Tensor) -> Tensor:
    """[h, w, channels, multiplier] => [channels x multiplier, 1, h, w]."""
    height, width, channels, multiplier = kernel.shape
    return kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _slopes(alpha: Tensor) -> Tensor:
    """[1, 1, channels] => [channels]; [h, w, channels] => [channels, h, w]."""
    is_shared = alpha.dim() > 0 and alpha.shape[-1] == alpha.numel()
    return alpha.flatten() if is_shared else alpha.movedim(-1, 0)
