"""Pickles of models that were made before modules moved load."""

from __future__ import annotations

import pickle

import pytest
import torch

import netspec
from tests.test_earlier import EARLIER, ROUNDING, images, outputs


@pytest.mark.parametrize("name", ["compiled", "reference"])
def test_a_pickle_of_a_model(name: str) -> None:
    model = pickle.loads((EARLIER / f"{name}.pickle").read_bytes())
    with torch.inference_mode():
        torch.testing.assert_close(model(images()), outputs(), rtol=0, atol=ROUNDING)


def test_an_old_name_and_a_new_one_are_one_module() -> None:
    from importlib import import_module

    from netspec.moved import MOVED

    for old, new in MOVED.items():
        assert import_module(old) is import_module(new)
        assert import_module(new).__spec__.name == new
    assert netspec.Net.__module__ == "netspec.net"
