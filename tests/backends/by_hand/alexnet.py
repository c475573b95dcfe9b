"""Krizhevsky, Sutskever, Hinton 2012, and the nets that it compares itself with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, lrn, pool_up


def norm(x: Tensor) -> Tensor:
    return lrn(x, 5, 2, 1e-4, 0.75)


def norm_by_columns(x: Tensor) -> Tensor:
    """Two columns, normalised apart."""
    return torch.cat([norm(column) for column in x.chunk(2, dim=1)], dim=1)


def hidden(layer: nn.Linear, x: Tensor) -> Tensor:
    """A fully connected layer behind which half of the outputs drop out while training (4.2)."""
    return F.relu(layer(x)) * 0.5


def rounded_up(x: Tensor) -> Tensor:
    """The author's library rounds up: 224 + 3 pixels of zeros at the bottom and right are 55."""
    return F.pad(x, (0, 3, 0, 3))


class AlexNet(ByHand):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.C1 = nn.Conv2d(3, 96, 11, stride=4)
        self.C2a = nn.Conv2d(48, 128, 5, padding=2)
        self.C2b = nn.Conv2d(48, 128, 5, padding=2)
        self.C3 = nn.Conv2d(256, 384, 3, padding=1)
        self.C4a = nn.Conv2d(192, 192, 3, padding=1)
        self.C4b = nn.Conv2d(192, 192, 3, padding=1)
        self.C5a = nn.Conv2d(192, 128, 3, padding=1)
        self.C5b = nn.Conv2d(192, 128, 3, padding=1)
        self.F6 = nn.Linear(9216, 4096)
        self.F7 = nn.Linear(4096, 4096)
        self.F8 = nn.Linear(4096, classes)

    def columns(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(norm_by_columns(F.relu(self.C1(rounded_up(x)))), 3, 2)
        a, b = x.chunk(2, dim=1)
        x = F.relu(torch.cat([self.C2a(a), self.C2b(b)], dim=1))
        x = F.max_pool2d(norm_by_columns(x), 3, 2)
        a, b = F.relu(self.C3(x)).chunk(2, dim=1)
        a, b = F.relu(self.C4a(a)), F.relu(self.C4b(b))
        x = torch.cat([F.relu(self.C5a(a)), F.relu(self.C5b(b))], dim=1)
        return F.max_pool2d(x, 3, 2)

    def classified(self, x: Tensor) -> Tensor:
        x = hidden(self.F7, hidden(self.F6, x.flatten(1)))
        return F.softmax(self.F8(x), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(self.columns(x))

    def canonical(self) -> dict[str, Tensor]:
        """The columns' weights joined, as a grouped convolution holds them."""
        tensors = super().canonical()
        for row in ("C2", "C4", "C5"):
            for kind in ("weight", "bias"):
                parts = [tensors.pop(f"{row}{column}.{kind}") for column in "ab"]
                tensors[f"{row}.{kind}"] = torch.cat(parts)
        return tensors


class AlexNetSix(AlexNet):
    """Section 6: "an extra sixth convolutional layer over the last pooling layer"."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(classes)
        self.C6 = nn.Conv2d(256, 256, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classified(F.relu(self.C6(self.columns(x))))


class AlexNetOneColumn(ByHand):
    """The one-GPU net of section 3.2: half the kernels, except in the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.C1 = nn.Conv2d(3, 48, 11, stride=4)
        self.C2 = nn.Conv2d(48, 128, 5, padding=2)
        self.C3 = nn.Conv2d(128, 192, 3, padding=1)
        self.C4 = nn.Conv2d(192, 192, 3, padding=1)
        self.C5 = nn.Conv2d(192, 256, 3, padding=1)
        self.F6 = nn.Linear(9216, 4096)
        self.F7 = nn.Linear(4096, 4096)
        self.F8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = pool_up(norm(F.relu(self.C1(rounded_up(x)))))
        x = pool_up(norm(F.relu(self.C2(x))))
        x = F.relu(self.C4(F.relu(self.C3(x))))
        x = pool_up(F.relu(self.C5(x))).flatten(1)
        return F.softmax(self.F8(hidden(self.F7, hidden(self.F6, x))), dim=1)


class AlexNetCaffe(AlexNet):
    """BVLC's: an input of 227, Caffe's LRN over both columns, dropout that scales in training."""

    def normed_and_pooled(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.local_response_norm(x, 5, 1e-4, 0.75, 1), 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.normed_and_pooled(F.relu(self.C1(x))).chunk(2, dim=1)
        x = F.relu(torch.cat([self.C2a(a), self.C2b(b)], dim=1))
        a, b = F.relu(self.C3(self.normed_and_pooled(x))).chunk(2, dim=1)
        a, b = F.relu(self.C4a(a)), F.relu(self.C4b(b))
        x = torch.cat([F.relu(self.C5a(a)), F.relu(self.C5b(b))], dim=1)
        x = F.max_pool2d(x, 3, 2).flatten(1)
        return F.softmax(self.F8(F.relu(self.F7(F.relu(self.F6(x))))), dim=1)


class CaffeNet(AlexNetCaffe):
    """BVLC's reference net, which pools before it normalises."""

    def normed_and_pooled(self, x: Tensor) -> Tensor:
        return F.local_response_norm(F.max_pool2d(x, 3, 2), 5, 1e-4, 0.75, 1)


class AlexNetOWT(ByHand):
    """Krizhevsky 2014, as torchvision builds it."""

    def __init__(self) -> None:
        super().__init__()
        self.C1 = nn.Conv2d(3, 64, 11, stride=4, padding=2)
        self.C2 = nn.Conv2d(64, 192, 5, padding=2)
        self.C3 = nn.Conv2d(192, 384, 3, padding=1)
        self.C4 = nn.Conv2d(384, 256, 3, padding=1)
        self.C5 = nn.Conv2d(256, 256, 3, padding=1)
        self.F6 = nn.Linear(9216, 4096)
        self.F7 = nn.Linear(4096, 4096)
        self.F8 = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.C1(x)), 3, 2)
        x = F.max_pool2d(F.relu(self.C2(x)), 3, 2)
        x = F.relu(self.C5(F.relu(self.C4(F.relu(self.C3(x))))))
        x = F.max_pool2d(x, 3, 2).flatten(1)
        return F.softmax(self.F8(F.relu(self.F7(F.relu(self.F6(x))))), dim=1)
