"""An auto-encoder from the activations of a row to binary codes, trained to restore them.

The code layer is a sigmoid, rounded to 0 or 1 in the forward pass; the gradient ignores the
rounding (Krizhevsky and Hinton 2011, "Using very deep autoencoders for content-based image
retrieval", which the AlexNet paper suggests in section 6.1).  The loss is the mean squared error of
the restored activations.

A training that was interrupted and resumed gives the same tensors, bit for bit, as one that was
not: the order of images depends only on the seed and the epoch, and the state is saved with the
moments of the optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from math import sqrt
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.tensors import bytes_of
from netspec.ir.randomness import generator
from netspec.ir.shapes import ceiling
from netspec.see.encoder import Encoder, layers_of
from netspec.see.streaming import (
    SAVE_EVERY,
    Interrupted,
    Unstopped,
    resumed_state,
    save_state,
)

HIDDEN = 128
"""Units between activations and code, and between code and restored activations."""
BATCH = 64
STEPS = 1000
RATE = 2e-3
"""Learning rate of Adam in the first step; it falls to 0 in a straight line."""
_LAYERS = ("encoder.hidden", "encoder.code", "decoder.hidden", "decoder.output")


class AutoEncoder:
    """An auto-encoder in training.

    Args:
        vectors: activations to restore, standardised, [N, D] float32.
        bits: length of a code.
        seed: of the first weights and of the order of images.
        steps: number of steps of the whole training.

    Attributes:
        about: what the training depends on.
        done: number of finished steps.
    """

    def __init__(self, vectors: Tensor, bits: int, seed: int, steps: int) -> None:
        self._vectors, self._seed, self._steps = vectors, seed, steps
        size = vectors.shape[1]
        widths = (size, HIDDEN, bits, HIDDEN, size)
        self._parameters = dict[str, Tensor]()
        for number, name in enumerate(_LAYERS):
            for kind, tensor in _first_layer(seed, number, *widths[number : number + 2]).items():
                self._parameters[f"{name}.{kind}"] = tensor.requires_grad_()
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=RATE)
        digest = sha256(bytes_of(vectors.contiguous())).hexdigest()
        about = (digest, tuple(vectors.shape), bits, seed, HIDDEN, BATCH, steps, RATE)
        self.about = str(about).encode()
        self.done = 0

    def step(self) -> float:
        """Take one step; return its loss."""
        count = len(self._vectors)
        epoch, place = divmod(self.done, ceiling(count, BATCH))
        order = torch.from_numpy(generator(self._seed, "codes", epoch).permutation(count))
        batch = self._vectors[order[place * BATCH : (place + 1) * BATCH]]
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * (1 - self.done / self._steps)
        loss = torch.square(self._restored(batch) - batch).mean()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.done += 1
        return loss.item()

    def _restored(self, batch: Tensor) -> Tensor:
        values = batch
        for name in _LAYERS:
            weight, bias = (self._parameters[f"{name}.{kind}"] for kind in ("weight", "bias"))
            values = torch.nn.functional.linear(values, weight, bias)
            if name.endswith("hidden"):
                values = values.tanh()
            elif name == "encoder.code":
                code = values.sigmoid()
                # the value is the bit, since x - x is 0; the gradient is that of the sigmoid
                values = (values > 0).float() + (code - code.detach())
        return values

    def encoder(self, mean: Tensor, scale: float) -> Encoder:
        """Return the encoder so far, for activations with this mean and scale."""
        tensors = [t for name, t in self._parameters.items() if name.startswith("encoder.")]
        return Encoder(mean, scale, layers_of(tensors))

    def tensors(self) -> dict[str, Tensor]:
        """Return parameters and moments by name."""
        tensors = dict[str, Tensor]()
        for name, parameter in self._parameters.items():
            moments = self._optimizer.state.get(parameter, {})
            zeros = torch.zeros_like(parameter)
            tensors[name] = parameter.detach()
            for moment in _MOMENTS:
                tensors[f"{name}.{moment}"] = moments.get(moment, zeros)
        return tensors

    def take(self, tensors: Mapping[str, Tensor], done: int) -> None:
        """Take over what :meth:`tensors` returned after a number of steps."""
        self.done = done
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(tensors[name])
                moments = {moment: tensors[f"{name}.{moment}"].clone() for moment in _MOMENTS}
                if done:
                    self._optimizer.state[parameter] = {
                        "step": torch.tensor(float(done)),
                        **moments,
                    }


_MOMENTS = ("exp_avg", "exp_avg_sq")


def _first_layer(seed: int, number: int, inputs: int, outputs: int) -> dict[str, Tensor]:
    """Return the first weight and bias of a layer: uniform up to 1 / sqrt(inputs)."""
    drawn, most = generator(seed, "auto-encoder", number), 1 / sqrt(inputs)
    shapes = {"weight": (outputs, inputs), "bias": (outputs,)}
    return {
        kind: torch.from_numpy(drawn.uniform(-most, most, shape)).float()
        for kind, shape in shapes.items()
    }


def trained_encoder(
    values: Tensor,
    mean: Tensor,
    scale: float,
    bits: int,
    *,
    seed: int,
    steps: int = STEPS,
    state: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, count: None,
) -> Encoder:
    """Return an encoder of activations, trained together with a decoder that restores them.

    Args:
        values: activations of images, [N, D].
        mean, scale: what :func:`netspec.see.encoder.scale_of` returned for them.
        bits: length of a code.
        seed: of the first weights and of the order of images.
        steps: number of steps of the training.
        state: a file in which the training is saved once a minute, when a signal stops it and when
            it is finished; if it exists, the training continues from it.
        advance: called with the number of steps so far, and the number of all.

    Raises:
        DataError: the state is of another training, or the loss is not finite.
        netspec.see.streaming.Interrupted: a signal stopped the training; only with ``state``.
    """
    from netspec.training.process import threads  # slow to import, as all of training
    from netspec.training.stopping import Stopping

    standard = Encoder(mean, scale, ()).standard(values)
    # the sums of the steps are split over threads, so one thread gives the same bits anywhere
    with threads(1):
        learner = AutoEncoder(standard, bits, seed, steps)
        key = sha256(learner.about).hexdigest()
        if state is not None and state.exists():
            tensors, (done, _) = resumed_state(state, key, learner.tensors())
            learner.take(tensors, done)
        saved = monotonic()
        with Stopping() if state is not None else Unstopped() as stopping:
            while learner.done < steps:
                if not (loss := learner.step()) < float("inf"):
                    raise DataError(
                        f"the auto-encoder for {bits} bits diverged: its loss is {loss:g} after "
                        f"step {learner.done:,}; name another row with --row"
                    )
                advance(learner.done, steps)
                is_last, is_due = learner.done == steps, monotonic() > saved + SAVE_EVERY
                if state is not None and (is_last or stopping.asked or is_due):
                    save_state(state, key, learner.tensors(), learner.done, steps)
                    saved = monotonic()
                    if stopping.asked:
                        raise Interrupted(
                            stopping.asked, learner.done, steps, state, "steps of training"
                        )
        return learner.encoder(mean, scale)
