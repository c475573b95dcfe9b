"""Known families of published weights: a table of names per family, as data.

A table pairs the layers of a file with the stages of a bundled spec.  Braces list alternatives,
which are taken in parallel on both sides, so that a table reads like the code that made the names::

    [rows]
    "Mixed_{5b,5c,5d}.branch5x5_{1,2}.{conv,bn}" = "{5b,5c,5d}.b2.{conv,bn}{1,2}"

pairs 12 layers.  Braces on the right follow those on the left that list the same words, else the
first others that list as many.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from netspec.ir.expects import Expects
from netspec.language.expects import classes_of, prepare_of
from netspec.language.read import BUNDLED
from netspec.net import Net, load
from netspec.pretrained.layers import Layer, Weights
from netspec.pretrained.layouts import Misfit, fitted, shapes_of
from netspec.pretrained.pairs import Pair, Pairing
from netspec.printing import Listing

FOLDER = Path(__file__).parent
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Family:
    """A family of published weights.

    Attributes:
        name: Name of the table.
        title: In words, such as ``torchvision's vgg16``.
        formats: Formats that its files have.
        spec: Bundled spec that computes what the weights are for.
        published: Names of files and where they are published.
        prepare: Steps that prepare an image; empty if they are those of the spec.
        classes: List of class names, such as ``imagenet-1k``; empty if they are those of the spec.
        notes: What a user must know, one sentence each.
        rows: Stage of the spec for each layer of a file.
        unused: Layers that a file may have and the spec does not.
        called: Names of the net in its files, in lower case; they tell families of equal layers
            apart.
        twin: Weights of another net that have the same names and shapes, in words, and for which
            there is no spec; empty if there are none.
        told_by: Word in the path of a file that tells it from a file of the twin.
        renumbered: Words whose layers are numbered from 0 in the table, and from any number in a
            file: ``conv2d`` for ``conv2d_5``.
    """

    name: str
    title: str
    formats: tuple[str, ...]
    spec: str
    published: tuple[str, ...]
    prepare: str
    classes: str
    notes: tuple[str, ...]
    rows: Mapping[str, str]
    unused: tuple[str, ...]
    called: tuple[str, ...]
    renumbered: tuple[str, ...]
    twin: str
    told_by: str

    @property
    def line(self) -> str:
        """The family in one line: its spec, its title and its first file."""
        return f"{self.spec}: {self.title}, {self.published[0]}"

    @property
    def net(self) -> Net:
        """The net of the bundled spec, also where a file of that name is in the current folder."""
        return _bundled(self.spec)

    @property
    def expects(self) -> Expects:
        """What the weights expect of images, and the names of their classes."""
        own = self.net.expects
        return Expects(
            prepare_of(self.prepare) if self.prepare else own.prepare,
            classes=classes_of(Path(self.classes)) if self.classes else own.classes,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what ``netspec weights --list --json`` prints."""
        return asdict(self) | {"prepare": str(self.expects)}

    def layers(self, weights: Weights) -> dict[str, Layer]:
        """Return the layers of a file by the names of the table."""
        names = _renumbered([layer.name for layer in weights.layers], self.renumbered)
        return dict(zip(names, weights.layers, strict=True))

    def fits(self, weights: Weights, *, retrained: bool = False) -> bool:
        """Return True if a file has the names and shapes of this family, and no others.

        Args:
            weights: the layers of the file.
            retrained: layers of the outputs may have another number of them.
        """
        if weights.format not in self.formats:
            return False
        layers = self.layers(weights)
        if not layers.keys() <= self.rows.keys() | {*self.unused}:
            return False
        net = self.net
        needed = {stage.name for stage in net.without_heads().graph.stages()}
        if any(stage in needed and name not in layers for name, stage in self.rows.items()):
            return False
        differing = {
            self.rows[name]
            for name, layer in layers.items()
            if name in self.rows
            and "weight" in layer.tensors
            and _size(layer) != prod(shapes_of(net, self.rows[name]).get("weight", ()))
        }
        return not differing or (retrained and differing <= last_layers(net))

    def pairing(self, weights: Weights) -> Pairing:
        """Return which layer of a file each stage of the spec takes."""
        layers = self.layers(weights)
        net = self.net
        by_stage = {self.rows[name]: layer for name, layer in layers.items() if name in self.rows}
        order = [stage.name for stage in net.graph.stages() if stage.op.is_trained]
        return Pairing(
            tuple(Pair(by_stage[name], name, "name") for name in order if name in by_stage),
            tuple(name for name in order if name not in by_stage),
            tuple(layer for name, layer in layers.items() if name in self.unused),
        )


def families(spec: str | None = None) -> Listing[Family]:
    """Return the known families of published weights, as ``netspec weights --list`` does.

    Args:
        spec: name of a bundled spec; None for all.
    """
    return Listing(family for family in _all() if spec in (None, family.spec))


@cache
def _bundled(spec: str) -> Net:
    return load(BUNDLED / f"{spec}.net")


@cache
def _all() -> tuple[Family, ...]:
    read = [family_in(path) for path in sorted(FOLDER.glob("*.toml"))]
    return tuple(sorted(read, key=lambda family: (family.spec, family.name)))


def family_in(path: Path) -> Family:
    """Return the family in a table."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows: dict[str, str] = {}
    for left, right in table.pop("rows").items():
        for layer, stage in expanded(left, right):
            if layer in rows:
                raise ValueError(f"{path}: {layer} is in two rows")
            rows[layer] = stage
    lists = {
        key: tuple(table.pop(key, ()))
        for key in ("formats", "published", "notes", "unused", "called", "renumbered")
    }
    lists["unused"] = tuple(one for text in lists["unused"] for one, _ in expanded(text, ""))
    return Family(
        name=path.stem,
        title=table.pop("title"),
        spec=table.pop("spec"),
        prepare=table.pop("prepare", ""),
        classes=table.pop("classes", "imagenet-1k"),
        rows=rows,
        twin=table.pop("twin", ""),
        told_by=table.pop("told_by", ""),
        **lists,
        **table,
    )


def expanded(left: str, right: str) -> list[tuple[str, str]]:
    """Return the pairs that two texts with braces stand for.

    The braces on the right repeat some on the left: word for word, or with as many alternatives.
    """
    choices = [_alternatives(text) for text in _BRACES.findall(left)]
    targets = [_alternatives(text) for text in _BRACES.findall(right)]
    sources = _sources(choices, targets)
    pairs = []
    for numbers in product(*(range(len(one)) for one in choices)):
        taken = [one[number] for one, number in zip(choices, numbers, strict=True)]
        given = [one[numbers[source]] for one, source in zip(targets, sources, strict=True)]
        pairs.append((_filled(left, taken), _filled(right, given)))
    return pairs


def _filled(text: str, words: list[str]) -> str:
    """Return a text with words in place of its braces."""
    parts = _BRACES.split(text)[::2]  # the others are what braces contain
    return "".join(part + word for part, word in zip(parts, [*words, ""], strict=True))


def _alternatives(text: str) -> list[str]:
    """Return what braces list: ``a,b,c``, or ``1..3``, or ``2..6/2`` for 2, 4, 6."""
    first, dots, last = text.partition("..")
    if dots:
        end, _, step = last.partition("/")
        return [str(number) for number in range(int(first), int(end) + 1, int(step or 1))]
    return text.split(",")


def _sources(choices: list[list[str]], targets: list[list[str]]) -> list[int]:
    """Return the number of the braces on the left that each on the right follows."""
    left = [*range(len(choices))]
    sources: dict[int, int] = {}
    is_word = [not all(one.isdecimal() for one in target) for target in targets]
    for words_only in (True, False):
        for place, target in enumerate(targets):
            if place in sources:
                continue
            same = [n for n in left if is_word[place] and choices[n] == target]
            long = [n for n in left if not words_only and len(choices[n]) == len(target)]
            if same or long:
                sources[place] = (same or long)[0]
                left.remove(sources[place])
    if len(sources) < len(targets):
        raise ValueError(f"braces {targets} do not follow {choices}")
    return [sources[place] for place in range(len(targets))]


def _size(layer: Layer) -> int:
    return prod(layer.tensors["weight"].shape)


def _renumbered(names: list[str], words: tuple[str, ...]) -> list[str]:
    """Return names with the numbers after some words counted from 0, in the order of numbers."""
    renamed = list(names)
    for word in words:
        found = [
            (int(match[1] or 0), place)
            for place, name in enumerate(names)
            if (match := re.fullmatch(rf"{re.escape(word)}(?:_(\d+))?", name))
        ]
        for count, (_, place) in enumerate(sorted(found)):
            renamed[place] = f"{word}_{count}"
    return renamed


def family_of(weights: Weights, spec: str = "") -> Family | None:
    """Return the family that a file belongs to by its format, names and shapes; None if unknown.

    Of several, it is the one whose name is in the file, else that of the spec, else the first.

    Args:
        weights: the layers of the file.
        spec: name of the bundled spec that the weights are for.
    """
    fitting = [family for family in families() if family.fits(weights)] or [
        family for family in families() if family.fits(weights, retrained=True)
    ]
    name = weights.facts.get("net", "").lower()
    for family in fitting:
        if name and name in family.called:
            return family
    return next((f for f in fitting if f.spec == spec), fitting[0] if fitting else None)


def last_layers(net: Net) -> set[str]:
    """Return the names of the trained stages of a net that no trained stage follows."""
    graph = net.graph
    last, followed = set[str](), set[str]()
    for stage in reversed(list(graph.stages())):
        if stage.op.is_trained and stage.name not in followed:
            last.add(stage.name)
        if stage.op.is_trained or stage.name in followed:
            followed.update(graph.operands(stage.name))
    return last


def near(weights: Weights, spec: str = "") -> str:
    """Return which family the names in a file are closest to, and what differs, in words.

    Empty if no family has half of the names.  Of several that are equally close, it is the one of
    the spec.
    """
    closest = max(
        (family for family in families() if weights.format in family.formats),
        key=lambda family: (_likeness(family, weights), family.spec == spec),
        default=None,
    )
    if closest is None:
        return ""
    layers = closest.layers(weights)
    shared = [name for name in layers if name in closest.rows]
    if 2 * len(shared) < len(layers):
        return ""
    missing = [name for name in closest.rows if name not in layers]
    others = [name for name in layers if name not in closest.rows and name not in closest.unused]
    differing = _differing(closest, {name: layers[name] for name in shared})
    text = (
        f"{len(shared)} of {len(layers)} layers have the names of {closest.title} "
        f"(spec {closest.spec})"
    )
    if missing:
        text += f", {_and_others(missing)} missing"
    if others:
        text += f", {_and_others(others)} not of it"
    if differing:
        more = len(differing) - 1
        text += f"; {differing[0]}{f', and {more} more differ' if more else ''}"
    return text


def _likeness(family: Family, weights: Weights) -> float:
    """Return the share of names that a table and a file have both, of those that one of them has.

    The number of shared names is not enough: the table of ResNet-101 has all names of a ResNet-50.
    """
    names = family.layers(weights).keys()
    return len(names & family.rows.keys()) / len(names | family.rows.keys())


def _differing(family: Family, layers: Mapping[str, Layer]) -> list[str]:
    """Return which layers do not fit the stages that have their names, one text per layer."""
    differing = []
    for name, layer in layers.items():
        try:
            fitted(layer, family.net, family.rows[name])
        except Misfit as error:
            differing.append(str(error))
    return differing


def _and_others(names: list[str]) -> str:
    return f"{names[0]} {'is' if len(names) == 1 else 'and others are'}"
