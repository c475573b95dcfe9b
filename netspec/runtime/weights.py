"""Read and write weights as safetensors files, which contain tensors and no code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

from torch import Tensor
from torch.nn import Module

from netspec.errors import DataError, require_type, warn_user
from netspec.files.finite import first_not_finite, require_finite_to_save
from netspec.files.kinds import WEIGHTS, require_place
from netspec.files.members import shown
from netspec.files.reading import reason_of
from netspec.files.tensors import Stored, opened_tensors, write_tensors
from netspec.files.writing import followed, naming, replacing
from netspec.ir.arguments import place
from netspec.ir.expects import Expects
from netspec.ir.graph import Graph
from netspec.ir.parameter_names import earlier_names, named_anew, parameter_names
from netspec.net import Net
from netspec.runtime.compiled import Compiled
from netspec.runtime.description import differences, expected, notes
from netspec.runtime.expects import IMAGE, image_of, with_image
from netspec.runtime.reference import Model

SHOWN_AT_MOST = 5


def load_weights(model: Compiled | Model, path: str | Path) -> None:
    """Copy the tensors of a safetensors file into a model; all of them, or none.

    If the file has preprocessing and class names, as files of netspec do, they become
    ``model.expects``.  Auxiliary heads, which only training needs, keep their values if the file
    does not have them.

    Args:
        model: the net.
        path: the file.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: the file cannot be read, its names or shapes are not those of the model, or a
            value is NaN or infinite.

    Warns:
        UserWarning: the weights fit, but are of a net that computes something else, or that expects
            other images.
    """
    require_type("model", model, (Compiled, Model), "what netspec.compile or reference returns")
    target = place("path", path, "the path of a safetensors file")
    if target.is_symlink():  # a user may name a link; members of runs and artifacts are not links
        target = Path(os.path.realpath(target))
    tensors, texts = _read(model.net.graph, target, model.net.without_heads().graph)
    image = tensors.pop(IMAGE, None)
    differing, expects = differences(model.net, texts, target), expected(texts, target)
    model.load_state_dict({**model.state_dict(), **tensors})
    warn_of_another_net(model.net, differing, target)
    if expects is not None:
        model.expects = _joined(model.net, with_image(expects, image, str(target)), target)


def warn_of_another_net(net: Net, differing: Sequence[str], path: Path) -> None:
    """Warn if the weights in a file were saved by a net that computes something else.

    Args:
        net: the net that takes the weights.
        differing: what differs between the two nets.
        path: the file.
    """
    if differing:
        listed = "; ".join(differing[:SHOWN_AT_MOST])
        more = len(differing) - SHOWN_AT_MOST
        others = f"; and {more} more" if more > 0 else ""
        warn_user(
            f"the weights in {path} fit {net.name}, but are of a net that computes something else: "
            f"{listed}{others}"
        )


def _joined(net: Net, expects: Expects, path: Path) -> Expects:
    """Return what the file of weights says, completed by what the net's spec says.

    If both have a preprocessing and they differ, warn and use the file's: the weights were trained
    with it.
    """
    own = net.expects
    if expects.prepare is None:
        expects = replace(expects, prepare=own.prepare, views=own.views)
    elif own.prepare is not None and not own.missing and own.prepare != expects.prepare:
        warn_user(
            f"the spec of {net.name} prepares images by `{own}`, and the weights in {path} were "
            f"trained with images prepared by `{expects}`: the latter is used"
        )
    return replace(expects, classes=expects.classes or own.classes)


def read_weights(graph: Graph, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a net from a safetensors file, by name.

    Names, types and shapes are checked before any tensor is read.

    Raises:
        DataError: the file cannot be read, its names or shapes are not the net's, or a value is NaN
            or infinite.
    """
    tensors, _ = _read(graph, path, graph)
    tensors.pop(IMAGE, None)
    return tensors


def _read(graph: Graph, path: Path, needed: Graph) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Return the tensors of a net, with the mean image if there is one, and the metadata.

    Args:
        graph: the net.
        path: the file.
        needed: the part of the net whose tensors the file must have.
    """
    earlier = earlier_names(graph)
    shapes, own = (
        {name: tuple(parameter.shape) for name, parameter, _ in parameter_names(one)}
        for one in (graph, needed)
    )
    with opened_tensors(path) as file:
        stored = named_anew(earlier, file.tensors)
        tensors_in = {name: one for name, one in stored.items() if name != IMAGE}
        wanted = {name: shape for name, shape in shapes.items() if name in own or name in stored}
        try:
            require_tensors(tensors_in, wanted, f"the weights in {path} are not this net's")
        except DataError as error:
            raise DataError(f"{error}{_advice(tensors_in, wanted, path)}") from None
        tensors = dict(named_anew(earlier, file.read()))
    require_finite(named_anew(earlier, file.not_finite), path)
    return tensors, file.notes


def _advice(
    tensors: Mapping[str, Stored], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> str:
    """Return how to use a file whose tensors have other shapes only: an fc as a convolution."""
    if tensors.keys() == shapes.keys() and all(
        prod(tensors[name].shape) == prod(shape) for name, shape in shapes.items()
    ):
        return f"\n  they may only need other shapes: netspec weights SPEC --from {path} -o NEW"
    return ""


def require_finite(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Raise DataError if a tensor of a file contains NaN or infinity."""
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
    """Check that a file contains floating-point tensors of these names and shapes, and no others.

    Args:
        tensors: the types and shapes in the file.
        shapes: the expected shape of each tensor by name.
        message: the beginning of the error.
        owner: that has these tensors, for the message.

    Raises:
        DataError: there are differences; the message lists them, one per line.
    """
    problems = [
        f"{shown(name)}: {stored.dtype} in the file, not a floating-point type"
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
        DataError: the file cannot be written, a value is NaN or infinite, or a net has tensors with
            other names or shapes than its spec, for example because it is pruned.
    """
    require_type("model", model, Module, "a module of PyTorch")
    path = place("path", path, "the path of a safetensors file")
    require_place(path, WEIGHTS, force=force)
    with naming(path):
        target = followed(path)
    tensors = model.state_dict()
    if isinstance(model, Compiled | Model):
        _require_own(model.net, tensors)
        require_finite_to_save(tensors, model.net.name)
        save_net(model.net, model.expects, tensors, target)
    else:
        require_finite_to_save(tensors, type(model).__name__)
        save_tensors(tensors, target)


def _require_own(net: Net, tensors: Mapping[str, Tensor]) -> None:
    """Raise DataError if a net could not load its own tensors again."""
    shapes = {name: tuple(parameter.shape) for name, parameter, _ in parameter_names(net.graph)}
    others = [shown(name) for name in tensors if name not in shapes]
    others += [f"no {name}" for name in shapes if name not in tensors]
    others += [
        f"{name} of shape {list(tensors[name].shape)}"
        for name, shape in shapes.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if others:
        more = f" and {len(others) - SHOWN_AT_MOST} more" if len(others) > SHOWN_AT_MOST else ""
        raise DataError(
            f"the weights of {net.name} are not saved, because it could not load them again: it "
            f"has {', '.join(others[:SHOWN_AT_MOST])}{more}; undo what its spec does not describe "
            "(torch.nn.utils.prune.remove, parametrize.remove_parametrizations, "
            "remove_spectral_norm, del), or save model.state_dict() with safetensors"
        )


def save_net(net: Net, expects: Expects, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a net's tensors, with its description, preprocessing and class names, to a file.

    The file is written whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    image = image_of(expects)
    with_images = dict(tensors) if image is None else {**tensors, IMAGE: image}
    save_tensors(with_images, path, notes(net, expects))


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, texts: Mapping[str, str] | None = None
) -> None:
    """Write tensors, and strings as metadata, to a safetensors file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            write_tensors(file, tensors, texts)
    except OSError as error:
        raise DataError(f"cannot write weights to {path}: {reason_of(error)}") from None
