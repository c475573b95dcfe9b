"""Weights of Keras's models, random, in its three kinds of files: the outputs are equal.

Keras multiplies matrices and normalises in float32 with PyTorch, also in models of float64.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netspec
from tests.pretrained.peers.models import KERAS, of_keras
from tests.pretrained.peers.test_pytorch import ALLOWED, IGNORE, TELLING, difference, images


@pytest.mark.parametrize("name", KERAS)
@IGNORE
def test_keras(name: str, tmp_path: Path) -> None:
    import keras

    model, spec = of_keras(name), KERAS[name]
    net = netspec.load(spec)
    x = images(net).float()
    last = model.layers[-1]
    softmax, last.activation = last.activation, keras.activations.linear
    with torch.no_grad():
        expected = model(x.permute(0, 2, 3, 1), training=False).cpu()
        other = model(x.flip(3).permute(0, 2, 3, 1), training=False).cpu()
    assert difference(other, expected) > TELLING
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
            assert difference(ours.logits(x), expected) < ALLOWED, file
        path.unlink()
