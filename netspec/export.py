"""Export a net for inference as a file for other programs, in ONNX or PyTorch's format.

A description of the net is written next to the file, as ``NAME.json``: the preprocessing that it
expects, and the meaning of its outputs.  docs/export.md describes the format.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from netspec.errors import DataError
from netspec.files.finite import require_finite_to_save
from netspec.files.kinds import DESCRIPTION, ONNX, PT2, FileKind, description_of, require_place
from netspec.files.writing import write_together
from netspec.net import Net
from netspec.runtime.dtypes import dtype_name
from netspec.runtime.expects import as_json, image_of
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model, require_unchanged
from netspec.runtime.verification import random_images

KIND, VERSION = "netspec.description", 1


def export_onnx(
    model: Model, path: str | Path, *, batch: int | None = None, force: bool = False
) -> None:
    """Write a net as an ONNX file, and its description next to it.

    If there is an error, nothing is written.

    Args:
        model, batch: as for :func:`onnx_bytes`.
        path: path of the file; the description gets the same name and ``.json``.
        force: True to replace a file of another kind.

    Raises:
        DataError: as :func:`onnx_bytes`, or if a file cannot be written.
    """
    _require_places(Path(path), ONNX, force=force)
    _write(model, Path(path), onnx_bytes(model, batch=batch))


def onnx_bytes(model: Model, *, batch: int | None = None) -> bytes:
    """Return a net as an ONNX model with its weights, checked by ``onnx.checker``.

    Inputs and outputs have the names in the net, and parameters the names in the model.

    Args:
        model: a compiled net, in training or evaluation mode.
        batch: number of images; None leaves it open, as the dimension ``N``.

    Raises:
        DataError: if the package onnx cannot be imported; if ONNX does not support the net's type
            or one of its operators; if the parameters are too large for the format, NaN or
            infinite; or if the model was changed and no longer computes its spec.
    """
    try:
        import onnx
    except ImportError as error:
        raise DataError(
            f"ONNX files need the package onnx, which cannot be imported ({error}): "
            "pip install 'netspec-compiler[onnx]'"
        ) from None
    from netspec.backends.onnx.model import onnx_model

    require_unchanged(model, "ONNX")
    require_finite_to_save(model.state_dict(), model.net.name)
    content: bytes = onnx_model(model, batch).SerializeToString()
    onnx.checker.check_model(content, full_check=True)
    return content


def export_pt2(
    model: Model, path: str | Path, *, batch: int | None = None, force: bool = False
) -> None:
    """Write a net as a file for ``torch.export.load``, and its description next to it.

    If there is an error, nothing is written.  The state dict has the names in the model; the
    operations are PyTorch's own.

    Args:
        model: a compiled net, in training or evaluation mode.
        path: path of the file; the description gets the same name and ``.json``.
        batch: number of images; None leaves it open.
        force: True to replace a file of another kind.

    Raises:
        DataError: if a file cannot be written, if a parameter is NaN or infinite, or if the model
            was changed and no longer computes its spec.
    """
    _require_places(Path(path), PT2, force=force)
    require_unchanged(model, "a .pt2 file")
    require_finite_to_save(model.state_dict(), model.net.name)
    # contiguous, since PyTorch warns when it saves channels-last tensors; layouts of maps are in
    # the program
    tensors: dict[str, torch.Tensor] = {
        name: nn.Parameter(tensor.detach().contiguous())
        for name, tensor in model.named_parameters()
    }
    tensors |= {name: tensor.contiguous() for name, tensor in model.named_buffers()}
    plain = fx.GraphModule(tensors, lower(model.net.graph), class_name=model.net.name).eval()
    like = next(model.parameters(), torch.empty(0))
    images = random_images(model.net, batch=2 if batch is None else batch)
    program = torch.export.export(
        plain,
        tuple(image.to(like.device, like.dtype) for image in images),
        dynamic_shapes=tuple({0: torch.export.Dim("N")} for _ in images) if batch is None else None,
    )
    content = io.BytesIO()
    torch.export.save(program, content)
    _write(model, Path(path), content.getvalue())


# ------------------------------------------------------------------------------------- description


def description(model: Model) -> dict[str, Any]:
    """Return a net's inputs, outputs and expected preprocessing as JSON data."""
    graph, image = model.net.graph, image_of(model.expects)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    return {
        "kind": KIND,
        "version": VERSION,
        "net": model.net.name,
        "dtype": dtype_name(dtype),
        "inputs": _sizes(model.net, graph.inputs),
        "outputs": _sizes(model.net, graph.outputs),
        "answer": ANSWERS[model.net.answers_by],
        "expects": as_json(model.expects),
        "mean_image": None if image is None else _shortest(image),
    }


ANSWERS = {"most": "largest", "least": "smallest"}
"""The output that is the answer of a net, by the value of ``answers_by``."""


def _sizes(net: Net, names: list[str]) -> list[dict[str, Any]]:
    """Return inputs or outputs by name, with their shapes without the batch: [C, H, W] or [C]."""
    return [
        {"name": name, "shape": list(net.graph.stage(name).known_shape.torch)} for name in names
    ]


def _shortest(image: torch.Tensor) -> Any:
    """Return an image [H, W, C] as lists of the shortest decimals of its float32."""
    return [[[float(str(value)) for value in pixel] for pixel in row] for row in image.numpy()]


def _lines(data: dict[str, Any]) -> str:
    """Return a JSON object with one line per key."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in data.items()]
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def _require_places(path: Path, kind: FileKind, *, force: bool) -> None:
    """Check that an export and its description may be written.

    Raises:
        DataError: if the name has the suffix of another kind, or a file of another kind exists.
    """
    require_place(path, kind, force=force)
    if (beside := description_of(path)) is not None:
        require_place(beside, DESCRIPTION, force=force)


def _write(model: Model, path: Path, content: bytes) -> None:
    """Write an export and its description; an export to a pipe or device has no description.

    Raises:
        DataError: if one cannot be written; then neither is.
    """
    contents, beside = {path: content}, description_of(path)
    if beside is not None:
        contents[beside] = _lines(description(model)).encode()
    write_together(contents)
