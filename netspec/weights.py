"""Weights in files: safetensors, which hold tensors and nothing that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Module

from netspec.backends.compiled import Compiled
from netspec.backends.reference import Model
from netspec.errors import DataError
from netspec.naming import parameter_names
from netspec.writing import followed, naming, replacing

SHOWN_AT_MOST = 5


def load_weights(model: Compiled | Model, path: str | Path) -> None:
    """Copy the tensors of a safetensors file into a model; all of them, or none.

    Raises:
        DataError: the file cannot be read, or its names or shapes are not the model's.
    """
    given, _ = read_tensors(path)
    wanted = {name: held.shape for name, held, _ in parameter_names(model.net.graph)}
    problems = [
        f"{name}: {tensor.dtype} in the file, and weights are floating-point numbers"
        for name, tensor in given.items()
        if not tensor.dtype.is_floating_point
    ]
    problems += [f"missing: {name}" for name in wanted if name not in given]
    problems += [f"not in the net: {name}" for name in given if name not in wanted]
    problems += [
        f"{name}: {list(given[name].shape)} in the file, {list(shape)} in the net"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) != shape
    ]
    if problems:
        shown = problems[:SHOWN_AT_MOST]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more")
        listed = "\n  ".join(shown)
        raise DataError(f"the weights in {path} are not this net's:\n  {listed}")
    model.load_state_dict(given)


def save_weights(model: Module, path: str | Path) -> None:
    """Write a model's tensors to a safetensors file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    with naming(Path(path)):
        target = followed(Path(path))
    save_tensors(model.state_dict(), target)


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, notes: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and texts beside them, to a safetensors file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(Path(path)) as temporary:
            save_file(whole, temporary, dict(notes or {}))
    except (SafetensorError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot write weights to {path}: {reason}") from None


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and the texts beside them.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except FileNotFoundError:
        raise DataError(f"cannot read weights from {path}: there is no such file") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot read weights from {path}: {reason}") from None
    except (SafetensorError, ValueError) as error:
        raise DataError(
            f"cannot read weights from {path}: it is not a whole safetensors file ({error}); "
            "a .pt or .pth file is a pickle: open it in PyTorch and save it with "
            "netspec.save_weights"
        ) from None
