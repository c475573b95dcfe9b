"""The bundled specs compute what independent PyTorch modules compute, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import relu

from netspec import bundled, compile, loads
from netspec.language.read import BUNDLED
from tests.backends.by_hand import (
    NIN,
    VGG,
    AlexNet,
    AlexNetCaffe,
    AlexNetOneColumn,
    AlexNetOWT,
    AlexNetSix,
    ByHand,
    CaffeNet,
    Cifar4,
    DenseNet121,
    EfficientNetLite0,
    GoogLeNet,
    GoogLeNetBN,
    InceptionModule,
    InceptionV2,
    InceptionV3,
    InceptionV4,
    LeNet5,
    LeNet5RBF,
    MobileNetV1,
    MobileNetV2,
    NaiveModule,
    NINCifar10,
    NINImageNet,
    ResNet,
    SqueezeNet,
    UNet,
    ZFNet,
    drawn,
)
from tests.backends.by_hand.inception import average_without_padding
from tests.helpers import ALIKE, loaded

# Two orders of summation in float64 (u = 1.1e-16) over at most 10^4 terms and 150 stages differ by
# about u sqrt(1.5e6) = 1.4e-13 of the values; 1e-10 leaves room for the cancellation in the logits.
EXACT = 1e-10

SYMBOLS = {"H": 9, "W": 7, "C1": 20, "C2": 8}


def drawn_codes() -> Tensor:
    """The codes of lenet5_rbf, read from its text: two bands of five pictures, 12 lines high."""
    text = (BUNDLED / "lenet5_rbf.net").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if set(line) and set(line) <= set(" X.")]
    pictures = [
        "".join(line[place] for line in lines[band : band + 12])
        for band in (0, 12)
        for place in range(5)
    ]
    return torch.tensor([[1.0 if c == "X" else -1.0 for c in p] for p in pictures])


CODES = drawn_codes()


@dataclass(frozen=True)
class Twin:
    """A spec, what it is set to, and the module that it has to agree with."""

    spec: str
    build: Callable[[], ByHand]
    parameters: int  # trained ones, with those of the heads
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 2
    change: str = ""  # rows in place of those of the spec

    def __str__(self) -> str:
        rows = ["with other rows"] if self.change else []
        return " ".join([self.spec, *(f"{k}={v}" for k, v in self.settings.items()), *rows])


TWINS = [
    Twin("lenet5", LeNet5, 60_850),
    Twin("lenet5_rbf", lambda: LeNet5RBF(CODES), 60_000),
    Twin("alexnet", AlexNet, 60_965_224),
    Twin("alexnet_six", AlexNetSix, 60_965_224 + (9 * 256 + 1) * 256, {"classes": 1000}),
    Twin("alexnet_one_column", AlexNetOneColumn, 59_798_312),
    Twin("alexnet_caffe", AlexNetCaffe, 60_965_224),
    Twin("caffenet", CaffeNet, 60_965_224),
    Twin("alexnet_owt", AlexNetOWT, 61_100_840),
    Twin("zfnet", lambda: ZFNet(9, 2.0), 62_357_608),
    Twin("nin", NIN, 81_960),
    Twin("nin_cifar10", NINCifar10, 966_986),
    Twin("nin_imagenet", NINImageNet, 7_595_176),
    Twin("cifar4", Cifar4, 2_112_970),
    Twin("cifar4", lambda: Cifar4(torch.tanh), 2_112_970, {"act": "tanh"}),
    Twin("cifar4", lambda: Cifar4(norm=False), 2_112_970, {"norm": False}),
    Twin("cifar4", lambda: Cifar4(overlap=False), 2_112_970, {"pool": "2x2/2"}),
    Twin("vgg11", lambda: VGG("vgg11"), 132_863_336, batch=1),
    Twin("vgg11_lrn", lambda: VGG("vgg11_lrn"), 132_863_336),
    Twin("vgg13", lambda: VGG("vgg13"), 133_047_848, batch=1),
    Twin("vgg16_1", lambda: VGG("vgg16_1"), 133_638_952, batch=1),
    Twin("vgg16_3", lambda: VGG("vgg16_3"), 138_357_544, batch=1),
    Twin("vgg19", lambda: VGG("vgg19"), 143_667_240, batch=1),
    Twin("vgg11_bn", lambda: VGG("vgg11_bn"), 132_868_840, batch=1),
    Twin("vgg13_bn", lambda: VGG("vgg13_bn"), 133_053_736, batch=1),
    Twin("vgg16_bn", lambda: VGG("vgg16_bn"), 138_365_992, batch=1),
    Twin("vgg19_bn", lambda: VGG("vgg19_bn"), 143_678_248, batch=1),
    Twin("googlenet", GoogLeNet, 13_378_280, batch=1),
    Twin("googlenet_bn", GoogLeNetBN, 13_004_888, batch=1),
    Twin("inception_module", lambda: InceptionModule(20, 8), 2_864, SYMBOLS),
    Twin("inception_naive", lambda: NaiveModule(20, 8), 5_624, SYMBOLS),
    Twin("inception_v2", InceptionV2, 11_295_240, batch=1),
    Twin("inception_v3", InceptionV3, 27_161_264, batch=1),
    Twin("inception_v3_tf", lambda: InceptionV3(average_without_padding), 27_161_264, batch=1),
    Twin("inception_v4", InceptionV4, 42_679_816, batch=1),
    Twin("resnet18", lambda: ResNet("resnet18"), 11_689_512, batch=1),
    Twin("resnet34", lambda: ResNet("resnet34"), 21_797_672, batch=1),
    Twin("resnet50", lambda: ResNet("resnet50"), 25_557_032, batch=1),
    Twin("resnet101", lambda: ResNet("resnet101"), 44_549_160, batch=1),
    Twin("resnet152", lambda: ResNet("resnet152"), 60_192_808, batch=1),
    Twin("resnet50_keras", lambda: ResNet("resnet50_keras"), 25_583_592, batch=1),
    Twin("squeezenet1_0", lambda: SqueezeNet("squeezenet1_0"), 1_248_424, batch=1),
    Twin("squeezenet1_1", lambda: SqueezeNet("squeezenet1_1"), 1_235_496),
    Twin("densenet121", DenseNet121, 7_978_856, batch=1),
    Twin("mobilenet_v1", MobileNetV1, 4_231_976, batch=1),
    Twin("mobilenet_v1", lambda: MobileNetV1(relu), 4_231_976, {"act": "relu"}, batch=1),
    Twin("mobilenet_v2", MobileNetV2, 3_504_872),
    Twin("efficientnet_lite0", EfficientNetLite0, 4_652_008, batch=1),
    Twin("unet", lambda: UNet(8), 486_553, {"n": 8}),
]


# VGG-11 with full layers of a sixteenth: the weights of the others are 1 GB in float64.
NARROW = Twin(
    "vgg11",
    lambda: VGG("vgg11", 256),
    15_966_056,
    batch=1,
    change="".join(f"FC{n}: fc 256 | relu | dropout 0.5\n" for n in (1, 2)),
)


def is_large(twin: Twin) -> bool:
    """Return True if another twin stands for it in the default run."""
    return twin.spec in ALIKE or (twin.spec == NARROW.spec and twin is not NARROW)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Of vectors, or of maps of one pixel, which say the same."""
    assert ours.flatten(1).shape == theirs.flatten(1).shape
    return float((ours.flatten(1) - theirs.flatten(1)).norm() / theirs.norm())


@pytest.mark.parametrize("twin", [*TWINS, NARROW], ids=str)
def test_a_net_by_hand_has_the_parameters_of_its_paper(twin: Twin) -> None:
    with torch.device("meta"):
        net = twin.build()
    assert sum(p.numel() for p in net.parameters()) == twin.parameters


@pytest.mark.parametrize(
    "twin",
    [pytest.param(t, marks=pytest.mark.slow) if is_large(t) else t for t in [*TWINS, NARROW]],
    ids=str,
)
def test_a_spec_computes_what_its_twin_by_hand_does(twin: Twin) -> None:
    net = loaded(twin.spec, **twin.settings)
    if twin.change:
        net = loads(f"net changed from {twin.spec} {{\n{twin.change}}}")
    by_hand = drawn(twin.build)
    model = compile(net, dtype=torch.float64)
    model.load_state_dict(by_hand.canonical(), assign=True)
    (name,) = net.graph.inputs
    size = net.graph.stage(name).known_shape.torch
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(twin.batch, *size, dtype=torch.float64, generator=generator)
    with torch.inference_mode():
        theirs = by_hand(x)
        theirs, *of_heads = theirs if by_hand.heads else (theirs,)
        assert relative_error(model(x), theirs) < EXACT
        assert relative_error(theirs.roll(1, dims=-1), theirs) > 0.01  # not all the same
        assert twin.batch == 1 or relative_error(theirs.flip(0), theirs) > 1e-4  # of this image
        for head, expected in zip(by_hand.heads, of_heads, strict=True):
            assert relative_error(model.features(head)(x), expected) < EXACT


def test_every_bundled_spec_has_a_twin() -> None:
    assert set(bundled()) == {twin.spec for twin in TWINS}
