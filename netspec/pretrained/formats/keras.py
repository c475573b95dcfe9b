"""Read Keras's files of weights: ``.h5``, ``.weights.h5`` and ``.keras``.

Kernels are [h, w, in, out] there and become [out, in, h, w]; matrices are [in, out] and become
[out, in], for values flattened as height, width, channels.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netspec.files.members import ANYTHING, parsed, shown
from netspec.pretrained.formats.common import (
    ADVICE,
    MOST_OBJECTS,
    Damaged,
    most_content,
    opened_plain,
    reading,
    required,
)
from netspec.pretrained.layers import Layer, Weights

CONFIG, WEIGHTS_FILE = "config.json", "model.weights.h5"

ROLES = {
    "kernel": "weight", "W": "weight", "depthwise_kernel": "weight", "gamma": "weight",
    "alpha": "weight", "bias": "bias", "b": "bias", "beta": "bias",
    "moving_mean": "running_mean", "running_mean": "running_mean",
    "moving_variance": "running_var", "running_std": "running_var",
}  # fmt: skip
"""Our names of parameters by Keras's; those of its first version are among them."""

VARIABLES = {
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "LayerNormalization": ("gamma", "beta"),
    "GroupNormalization": ("gamma", "beta"),
    "PReLU": ("alpha",),
}
"""The variables of a layer in their order in files of Keras 3, which have only numbers."""

Arrays = dict[str, Any]


def read(path: Path) -> Weights:
    """Return the layers of a file of Keras.

    Raises:
        DataError: the file cannot be read or is damaged, or does not say what its values are.
    """
    h5py = required("h5py", "h5py")
    with reading(path, zipfile.BadZipFile, ValueError, KeyError, TypeError, RuntimeError):
        with opened_plain(path) as (file, size):
            if not zipfile.is_zipfile(file):
                with h5py.File(path, "r") as root:
                    return _weights(path, h5py, root, size, {})
            file.seek(0)
            config, content = _members(file, size)
        classes = _classes(parsed(config, f"{CONFIG} in {path}", ANYTHING, ADVICE))
        with h5py.File(io.BytesIO(content), "r") as root:
            return _weights(path, h5py, root, size, classes)


def _members(file: Any, size: int) -> tuple[bytes, bytes]:
    """Return the configuration and the weights in a ``.keras`` file."""
    with zipfile.ZipFile(file) as archive:
        for name in (CONFIG, WEIGHTS_FILE):
            if archive.getinfo(name).file_size > most_content(size):
                raise Damaged(f"{name} in it unpacks to more than a model has")
        return archive.read(CONFIG), archive.read(WEIGHTS_FILE)


def _classes(config: Any) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the class and the configuration of each layer of a model, by name, in order."""
    classes: dict[str, tuple[str, Mapping[str, Any]]] = {}
    models = [config]
    while models:
        inner = models.pop().get("config", {})
        layers = inner.get("layers", []) if isinstance(inner, dict) else inner
        for layer in layers:
            own = layer.get("config", {})
            name = own.get("name") if isinstance(own, dict) else None
            if isinstance(name, str):
                classes[name] = (str(layer.get("class_name")), own)
            if isinstance(own, dict) and "layers" in own:
                models.append(layer)
    return classes


def _weights(
    path: Path,
    h5py: Any,
    root: Any,
    size: int,
    classes: dict[str, tuple[str, Mapping[str, Any]]],
) -> Weights:
    tree = _Tree(h5py, root, size)
    model = tree.group(root, "model_weights") or root
    if _text(root.attrs.get("backend", model.attrs.get("backend", ""))) == "theano":
        raise Damaged("its kernels are flipped, in the order of Theano: save it with TensorFlow")
    if not classes and "model_config" in root.attrs:
        text = _text(root.attrs["model_config"]).encode()
        classes = _classes(parsed(text, f"model_config in {path}", ANYTHING, ADVICE))
    names = _listed(model, "layer_names")
    stored = (
        {name: _by_name(tree, model, name) for name in names}
        if names is not None
        else _by_number(tree, root, classes)
    )
    order = [name for name in classes if name in stored] or [*stored]
    layers = [
        layer
        for name in order
        if stored[name]
        for layer in _layers(name, stored[name], classes.get(name, ("", {}))[0])
    ]
    return Weights(path, "keras", tuple(layers), facts={"producer": "Keras"})


# ------------------------------------------------------------------------------------- two layouts


def _by_name(tree: _Tree, model: Any, layer: str) -> Arrays:
    """Return the variables of a layer by Keras's names, in a file of Keras 1 or 2."""
    group = tree.group(model, layer)
    if group is None:
        raise Damaged(f"the layer {shown(layer)} is missing")
    arrays: Arrays = {}
    for name in _listed(group, "weight_names") or []:
        short = re.sub(r":\d+$", "", name)
        short = re.sub(r"_\d+$", "", short.rpartition("/")[2])
        role = next((r for r in ROLES if short == r), None) or next(
            (r for r in sorted(ROLES, key=len, reverse=True) if short.endswith(f"_{r}")), short
        )
        arrays[role] = tree.array(group, name)
    return arrays


def _by_number(
    tree: _Tree, root: Any, classes: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> dict[str, Arrays]:
    """Return the variables of each layer by Keras's names, in a file of Keras 3."""
    stored: dict[str, Arrays] = {}
    groups = tree.group(root, "layers") or tree.group(root, "_layer_checkpoint_dependencies")
    if groups is None:
        raise Damaged("it is not a file of Keras: it has neither layer_names nor layers")
    for key in sorted(groups, key=_natural):
        group = tree.group(groups, key)
        values = tree.group(group, "vars") if group is not None else None
        if values is None or not len(values):
            continue
        name = _text(values.attrs.get("name", key))
        arrays = [tree.array(values, number) for number in sorted(values, key=_natural)]
        kind, config = classes.get(name, (_class_of(key), {}))
        stored[name] = dict(zip(_variables(name, kind, config, arrays), arrays, strict=False))
    return stored


def _class_of(key: str) -> str:
    """Return the class that a group of layers is named after: ``conv2d_3`` is Conv2D."""
    stem = re.sub(r"_\d+$", "", key)
    names = {
        "depthwise_conv2d": "DepthwiseConv2D", "separable_conv2d": "SeparableConv2D",
        "conv2d_transpose": "Conv2DTranspose", "layer_normalization": "LayerNormalization",
        "group_normalization": "GroupNormalization", "batch_normalization": "BatchNormalization",
        "p_re_lu": "PReLU",
    }  # fmt: skip
    return names.get(stem, "")


def _variables(
    layer: str, kind: str, config: Mapping[str, Any], arrays: Sequence[Any]
) -> Sequence[str]:
    """Return the names of the variables of a layer of Keras 3."""
    if kind in VARIABLES:
        return VARIABLES[kind]
    if kind == "BatchNormalization":
        if len(arrays) == 3 and not config:
            raise Damaged(
                f"the layer {shown(layer)} has a scale or a shift, and the file does not say "
                "which: use the .keras file of the model"
            )
        has_scale, has_shift = config.get("scale", True), config.get("center", True)
        own = ["gamma"] * bool(has_scale) + ["beta"] * bool(has_shift)
        return [*own, "moving_mean", "moving_variance"]
    return ("kernel", "bias")


# ------------------------------------------------------------------------------------------ layers


def _layers(name: str, arrays: Arrays, kind: str) -> Iterator[Layer]:
    """Yield the layers of PyTorch that a layer of Keras is."""
    if "pointwise_kernel" in arrays:
        yield _layer(f"{name}/depthwise", {"depthwise_kernel": arrays["depthwise_kernel"]}, "")
        rest = {"kernel": arrays["pointwise_kernel"]}
        rest |= {"bias": arrays["bias"]} if "bias" in arrays else {}
        yield _layer(f"{name}/pointwise", rest, "")
        return
    yield _layer(name, arrays, kind)


def _layer(name: str, arrays: Arrays, kind: str) -> Layer:
    tensors = {ROLES.get(key, key): torch.from_numpy(array) for key, array in arrays.items()}
    names = {ROLES.get(key, key): f"{name}/{key}" for key in arrays}
    weight = tensors.get("weight")
    if weight is not None and weight.dim() == 4:
        if "depthwise_kernel" in arrays or kind == "DepthwiseConv2D" or _is_depthwise(tensors):
            height, width = weight.shape[:2]
            tensors["weight"] = weight.permute(2, 3, 0, 1).reshape(-1, 1, height, width)
            return Layer(name, "conv", tensors, names)
        tensors["weight"] = weight.permute(3, 2, 0, 1)
        return Layer(name, "deconv" if kind == "Conv2DTranspose" else "conv", tensors, names)
    if weight is not None and weight.dim() == 2 and arrays.keys() & {"kernel", "W"}:
        tensors["weight"] = weight.t()
        return Layer(name, "fc", tensors, names, flattened="hwc")
    if "alpha" in arrays and weight is not None and weight.numel() == weight.shape[-1]:
        tensors["weight"] = weight.flatten()  # slopes that are shared by all places
        return Layer(name, "other", tensors, names)
    is_norm = tensors.keys() <= {"weight", "bias", "running_mean", "running_var"} and all(
        tensor.dim() == 1 for tensor in tensors.values()
    )
    return Layer(name, "norm" if is_norm else "other", tensors, names)


def _is_depthwise(tensors: Mapping[str, Tensor]) -> bool:
    """Return True if the bias of a kernel shows that it is depthwise, as Keras 3 names both."""
    if "bias" not in tensors:
        return False
    channels, each = tensors["weight"].shape[2:]
    return tensors["bias"].numel() == channels * each != each


# -------------------------------------------------------------------------------------------- HDF5


class _Tree:
    """Reads an HDF5 file without following links out of it or trusting claimed sizes.

    Args:
        h5py: the package.
        root: the file.
        size: of the file in bytes.
    """

    def __init__(self, h5py: Any, root: Any, size: int) -> None:
        self._h5py, self._left, self._objects = h5py, most_content(size), 0
        self._root = root

    def group(self, parent: Any, name: str) -> Any:
        """Return a group in a group; None if there is none."""
        found = self._child(parent, name)
        return found if isinstance(found, self._h5py.Group) else None

    def array(self, group: Any, name: str) -> Any:
        """Return the values of a data set."""
        found = self._child(group, name)
        if not isinstance(found, self._h5py.Dataset):
            raise Damaged(f"the values {shown(name)} are missing")
        if found.external or found.is_virtual:
            raise Damaged(f"the values {shown(name)} are in another file")
        if found.dtype.kind not in "fiu" or found.dtype.itemsize > 8 or found.ndim > 8:
            raise Damaged(f"the values {shown(name)} are not numbers")
        self._left -= found.size * max(4, found.dtype.itemsize)
        if self._left < 0:
            raise Damaged("it claims more values than it contains")
        array = np.asarray(found[()])
        return array if array.dtype.kind == "f" else array.astype(np.float64)

    def _child(self, parent: Any, name: str) -> Any:
        node = parent
        for part in filter(None, name.split("/")):
            self._objects += 1
            if self._objects > 20 * MOST_OBJECTS:
                raise Damaged("it has too many objects")
            link = node.get(part, getlink=True) if isinstance(node, self._h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise Damaged(f"{shown(name)} is a link, perhaps to another file")
            node = node[part]
        return node


def _listed(group: Any, attribute: str) -> list[str] | None:
    """Return a list of names in attributes; long lists are in several, with numbers."""
    if attribute in group.attrs:
        return [_text(name) for name in np.ravel(group.attrs[attribute])]
    if f"{attribute}0" not in group.attrs:
        return None
    names: list[str] = []
    for number in range(MOST_OBJECTS):
        if f"{attribute}{number}" not in group.attrs:
            break
        names += [_text(name) for name in np.ravel(group.attrs[f"{attribute}{number}"])]
    return names


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _natural(name: str) -> list[Any]:
    """Return a key that sorts ``conv2d_2`` before ``conv2d_10``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
