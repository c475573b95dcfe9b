"""Compile a net with its weights, as ``netspec compile`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.errors import DataError, warn_user
from netspec.inference.source import Source, expects_of, lack, open_source, said
from netspec.ir.expects import Expects
from netspec.language.definitions import Setting
from netspec.net import Net

if TYPE_CHECKING:
    import torch

    from netspec.runtime.compiled import Compiled


def compile(
    net: Net | str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str | None = None,
    seed: int = 0,
    batch: int = 1,
    measured: bool = False,
    exact: bool = False,
    choices: Mapping[str, str] | None = None,
    weights: str | Path | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> Compiled:
    """Compile a net for a device, as ``netspec compile`` does.

    Args:
        net: a checked net; the path of a spec or of a run, which has its weights; or the name of a
            bundled spec.
        device: where it runs: ``cpu``, ``cuda``, or ``sm_80`` or ``sm_90`` for a GPU of another
            machine: such a net can be saved, not run.
        dtype: type of parameters, images and outputs, such as ``torch.float64`` or ``"float64"``;
            None is float32, or the type of the run.
        seed: seed of random weights; the same seed gives the same weights in every dtype.
        batch: number of images to choose implementations for; other batches run as well.
        measured: time the implementations of each stage instead of taking the preferred ones.
        exact: use only implementations that are as exact as sums of products: no Winograd
            convolutions, whose errors are about twice as large.
        choices: implementations that are decided already, by stage, as in ``lowered.choices``.
        weights: a file of weights, or the name of weights that come with a bundled spec; without
            them the weights of a spec are random.
        prepare: steps that prepare an image, in place of those that the net says.
        classes: names of the classes, in place of those that the net says, as
            :func:`netspec.classify` takes them.
        settings: values of the parameters of a spec.

    Returns:
        An ``nn.Module`` in evaluation mode: images [N, C, H, W] in, activations out.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: the backend is not available, weights cannot be read, or ``choices`` do not fit
            the net.
        MemoryError: the machine cannot hold the parameters.
    """
    expects = expects_of(prepare, classes)
    is_prepared = expects is not None and expects.prepare is not None
    source = open_source(net, weights, settings, is_prepared=is_prepared)
    model, _ = compiled(
        source,
        expects,
        device=device,
        dtype=dtype,
        seed=seed,
        batch=batch,
        measured=measured,
        exact=exact,
        choices=choices,
    )
    return model


def compiled(
    source: Source,
    expects: Expects | None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str | None = None,
    seed: int = 0,
    batch: int = 1,
    measured: bool = False,
    exact: bool = False,
    choices: Mapping[str, str] | None = None,
) -> tuple[Compiled, str]:
    """Return the net of a source, compiled with its weights, and what says what it expects.

    Arguments and errors are those of :func:`compile`.
    """
    from netspec import compiler

    model = compiler.compile(
        source.net,
        device=device,
        dtype=source.dtype if dtype is None else dtype,
        seed=seed,
        batch=batch,
        measured=measured,
        exact=exact,
        choices=choices,
    )
    origin = source.fill(model)
    if expects is not None:
        model.expects = said(model.net, model.expects, expects)
    return model, origin


def require_expects(model: Compiled, origin: str) -> None:
    """Check that it is known how images are prepared for a trained net, before it is saved.

    Args:
        model: the net.
        origin: where it comes from, for the message.

    Raises:
        DataError: a step needs statistics of a training set that are missing: no image could be
            classified with what is saved.

    Warns:
        UserWarning: nothing says how images are prepared.
    """
    net, expects = model.net, model.expects
    if not model.is_trained:
        return
    if problem := lack(net, expects, origin):
        raise DataError(problem)
    shape = net.input_shape
    if expects.prepare is None and shape.is_map and shape.channels in (1, 3):
        warn_user(
            f"{origin} does not say how images are prepared for {net.name}: give the steps, which "
            'are saved with the net: --prepare "STEPS"'
        )
