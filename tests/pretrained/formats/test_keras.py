from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netspec import DataError
from netspec.pretrained.formats.keras import read
from netspec.pretrained.layers import Layer, Weights

# The layouts below are those of files that Keras writes; tests/pretrained/peers has such files.

Arrays = Mapping[str, Any]


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def named(
    file: h5py.Group,
    layers: Mapping[str, Arrays],
    *,
    strings: bool = False,
    **attributes: str,
) -> None:
    """Write the layout of Keras 1 and 2: lists of names as attributes, values by their names."""
    file.attrs["layer_names"] = [name if strings else name.encode() for name in layers]
    for key, value in attributes.items():
        file.attrs[key] = value
    for name, values in layers.items():
        group = file.create_group(name)
        group.attrs["weight_names"] = [key if strings else key.encode() for key in values]
        for key, value in values.items():
            group.create_dataset(key, data=value)


def h5(folder: Path, layers: Mapping[str, Arrays], **attributes: str) -> Path:
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        named(file, layers, **attributes)
    return path


def numbered(file: h5py.File, layers: Mapping[str, Sequence[Any]], **names: str) -> None:
    """Write the layout of Keras 3: ``layers/conv2d_1/vars/0``; names are those of the layers."""
    for group, values in layers.items():
        variables = file.create_group(f"{group}/vars")
        name = names.get(group.rpartition("/")[2])
        if name is not None:
            variables.attrs["name"] = name
        for number, value in enumerate(values):
            variables.create_dataset(str(number), data=value)


def weights_h5(folder: Path, layers: Mapping[str, Sequence[Any]], **names: str) -> Path:
    path = folder / "a.weights.h5"
    with h5py.File(path, "w") as file:
        numbered(file, {f"layers/{name}": values for name, values in layers.items()}, **names)
    return path


def node(kind: str, name: str, *inputs: str, **settings: Any) -> dict[str, Any]:
    """Return a layer of a configuration of Keras 3, with the layers that it reads."""
    args = [
        {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [i, 0, 0]}}
        for i in inputs
    ]
    given = args if len(args) == 1 else [args]
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **settings},
        "name": name,
        "inbound_nodes": [{"args": given, "kwargs": {}}] if inputs else [],
    }


def model(*layers: Any, kind: str = "Functional") -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "model", "layers": list(layers)}}


def keras(folder: Path, config: Any, layers: Mapping[str, Sequence[Any]], **names: str) -> Path:
    content = BytesIO()
    with h5py.File(content, "w") as file:
        numbered(file, {f"layers/{name}": values for name, values in layers.items()}, **names)
    path = folder / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


def by_name(weights: Weights) -> dict[str, Layer]:
    return {layer.name: layer for layer in weights.layers}


def outputs(layer: Layer, x: Any, groups: int = 1) -> Tensor:
    """Return what a convolution computes of a map [h, w, c] that has the size of its kernel."""
    image = torch.from_numpy(x).permute(2, 0, 1)[None]
    return F.conv2d(image, layer.tensors["weight"], groups=groups).flatten()


def assert_close(computed: Tensor, expected: Any) -> None:
    # sums of at most 200 products of values of about 1, in float32: 200 * 2**-24 of their sum
    torch.testing.assert_close(computed, torch.from_numpy(expected), rtol=1e-5, atol=1e-4)


# ------------------------------------------------------------------------------------------ layouts


def test_kernels_compute_what_they_do_in_keras(tmp_path: Path) -> None:
    conv, grouped, each = random(3, 5, 4, 6), random(3, 5, 2, 6), random(3, 5, 4, 2)
    up, dense, points = random(2, 3, 6, 4), random(60, 7), random(1, 1, 8, 5)
    layers = {
        "conv": {"conv/kernel:0": conv, "conv/bias:0": random(6)},
        "grouped": {"grouped/kernel:0": grouped},
        "each": {"each/depthwise_kernel:0": each, "each/bias:0": random(8)},
        "up": {"up/kernel:0": up, "up/bias:0": random(6)},
        "apart": {
            "apart/depthwise_kernel:0": each,
            "apart/pointwise_kernel:0": points,
            "apart/bias:0": random(5),
        },
        "flatten": {},
        "dense": {"dense/kernel:0": dense, "dense/bias:0": random(7)},
    }
    weights = read(h5(tmp_path, layers, backend="tensorflow", keras_version="2.2.4"))
    assert (weights.format, weights.is_ordered, weights.facts) == (
        "keras",
        False,
        {"keras": "2.2.4"},
    )
    own = by_name(weights)
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("conv", "conv"), ("grouped", "conv"), ("each", "conv"), ("up", "deconv"),
        ("apart/depthwise", "conv"), ("apart/pointwise", "conv"), ("dense", "fc"),
    ]  # fmt: skip
    x = random(3, 5, 4)
    assert_close(outputs(own["conv"], x), np.einsum("hwi,hwio->o", x, conv))
    halves = [np.einsum("hwi,hwio->o", x[..., s], grouped[..., o]) for s, o in (
        (slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6)),
    )]  # fmt: skip
    assert_close(outputs(own["grouped"], x, groups=2), np.concatenate(halves))
    depthwise = np.einsum("hwc,hwcm->cm", x, each).reshape(-1)
    assert_close(outputs(own["each"], x, groups=4), depthwise)
    assert_close(outputs(own["apart/depthwise"], x, groups=4), depthwise)
    assert_close(
        outputs(own["apart/pointwise"], depthwise.reshape(1, 1, 8)), depthwise @ points[0, 0]
    )
    value = random(4)
    spread = F.conv_transpose2d(
        torch.from_numpy(value).reshape(1, 4, 1, 1), own["up"].tensors["weight"]
    )
    assert_close(spread[0].permute(1, 2, 0), np.einsum("i,hwoi->hwo", value, up))
    assert {layer.flattened for layer in weights.layers} == {"hwc"}
    assert torch.equal(own["dense"].tensors["weight"], torch.from_numpy(dense.T))
    assert torch.equal(own["apart/pointwise"].tensors["bias"], torch.from_numpy(random(5)))
    assert own["apart/depthwise"].tensors.keys() == {"weight"}
    assert own["conv"].names == {"weight": "conv/conv/kernel:0", "bias": "conv/conv/bias:0"}


def test_names_of_keras_1(tmp_path: Path) -> None:
    path = h5(
        tmp_path,
        {
            "block1_conv1": {
                "block1_conv1_W_1:0": random(3, 3, 2, 4),
                "block1_conv1_b_1:0": random(4),
            },
            "batchnormalization_1": {
                "batchnormalization_1_gamma:0": random(4),
                "batchnormalization_1_beta:0": random(4) + 1,
                "batchnormalization_1_running_mean:0": random(4) + 2,
                "batchnormalization_1_running_std:0": random(4) + 3,
            },
            "fc1": {"fc1_W_1:0": random(8, 5), "fc1_b_1:0": random(5)},
        },
    )
    conv, norm, fc = read(path).layers
    assert (conv.name, conv.kind, fc.kind) == ("block1_conv1", "conv", "fc")
    assert conv.names["weight"] == "block1_conv1/block1_conv1_W_1:0"
    assert torch.equal(
        conv.tensors["weight"], torch.from_numpy(random(3, 3, 2, 4)).permute(3, 2, 0, 1)
    )
    assert torch.equal(fc.tensors["weight"], torch.from_numpy(random(8, 5)).t())
    assert norm.kind == "norm"
    for number, role in enumerate(("weight", "bias", "running_mean", "running_var")):
        assert torch.equal(norm.tensors[role], torch.from_numpy(random(4)) + number)


def test_norms_slopes_and_others(tmp_path: Path) -> None:
    layers = {
        "bn": {
            "bn/beta:0": random(4),
            "bn/moving_mean:0": random(4),
            "bn/moving_variance:0": random(4),
        },
        "ln": {"ln/gamma:0": random(4), "ln/beta:0": random(4)},
        "whole": {"whole/gamma:0": random(2, 3, 4), "whole/beta:0": random(2, 3, 4)},
        "shared": {"shared/alpha:0": random(1, 1, 4)},
        "own": {"own/alpha:0": random(2, 3, 4)},
        "line": {"line/kernel:0": random(3, 2, 4), "line/bias:0": random(4)},
        "lstm": {"lstm/kernel:0": random(3, 8), "lstm/recurrent_kernel:0": random(2, 8)},
    }
    own = by_name(read(h5(tmp_path, layers)))
    kinds = {name: layer.kind for name, layer in own.items()}
    assert kinds == {
        "bn": "norm", "ln": "norm", "whole": "other", "shared": "other", "own": "other",
        "line": "other", "lstm": "other",
    }  # fmt: skip
    assert own["bn"].tensors.keys() == {"bias", "running_mean", "running_var"}
    assert own["shared"].tensors["weight"].shape == (4,)
    assert torch.equal(
        own["own"].tensors["weight"], torch.from_numpy(random(2, 3, 4)).permute(2, 0, 1)
    )


def test_layers_with_numbers_are_in_their_order(tmp_path: Path) -> None:
    order = [
        "conv2d_10",
        "first",
        "batch_normalization_3",
        "conv2d_2",
        "batch_normalization",
        "conv2d",
    ]
    values = {name: {f"{name}/kernel:0": random(1, 1, 2, 2)} for name in order}
    for name in ("batch_normalization_3", "batch_normalization"):
        values[name] = {f"{name}/gamma:0": random(2)}
    assert [layer.name for layer in read(h5(tmp_path, values)).layers] == [
        "conv2d", "first", "batch_normalization", "conv2d_2", "batch_normalization_3", "conv2d_10",
    ]  # fmt: skip
    path = weights_h5(tmp_path, {f"conv2d_{n}": [random(1, 1, n, 2)] for n in (10, 2, 9)})
    assert [layer.name for layer in read(path).layers] == ["conv2d_2", "conv2d_9", "conv2d_10"]
    old = [f"batchnormalization_{n}" for n in (10, 9)]
    path = h5(tmp_path, {name: {f"{name}_gamma": random(2)} for name in old})
    assert [layer.name for layer in read(path).layers] == old[::-1]


def test_lists_of_names_in_several_attributes(tmp_path: Path) -> None:
    path = h5(tmp_path, {n: {f"{n}/kernel:0": random(2, 3)} for n in ("a", "b", "c")})
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"c", b"a"], [b"b"]
    assert [layer.name for layer in read(path).layers] == ["c", "a", "b"]


def test_a_whole_model_with_an_inner_one(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    inner = model(node("Conv2DTranspose", "up"), kind="Sequential") | {"name": "inner"}
    inner["config"]["name"] = "inner"
    inner["inbound_nodes"] = node("", "", "deep")["inbound_nodes"]
    config = model(
        node("InputLayer", "image"),
        inner,
        node("DepthwiseConv2D", "deep", "image"),
        node("BatchNormalization", "bn", "inner", epsilon=0.001),
    )
    layers = {
        "bn": {"bn/gamma": random(4), "bn/moving_mean": random(4), "bn/moving_variance": random(4)},
        "inner": {"inner/up/kernel": random(2, 2, 4, 4), "inner/up/bias": random(4)},
        "deep": {"deep/kernel": random(3, 3, 2, 2)},
    }
    with h5py.File(path, "w") as file:
        named(file.create_group("model_weights"), layers, strings=True, keras_version="3.15.1")
        file.attrs["model_config"] = json.dumps(config)
        file.create_dataset("optimizer_weights/sgd/iteration", data=1)
    weights = read(path)
    assert weights.is_ordered
    assert weights.facts == {"keras": "3.15.1"}
    assert [layer.eps for layer in weights.layers] == [None, None, 0.001]
    assert weights.skipped == ("optimizer_weights/sgd/iteration",)
    assert [(layer.name, layer.kind) for layer in weights.layers] == [
        ("deep", "conv"), ("up", "deconv"), ("bn", "norm"),
    ]  # fmt: skip
    assert weights.layers[0].tensors["weight"].shape == (4, 1, 3, 3)


BRANCHES = model(
    # in Keras's order, by the distance from the output
    node("InputLayer", "image"),
    node("Conv2D", "b1", "image"),
    node("Conv2D", "a1", "image"),
    node("Conv2D", "b2", "b1"),
    node("Conv2D", "a2", "a1"),
    node("Add", "sum", "a2", "b2"),
    node("Dense", "out", "sum"),
)


def test_the_order_of_execution_follows_each_branch(tmp_path: Path) -> None:
    kernel = random(1, 1, 2, 2)
    layers = {"conv2d_3": [kernel], "conv2d": [kernel], "conv2d_1": [kernel], "conv2d_2": [kernel]}
    path = keras(tmp_path, BRANCHES, {**layers, "dense": [random(2, 3)]})
    weights = read(path)
    assert weights.is_ordered
    assert [layer.name for layer in weights.layers] == ["a1", "a2", "b1", "b2", "out"]
    assert weights.layers[0].names == {"weight": "layers/conv2d_1/vars/0"}


def test_a_layer_that_is_used_twice_ends_the_order(tmp_path: Path) -> None:
    config = model(node("Conv2D", "a", "b"), node("Conv2D", "b", "a"))
    layers = {"conv2d": [random(1, 1, 2, 2)], "conv2d_1": [random(1, 1, 2, 2)]}
    assert {layer.name for layer in read(keras(tmp_path, config, layers)).layers} == {"a", "b"}


def test_variables_with_numbers(tmp_path: Path) -> None:
    layers: dict[str, Sequence[Any]] = {
        "conv2d": [random(3, 3, 2, 4), random(4)],
        "conv2d_transpose": [random(3, 3, 4, 4), random(4)],
        "depthwise_conv2d": [random(3, 3, 4, 2)],
        "separable_conv2d": [random(3, 3, 4, 2), random(1, 1, 8, 3), random(3)],
        "dense": [random(6, 5), random(5)],
        "batch_normalization": [random(4) + n for n in range(4)],
        "batch_normalization_1": [random(4) + n for n in range(2)],
        "layer_normalization": [random(4), random(4)],
        "p_re_lu": [random(1, 1, 4)],
        "lstm": [random(3, 8), random(2, 8), random(8)],
        "flatten": [],
        "dropout/seed_generator": [np.zeros(2, np.uint32)],
    }
    path = weights_h5(tmp_path, layers, conv2d="block1_conv1", dense="predictions")
    with h5py.File(path, "a") as file:
        numbered(file, {"optimizer": [np.int64(1)]})
    weights = read(path)
    assert not weights.is_ordered
    assert sorted(weights.skipped) == ["layers/dropout/seed_generator/vars/0", "optimizer/vars/0"]
    own = by_name(weights)
    shapes = {
        name: (layer.kind, {role: tuple(value.shape) for role, value in layer.tensors.items()})
        for name, layer in own.items()
    }
    assert shapes == {
        "block1_conv1": ("conv", {"weight": (4, 2, 3, 3), "bias": (4,)}),
        "conv2d_transpose": ("deconv", {"weight": (4, 4, 3, 3), "bias": (4,)}),
        "depthwise_conv2d": ("conv", {"weight": (8, 1, 3, 3)}),
        "separable_conv2d/depthwise": ("conv", {"weight": (8, 1, 3, 3)}),
        "separable_conv2d/pointwise": ("conv", {"weight": (3, 8, 1, 1), "bias": (3,)}),
        "predictions": ("fc", {"weight": (5, 6), "bias": (5,)}),
        "batch_normalization": (
            "norm",
            dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (4,)),
        ),
        "batch_normalization_1": ("norm", {"running_mean": (4,), "running_var": (4,)}),
        "layer_normalization": ("norm", {"weight": (4,), "bias": (4,)}),
        "p_re_lu": ("other", {"weight": (4,)}),
        "lstm": ("other", {"0": (3, 8), "1": (2, 8), "2": (8,)}),
    }
    assert torch.equal(
        own["batch_normalization"].tensors["running_var"], torch.from_numpy(random(4) + 3)
    )


@pytest.mark.parametrize(
    ("scale", "center", "role"), [(False, True, "bias"), (True, False, "weight")]
)
def test_the_configuration_says_which_vector_a_norm_has(
    scale: bool, center: bool, role: str, tmp_path: Path
) -> None:
    config = model(node("BatchNormalization", "bn", scale=scale, center=center))
    path = keras(tmp_path, config, {"batch_normalization": [random(4), random(4), random(4)]})
    (norm,) = read(path).layers
    assert norm.tensors.keys() == {role, "running_mean", "running_var"}
    assert torch.equal(norm.tensors[role], torch.from_numpy(random(4)))


def test_a_vector_is_a_beta_if_its_values_show_it(tmp_path: Path) -> None:
    def layers(vector: Any) -> dict[str, Sequence[Any]]:
        return {"batch_normalization": [vector, np.zeros(40), np.ones(40)]}

    for vector in (random(40), np.zeros(40, np.float32)):
        (norm,) = read(weights_h5(tmp_path, layers(vector))).layers
        assert norm.tensors.keys() == {"bias", "running_mean", "running_var"}
    for vector in (np.ones(40, np.float32), np.abs(random(40)) + 0.1):
        with pytest.raises(
            DataError, match=r"its gamma or its beta; save the whole model as a .keras"
        ):
            read(weights_h5(tmp_path, layers(vector)))


def test_inner_layers_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        for inner in ("a", "b"):
            numbered(file, {f"layers/{inner}/layers/dense": [random(2, 3)]}, dense="fc")
    assert [layer.name for layer in read(path).layers] == [
        "layers/a/layers/dense", "layers/b/layers/dense",
    ]  # fmt: skip


def test_types_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        half = random(2, 3).astype(np.float16)
        numbered(file, {"layers/dense": [half], "layers/dense_1": [random(2, 3).astype(">f8")]})
        brain = torch.from_numpy(random(2, 3)).bfloat16()
        raw = file.create_dataset(
            "layers/dense_2/vars/0", data=brain.view(torch.int16).numpy().view("V2")
        )
        raw.attrs["dtype"] = "bfloat16"
        numbered(file, {"layers/dense_3": [np.ones((2, 3), np.int8)]})
    own = by_name(read(path))
    types = {
        name: (layer.kind, next(iter(layer.tensors.values())).dtype) for name, layer in own.items()
    }
    assert types == {
        "dense": ("fc", torch.float16), "dense_1": ("fc", torch.float64),
        "dense_2": ("fc", torch.bfloat16), "dense_3": ("other", torch.int8),
    }  # fmt: skip
    assert torch.equal(own["dense_2"].tensors["weight"], brain.t())
    assert torch.equal(
        own["dense_1"].tensors["weight"], torch.from_numpy(random(2, 3)).double().t()
    )


def test_kernels_of_theano_are_refused(tmp_path: Path) -> None:
    kernel = {"conv": {"conv/kernel:0": random(3, 3, 2, 4), "conv/bias:0": random(4)}}
    path = h5(tmp_path, kernel, backend="theano")
    with pytest.raises(DataError, match=r"order of Theano.*load it in Keras"):
        read(path)
    config = {
        "class_name": "Sequential",
        "config": [node("Convolution2D", "conv", dim_ordering="th")],
    }
    path = h5(tmp_path, kernel, model_config=json.dumps(config))
    with pytest.raises(DataError, match="order of Theano"):
        read(path)
    path = h5(tmp_path, {"conv": {"conv_W": random(5, 2, 3, 3), "conv_b": random(5)}})
    with pytest.raises(DataError, match="order of Theano"):
        read(path)
    path = h5(tmp_path, {"conv": {"conv/kernel:0": random(3, 3, 2, 4), "conv/bias:0": random(5)}})
    with pytest.raises(DataError, match=r"has 4 outputs, and a bias of the shape \[5\]"):
        read(path)
