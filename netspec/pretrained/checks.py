"""Compare the outputs of a net that has converted weights with the outputs of their source."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from netspec.errors import DataError
from netspec.net import Net
from netspec.pretrained.formats.common import line_of
from netspec.pretrained.layers import Weights
from netspec.pretrained.onnx_run import NotRun, Run, of_onnx
from netspec.runtime.reference import Model

ALLOWED = 1e-4
"""Largest difference of outputs, relative to the largest output.  Rounding of float32 adds up to
about 1e-5 over 200 layers; an exchanged pair of layers, a wrong epsilon or padding changes outputs
by 1e-3 and more."""

LEAST = {torch.float32: 1e-3, torch.float64: 1e-9}
"""Least change of outputs from one random image to another, relative to the largest output, for a
comparison to show anything, by the type that is computed in: rounding is then below a hundredth of
the change (1e-5 of the largest output in float32, 1e-14 in float64)."""

SHARE = {torch.float32: 0.05, torch.float64: 1e-3}
"""Largest difference of outputs as a share of their change from one image to another."""

SATURATED = 0.999
"""A probability from which on a softmax hides what is before it."""

IMAGES = 2


@dataclass(frozen=True)
class Checked:
    """How converted weights were checked.

    Attributes:
        source: what was run, in words; empty if the source was not run.
        error: largest difference of outputs, relative to the largest output; None if the source was
            not run.
        reason: why the source was not run, and how it can be; empty if it was run.
    """

    source: str = ""
    error: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.error is None:
            return f"names, shapes and values were checked; outputs were not: {self.reason}"
        return (
            f"outputs for {IMAGES} random images are those of {self.source}, "
            f"{self.error:.0e} relative"
        )


def check(
    net: Net, tensors: Mapping[str, Tensor], weights: Weights, module: Module | str | None
) -> Checked:
    """Run a net and the source of its weights on the same random images, and compare their outputs.

    Values before a final softmax are compared.  A source that is an ONNX model is run by ONNX
    Runtime, or by onnx's reference implementation; any other only if its module is given.  Outputs
    that hardly depend on the image show nothing, and count as not compared.

    Args:
        net: the net.
        tensors: its converted weights by name.
        weights: of the source.
        module: the module of the source with its weights; or where to find what makes it, as
            ``torchvision.models:vgg16``; then it is given the weights of the source.

    Raises:
        DataError: the outputs differ, or the module cannot be made or does not take the weights.
    """
    if len(net.graph.inputs) != 1 or len(net.graph.outputs) != 1:
        return Checked(reason=f"{net.name} has several inputs or outputs")
    image = net.graph.stage(net.graph.inputs[0]).known_shape
    dtype = torch.float32
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, *image.torch, generator=generator)
    try:
        with torch.inference_mode():
            if module is not None:
                name = module if isinstance(module, str) else type(module).__name__
                source = f"the module {name}"
                theirs = _of_module(_made(module, weights), images, source)
                dtype = theirs.dtype
            elif weights.format == "onnx":
                run, source = of_onnx(weights.path, image.torch)
                theirs = _outputs(run, images, source)
                if theirs.dtype is torch.float64:  # of a last Cast: the layers are in float32
                    theirs = theirs.float()
            elif weights.format in ("pytorch", "safetensors"):
                raise NotRun("give the model that has these weights with --module")
            else:
                raise NotRun(
                    f"models of {weights.format} are not run, those of PyTorch and ONNX are"
                )
            _require_telling(theirs, source)
            model = Model(net, _complete(net, tensors, dtype))
            compared = _probabilities if _are_probabilities(theirs) else Model.logits
            ours = compared(model, images.to(dtype)).reshape(IMAGES, -1)
    except NotRun as problem:
        return Checked(reason=str(problem))
    error = _difference(ours, theirs, source)
    largest, change = float(theirs.abs().max()), float((theirs[0] - theirs[1]).abs().max())
    if not error <= min(ALLOWED * largest, SHARE[dtype] * change):  # NaN too
        raise DataError(
            f"{net.name} with the weights of {weights.path} does not compute what {source} does: "
            f"outputs differ by {error / largest:.1e} of the largest, and {ALLOWED:.0e} is "
            "allowed; layers are paired wrongly, or the nets differ in what has no weights: "
            "padding, pooling, epsilon, activations"
        )
    return Checked(source, error / largest)


def _outputs(run: Run, images: Tensor, source: str) -> Tensor:
    """Return the outputs of a source, a matrix [N, outputs]."""
    try:
        return run(images)
    except Exception as error:  # whatever the code of others raises
        raise DataError(f"cannot run {source}: {type(error).__name__}: {line_of(error)}") from None


def _require_telling(outputs: Tensor, source: str) -> None:
    """Raise NotRun if a comparison of these outputs [N, outputs] would not show an error."""
    if outputs.dtype not in LEAST:
        name = str(outputs.dtype).removeprefix("torch.")
        raise NotRun(f"the outputs of {source} are of the type {name}, not float32 or float64")
    if not outputs.numel() or not bool(outputs.isfinite().all()):
        raise NotRun(f"{source} has no outputs, or outputs that are NaN or infinite")
    change, largest = (outputs[0] - outputs[1]).abs().max(), outputs.abs().max()
    if not bool(change >= LEAST[outputs.dtype] * largest) or not bool(largest > 0):
        raise NotRun(f"the outputs of {source} hardly depend on the image, which shows nothing")
    if _are_probabilities(outputs) and bool(largest > SATURATED):
        raise NotRun(f"the softmax of {source} is saturated, which shows nothing")


def _complete(net: Net, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors of a net, with zeros for those of heads that the source does not have."""
    from netspec.ir.parameter_names import parameter_names

    return {
        name: tensors.get(name, torch.zeros(1).expand(parameter.shape)).to(dtype)
        for name, parameter, _ in parameter_names(net.graph)
    }


def _are_probabilities(outputs: Tensor) -> bool:
    sums = outputs.sum(1)
    return bool((outputs >= 0).all() and torch.allclose(sums, torch.ones_like(sums), atol=1e-3))


def _probabilities(model: Model, images: Tensor) -> Tensor:
    outputs: Tensor = model(images)
    return outputs


def _difference(ours: Tensor, theirs: Tensor, source: str) -> float:
    if ours.shape != theirs.shape:
        raise DataError(
            f"the net has {ours.shape[1]:,} outputs, and {source} returns {theirs.shape[1]:,}: "
            "give the spec as many outputs, or a module that returns the outputs alone"
        )
    return float((ours - theirs).abs().max())


# ----------------------------------------------------------------------------------------- modules


def _made(module: Module | str, weights: Weights) -> Module:
    """Return a module in evaluation mode; if it is made here, with the weights of the source."""
    if isinstance(module, Module):
        return module.eval()
    where, colon, name = module.partition(":")
    if not (where and colon and name):
        raise DataError(f"--module {module}: write MODULE:NAME, such as torchvision.models:vgg16")
    if (here := str(Path.cwd())) not in sys.path:  # the command is not run as `python -m`
        sys.path.append(here)
    try:
        made: Any = import_module(where)
        for part in name.split("."):
            made = getattr(made, part)
        made = made if isinstance(made, Module) else made()
    except Exception as error:  # whatever the code of others raises
        raise DataError(f"cannot make {module}: {type(error).__name__}: {error}") from None
    if not isinstance(made, Module):
        raise DataError(f"{module} makes an object of type {type(made).__name__}, not a module")
    _fill(made, module, weights)
    return made.eval()


def _fill(made: Module, name: str, weights: Weights) -> None:
    stored = {
        layer.names[role]: tensor
        for layer in weights.layers
        for role, tensor in layer.tensors.items()
    }
    filled = {}
    for key in made.state_dict():
        own = key if key in stored else next((n for n in stored if n.endswith(f".{key}")), None)
        if own is not None:
            filled[key] = stored[own]
    missing = [key for key in made.state_dict() if key not in filled and "num_batches" not in key]
    if missing:
        raise DataError(
            f"{name} does not take these weights: it needs {', '.join(missing[:3])} too"
        )
    try:
        made.load_state_dict(filled, strict=False)
    except RuntimeError as error:
        raise DataError(f"{name} does not take these weights: {error}") from None


def _of_module(module: Module, images: Tensor, source: str) -> Tensor:
    """Return the outputs of a module: in float64, or in float32 if it cannot compute in that."""
    try:
        return _run(deepcopy(module).double(), images.double())
    except Exception:  # the code of others may be for one type only
        return _outputs(lambda batch: _run(module, batch), images, source)


def _run(module: Module, images: Tensor) -> Tensor:
    outputs: Any = module(images)
    if not isinstance(outputs, Tensor):  # torchvision's outputs with those of heads
        outputs = outputs[0]
    matrix: Tensor = outputs.reshape(len(images), -1)
    return matrix
