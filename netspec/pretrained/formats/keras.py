"""Keras's files: ``.h5`` of Keras 1 and 2, ``.weights.h5`` and ``.keras`` of Keras 3.

In the first, each layer has a group, and attributes list the names of layers and of variables.  In
the others, groups have the names of classes with a number (``layers/conv2d_1/vars/0``), and the
variables are numbered too.  The configuration of the model, if the file has it, is read as data:
nothing in it is executed.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from torch import Tensor

from netspec.files.members import ANYTHING, parsed, shown
from netspec.files.reading import read_bounded
from netspec.pretrained.formats.common import (
    ADVICE,
    MOST_OBJECTS,
    Damaged,
    most_content,
    natural,
    opened_plain,
    readable,
    reading,
)
from netspec.pretrained.formats.hdf5 import Hdf5, opened_hdf5
from netspec.pretrained.formats.keras_config import Described, Description, described
from netspec.pretrained.formats.keras_layers import (
    NORMS,
    OLD_ROLES,
    ROLES,
    THEANO,
    Variables,
    layers_of,
    scale_or_center,
    type_of,
)
from netspec.pretrained.layers import Weights

CONFIG, CONTENT = "config.json", "model.weights.h5"
"""Names of the members of a ``.keras`` file."""

LARGEST_CONFIG = 2**24

UNDECIDED = "gamma or beta"
"""The only trained vector of a norm, where the file does not say which of the two it is."""

_SKIPPED = {"optimizer", "metrics", "loss_tracker", "seed_generator"}
"""Names of groups whose variables are not parameters of layers."""

_OLD_NAME = re.compile(
    r"(?:(?P<layer>.+)_)?(?P<role>W|b|gamma|beta|running_mean|running_std|alphas?"
    r"|depthwise_kernel|pointwise_kernel|kernel|bias)(?:_[0-9]+)?"
)
"""A variable of Keras 1, in whose name TensorFlow may have put a number: ``block1_conv1_W_1``."""


def read(path: Path) -> Weights:
    """Return the layers of a Keras file.

    With the configuration of the model, they are in the order of execution.  Without it, they are
    in the order of the file, except that ``conv2d_2`` is before ``conv2d_10``.

    Raises:
        DataError: the file cannot be read, is damaged, refers to other files, or has kernels in the
            order of Theano.
    """
    with reading(path, zipfile.BadZipFile, NotImplementedError), opened_plain(path) as (file, size):
        head = file.read(8)
        file.seek(0)
        if head == b"\x89HDF\r\n\x1a\n":
            with opened_hdf5(file, size) as content:
                return _weights(path, content, None)
        if head[:4] == b"PK\x03\x04":
            config, stored = _members(path, file, size)
            with opened_hdf5(BytesIO(stored), len(stored)) as content:
                return _weights(path, content, described(config))
        raise Damaged("it is not a file of Keras, which is HDF5 (.h5) or a zip (.keras)")


def _members(path: Path, file: BinaryIO, size: int) -> tuple[Any, bytes]:
    """Return the configuration and the HDF5 file in a ``.keras`` file."""
    with zipfile.ZipFile(file) as archive:
        names = [member.filename for member in archive.infolist()]
        for name in (CONFIG, CONTENT):
            if names.count(name) != 1:
                raise Damaged(
                    f"it has {names.count(name)} members {name}, not one",
                    "save the model in Keras as one .keras file",
                )
        members = list[bytes]()
        for name, most in ((CONFIG, LARGEST_CONFIG), (CONTENT, most_content(size))):
            try:
                with archive.open(name) as member:
                    members.append(read_bounded(member, f"{name} in {path}", most))
            except RuntimeError as error:  # it is encrypted
                raise Damaged(f"{name} cannot be read: {error}", "save it in Keras again") from None
    return parsed(members[0], f"{CONFIG} in {path}", ANYTHING, ADVICE), members[1]


def _weights(path: Path, content: Hdf5, description: Description | None) -> Weights:
    root = content.root
    group = root if _names(content, root, "layer_names") else content.child(root, "model_weights")
    owners = [root, *([group] if content.is_group(group) else [])]
    config = content.text(root, "model_config")
    if description is None and config:
        name = f"model_config in {path}"
        description = described(parsed(config.encode(), name, ANYTHING, ADVICE))
    description = description or Description()
    if "theano" in [content.text(owner, "backend") for owner in owners]:
        raise Damaged(*THEANO)
    if description.has("dim_ordering", "th"):
        raise Damaged(*THEANO)
    skipped = list[str]()
    if content.is_group(group):
        variables = list(_named(content, group, description))
        optimizer = content.child(root, "optimizer_weights")
        if content.is_group(optimizer):
            inside = content.walk(optimizer)
            skipped += [str(item.name)[1:] for _, item in inside if content.is_dataset(item)]
    else:
        variables = _numbered(content, description, skipped)
    if not variables:
        raise Damaged("it is not a file of Keras: it has no weights of layers")
    positions = [layer.position for layer in variables if layer.position is not None]
    is_ordered = len(positions) == len(variables)
    if is_ordered:
        order = sorted(range(len(variables)), key=positions.__getitem__)
        variables = [variables[n] for n in order]
    else:
        variables = _by_number(variables)
    layers = [layer for one in _different(variables) for layer in layers_of(one)]
    version = [content.text(owner, "keras_version") for owner in owners][-1]
    facts = {"keras": shown(version)} if version else {}
    return Weights(path, "keras", tuple(layers), is_ordered, tuple(skipped), facts)


def _names(content: Hdf5, group: Any, attribute: str) -> list[str]:
    """Return the names in an attribute, of which Keras writes several if there are many names."""
    names = content.texts(group, attribute)
    if names is not None:
        return names
    names = []
    for number in range(MOST_OBJECTS):
        more = content.texts(group, f"{attribute}{number}")
        if more is None:
            break
        names += more
    return names


# ------------------------------------------------------------------------------------ Keras 1 and 2


def _named(content: Hdf5, group: Any, description: Description) -> Iterator[Variables]:
    """Yield the variables of the layers that attributes list; an inner model has several layers."""
    names = _names(content, group, "layer_names")
    if len({*names}) != len(names):
        raise Damaged("two of its layers have the same name")
    for name in names:
        own = content.child(group, name)
        if not content.is_group(own):
            raise Damaged(f"it is damaged or incomplete: the layer {shown(name)} is missing")
        places: dict[str, dict[str, str]] = {}
        for weight in _names(content, own, "weight_names"):
            layer, role = _split(weight)
            roles = places.setdefault(layer, {})
            if role in roles:
                raise Damaged(f"the layer {shown(name)} has {shown(role)} twice")
            roles[role] = weight
        for layer, roles in places.items():
            inner = layer.rpartition("/")[2]
            is_inner = len(places) > 1 or description.position(name=inner) is not None
            called = inner if is_inner else name
            position = description.position(name=called)
            known = None if position is None else description.layers[position]
            yield Variables(
                called,
                type_of(called) if known is None else known.type,
                f"{name}/{layer}" if is_inner else name,
                position,
                {role: _tensor(content, own, weight) for role, weight in roles.items()},
                {role: f"{str(own.name)[1:]}/{weight}" for role, weight in roles.items()},
                known.eps if known else None,
            )


def _split(weight: str) -> tuple[str, str]:
    """Return the name of a layer and Keras's name of a variable.

    They are in ``conv1/kernel:0``, and in ``conv1_W_1:0`` of Keras 1.
    """
    layer, slash, role = weight.partition(":")[0].rpartition("/")
    if slash:
        return layer, OLD_ROLES.get(role, role)
    match = _OLD_NAME.fullmatch(role)
    if match is None:
        return "", role
    return match["layer"] or "", OLD_ROLES.get(match["role"], match["role"])


def _tensor(content: Hdf5, group: Any, name: str) -> Tensor:
    dataset = content.child(group, name)
    if not content.is_dataset(dataset):
        raise Damaged(f"it is damaged or incomplete: {shown(name)} is missing")
    return content.tensor(dataset)


# ------------------------------------------------------------------------------------------ Keras 3


def _numbered(content: Hdf5, description: Description, skipped: list[str]) -> list[Variables]:
    """Return the variables of all groups; add the names of those that are skipped."""
    layers = dict[str, dict[str, Any]]()
    names = dict[str, str]()
    for path, item in content.walk(content.root):
        parent, _, leaf = path.rpartition("/")
        owner, _, last = f"/{parent}".rpartition("/")
        if content.is_group(item) and leaf == "vars":
            names[parent] = content.text(item, "name")
        elif content.is_dataset(item):
            if last == "vars" and not _SKIPPED & {*path.split("/")}:
                layers.setdefault(owner[1:], {})[leaf] = item
            else:
                skipped.append(readable(path))
    variables = list[Variables]()
    for path, items in layers.items():
        place = path.replace("_layer_checkpoint_dependencies", "layers")  # of TensorFlow 2.12
        position = description.position(name=names[path], place=place)
        known = None if position is None else description.layers[position]
        leaf = path.rpartition("/")[2]
        name = names[path] or (known.name if known else readable(leaf))
        kind = known.type if known else type_of(leaf) or type_of(name)
        by_role = dict(zip(_roles(kind, len(items), known), items.values(), strict=True))
        values = {role: content.tensor(item) for role, item in by_role.items()}
        places = {role: readable(str(item.name)[1:]) for role, item in by_role.items()}
        eps = known.eps if known else None
        variables.append(Variables(name, kind, readable(path), position, values, places, eps))
    return _decided(variables)


def _roles(kind: str, count: int, known: Described | None) -> Sequence[str]:
    """Return Keras's names of the numbered variables of a layer; numbers if they are not known."""
    roles = ROLES.get(kind, ())
    if kind in NORMS and count == len(roles) - 2:
        return roles[2:]
    if kind in NORMS and count == len(roles) - 1:
        settings = known.settings if known else {}
        trained = [
            role for key, role in (("scale", "gamma"), ("center", "beta")) if settings.get(key)
        ]
        return [trained[0] if len(trained) == 1 else UNDECIDED, *roles[2:]]
    is_usual = count == len(roles) or (kind not in NORMS and count < len(roles))
    return roles[:count] if is_usual else [str(number) for number in range(count)]


def _decided(variables: Sequence[Variables]) -> list[Variables]:
    """Return variables whose norms with one trained vector say which of the two it is."""
    decided = list(variables)
    for kind in NORMS:
        places = [
            n for n, one in enumerate(decided) if one.type == kind and UNDECIDED in one.values
        ]
        if not places:
            continue
        vectors = [decided[n].values[UNDECIDED] for n in places]
        role = scale_or_center(vectors, decided[places[0]].name)
        for n in places:
            one = decided[n]
            values = {role if key == UNDECIDED else key: one.values[key] for key in one.values}
            paths = {role if key == UNDECIDED else key: one.places[key] for key in one.places}
            decided[n] = replace(one, values=values, places=paths)
    return decided


# ------------------------------------------------------------------------------------ names, order


def _by_number(variables: Sequence[Variables]) -> list[Variables]:
    """Return the layers with those that Keras named in the order in which they were made.

    Files list layers by their distance from the output, which mixes the layers of branches.
    """
    named = dict[str, list[int]]()
    for n, one in enumerate(variables):
        if type_of(one.name):
            named.setdefault(re.sub(r"_[0-9]+$", "", one.name), []).append(n)
    ordered = list(variables)
    for places in named.values():
        numbered = sorted((variables[n] for n in places), key=lambda one: natural(one.name))
        for n, one in zip(places, numbered, strict=True):
            ordered[n] = one
    return ordered


def _different(variables: Sequence[Variables]) -> list[Variables]:
    """Return layers with different names: those of layers, or else their paths in the file."""
    if len({one.name for one in variables}) == len(variables):
        return list(variables)
    return [replace(one, name=one.path) for one in variables]
