"""Lin, Chen, Yan 2013."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.common import ByHand, pool_up


class NIN(ByHand):
    """The survey's example: no padding, no pooling but the last."""

    def __init__(self) -> None:
        super().__init__()
        self.L11, self.L12 = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 1)
        self.L21, self.L22 = nn.Conv2d(16, 64, 3), nn.Conv2d(64, 64, 1)
        self.L31, self.L32 = nn.Conv2d(64, 100, 3), nn.Conv2d(100, 100, 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.L11, self.L12, self.L21, self.L22, self.L31, self.L32):
            x = F.relu(conv(x))
        return F.softmax(x.mean((2, 3)), dim=1)


class NINCifar10(ByHand):
    """The author's own file for CIFAR-10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 192, 5, padding=2)
        self.cccp1 = nn.Conv2d(192, 160, 1)
        self.cccp2 = nn.Conv2d(160, 96, 1)
        self.conv2 = nn.Conv2d(96, 192, 5, padding=2)
        self.cccp3 = nn.Conv2d(192, 192, 1)
        self.cccp4 = nn.Conv2d(192, 192, 1)
        self.conv3 = nn.Conv2d(192, 192, 3, padding=1)
        self.cccp5 = nn.Conv2d(192, 192, 1)
        self.cccp6 = nn.Conv2d(192, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.cccp2(F.relu(self.cccp1(F.relu(self.conv1(x))))))
        x = pool_up(x)
        x = F.relu(self.cccp4(F.relu(self.cccp3(F.relu(self.conv2(x))))))
        x = pool_up(x)
        x = F.relu(self.cccp6(F.relu(self.cccp5(F.relu(self.conv3(x))))))
        return F.softmax(x.mean((2, 3)), dim=1)


class NINImageNet(ByHand):
    """The author's model for ImageNet in Caffe's zoo."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.cccp1, self.cccp2 = nn.Conv2d(96, 96, 1), nn.Conv2d(96, 96, 1)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2)
        self.cccp3, self.cccp4 = nn.Conv2d(256, 256, 1), nn.Conv2d(256, 256, 1)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.cccp5, self.cccp6 = nn.Conv2d(384, 384, 1), nn.Conv2d(384, 384, 1)
        self.conv4 = nn.Conv2d(384, 1024, 3, padding=1)
        self.cccp7, self.cccp8 = nn.Conv2d(1024, 1024, 1), nn.Conv2d(1024, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = pool_up(F.relu(self.cccp2(F.relu(self.cccp1(F.relu(self.conv1(x)))))))
        x = pool_up(F.relu(self.cccp4(F.relu(self.cccp3(F.relu(self.conv2(x)))))))
        x = pool_up(F.relu(self.cccp6(F.relu(self.cccp5(F.relu(self.conv3(x)))))))
        x = F.relu(self.cccp8(F.relu(self.cccp7(F.relu(self.conv4(x))))))
        return F.softmax(x.mean((2, 3)), dim=1)
