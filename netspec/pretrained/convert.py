"""Pair the layers of a file of weights with a net, convert their tensors, and check the result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from torch import Tensor

from netspec.errors import DataError, warn_user
from netspec.files.members import shown
from netspec.files.tensors import opened_tensors
from netspec.ir.expects import Expects
from netspec.ir.graph import Stage
from netspec.ir.ops.bn import BatchNorm
from netspec.ir.parameter_names import attribute, module_path
from netspec.net import Net
from netspec.pretrained.checks import Checked, check
from netspec.pretrained.families import Family, family_of, last_layers, near
from netspec.pretrained.formats import read
from netspec.pretrained.layers import Weights
from netspec.pretrained.layouts import Misfit, fitted, shapes_of
from netspec.pretrained.pairing import by_structure
from netspec.pretrained.pairs import Pair, Pairing
from netspec.pretrained.unpaired import Unpaired
from netspec.printing import Printed
from netspec.runtime.description import computed, differences, expected
from netspec.runtime.weights import require_finite, warn_of_another_net
from netspec.trained import spec_of

if TYPE_CHECKING:
    from torch.nn import Module

SHOWN_AT_MOST = 3

ROUNDING = 1e-6
"""Relative rounding of an epsilon that a file has in float32."""


@dataclass(frozen=True, repr=False)
class Converted(Printed):
    """Weights that were converted for a net.

    Attributes:
        net: The net.
        weights: Layers of the file.
        family: Known family of the weights; None if layers were paired without one.
        pairing: Which layer each stage takes its tensors from.
        tensors: Tensors of the net by name, float32; those of heads only if the file has them.
        expects: What the weights expect of images, and the names of their classes.
        checked: How the result was checked.
        path: File that was written; None if none was.
    """

    net: Net
    weights: Weights
    family: Family | None
    pairing: Pairing
    tensors: Mapping[str, Tensor]
    expects: Expects
    checked: Checked
    path: Path | None = None

    @property
    def uncertain(self) -> tuple[Pair, ...]:
        """Pairs that only the order of layers decides, unless outputs were compared."""
        if self.checked.error is not None:
            return ()
        return tuple(pair for pair in self.pairing.pairs if not pair.is_certain)


def for_net(net: Net, path: Path) -> Converted:
    """Return weights of another framework for a net, if names or shapes alone decide all pairs.

    Raises:
        DataError: the file cannot be read, its layers are not those of the net, a value is NaN or
            infinite, or only the order of layers decides some pairs.
    """
    result = converted(net, path)
    spec = spec_of(net) or ("SPEC" if net.source.path is None else str(net.source.path))
    require_certain(result, f"convert the file first, and check the table: {_command(spec, path)}")
    return result


class Uncertain(DataError):
    """Weights whose layers are paired by their order alone.

    Attributes:
        converted: the weights with these pairs.
    """

    def __init__(self, message: str, converted: Converted) -> None:
        super().__init__(message)
        self.converted = converted


def require_certain(result: Converted, advice: str) -> None:
    """Raise Uncertain if only the order of layers decides some pairs."""
    uncertain = result.uncertain
    if uncertain:
        pair = uncertain[0]
        other = f", which could also be {pair.rivals[0]}" if pair.rivals else ""
        raise Uncertain(
            f"{len(uncertain)} of {len(result.pairing.pairs)} layers of {result.weights.path} "
            f"are paired by their order alone, for example {shown(pair.layer.name)} with "
            f"{pair.stage}{other}: {advice}, or compare the outputs "
            "with those of the source: --module MODULE:NAME",
            result,
        )


def converted(net: Net, path: Path, module: Module | str | None = None) -> Converted:
    """Return the weights in a file for a net; arguments and errors are those of
    :func:`netspec.convert_weights`."""
    net.require_numbers()
    weights = read(path)
    family, pairing = _paired(net, weights)
    tensors = _tensors(net, pairing, path)
    checked = check(net, tensors, weights, module)
    if checked.error is None:
        _warn_of_epsilon(net, weights, pairing)
    return Converted(
        net, weights, family, pairing, tensors, _expects(net, weights, family), checked
    )


# ----------------------------------------------------------------------------------------- pairing


def _paired(net: Net, weights: Weights) -> tuple[Family | None, Pairing]:
    """Return the family of weights if it is known, and which layer each stage takes."""
    family = family_of(weights, spec_of(net))
    if family is not None:
        names = _names_in(net, family, weights.path)
        if names is not None:
            _warn_of_twin(family, weights.path)
            return family, _called(net, family.pairing(weights), names)
    own = _by_own_names(net, weights)
    if own is not None:
        _warn_of_other_layers(net, weights, own)
        return None, own
    try:
        return None, by_structure(net, weights)
    except Unpaired as error:
        if family is not None:
            message = f"{_of_another_spec(family, weights.path)}; {error.problem}"
            raise DataError(message) from None
        close = near(weights, spec_of(net))
        problem = f"{error.problem}; {close}" if close else error.problem
        raise Unpaired(problem, error.table) from None


def _names_in(net: Net, family: Family, path: Path) -> Mapping[str, str] | None:
    """Return the stage of a net for each stage of the spec of a family; None if they are others.

    Weights often fit another net by shape: BVLC's AlexNet has the shapes of the paper's, whose LRN,
    groups and dropout differ.

    Raises:
        DataError: the net has the labels of the family's spec, and computes something else.
    """
    own = family.net
    named = {stage.name: stage.name for stage in _trained(own)}
    if {stage.name for stage in _trained(net.without_heads())} <= named.keys():
        differing = _differing(net, own)
        if differing:
            more = len(differing) - SHOWN_AT_MOST
            listed = differing[:SHOWN_AT_MOST] + ([f"and {more} more"] if more > 0 else [])
            message = f"{_of_another_spec(family, path)}; {net.name} computes something else:"
            raise DataError("\n  ".join([message, *listed]))
        return named
    theirs, ours = own.without_heads(), net.without_heads()
    numbered = [{s.name: f"#{n}" for n, s in enumerate(_trained(one))} for one in (theirs, ours)]
    if computed(theirs.graph, numbered[0]) != computed(ours.graph, numbered[1]):
        return None
    return dict(zip(*numbered, strict=True))


def _of_another_spec(family: Family, path: Path) -> str:
    return (
        f"{path} has the weights of {family.title}, which are for the spec {family.spec}: "
        f"{_command(family.spec, path)}"
    )


def _command(spec: str, path: Path) -> str:
    return f"netspec weights {quote(spec)} --from {quote(str(path))}"


def _differing(net: Net, own: Net) -> list[str]:
    """Return where a net computes something else than the spec of a family, one text per stage.

    An fc that is a convolution over the same values computes the same, at more places of a larger
    map (a fully convolutional net).  The last layers may have another number of outputs.
    """
    theirs, ours = computed(own.graph), computed(net.graph)
    differing = {name: way for name, way in ours.items() if theirs.get(name) != way}
    convolutional = [
        name
        for name, way in differing.items()
        if name in net.graph
        and (own.graph.stage(name).op.name, net.graph.stage(name).op.name) == ("fc", "conv")
        and _before(theirs[name]) == _before(way)
    ]
    retrained = [
        name
        for name in differing.keys() & last_layers(net) & theirs.keys()
        if _without_count(ours[name]) == _without_count(theirs[name])
    ]
    for name in {*convolutional, *retrained}:
        del differing[name]
    if convolutional:
        differing = {name: way for name, way in differing.items() if not name.startswith("output")}
    return [
        f"{name} is `{way}`, not `{theirs.get(name, 'nothing')}`" for name, way in differing.items()
    ]


def _without_count(way: str) -> str:
    """Return the operators without the number of outputs of the last one."""
    last = way.rpartition(" | ")[2]
    return f"{_before(way)} | {re.sub(r'count=[0-9]+', '', last)}"


def _before(way: str) -> str:
    """Return the operators before the last one."""
    return way.rpartition(" | ")[0]


def _called(net: Net, pairing: Pairing, names: Mapping[str, str]) -> Pairing:
    """Return the pairs of the spec of a family with the names that its stages have in a net."""
    known = {theirs: own for theirs, own in names.items() if own in net.graph}
    pairs = {
        known[pair.stage]: replace(pair, stage=known[pair.stage])
        for pair in pairing.pairs
        if pair.stage in known
    }
    unused = [pair.layer for pair in pairing.pairs if pair.stage not in known]
    order = [stage.name for stage in _trained(net)]
    return Pairing(
        tuple(pairs[name] for name in order if name in pairs),
        tuple(name for name in order if name not in pairs),
        (*pairing.unused, *unused),
    )


def _by_own_names(net: Net, weights: Weights) -> Pairing | None:
    """Return the pairs of a file that has the names of the net; None if it does not."""
    layers = {layer.name: layer for layer in weights.layers}
    stages = {module_path(stage.name): stage.name for stage in _trained(net)}
    needed = {module_path(stage.name) for stage in _trained(net.without_heads())}
    if not needed <= layers.keys():
        return None
    return Pairing(
        tuple(Pair(layers[path], name, "name") for path, name in stages.items() if path in layers),
        tuple(name for path, name in stages.items() if path not in layers),
        tuple(layer for layer in weights.layers if layer.name not in stages),
    )


def _warn_of_other_layers(net: Net, weights: Weights, pairing: Pairing) -> None:
    """Warn if a file of netspec has the weights of a net that computes something else.

    A layer that gets another shape, such as an fc as a convolution, is meant to differ.
    """
    if weights.format != "safetensors":
        return
    with opened_tensors(weights.path) as file:
        told = differences(net, file.notes, weights.path)
    reshaped = {
        pair.stage
        for pair in pairing.pairs
        for role, shape in shapes_of(net, pair.stage).items()
        if role in pair.layer.tensors and tuple(pair.layer.tensors[role].shape) != shape
    }
    meant = (*(f"{stage} was " for stage in reshaped), *(["output "] if reshaped else []))
    warn_of_another_net(net, [one for one in told if not one.startswith(meant)], weights.path)


def _warn_of_twin(family: Family, path: Path) -> None:
    """Warn if the path does not tell the weights of a family from those of another net."""
    if family.twin and family.told_by not in str(path):
        warn_user(
            f"{path} has the names and shapes of {family.title}, and of {family.twin}: with those "
            f"weights, outputs are wrong.  Put {family.told_by} into the name of the file if it "
            "is the first"
        )


def _warn_of_epsilon(net: Net, weights: Weights, pairing: Pairing) -> None:
    """Warn if a normalisation of the file adds another epsilon than the stage that takes it.

    An epsilon has no tensor, so a file of another one fits, and outputs are slightly off.
    """
    differing = [
        f"{pair.stage} adds {op.eps:g}, and {shown(pair.layer.name)} {pair.layer.eps:g}"
        for pair in pairing.pairs
        if isinstance(op := net.graph.stage(pair.stage).op, BatchNorm)
        and pair.layer.eps is not None
        and not isclose(op.eps, pair.layer.eps, rel_tol=ROUNDING)
    ]
    if differing:
        more = len(differing) - 1
        warn_user(
            f"{net.name} normalises with another epsilon than {weights.path}: {differing[0]}"
            f"{f', and {more} more' if more else ''}; write that of the file in the spec, as in "
            "`default bn eps=1e-3`"
        )


def _trained(net: Net) -> list[Stage]:
    return [stage for stage in net.graph.stages() if stage.op.is_trained]


# ----------------------------------------------------------------------------------------- tensors


def _tensors(net: Net, pairing: Pairing, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a net from the layers that are paired with its stages.

    Raises:
        DataError: a layer does not fit its stage, or a value is NaN, infinite or a variance < 0.
    """
    tensors: dict[str, Tensor] = {}
    for pair in pairing.pairs:
        try:
            values = fitted(pair.layer, net, pair.stage)
        except Misfit as error:
            message = f"the weights in {path} are not those of {net.name}: {error}"
            if pair.stage in last_layers(net):
                message += (
                    "; weights with other outputs need a spec of their own, in which the last row "
                    f"has as many: net NAME from {net.name} {{ ... }}"
                )
            raise DataError(message) from None
        for role, tensor in values.items():
            tensors[attribute(pair.stage, role)] = tensor.float().contiguous()
            if role == "running_var" and bool((tensor < 0).any()):
                raise DataError(
                    f"the weights in {path} are damaged: {shown(pair.layer.name)} has a variance "
                    "below 0; get the file again"
                )
    require_finite(tensors, path)
    return tensors


# ----------------------------------------------------------------------------------------- expects


def _expects(net: Net, weights: Weights, family: Family | None) -> Expects:
    """Return what weights expect: what the family says, else the file of netspec, else the spec."""
    if family is not None:
        own, theirs = (one.graph.stage(one.graph.outputs[0]) for one in (net, family.net))
        if own.known_shape.channels == theirs.known_shape.channels:
            return family.expects
        return replace(family.expects, classes=net.expects.classes)  # it was trained for others
    if weights.format == "safetensors":
        with opened_tensors(weights.path) as file:
            by_file = expected(file.notes, weights.path)
        if by_file is not None:
            return by_file
    return net.expects
