"""Programs that know modules by their class find in a net what they find in PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from netspec import loads
from netspec.runtime.reference import Model
from tests.lowering.passes.helpers import random_model


def net_and_twin(text: str, layers: nn.Module) -> tuple[Model, nn.Module]:
    """A net, and a module of PyTorch's own modules with the same numbers in the same order."""
    model, twin = random_model(loads(text)), layers.double().eval()
    with torch.no_grad():
        for ours, theirs in zip(model.state_dict().values(), tensors(twin), strict=True):
            theirs.copy_(ours.reshape(theirs.shape))
    return model, twin


def tensors(module: nn.Module) -> Iterator[Tensor]:
    return (t for name, t in module.state_dict().items() if not name.endswith("batches_tracked"))


class Parallel(nn.Module):
    """Branches, and their outputs joined."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Local(nn.Module):
    """A filter a position, 3x3 on a map of 4x4 with padding."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, channels * 9, 16))
        self.bias = nn.Parameter(torch.empty(count, 16))

    def forward(self, x: Tensor) -> Tensor:
        patches = nn.functional.unfold(x, 3, padding=1)
        y = torch.einsum("ncp,kcp->nkp", patches, self.weight) + self.bias
        return y.reshape(len(x), -1, 4, 4)


TWINS: dict[str, Callable[[], tuple[Model, nn.Module, Callable[[nn.Module], nn.Module]]]] = {}


def twin_of(
    text: str, layer: Callable[[nn.Module], nn.Module]
) -> Callable[[Callable[[], nn.Module]], None]:
    """Register PyTorch's own modules as the twin of a net; ``layer`` is the one of row ``b``."""

    def register(layers: Callable[[], nn.Module]) -> None:
        name = text.split()[1]
        TWINS[name] = lambda: (*net_and_twin(text, layers()), layer)

    return register


@twin_of(
    """net cifar4 # convolution, ceil in the pool, normalisation, a filter a position
input image 8x8x3
a: conv 5x5, 4, pad=2 | relu
b: maxpool 3x3/2, round=ceil | lrn 3, k=1, alpha=0.1, beta=0.75
c: local 3x3, 4, pad=1 | relu
d: fc 5 | softmax""",
    lambda twin: twin[3],
)
def cifar4() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.LocalResponseNorm(3, 0.3, 0.75, 1.0), Local(4, 4), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 5), nn.Softmax(1),
    )  # fmt: skip


@twin_of(
    """net lenet5
input image 8x8x3
a: conv 3x3, 6 | relu
b: maxpool 2x2/2
c: fc 12 | tanh
d: fc 8 | relu | fc 5""",
    lambda twin: twin[2],
)
def lenet5() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 12), nn.Tanh(),
        nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 5),
    )  # fmt: skip


@twin_of(
    """net googlenet
input image 8x8x3
a: conv 3x3, 4, pad=1 | bn eps=0.1 | relu
b: concat {
    conv 1x1, 3 | relu
    conv 1x1, 2 | relu | conv 3x3, 4, pad=1 | relu
    maxpool 3x3/1, pad=1 | conv 1x1, 2 | relu
}
c: maxpool 2x2/2 | gap | fc 5 | softmax""",
    lambda twin: twin[3],
)
def googlenet() -> nn.Module:
    first = nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
    third = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 2, 1), nn.ReLU())
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=0.1), nn.ReLU(),
        Parallel(first, second, third), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(9, 5), nn.Softmax(1),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:captum")  # that it hangs hooks on modules
@pytest.mark.parametrize("name", TWINS)
def test_captum_attributes_to_a_net_what_it_does_to_its_twin(name: str) -> None:
    from captum import attr

    model, twin, layer = TWINS[name]()
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = attr.Saliency(model).attribute(x, target=1, abs=False)
    methods = {
        "gradient": lambda m, row: attr.Saliency(m).attribute(x, target=1, abs=False),
        "guided": lambda m, row: attr.GuidedBackprop(m).attribute(x, target=1),
        "deconvolution": lambda m, row: attr.Deconvolution(m).attribute(x, target=1),
        "deeplift": lambda m, row: attr.DeepLift(m).attribute(x, 0.1 * x, target=1),
        "activation": lambda m, row: attr.LayerActivation(m, row).attribute(x),
        "gradcam": lambda m, row: attr.LayerGradCam(m, row).attribute(x, target=1),
        "layer deeplift": lambda m, row: attr.LayerDeepLift(m, row).attribute(x, 0.1 * x, target=1),
    }
    for method, attribute in methods.items():
        ours, theirs = attribute(model, model.b), attribute(twin, layer(twin))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12, msg=method)
        assert ours.shape != x.shape or method == "gradient" or not torch.allclose(ours, plain)
