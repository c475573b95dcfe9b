"""Read state dicts of PyTorch (``.pth``, ``.pt``) without executing what a pickle may contain."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.errors import DataError
from netspec.files.members import shown
from netspec.files.reading import reason_of
from netspec.pretrained.grouping import layers_of
from netspec.pretrained.layers import Weights

STATES = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema")
"""Keys under which checkpoints store the state dict of the model, the preferred one first."""

ADVICE = (
    "netspec reads a state dict, and never runs the code of a pickle: load the model in a program "
    "that you trust, then torch.save(model.state_dict(), FILE)"
)


def read(path: Path) -> Weights:
    """Return the layers of a state dict, or of a checkpoint that contains one.

    The unpickler of ``weights_only`` makes tensors and plain containers, and nothing else.  What a
    file claims is compared with its size first, so that memory is bounded.

    Raises:
        DataError: the file cannot be read, is damaged, or contains code.
    """
    size = _checked_size(path)
    loaded = _loaded(path)
    state, key = _state_of(loaded, path)
    tensors = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            continue
        if value.is_sparse or value.is_quantized or value.device.type != "cpu":
            raise DataError(f"cannot read weights from {path}: {shown(name)} is not a dense tensor")
        if value.numel() * value.itemsize > size:
            raise DataError(
                f"cannot read weights from {path}: {shown(name)} claims {list(value.shape)}, more "
                "than the file contains; get the file again"
            )
        tensors[name] = value.detach()
    if not tensors:
        raise DataError(f"cannot read weights from {path}: it does not contain tensors; {ADVICE}")
    layers, skipped = layers_of(tensors)
    others = [shown(str(name)) for name in state if name not in tensors]
    facts = {"state dict": key} if key else {}
    return Weights(path, "pytorch", layers, skipped=(*skipped, *others), facts=facts)


def _checked_size(path: Path) -> int:
    """Return the size of a file, after checking that a zip in it does not unpack to more."""
    try:
        size = path.stat().st_size
        if not zipfile.is_zipfile(path):
            return size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"cannot read weights from {path}: {reason}") from None
    names = [member.filename for member in members]
    if any(name.endswith("/constants.pkl") for name in names) and any(
        "/code/" in name for name in names
    ):
        raise DataError(f"cannot read weights from {path}: it is a TorchScript program; {ADVICE}")
    total = sum(member.file_size for member in members)
    if total > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise DataError(
            f"cannot read weights from {path}: it unpacks to {total:,} bytes, and PyTorch does not "
            "compress files; get the file again"
        )
    return size


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        text = str(error)
        if "weights_only" in text or "WeightsUnpickler" in text or "Unsupported" in text:
            raise DataError(
                f"cannot read weights from {path}: it contains more than tensors; {ADVICE}"
            ) from None
        raise _damaged(path) from None
    except (OSError, MemoryError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "not enough memory"
        raise DataError(f"cannot read weights from {path}: {reason}") from None
    except Exception:  # the unpickler meets anything in a damaged file
        raise _damaged(path) from None


def _damaged(path: Path) -> DataError:
    return DataError(
        f"cannot read weights from {path}: it is not a complete file of PyTorch; get the file again"
    )


def _state_of(loaded: Any, path: Path) -> tuple[Mapping[Any, Any], str]:
    """Return the state dict in what a file contains, and the key of a checkpoint that has it."""
    key = ""
    if isinstance(loaded, Mapping) and not any(isinstance(v, Tensor) for v in loaded.values()):
        key = next((k for k in STATES if isinstance(loaded.get(k), Mapping)), "")
        loaded = loaded[key] if key else loaded
    if not isinstance(loaded, Mapping):
        raise DataError(
            f"cannot read weights from {path}: it is not a state dict but an object of type "
            f"{type(loaded).__name__}; {ADVICE}"
        )
    return loaded, key
