"""Weights in files: safetensors, which hold tensors and nothing that runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import Module

from netspec.errors import DataError
from netspec.files.finite import first_not_finite
from netspec.files.kinds import WEIGHTS, require_place
from netspec.files.members import shown
from netspec.files.reading import reason_of
from netspec.files.tensors import Stored, opened_tensors, write_tensors
from netspec.files.writing import followed, naming, replacing
from netspec.ir.graph import Graph
from netspec.ir.parameter_names import parameter_names
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.description import differences, notes
from netspec.runtime.reference import Model

SHOWN_AT_MOST = 5


def load_weights(model: Compiled | Model, path: str | Path) -> None:
    """Copy the tensors of a safetensors file into a model; all of them, or none.

    Raises:
        DataError: the file cannot be read, its names or shapes are not the model's, or a value is
            NaN or infinite.

    Warns:
        UserWarning: they fit, and are of a net that computes something else.
    """
    target = Path(path)
    if target.is_symlink():  # a person may name a link; members of runs and artifacts are none
        target = Path(os.path.realpath(target))
    model.load_state_dict(read_weights(model.net.graph, target))
    _warn_of_another_net(model.net, target)


def _warn_of_another_net(net: Net, path: Path) -> None:
    """Warn if the weights in a file were saved by a net that computes something else."""
    with opened_tensors(path) as file:
        differing = differences(net, file.notes)
    if differing:
        listed = "; ".join(differing[:SHOWN_AT_MOST])
        more = len(differing) - SHOWN_AT_MOST
        others = f"; and {more} more" if more > 0 else ""
        warnings.warn(
            f"the weights in {path} fit {net.name} by name and shape, but are of a net that "
            f"computes something else: {listed}{others}",
            stacklevel=3,
        )


def read_weights(graph: Graph, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a net from a safetensors file, by name.

    Names, types and shapes are checked before any tensor is read.

    Raises:
        DataError: the file cannot be read, its names or shapes are not the net's, or a value is NaN
            or infinite.
    """
    with opened_tensors(path) as file:
        require_tensors(
            file.tensors,
            {name: tuple(parameter.shape) for name, parameter, _ in parameter_names(graph)},
            f"the weights in {path} are not this net's",
        )
        tensors = file.read()
    require_finite(tensors, path)
    return tensors


def require_finite(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Raise DataError if a tensor of a file holds NaN or infinity."""
    problem = first_not_finite(tensors)
    if problem:
        raise DataError(f"the weights in {path} are not finite: {problem}; {NOT_FINITE_HELP}")


NOT_FINITE_HELP = "use weights from before training diverged, or get the file again"


def require_tensors(
    tensors: Mapping[str, Stored],
    shapes: Mapping[str, tuple[int, ...]],
    message: str,
    owner: str = "the net",
) -> None:
    """Check that a file holds floating-point tensors of these names and shapes, and no others.

    Args:
        tensors: what the file holds.
        shapes: the shape of each tensor by name.
        message: how the error begins.
        owner: whose tensors they are, as the message says it.

    Raises:
        DataError: it does not; the message goes on with what differs, a line each.
    """
    problems = [
        f"{shown(name)}: {stored.dtype} in the file, and weights are floating-point numbers"
        for name, stored in tensors.items()
        if not stored.dtype.is_floating_point
    ]
    problems += [f"missing: {name}" for name in shapes if name not in tensors]
    problems += [f"not in {owner}: {shown(name)}" for name in tensors if name not in shapes]
    problems += [
        f"{name}: {list(tensors[name].shape)} in the file, {list(shape)} in {owner}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if problems:
        listed = problems[:SHOWN_AT_MOST]
        if len(problems) > len(listed):
            listed.append(f"... and {len(problems) - len(listed)} more")
        raise DataError("\n  ".join([f"{message}:", *listed]))


def save_weights(model: Module, path: str | Path, *, force: bool = False) -> None:
    """Write a model's tensors to a safetensors file, whole or not at all.

    Args:
        model: a net, or any module of PyTorch.
        path: the file.
        force: replace a file of another kind.

    Raises:
        DataError: the file cannot be written.
    """
    require_place(Path(path), WEIGHTS, force=force)
    with naming(Path(path)):
        target = followed(Path(path))
    net = getattr(model, "net", None)
    save_tensors(model.state_dict(), target, notes(net) if isinstance(net, Net) else None)


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, texts: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and texts beside them, to a safetensors file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            write_tensors(file, tensors, texts)
    except OSError as error:
        raise DataError(f"cannot write weights to {path}: {reason_of(error)}") from None
