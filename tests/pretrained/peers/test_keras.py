"""Weights of Keras's models, random, in its three kinds of files: the outputs are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netspec

MODELS = {
    "VGG16": "vgg16_3",
    "VGG19": "vgg19",
    "InceptionV3": "inception_v3_tf",
    "ResNet50": "resnet50_keras",
}
ALLOWED = 1e-5
"""As for PyTorch's models: rounding of float32, up to 2e-6."""


def filled(model: Any) -> Any:
    """Give a model random statistics and biases, which are 0 and 1 at first."""
    generator = np.random.default_rng(0)
    ranges = {"moving_variance": (0.5, 1.5), "gamma": (0.5, 1.5), "kernel": None}
    for layer in model.layers:
        values = []
        for variable, value in zip(layer.weights, layer.get_weights(), strict=True):
            limits = ranges.get(variable.path.rpartition("/")[2], (-0.05, 0.05))
            values.append(value if limits is None else generator.uniform(*limits, value.shape))
        if values:
            layer.set_weights(values)
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_keras(name: str, tmp_path: Path) -> None:
    import keras

    model, spec = filled(getattr(keras.applications, name)(weights=None)), MODELS[name]
    net = netspec.load(spec)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, *net.input_shape.torch, generator=generator)
    last = model.layers[-1]
    softmax, last.activation = last.activation, keras.activations.linear
    with torch.no_grad():
        expected = torch.as_tensor(model(images.permute(0, 2, 3, 1), training=False)).cpu()
    last.activation = softmax
    for file in ("a.keras", "a.h5", "a.weights.h5"):
        path = tmp_path / file
        (model.save_weights if "weights" in file else model.save)(path)
        converted = netspec.convert_weights(spec, path)
        assert converted.family is not None
        assert "Keras" in converted.family.title
        ours = netspec.reference(net)
        ours.load_state_dict({**ours.state_dict(), **converted.tensors})
        with torch.no_grad():
            error = (ours.logits(images) - expected).abs().max() / expected.abs().max()
        assert error < ALLOWED, file
        path.unlink()
