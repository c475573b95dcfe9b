"""What several nets by hand share."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ByHand(nn.Module):
    """A net that gives its output, or its output and those of its heads."""

    heads: ClassVar[tuple[str, ...]] = ()

    def canonical(self) -> dict[str, Tensor]:
        """Its tensors under the names that a spec's rows give them."""
        state = self.state_dict()
        return {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}

    def adjust(self) -> None:
        """Change drawn weights that do not suit this net; by default none."""


def lrn(x: Tensor, n: int, k: float, alpha: float, beta: float) -> Tensor:
    """As in the AlexNet paper, where alpha is not divided by n; PyTorch divides."""
    return F.local_response_norm(x, n, alpha * n, beta, k)


def lcn(x: Tensor, size: int, sigma: float) -> Tensor:
    """Jarrett et al. 2009, section 2, with a full window over all maps; taps outside left out."""
    channels, reach = x.shape[1], size // 2
    taps = [p * p + q * q for p in range(-reach, reach + 1) for q in range(-reach, reach + 1)]
    weights = [exp(-square / (2 * sigma**2)) for square in taps]
    window = x.new_tensor(weights).reshape(1, 1, size, size).repeat(1, channels, 1, 1)
    inside = F.conv2d(torch.ones_like(x), window, padding=reach)
    v = x - F.conv2d(x, window, padding=reach) / inside
    s = torch.sqrt(F.conv2d(v**2, window, padding=reach) / inside)
    c = s.flatten(1).mean(1)[:, None, None, None]
    return v / torch.where(s > c, s, c)


def pool_up(x: Tensor, size: int = 3, stride: int = 2) -> Tensor:
    """Maximum pooling whose size rounds up."""
    return F.max_pool2d(x, size, stride, ceil_mode=True)


def drawn(build: Callable[[], ByHand], seed: int = 3) -> ByHand:
    """The net in float64, with weights that keep the activations' scale and biases that matter.

    Every layer, norms included, hands on what it was given at about the same size: else the image
    would be lost under the biases, and a mistake in an early layer with it.
    """
    with torch.device("meta"):  # PyTorch's own draw of a large net would take seconds
        net = build().double()
    net = net.to_empty(device="cpu").eval().requires_grad_(False)
    torch.manual_seed(seed)
    for name, tensor in net.state_dict().items():
        last = name.rpartition(".")[2]
        if last in ("bias", "running_mean"):
            nn.init.uniform_(tensor, -0.2, 0.2)
        elif last == "running_var":
            nn.init.uniform_(tensor, 0.8, 1.8)  # 1 / variance is 0.81 on average, weight^2 1.08
        elif tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
        elif tensor.dim() > 1:
            terms = prod(tensor.shape[1:4])  # of the sum that an output is; places come behind
            nn.init.uniform_(tensor, -((6 / terms) ** 0.5), (6 / terms) ** 0.5)
    net.adjust()
    return net
