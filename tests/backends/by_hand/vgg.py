"""Simonyan and Zisserman 2014, Table 1; with batch normalisation, as torchvision builds them."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, lrn

WIDTHS = (64, 128, 256, 512, 512)

# The kernels of the convolutions between two pools.
BLOCKS = {
    "vgg11": ([3], [3], [3, 3], [3, 3], [3, 3]),
    "vgg11_lrn": ([3], [3], [3, 3], [3, 3], [3, 3]),
    "vgg13": ([3, 3], [3, 3], [3, 3], [3, 3], [3, 3]),
    "vgg16_1": ([3, 3], [3, 3], [3, 3, 1], [3, 3, 1], [3, 3, 1]),
    "vgg16_3": ([3, 3], [3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]),
    "vgg19": ([3, 3], [3, 3], [3, 3, 3, 3], [3, 3, 3, 3], [3, 3, 3, 3]),
}

# Those with batch normalisation, and the nets that they are without it.
BASES = {"vgg11_bn": "vgg11", "vgg13_bn": "vgg13", "vgg16_bn": "vgg16_3", "vgg19_bn": "vgg19"}


class VGG(ByHand):
    def __init__(self, name: str, wide: int = 4096) -> None:
        super().__init__()
        self.name, self.blocks = name, BLOCKS[BASES.get(name, name)]
        channels = 3
        for block, (width, kernels) in enumerate(zip(WIDTHS, self.blocks, strict=True), start=1):
            for place, kernel in enumerate(kernels, start=1):
                conv: nn.Module = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
                if name in BASES:
                    norm = nn.BatchNorm2d(width)
                    conv = nn.Sequential(OrderedDict(conv=conv, bn=norm))
                self.add_module(f"C{block}{place}", conv)
                channels = width
        self.FC1 = nn.Linear(512 * 7 * 7, wide)
        self.FC2 = nn.Linear(wide, wide)
        self.FC3 = nn.Linear(wide, 1000)

    def forward(self, x: Tensor) -> Tensor:
        for block, kernels in enumerate(self.blocks, start=1):
            for place in range(1, len(kernels) + 1):
                x = F.relu(self.get_submodule(f"C{block}{place}")(x))
                if self.name == "vgg11_lrn" and block == 1:
                    x = lrn(x, 5, 2, 1e-4, 0.75)
            x = F.max_pool2d(x, 2)
        x = F.relu(self.FC2(F.relu(self.FC1(x.flatten(1)))))
        return F.softmax(self.FC3(x), dim=1)
