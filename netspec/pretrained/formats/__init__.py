"""Formats of files of weights: one module per format, each with ``read(path) -> Weights``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from netspec.errors import DataError
from netspec.files.kinds import (
    CAFFEMODEL,
    HDF5,
    KERAS,
    MATLAB,
    ONNX,
    PICKLE,
    WEIGHTS,
    FileKind,
    kind_of_content,
    kind_of_name,
)
from netspec.files.reading import reason_of
from netspec.pretrained.layers import Weights

MODULES = {
    WEIGHTS: "safetensors",
    PICKLE: "pytorch",
    ONNX: "onnx",
    KERAS: "keras",
    HDF5: "keras",
    CAFFEMODEL: "caffe",
    MATLAB: "matconvnet",
}
"""The module that reads each kind of file."""

FORMATS = (
    "PyTorch (.pth, .pt), safetensors, ONNX (.onnx), Keras (.h5, .keras), Caffe (.caffemodel) or "
    "MatConvNet (.mat)"
)


def read(path: Path) -> Weights:
    """Return the layers of a file of weights.

    Raises:
        DataError: the file cannot be read, is damaged, or is of no format that netspec reads.
    """
    try:
        kind = kind_of_content(path) or kind_of_name(path)
    except OSError as error:
        raise DataError(f"cannot read weights from {path}: {reason_of(error)}") from None
    if kind not in MODULES:
        raise DataError(
            f"cannot read weights from {path}: it is {_name(kind)}; give a file of {FORMATS}"
        )
    weights: Weights = import_module(f"netspec.pretrained.formats.{MODULES[kind]}").read(path)
    if not weights.layers:
        raise DataError(f"cannot read weights from {path}: it does not contain weights of a layer")
    return weights


def _name(kind: FileKind | None) -> str:
    return "of an unknown format" if kind is None else kind.name
