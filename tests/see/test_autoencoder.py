"""The training of an auto-encoder: what it learns, and that an interruption changes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from netspec.errors import DataError
from netspec.see import autoencoder
from netspec.see.autoencoder import AutoEncoder, trained_encoder
from netspec.see.encoder import Encoder, scale_of
from netspec.see.streaming import Interrupted
from netspec.training import process


def values(count: int = 150) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(1))


def trained(seed: int = 0, **options: object) -> Encoder:
    of = values()
    scaled = scale_of(of, "F6")
    return trained_encoder(of, *scaled, 16, seed=seed, steps=30, **options)  # type: ignore[arg-type]


def tensors_of(encoder: Encoder) -> list[torch.Tensor]:
    return [tensor for layer in encoder.layers for tensor in layer]


def are_same(one: Encoder, other: Encoder) -> bool:
    """Bit for bit."""
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_seed_decides_and_nothing_else() -> None:
    one = trained()
    torch.manual_seed(5)
    with process.threads(2):
        # a step of a large net is split over threads, and its sums are then rounded differently
        used = set[int]()
        again = trained(advance=lambda done, count: used.add(torch.get_num_threads()))
        assert are_same(again, one)
        assert used == {1}
        assert torch.get_num_threads() == 2
    assert not are_same(trained(seed=1), one)


@pytest.mark.parametrize("step", [1, 3, 17, 29, 30])
def test_a_training_that_is_interrupted_gives_the_same_bits(step: int, tmp_path: Path) -> None:
    state, steps = tmp_path / "a.pass", list[int]()

    def interrupt(done: int, count: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match=f"stopped after {step} of 30 steps of training") as ended:
        trained(state=state, advance=interrupt)
    assert ended.value.number == signal.SIGTERM
    resumed = trained(state=state, advance=lambda done, count: steps.append(done))
    assert steps == [*range(step + 1, 31)]
    assert are_same(resumed, trained())
    steps.clear()
    assert are_same(trained(state=state, advance=lambda done, count: steps.append(done)), resumed)
    assert not steps  # it was finished


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "a.pass"
    trained(state=state)
    with pytest.raises(DataError, match="is not the state of this pass"):
        trained(seed=1, state=state)


def test_the_code_layer_is_binary_and_the_gradient_is_that_of_the_sigmoid() -> None:
    """One step on one image, with the gradient computed by hand."""
    x = torch.randn(1, 5, generator=torch.Generator().manual_seed(2))
    learner = AutoEncoder(x, 8, 0, 30)
    first = {name: tensor.double() for name, tensor in learner.tensors().items()}
    learner.step()

    def linear(name: str, value: torch.Tensor) -> torch.Tensor:
        return value @ first[f"{name}.weight"].T + first[f"{name}.bias"]

    wanted = x.double()
    hidden = linear("encoder.hidden", wanted).tanh()
    code = linear("encoder.code", hidden)
    bits = (code > 0).double()
    back = linear("decoder.hidden", bits).tanh()
    error = linear("decoder.output", back) - wanted
    # backwards: mean of squares, output, tanh, hidden, then the sigmoid without the rounding
    slope = 2 * error / error.numel() @ first["decoder.output.weight"]
    slope = slope * (1 - back**2) @ first["decoder.hidden.weight"]
    slope = slope * code.sigmoid() * (1 - code.sigmoid())
    # Adam's first moment after one step is a tenth of the gradient
    moment = learner.tensors()["encoder.code.weight.exp_avg"].double()
    torch.testing.assert_close(moment, 0.1 * slope.T @ hidden, rtol=1e-4, atol=1e-8)


def test_the_restored_activations_come_nearer() -> None:
    # four points in noise: a code of 8 bits can name them
    centres = torch.tensor([[1.0, 1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, -1, -1, 1]])
    which = torch.arange(200) % 4
    noisy = centres[which] + 0.05 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    learner = AutoEncoder(noisy, 8, 0, 300)
    losses = [learner.step() for _ in range(300)]
    assert losses[-1] < losses[0] / 20
    codes = learner.encoder(torch.zeros(4, dtype=torch.float64), 1.0).encode(noisy)
    names = [{*codes[which == n, 0].tolist()} for n in range(4)]
    most = [np.bincount(codes[which == n, 0]).argmax() for n in range(4)]
    assert len({*most}) == 4, names


def test_a_loss_that_is_not_finite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "RATE", 1e30)
    with pytest.raises(DataError, match="the auto-encoder for 16 bits diverged: its loss is"):
        trained()
