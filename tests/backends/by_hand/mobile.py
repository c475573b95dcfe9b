"""Nets of depthwise convolutions: Howard et al. 2017, Sandler et al. 2018, EfficientNet-Lite."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.convs import Conv, Convs, Rows, Style, Sum, classified


class MobileNetV1(Rows):
    def __init__(self, act: Callable[[Tensor], Tensor] = F.relu6) -> None:
        super().__init__()
        style = Style(act=act)
        self.row("conv", Convs(style, 3, Conv(3, 32, 2)))
        widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
        for number, width in enumerate(widths, start=1):
            stride = 2 if number in (2, 4, 6, 12) else 1
            depthwise = Conv(3, self.gives, stride, groups=self.gives)
            self.row(f"sep{number}", Convs(style, self.gives, depthwise, Conv(1, width)))
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return classified(self.through(x), self.fc)


class Inverted(Rows):
    """Inverted residuals: rows of a kernel, an expansion, a width, a count and a first stride."""

    def bottlenecks(
        self,
        style: Style,
        label: str,
        size: int,
        expansion: int,
        width: int,
        count: int,
        stride: int,
    ) -> None:
        for place in range(1, count + 1):
            into = self.gives
            wide = expansion * into
            convs = [Conv(size, wide, stride if place == 1 else 1, groups=wide), Conv(1, width)]
            if expansion > 1:
                convs.insert(0, Conv(1, wide))
            chain = Convs(style, into, *convs, ends_linear=True)
            self.row(f"{label}_{place}", chain if place == 1 else Sum(chain))


class MobileNetV2(Inverted):
    def __init__(self) -> None:
        super().__init__()
        style = Style(act=F.relu6)
        self.row("conv1", Convs(style, 3, Conv(3, 32, 2)))
        self.bottlenecks(style, "1", 3, 1, 16, 1, 1)
        self.bottlenecks(style, "2", 3, 6, 24, 2, 2)
        self.bottlenecks(style, "3", 3, 6, 32, 3, 2)
        self.bottlenecks(style, "4", 3, 6, 64, 4, 2)
        self.bottlenecks(style, "5", 3, 6, 96, 3, 1)
        self.bottlenecks(style, "6", 3, 6, 160, 3, 2)
        self.bottlenecks(style, "7", 3, 6, 320, 1, 1)
        self.row("conv2", Convs(style, 320, Conv(1, 1280)))
        self.out = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return classified(self.through(x), self.out)


class EfficientNetLite0(Inverted):
    def __init__(self) -> None:
        super().__init__()
        style = Style(eps=1e-3, act=F.relu6, pads_same=True)
        self.row("1", Convs(style, 3, Conv(3, 32, 2)))
        self.bottlenecks(style, "2", 3, 1, 16, 1, 1)
        self.bottlenecks(style, "3", 3, 6, 24, 2, 2)
        self.bottlenecks(style, "4", 5, 6, 40, 2, 2)
        self.bottlenecks(style, "5", 3, 6, 80, 3, 2)
        self.bottlenecks(style, "6", 5, 6, 112, 3, 1)
        self.bottlenecks(style, "7", 5, 6, 192, 4, 2)
        self.bottlenecks(style, "8", 3, 6, 320, 1, 1)
        self.row("9", Convs(style, 320, Conv(1, 1280)))
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return classified(self.through(x), self.fc)
