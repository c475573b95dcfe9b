"""He et al. 2016, Table 1, as torchvision and Keras build them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tests.backends.by_hand.convs import Conv, Convs, Rows, Style, Sum, classified

COUNTS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
    "resnet50_keras": (3, 4, 6, 3),
}

STYLE = Style()
KERAS = Style(eps=1.001e-5, bias=True)


class Residual(Sum):
    """Two convolutions, or a bottleneck of three, and the ReLU after the sum.

    The stride is in the first 3x3 convolution, as in torchvision, or in the first one, as in Keras.
    """

    def __init__(
        self, style: Style, into: int, width: int, stride: int, is_bottleneck: bool
    ) -> None:
        convs = [Conv(3, width, stride), Conv(3, width)]
        if is_bottleneck:
            first, second = (stride, 1) if style is KERAS else (1, stride)
            convs = [Conv(1, width, first), Conv(3, width, second), Conv(1, 4 * width)]
        chain = Convs(style, into, *convs, ends_linear=True)
        projection = Convs(style, into, Conv(1, chain.gives, stride), ends_linear=True)
        super().__init__(chain, projection if into != chain.gives else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class ResNet(Rows):
    def __init__(self, name: str) -> None:
        super().__init__()
        style = KERAS if name == "resnet50_keras" else STYLE
        self.row("conv1", Convs(style, 3, Conv(7, 64, 2)))
        for part, count in enumerate(COUNTS[name]):
            for place in range(1, count + 1):
                stride = 2 if place == 1 and part > 0 else 1
                is_bottleneck = name not in ("resnet18", "resnet34")
                block = Residual(style, self.gives, 64 << part, stride, is_bottleneck)
                self.row(f"conv{part + 2}_{place}", block)
        self.out = nn.Linear(self.gives, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x), 3, 2, padding=1)
        for label in self.rows[1:]:
            x = self.get_submodule(label)(x)
        return classified(x, self.out)
