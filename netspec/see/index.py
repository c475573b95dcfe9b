"""An index of binary codes: a file with the codes of a data set and the encoder that made them.

It is a safetensors file, which contains no code to run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.data.dataset import Dataset
from netspec.errors import DataError, require_type
from netspec.files.kinds import WEIGHTS, require_place
from netspec.files.members import Kind, many, parsed, record, shown, text, whole
from netspec.files.tensors import Stored, TensorFile, bytes_of, opened_tensors
from netspec.files.writing import followed, naming
from netspec.ir.arguments import place
from netspec.ir.parameter_names import parameter_names
from netspec.runtime.weights import save_tensors
from netspec.see.encoder import Encoder
from netspec.see.ranking import nearest_codes
from netspec.see.subject import Seen

FORMAT = 1
LEAST_BITS, MOST_BITS = 8, 512
"""Codes have whole bytes."""
MOST_UNITS = 4096
"""Units of a hidden layer of an encoder."""
_AGAIN = "make it again with netspec see codes --index FILE"
_NOTE = "index"


@dataclass(frozen=True)
class About:
    """What the codes of an index are of.

    Attributes:
        format: version of the format.
        net: name of the net.
        row: the row or stage.
        weights: digest of the weights, by :func:`weights_digest`.
        prepare: digest of how images are prepared, by :func:`prepare_digest`.
        data: name of the data set, such as ``digits``, for :func:`netspec.data.open_data`.
        split: name of the split, for messages.
        digest: digest of the split.
        classes: names of the classes.
    """

    format: int
    net: str
    row: str
    weights: str
    prepare: str
    data: str
    split: str
    digest: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class CodeIndex:
    """The codes of the images of a data set.

    Attributes:
        about: what they are of.
        encoder: from activations to codes.
        codes: packed bits, [N, bits / 8] uint8.
        labels: numbers of the classes, [N] int64.
        numbers: of the images in the data set, increasing, [N] int64.
    """

    about: About
    encoder: Encoder
    codes: NDArray[np.uint8]
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)

    def nearest(
        self, codes: NDArray[np.uint8], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the images whose codes are nearest to codes [Q, bits / 8].

        Of equal distances, the image with the smaller number comes first.

        Returns:
            Their places in the index, and Hamming distances, [Q, K]; K is ``count``, or the number
            of images if that is less.
        """
        return nearest_codes(self.codes, codes, min(count, len(self)))

    def require(self, seen: Seen, path: str | Path) -> None:
        """Raise DataError, with the reason, if the codes are of another net or other weights."""
        about, name = self.about, seen.net.name
        if about.net != name:
            raise DataError(
                f"{path} is an index of codes of {shown(about.net)}, not of {name}: {_AGAIN}"
            )
        size = seen.shape_of(about.row).elements
        if len(self.encoder.mean) != size:
            raise DataError(
                f"{path} encodes {len(self.encoder.mean):,} activations of {about.row}, and "
                f"{name} has {size:,}: {_AGAIN}"
            )
        if about.weights != weights_digest(seen):
            raise DataError(
                f"{path} is an index of codes of {name} with other weights: give the net the "
                f"weights that the index was made with, or {_AGAIN}"
            )
        if about.prepare != prepare_digest(seen):
            raise DataError(
                f"{path} is an index of images that were prepared in another way (--prepare): "
                f"prepare them in the same way, or {_AGAIN}"
            )

    def require_data(self, dataset: Dataset, path: str | Path) -> None:
        """Raise DataError if the codes are of another data set."""
        # the file may say anything, so the digest alone does not make numbers and labels fit
        fits = self.numbers[-1] < len(dataset) and self.about.classes == dataset.classes
        if dataset.digest != self.about.digest or not fits:
            raise DataError(
                f"{path} is an index of {self.about.split}, and {dataset.name} is other data, or "
                f"has changed: {_AGAIN}"
            )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the index to a file, whole or not at all.

        Args:
            path: ``FILE.safetensors``.
            force: replace a file of another kind.

        Raises:
            DataError: the file cannot be written.
        """
        require_type("force", force, bool, "True or False")
        target = place("path", path, "the path of a safetensors file")
        require_place(target, WEIGHTS, force=force)
        with naming(target):
            target = followed(target)
        tensors: dict[str, Tensor] = {
            "codes": torch.from_numpy(self.codes),
            "labels": torch.from_numpy(self.labels),
            "numbers": torch.from_numpy(self.numbers),
            "encoder.mean": self.encoder.mean,
            "encoder.scale": torch.tensor(self.encoder.scale, dtype=torch.float64),
        }
        for name, layer in zip(_LAYERS, self.encoder.layers, strict=True):
            for kind, tensor in zip(("weight", "bias"), layer, strict=True):
                tensors[f"{name}.{kind}"] = tensor
        note = json.dumps(vars(self.about), sort_keys=True)
        save_tensors(tensors, target, {_NOTE: note})

    @staticmethod
    def load(path: str | Path) -> CodeIndex:
        """Return the index in a file.

        Memory is at most the size of the file.

        Raises:
            DataError: the file cannot be read, is damaged, or is not an index of codes.
        """
        source = place("path", path, "the path of a safetensors file")
        with opened_tensors(source, "an index of codes", _AGAIN) as file:
            if _NOTE not in file.notes:
                raise DataError(f"{source} is not an index of codes: {_AGAIN}")
            about = parsed(file.notes[_NOTE].encode(), f"the note in {source}", _ABOUT, _AGAIN)
            _require_shapes(file, source)
            tensors = file.read()
        return _index(about, tensors, source)


_LAYERS = ("encoder.hidden", "encoder.code")
"""Names of the layers of an encoder in a file."""


def weights_digest(seen: Seen) -> str:
    """Return the SHA-256 of the names, types and values of the weights, those of heads omitted."""
    digest, state = sha256(), seen.model.state_dict()
    for name, _, _ in parameter_names(seen.net.without_heads().graph):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
        digest.update(bytes_of(tensor.contiguous()))
    return digest.hexdigest()


def prepare_digest(seen: Seen) -> str:
    """Return the SHA-256 of how images become the input of the net."""
    expects, digest = seen.subject.expects, sha256()
    digest.update(repr((expects.prepare, tuple(seen.net.input_shape))).encode())
    if expects.image is not None:
        digest.update(expects.image.tobytes())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------ reading


def _require_shapes(file: TensorFile, path: Path) -> None:
    """Raise DataError unless the types and shapes of the tensors fit each other."""
    stored = file.tensors

    def shape(name: str, sizes: int) -> tuple[int, ...]:
        there = stored.get(name)
        return there.shape if there is not None and len(there.shape) == sizes else (0,) * sizes

    images, size = shape("codes", 2)
    (values,) = shape("encoder.mean", 1)
    units, _ = shape("encoder.hidden.weight", 2)
    bits = 8 * size
    expected = {
        "codes": Stored(torch.uint8, (images, size)),
        "labels": Stored(torch.int64, (images,)),
        "numbers": Stored(torch.int64, (images,)),
        "encoder.mean": Stored(torch.float64, (values,)),
        "encoder.scale": Stored(torch.float64, ()),
        "encoder.hidden.weight": Stored(torch.float32, (units, values)),
        "encoder.hidden.bias": Stored(torch.float32, (units,)),
        "encoder.code.weight": Stored(torch.float32, (bits, units)),
        "encoder.code.bias": Stored(torch.float32, (bits,)),
    }
    is_sized = images and values and 1 <= units <= MOST_UNITS and LEAST_BITS <= bits <= MOST_BITS
    missing = [name for name in expected if name not in stored]
    other = [name for name in stored if stored[name] != expected.get(name)]
    if missing or other or not is_sized:
        what = ": a size of its tensors is 0, or too large"
        if other:
            what = f": {shown(other[0])} does not belong there, or has another type or size"
        if missing:
            what = f": {missing[0]} is missing"
        raise DataError(f"{path} is not an index of codes that can be used{what}; {_AGAIN}")


def _index(about: About, tensors: dict[str, Tensor], path: Path) -> CodeIndex:
    labels, numbers = tensors["labels"], tensors["numbers"]
    layers = tuple((tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in _LAYERS)
    scale = float(tensors["encoder.scale"])
    floats = [tensor for tensor in tensors.values() if tensor.is_floating_point()]
    problem = ""
    if not all(bool(tensor.isfinite().all()) for tensor in floats) or not scale > 0:
        problem = "a value of the encoder is not finite, or its scale is not above 0"
    elif labels.min() < 0 or labels.max() >= len(about.classes):
        problem = f"a label is not a number from 0 to {len(about.classes) - 1:,}"
    elif numbers[0] < 0 or not bool((numbers.diff() > 0).all()):
        problem = "the numbers of images do not increase from 0"
    if problem:
        raise DataError(f"{path} is damaged: {problem}; {_AGAIN}")
    encoder = Encoder(tensors["encoder.mean"], scale, layers)
    return CodeIndex(about, encoder, tensors["codes"].numpy(), labels.numpy(), numbers.numpy())


_DIGEST = text(64)
_ABOUT: Kind[Any] = record(
    About,
    format=whole(FORMAT, FORMAT),
    net=text(),
    row=text(),
    weights=_DIGEST,
    prepare=_DIGEST,
    data=text(),
    split=text(),
    digest=_DIGEST,
    classes=many(text()),
)
