"""Export a net at inference as a file that other programs run."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import fx, nn

from netspec.errors import DataError
from netspec.files.kinds import ONNX, PT2, require_place
from netspec.files.writing import write_named
from netspec.runtime.operations import lower
from netspec.runtime.reference import Model, require_unchanged
from netspec.runtime.verification import random_images


def export_onnx(
    model: Model, path: str | Path, *, batch: int | None = None, force: bool = False
) -> None:
    """Write the result of :func:`onnx_bytes` to a file; on an error nothing is written.

    Args:
        model, batch: what :func:`onnx_bytes` takes.
        path: the file.
        force: replace a file of another kind.

    Raises:
        DataError: ONNX cannot express the net, or the file cannot be written.
    """
    require_place(Path(path), ONNX, force=force)
    write_named(Path(path), onnx_bytes(model, batch=batch))


def onnx_bytes(model: Model, *, batch: int | None = None) -> bytes:
    """Return a net as an ONNX model with its weights, verified by ONNX's own checker.

    Inputs and outputs have the net's names, parameters the model's.

    Args:
        model: a compiled net, in either mode.
        batch: the number of images; None leaves it open, as the dimension ``N``.

    Raises:
        DataError: the package onnx cannot be imported; or ONNX does not have the net's type or one
            of its operators; or the parameters are too large for its format.
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
    content: bytes = onnx_model(model, batch).SerializeToString()
    onnx.checker.check_model(content, full_check=True)
    return content


def export_pt2(
    model: Model, path: str | Path, *, batch: int | None = None, force: bool = False
) -> None:
    """Write a net as a file for ``torch.export.load``; on an error nothing is written.

    Its state dict has the model's names; the operations are PyTorch's own.

    Args:
        model: a compiled net, in either mode.
        path: the file.
        batch: the number of images; None leaves it open.
        force: replace a file of another kind.

    Raises:
        DataError: the file cannot be written.
    """
    require_place(Path(path), PT2, force=force)
    require_unchanged(model, "a .pt2 file")
    # PyTorch saves channels-last tensors only with a warning: the map's layout is in the program
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
    write_named(Path(path), content.getvalue())
