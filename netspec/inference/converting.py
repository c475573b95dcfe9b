"""Convert pretrained weights of other frameworks, as ``netspec weights`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.files.kinds import WEIGHTS, require_place
from netspec.inference.source import expects_of, said
from netspec.ir.arguments import place
from netspec.language.definitions import Setting
from netspec.net import NET, Net, load, refuse_settings, require_net
from netspec.pretrained.convert import Converted, converted, require_certain
from netspec.runtime.weights import save_net

if TYPE_CHECKING:
    from torch.nn import Module


def convert_weights(
    net: Net | str | Path,
    source: str | Path,
    output: str | Path | None = None,
    *,
    accept: bool = False,
    module: Module | str | None = None,
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
    settings: Mapping[str, Setting] | None = None,
    force: bool = False,
) -> Converted:
    """Convert pretrained weights of another framework for a net, as ``netspec weights`` does.

    Layers are paired with stages by names, if the file is of a known family or has the names of the
    net; else by structure: kind, shape and order.  The outputs of the net are compared with those
    of the source, if that is an ONNX model or ``module`` is given.

    Args:
        net: a checked net, the path of a spec, or the name of a bundled spec.
        source: a file of PyTorch (.pth, .pt), safetensors, Caffe (.caffemodel), Keras (.h5,
            .keras), ONNX or MatConvNet (.mat).
        output: the safetensors file to write; None writes nothing.
        accept: also write pairs that only the order of layers decides.
        module: the module of PyTorch that has the weights, or where to find what makes it, such as
            ``"torchvision.models:vgg16"``; its code is run.
        prepare, classes: what the weights expect of images, in place of what the family says, as
            :func:`netspec.classify` takes it.
        settings: values of the parameters of a spec.
        force: replace a file of another kind.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec, or ``prepare``, has mistakes.
        DataError: the file cannot be read; its layers are not those of the net; a value is NaN or
            infinite; outputs differ from those of the source; pairs that only the order decides
            were not accepted; or the file cannot be written.
    """
    require_net(net, "net")
    checked_net = _net(net, settings)
    path = place("source", source, "the path of a file of weights")
    target = None if output is None else place("output", output, "the path to write")
    if target is not None:
        require_place(target, WEIGHTS, force=force)
    by_caller = expects_of(prepare, classes)
    result = converted(checked_net, path, module)
    if by_caller is not None:
        result = replace(result, expects=said(checked_net, result.expects, by_caller))
    if target is None:
        return result
    if not accept:
        require_certain(result, "check them in the table, then add --accept")
    save_net(checked_net, result.expects, result.tensors, target)
    return replace(result, path=target)


def _net(net: Net | str | Path, settings: Mapping[str, Setting] | None) -> Net:
    if isinstance(net, Net):
        refuse_settings(settings)
        return net
    return load(place("net", net, NET), **(settings or {}))
