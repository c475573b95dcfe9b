"""Szegedy et al. 2014."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand


class Inception(nn.Module):
    def __init__(self, into: int, n1: int, r3: int, n3: int, r5: int, n5: int, np: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(into, n1, 1)
        self.reduce3, self.three = nn.Conv2d(into, r3, 1), nn.Conv2d(r3, n3, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(into, r5, 1), nn.Conv2d(r5, n5, 5, padding=2)
        self.project = nn.Conv2d(into, np, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [
                F.relu(self.one(x)),
                F.relu(self.three(F.relu(self.reduce3(x)))),
                F.relu(self.five(F.relu(self.reduce5(x)))),
                F.relu(self.project(F.max_pool2d(x, 3, 1, padding=1))),
            ],
            dim=1,
        )


class Auxiliary(nn.Module):
    def __init__(self, into: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(F.avg_pool2d(x, 5, 3))).flatten(1)
        return F.softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


class GoogLeNet(ByHand):
    """Table 1; the columns of the table are the arguments of Inception."""

    heads = ("aux1", "aux2")

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.conv2r = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.m3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.m3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.m4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.m4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.m4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.m4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.m4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.m5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.m5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.out = nn.Linear(1024, 1000)
        self.aux1, self.aux2 = Auxiliary(512), Auxiliary(528)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def pool(x: Tensor) -> Tensor:
            return F.max_pool2d(x, 3, 2, ceil_mode=True)

        def norm(x: Tensor) -> Tensor:
            return F.local_response_norm(x, 5, 1e-4, 0.75, 1)

        x = norm(pool(F.relu(self.conv1(x))))
        x = pool(norm(F.relu(self.conv2(F.relu(self.conv2r(x))))))
        x = self.m4a(pool(self.m3b(self.m3a(x))))
        first = self.aux1(x)
        x = self.m4d(self.m4c(self.m4b(x)))
        second = self.aux2(x)
        x = self.m5b(self.m5a(pool(self.m4e(x)))).mean((2, 3))
        return F.softmax(self.out(x), dim=1), first, second

    def canonical(self) -> dict[str, Tensor]:
        """The same tensors under the names that the rows of the spec give them."""
        inside = {
            "one": "b1",
            "reduce3": "b2.conv1",
            "three": "b2.conv2",
            "reduce5": "b3.conv1",
            "five": "b3.conv2",
            "project": "b4",
        }
        tensors = {}
        for name, tensor in super().canonical().items():
            first, *middle, last = name.split(".")
            if first.startswith("m"):
                first, middle = first[1:], [inside[middle[0]]]
            elif first.startswith("conv2"):
                first = "conv2.conv1" if first == "conv2r" else "conv2.conv2"
            tensors[".".join([first, *middle, last])] = tensor
        return tensors
