"""Weights of Keras's models, random, in its three kinds of files: the outputs are equal.

In float32 they differ by rounding, 1e-6 to 3e-6, most of it in Keras.  In float64 they are equal
to 1e-14.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import netspec
from tests.pretrained.peers.models import KERAS, of_keras
from tests.pretrained.peers.test_pytorch import (
    ALLOWED,
    ALLOWED_IN_FLOAT64,
    IGNORE,
    TELLING,
    difference,
    images,
)


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


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make Keras compute in float64: its rules of types turn float64 into float32."""
    import keras
    from keras.src import backend
    from keras.src.backend import common
    from keras.src.backend.common import dtypes

    own = dtypes.result_type

    def wide(*types: Any) -> str:
        kind = str(own(*types))
        return "float64" if kind.startswith("float") else kind

    for module in (dtypes, common, backend):
        monkeypatch.setattr(module, "result_type", wide)
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


@pytest.mark.parametrize("name", KERAS)
@pytest.mark.usefixtures("in_float64")
@IGNORE
def test_keras_in_float64(name: str, tmp_path: Path) -> None:
    import keras

    model, spec = of_keras(name), KERAS[name]
    model.layers[-1].activation = keras.activations.linear
    model.save_weights(tmp_path / "a.weights.h5")
    assert {str(weight.dtype) for weight in model.weights} == {"float64"}
    converted = netspec.convert_weights(spec, tmp_path / "a.weights.h5")
    for weight in model.weights:  # netspec stores float32
        weight.assign(weight.value.float().double())
    ours = netspec.reference(converted.net)
    ours.load_state_dict({**ours.state_dict(), **converted.tensors})
    x = images(converted.net)
    with torch.no_grad():
        expected = model(x.permute(0, 2, 3, 1), training=False)
        assert difference(ours.double().logits(x), expected.double()) < ALLOWED_IN_FLOAT64
