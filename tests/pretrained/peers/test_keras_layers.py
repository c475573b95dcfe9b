"""Each kind of layer of Keras, in each kind of file: the outputs are those of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netspec.pretrained.formats.keras import read
from netspec.pretrained.layers import Layer

# rounding of float32 in sums of at most a thousand products
ALLOWED = 1e-5

FILES = ("a.keras", "a.h5", "a.weights.h5")


def written(model: Any, folder: Path, file: str) -> dict[str, Layer]:
    """Write a model of Keras with random variables, and return the layers that are read."""
    path = folder / file
    (model.save_weights if "weights" in file else model.save)(path)
    return {layer.name: layer for layer in read(path).layers}


def filled(model: Any) -> Any:
    generator = np.random.default_rng(0)
    for layer in model.layers:
        values = [generator.uniform(0.2, 1.2, value.shape) for value in layer.get_weights()]
        layer.set_weights([value - 0.7 * (n < 2) for n, value in enumerate(values)])
    return model


def assert_equal(model: Any, images: Tensor, computed: Tensor) -> None:
    """Compare outputs with those of Keras, which are [n, h, w, c] or [n, c]."""
    with torch.no_grad():
        expected = torch.as_tensor(model(images.permute(0, 2, 3, 1), training=False)).cpu()
    if expected.dim() == 4:
        expected = expected.permute(0, 3, 1, 2)
    assert (computed - expected).abs().max() < ALLOWED * expected.abs().max()


def normed(x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    mean, variance = tensors["running_mean"], tensors["running_var"]
    return F.batch_norm(x, mean, variance, tensors.get("weight"), tensors.get("bias"), eps=1e-3)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.filterwarnings("ignore")
def test_layers_compute_what_they_do_in_keras(file: str, tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    model = filled(
        keras.Sequential(
            [
                keras.Input((13, 11, 4)),
                kl.Conv2D(6, (3, 2), groups=2, name="first"),
                kl.BatchNormalization(scale=False),
                kl.PReLU(shared_axes=[1, 2]),
                kl.DepthwiseConv2D(3, depth_multiplier=2),
                kl.SeparableConv2D(5, 2, depth_multiplier=2),
                kl.BatchNormalization(),
                kl.Conv2DTranspose(5, (2, 3), strides=2, name="up"),
                kl.Flatten(),
                kl.Dense(9),
                kl.Dense(3, name="last"),
            ]
        )
    )
    layers = written(model, tmp_path, file)
    images = torch.randn(2, 4, 13, 11, generator=torch.Generator().manual_seed(1))
    own = {name: layer.tensors for name, layer in layers.items()}
    separable = next(name.partition("/")[0] for name in own if name.endswith("/depthwise"))
    norms = [name for name in own if name.startswith("batch_normalization")]
    (depthwise,) = [name for name in own if name.startswith("depthwise_conv2d")]
    (prelu,) = [name for name in own if name.startswith("p_re_lu")]
    (dense,) = [name for name in own if name.startswith("dense")]
    assert own[norms[0]].keys() == {"bias", "running_mean", "running_var"}
    x = F.conv2d(images, **own["first"], groups=2)
    x = F.prelu(normed(x, own[norms[0]]), **own[prelu])
    x = F.conv2d(x, **own[depthwise], groups=6)
    x = F.conv2d(x, **own[f"{separable}/depthwise"], groups=12)
    x = normed(F.conv2d(x, **own[f"{separable}/pointwise"]), own[norms[1]])
    assert layers["up"].kind == "deconv"
    x = F.conv_transpose2d(x, **own["up"], stride=2)
    assert layers[dense].flattened == "hwc"
    x = F.linear(x.permute(0, 2, 3, 1).flatten(1), **own[dense])
    assert_equal(model, images, F.linear(x, **own["last"]))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.filterwarnings("ignore")
def test_the_order_of_execution(file: str, tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    image = keras.Input((8, 8, 3))
    branches = []
    for _ in range(2):
        x = image
        for _ in range(6):
            x = kl.Conv2D(3, 1)(x)
        branches.append(x)
    inner = keras.Sequential([keras.Input((8, 8, 6)), kl.Conv2D(2, 3, name="inside")], name="inner")
    model = keras.Model(image, kl.Flatten()(inner(kl.Concatenate()(branches))))
    path = tmp_path / file
    (model.save_weights if "weights" in file else model.save)(path)
    weights = read(path)
    assert weights.is_ordered == ("weights" not in file)
    names = [layer.name for layer in weights.layers]
    numbers = [int(f"0{name.rpartition('_')[2].removeprefix('conv2d')}") for name in names[:-1]]
    assert numbers == sorted(numbers)
    assert names[-1] == "inside"


@pytest.mark.filterwarnings("ignore")
def test_a_trained_model_with_an_optimizer_and_metrics(tmp_path: Path) -> None:
    import keras
    from keras import layers as kl

    model = keras.Sequential([keras.Input((4, 4, 2)), kl.Flatten(), kl.Dropout(0.5), kl.Dense(3)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.fit(np.ones((4, 4, 4, 2)), np.ones((4, 3)), verbose=0)
    for file in FILES:
        layers = written(model, tmp_path, file)
        assert [layer.kind for layer in layers.values()] == ["fc"], file
        assert read(tmp_path / file).skipped, file
