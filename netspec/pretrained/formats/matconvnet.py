"""MatConvNet's ``.mat`` files: nets of both of its classes, SimpleNN and DagNN.

Filters are [h, w, in/groups, out] there and become [out, in/groups, h, w].  A fully connected layer
is a convolution whose kernel has the size of its map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.files.members import shown
from netspec.pretrained.formats.common import Damaged, opened_plain, reading
from netspec.pretrained.formats.matlab import variables
from netspec.pretrained.layers import Layer, Weights

KINDS = {
    "conv": "conv",
    "dagnn.Conv": "conv",
    "convt": "deconv",
    "dagnn.ConvTranspose": "deconv",
    "bnorm": "norm",
    "dagnn.BatchNorm": "norm",
}
"""Kinds of layers by their types in MatConvNet."""

ENDINGS = (
    (("_filter", "_bias"), "conv"),
    (("f", "b"), "conv"),
    (("_mult", "_bias", "_moments"), "norm"),
)
"""Endings of the names of the parameters of a DagNN whose file does not list its layers."""

EPSILON = 1e-5
"""The default of layers that normalise, in vl_simplenn_tidy.m and +dagnn/BatchNorm.m.  (That of the
function vl_nnbnorm, 1e-4, is not used: both pass theirs.)"""


def read(path: Path) -> Weights:
    """Return the layers of a ``.mat`` file.

    Raises:
        DataError: the file cannot be read, is damaged, or does not contain a net.
    """
    with reading(path), opened_plain(path) as (file, size):
        content = variables(file, size)
        net = _struct(content.get("net")) or content
        if net.get("params"):
            layers = list(_of_dagnn(net.get("layers"), net["params"]))
        else:
            layers = list(_of_simplenn(net.get("layers")))
        if not layers:
            raise Damaged("it does not contain a net of MatConvNet")
        names = [layer.name for layer in layers]
        if len({*names}) != len(names):
            raise Damaged("two of its layers have the same name")
        mean = _mean(_struct(net.get("meta")) or net)
        facts = {"averageImage": mean} if mean else {}
    is_chain = not net.get("params")
    return Weights(path, "matconvnet", tuple(layers), is_ordered=is_chain, facts=facts)


# ------------------------------------------------------------------------------------------- nets


def _of_simplenn(layers: Any) -> Iterator[Layer]:
    """Yield the layers of a SimpleNN, which are in the order of execution."""
    for number, layer in enumerate(map(_struct, _each(layers))):
        values = _each(layer.get("weights"))
        if not values:  # of the versions of 2014
            values = [layer.get("filters"), layer.get("biases")]
        values = [value for value in values if value is not None and np.size(value)]
        if values:
            name = _text(layer.get("name")) or f"layer{number + 1}"
            kind = KINDS.get(_text(layer.get("type")), "other")
            roles = [f"{name}.weights{{{n + 1}}}" for n in range(len(values))]
            yield _layer(name, kind, values, roles, layer)


def _of_dagnn(layers: Any, params: Any) -> Iterator[Layer]:
    """Yield the layers of a DagNN in the order of the file, which need not be that of execution."""
    parameters = list(map(_struct, _each(params)))
    values = {_text(one.get("name")): one.get("value") for one in parameters}
    if not layers:
        yield from _by_endings(values)
        return
    for layer in map(_struct, _each(layers)):
        names = [_text(name) for name in _each(layer.get("params"))]
        missing = [name for name in names if name not in values]
        if missing:
            raise Damaged(f"it is damaged or incomplete: {shown(missing[0])} is missing")
        if names:
            kind = KINDS.get(_text(layer.get("type")), "other")
            parts, block = [values[name] for name in names], _struct(layer.get("block"))
            yield _layer(_text(layer.get("name")), kind, parts, names, block)


def _by_endings(values: dict[str, Any]) -> Iterator[Layer]:
    used = set[str]()
    for first in values:
        for endings, kind in ENDINGS:
            layer = first.removesuffix(endings[0])
            names = [name for end in endings if (name := f"{layer}{end}") in values]
            if first.endswith(endings[0]) and layer and not used & {*names}:
                used |= {*names}
                yield _layer(layer, kind, [values[name] for name in names], names, {})
                break


# ------------------------------------------------------------------------------------------ layers


def _layer(
    name: str,
    kind: str,
    values: Sequence[Any],
    names: Sequence[str],
    settings: Mapping[str, Any],
) -> Layer:
    arrays = [_numbers(name, value) for value in values]
    if kind == "norm" and len(arrays) == 3:
        epsilon = _number(settings.get("epsilon"), EPSILON)
        return _norm(name, arrays, names, epsilon)
    if kind in ("conv", "deconv") and len(arrays) <= 2 and arrays[0].ndim <= 4:
        tensors = {"weight": _kernel(arrays[0])}
        outputs = tensors["weight"].shape[0 if kind == "conv" else 1]
        if len(arrays) == 2 and arrays[1].size:
            tensors["bias"] = torch.from_numpy(arrays[1].reshape(-1))
        if kind == "conv" and "bias" in tensors and len(tensors["bias"]) != outputs:
            raise Damaged(
                f"it is damaged: the layer {shown(name)} has {outputs} filters and "
                f"{len(tensors['bias'])} biases"
            )
        return Layer(name, kind, tensors, dict(zip(tensors, names, strict=False)))
    others = {str(number): torch.from_numpy(array) for number, array in enumerate(arrays)}
    return Layer(name, "other", others, dict(zip(others, names, strict=True)))


def _norm(name: str, arrays: Sequence[NDArray[Any]], names: Sequence[str], epsilon: float) -> Layer:
    """Return a batch normalisation.

    Its moments are [channels, 2]: mean, and sqrt(variance + epsilon), as vl_nnbnorm.m says.
    """
    scale, shift, moments = arrays
    if moments.shape != (scale.size, 2) or shift.size != scale.size:
        raise Damaged(f"it is damaged: the moments of {shown(name)} are {list(moments.shape)}")
    variance = np.maximum(moments[:, 1].astype(np.float64) ** 2 - epsilon, 0)
    tensors = {
        "weight": torch.from_numpy(scale.reshape(-1)),
        "bias": torch.from_numpy(shift.reshape(-1)),
        "running_mean": torch.from_numpy(moments[:, 0].copy()),
        "running_var": torch.from_numpy(variance.astype(moments.dtype)),
    }
    places = dict(zip(tensors, (*names, names[2]), strict=True))
    return Layer(name, "norm", tensors, places, eps=epsilon)


def _kernel(filters: NDArray[Any]) -> Tensor:
    """[h, w, in/groups, out] => [out, in/groups, h, w]; MATLAB drops last sizes of 1."""
    sizes = (*filters.shape, *[1] * (4 - filters.ndim))
    return torch.from_numpy(filters.reshape(sizes, order="F")).permute(3, 2, 0, 1)


# ------------------------------------------------------------------------------------------ values


def _each(value: Any) -> list[Any]:
    """Return the elements of a cell array or a struct array."""
    return value if isinstance(value, list) else []


def _struct(value: Any) -> Mapping[str, Any]:
    """Return a struct, which is an array of one element; an empty one for another value."""
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any, default: float) -> float:
    return float(value.flat[0]) if isinstance(value, np.ndarray) and value.size else default


def _numbers(layer: str, value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise Damaged(f"it is damaged: a parameter of {shown(layer)} does not contain numbers")
    return value


def _mean(meta: Mapping[str, Any]) -> str:
    """Return the mean of images, in RGB, that a net has in its ``meta.normalization``."""
    values = _struct(meta.get("normalization")).get("averageImage")
    if not isinstance(values, np.ndarray) or not values.size:
        return ""
    if values.ndim == 3:  # an image [h, w, channels]; else one value per channel
        values = values.mean(axis=(0, 1))
    return " ".join(f"{value:g}" for value in values.flat[:4])
