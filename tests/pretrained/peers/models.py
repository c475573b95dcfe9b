"""Models of torchvision, timm and Keras with random weights, and the specs that equal them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

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
    "resnet34": "resnet34", "resnet50": "resnet50", "resnet101": "resnet101",
    "resnet152": "resnet152", "vgg11": "vgg11", "vgg13": "vgg13", "vgg16": "vgg16_3",
    "vgg19": "vgg19", "vgg11_bn": "vgg11_bn", "vgg13_bn": "vgg13_bn", "vgg16_bn": "vgg16_bn",
    "vgg19_bn": "vgg19_bn", "densenet121": "densenet121", "mobilenetv1_100": "mobilenet_v1",
    "mobilenetv2_100": "mobilenet_v2", "tf_efficientnet_lite0": "efficientnet_lite0",
}  # fmt: skip
KERAS = {
    "VGG16": "vgg16_3", "VGG19": "vgg19",
    "InceptionV3": "inception_v3_tf", "ResNet50": "resnet50_keras",
}  # fmt: skip


def of_torchvision(name: str) -> nn.Module:
    import torchvision

    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": True, "aux_logits": True, "transform_input": False}
    return _filled(getattr(torchvision.models, name)(**options))


def of_timm(name: str) -> nn.Module:
    import timm

    return _filled(timm.create_model(name))


def _filled(module: nn.Module) -> nn.Module:
    """Give a module random weights with which the image still shows in the outputs.

    Biases, scales and statistics are 0 and 1 at first, and timm sets the last scale of a residual
    branch to 0, which would hide the whole branch.  With the first weights of GoogLeNet and
    Inception v4, outputs change by less than 1e-9 from one image to another, so that nets that
    differ would seem equal: weights keep the variance of activations (He et al. 2015).
    """
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if "running_var" in name or (name.endswith("weight") and tensor.dim() == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif "running_mean" in name or name.endswith("bias"):
            tensor.uniform_(-0.1, 0.1, generator=generator)
        elif tensor.dim() > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    return module.eval()


def of_keras(name: str) -> Any:
    """A model with random weights with which the image still shows in the outputs."""
    import keras

    model = getattr(keras.applications, name)(weights=None)
    generator = np.random.default_rng(0)
    ranges = {"moving_variance": (0.5, 1.5), "gamma": (0.5, 1.5), "kernel": None}
    for layer in model.layers:
        values = []
        for variable, value in zip(layer.weights, layer.get_weights(), strict=True):
            limits = ranges.get(variable.path.rpartition("/")[2], (-0.05, 0.05))
            deviation = (2 / np.prod(value.shape[:-1])) ** 0.5
            values.append(
                generator.normal(0, deviation, value.shape)
                if limits is None
                else generator.uniform(*limits, value.shape)
            )
        if values:
            layer.set_weights(values)
    return model
