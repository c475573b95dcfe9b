"""The bundled nets written by hand in PyTorch, from the papers, without netspec."""

from __future__ import annotations

from tests.backends.by_hand.alexnet import (
    AlexNet,
    AlexNetCaffe,
    AlexNetOneColumn,
    AlexNetOWT,
    AlexNetSix,
    CaffeNet,
)
from tests.backends.by_hand.cifar import Cifar4
from tests.backends.by_hand.common import ByHand, drawn
from tests.backends.by_hand.densenet import DenseNet121
from tests.backends.by_hand.googlenet import GoogLeNet
from tests.backends.by_hand.googlenet_bn import GoogLeNetBN
from tests.backends.by_hand.inception_v2 import InceptionV2
from tests.backends.by_hand.inception_v3 import InceptionV3
from tests.backends.by_hand.inception_v4 import InceptionV4
from tests.backends.by_hand.lenet import LeNet5, LeNet5RBF
from tests.backends.by_hand.mobile import EfficientNetLite0, MobileNetV1, MobileNetV2
from tests.backends.by_hand.modules import InceptionModule, NaiveModule
from tests.backends.by_hand.nin import NIN, NINCifar10, NINImageNet
from tests.backends.by_hand.resnet import ResNet
from tests.backends.by_hand.squeezenet import SqueezeNet
from tests.backends.by_hand.unet import UNet
from tests.backends.by_hand.vgg import VGG
from tests.backends.by_hand.zfnet import ZFNet

__all__ = [
    "NIN",
    "VGG",
    "AlexNet",
    "AlexNetCaffe",
    "AlexNetOWT",
    "AlexNetOneColumn",
    "AlexNetSix",
    "ByHand",
    "CaffeNet",
    "Cifar4",
    "DenseNet121",
    "EfficientNetLite0",
    "GoogLeNet",
    "GoogLeNetBN",
    "InceptionModule",
    "InceptionV2",
    "InceptionV3",
    "InceptionV4",
    "LeNet5",
    "LeNet5RBF",
    "MobileNetV1",
    "MobileNetV2",
    "NINCifar10",
    "NINImageNet",
    "NaiveModule",
    "ResNet",
    "SqueezeNet",
    "UNet",
    "ZFNet",
    "drawn",
]
