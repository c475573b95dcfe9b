"""The file of an index of codes: what it holds, and which files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.files.tensors import opened_tensors
from netspec.runtime.weights import save_tensors
from netspec.see.encoder import Encoder
from netspec.see.index import FORMAT, About, CodeIndex, prepare_digest, weights_digest
from netspec.see.subject import Seen, open_seen

SPEC = """net small
input image 8x8x1
C1: conv 3x3, 2
F2: fc 4
prepare range low=0, high=1
"""
COUNT, SIZE = 20, 72
TRAIN = open_data("digits:8").train


@pytest.fixture(scope="module")
def seen() -> Seen:
    return open_seen(netspec.loads(SPEC))


@pytest.fixture(scope="module")
def index(seen: Seen) -> CodeIndex:
    generator = np.random.default_rng(0)
    layers = tuple(
        (torch.from_numpy(generator.normal(size=shape)).float(), torch.zeros(shape[0]))
        for shape in ((5, SIZE), (16, 5))
    )
    about = About(
        FORMAT, "small", "C1", weights_digest(seen), prepare_digest(seen),
        "digits:8", TRAIN.name, TRAIN.digest, TRAIN.classes,
    )  # fmt: skip
    return CodeIndex(
        about,
        Encoder(torch.zeros(SIZE, dtype=torch.float64), 0.1, layers),
        generator.integers(0, 256, (COUNT, 2), np.uint8),
        np.arange(COUNT) % 10,
        np.arange(COUNT) * 3,
    )


def test_an_index_is_read_as_it_was_written(index: CodeIndex, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    index.save(path)
    again = CodeIndex.load(path)
    assert again.about == index.about
    assert (again.encoder.scale, again.encoder.bits) == (0.1, 16)
    assert torch.equal(again.encoder.mean, index.encoder.mean)
    for layer, expected in zip(again.encoder.layers, index.encoder.layers, strict=True):
        assert all(map(torch.equal, layer, expected))
    for name in ("codes", "labels", "numbers"):
        assert np.array_equal(getattr(again, name), getattr(index, name))
    first = path.read_bytes()
    index.save(path)
    assert path.read_bytes() == first


def test_the_nearest_are_places_in_the_index(index: CodeIndex) -> None:
    places, distances = index.nearest(index.codes[[4]], 100)
    assert places.shape == (1, COUNT)
    assert places[0, 0] == 4
    bits = np.bitwise_count(index.codes ^ index.codes[4]).sum(1)
    assert distances[0].tolist() == sorted(bits.tolist())


def test_the_index_of_the_net_is_accepted(index: CodeIndex, seen: Seen) -> None:
    index.require(seen, "a")
    index.require_data(TRAIN, "a")


@pytest.mark.parametrize(
    ("spec", "about", "message"),
    [
        (SPEC.replace("net small", "net other"), {}, "is an index of codes of small, not of other"),
        (SPEC, {"row": "C3"}, "small does not have a row `C3`"),
        (SPEC, {"row": "F2"}, "encodes 72 activations of F2, and small has 4"),
        (SPEC.replace("high=1", "high=2"), {}, "images that were prepared in another way"),
        (SPEC, {"weights": "0" * 64}, "is an index of codes of small with other weights"),
    ],
)
def test_an_index_of_another_net_is_refused(
    spec: str, about: dict[str, str], message: str, index: CodeIndex, seen: Seen
) -> None:
    model = netspec.compile(netspec.loads(spec))
    model.load_state_dict(seen.model.state_dict())
    with pytest.raises(DataError) as error:
        replace(index, about=replace(index.about, **about)).require(open_seen(model), "a")
    assert message in str(error.value)


def test_one_weight_is_another_net(index: CodeIndex, seen: Seen) -> None:
    model = netspec.compile(netspec.loads(SPEC))
    state = {name: tensor.clone() for name, tensor in seen.model.state_dict().items()}
    model.load_state_dict(state)
    index.require(open_seen(model), "a")
    state["C1.weight"][0, 0, 0, 0] += 1e-3
    model.load_state_dict(state)
    with pytest.raises(DataError, match="with other weights: give the net the weights"):
        index.require(open_seen(model), "a")


def test_heads_do_not_count_among_weights() -> None:
    headed = """net headed
input image 8x8x1
C1: conv 3x3, 2
F2: fc 10 | softmax
head aux from C1, weight=0.3: gap | fc 10 | softmax
"""
    net = netspec.loads(headed)
    assert net.graph.heads
    model = netspec.compile(net)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one = weights_digest(open_seen(model))
    changed = [name for name in state if name.startswith("aux")]
    assert changed
    state[changed[0]] += 1
    model.load_state_dict(state)
    assert weights_digest(open_seen(model)) == one


def test_numbers_and_classes_that_the_data_does_not_have_are_refused(index: CodeIndex) -> None:
    beyond = replace(index, numbers=index.numbers + len(TRAIN) - 57)
    named = replace(index, about=replace(index.about, classes=(*TRAIN.classes, "10")))
    for wrong in (beyond, named):
        with pytest.raises(DataError, match="a is an index of digits, 1,437 for training, and"):
            wrong.require_data(TRAIN, "a")
    replace(index, numbers=index.numbers + len(TRAIN) - 58).require_data(TRAIN, "a")


def test_an_index_of_other_data_is_refused(index: CodeIndex) -> None:
    with pytest.raises(DataError, match=r"a is an index of digits, 1,437 .*, and digits, 360 "):
        index.require_data(open_data("digits:8").validation, "a")


# ------------------------------------------------------------------------------------ damaged files

Tensors = dict[str, torch.Tensor]


def changed(tensors: Tensors, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors[name] = change(tensors[name])


def ragged(tensors: Tensors) -> None:
    tensors["codes"] = tensors["codes"][:-1].clone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("encoder.mean"), "encoder.mean is missing"),
        (ragged, "labels does not belong there, or has another type or size"),
        (lambda t: t.update(x=torch.zeros(1)), "x does not belong there"),
        (lambda t: changed(t, "codes", lambda c: c.float()), "codes does not belong there, or has"),
        (lambda t: changed(t, "labels", lambda n: n + 1), "a label is not a number from 0 to 9"),
        (lambda t: changed(t, "labels", lambda n: n - 1), "a label is not a number from 0 to 9"),
        (lambda t: changed(t, "numbers", lambda n: n.flip(0)), "the numbers of images do not"),
        (lambda t: changed(t, "numbers", lambda n: n - 1), "the numbers of images do not"),
        (lambda t: changed(t, "encoder.scale", lambda s: 0 * s), "its scale is not above 0"),
        (lambda t: changed(t, "encoder.mean", lambda m: m / 0), "is not finite"),
        (lambda t: [changed(t, name, lambda c: c[:0]) for name in ("codes", "labels", "numbers")],
         "a size of its tensors is 0, or too large"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(
    change: Callable[[Tensors], object], message: str, index: CodeIndex, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    index.save(path)
    with opened_tensors(path) as file:
        notes, tensors = file.notes, file.read()
    notes.pop("sha256")
    change(tensors)
    save_tensors(tensors, path, notes)
    with pytest.raises(DataError) as error:
        CodeIndex.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "netspec see codes --index" in str(error.value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", 2),
        ("classes", [3]),
        ("row", None),
        ("data", 3),
        ("more", 1),
        ("net", "x" * 10**5),
    ],
)
def test_a_note_that_is_not_one_is_refused(
    member: str, value: object, index: CodeIndex, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    index.save(path)
    with opened_tensors(path) as file:
        notes, tensors = file.notes, file.read()
    notes.pop("sha256")
    about = json.loads(notes["index"]) | {member: value}
    save_tensors(tensors, path, {"index": json.dumps(about)})
    with pytest.raises(DataError, match=member):
        CodeIndex.load(path)


def test_other_files_are_refused(index: CodeIndex, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(DataError, match="there is no such file"):
        CodeIndex.load(path)
    save_tensors({"C1.weight": torch.zeros(2)}, path)
    with pytest.raises(DataError, match="is not an index of codes: make it again with"):
        CodeIndex.load(path)
    index.save(path)
    whole = path.read_bytes()
    for length in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"cannot read an index of codes from {path}: "):
            CodeIndex.load(path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match="its digest is not that of its content"):
        CodeIndex.load(path)


def test_a_header_of_tensors_that_are_not_there_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "U8", "shape": [2**40, 4], "data_offsets": [0, 2**42]}
    header = json.dumps({"codes": entry, "__metadata__": {"index": "{}"}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(DataError, match="its header describes 4,398,046,511,"):
        CodeIndex.load(path)


def test_a_file_of_another_kind_is_not_replaced(index: CodeIndex, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("my thesis")
    with pytest.raises(DataError, match="the existing file is not a safetensors file"):
        index.save(path)
    assert path.read_text() == "my thesis"
    index.save(path, force=True)
    assert len(CodeIndex.load(path)) == COUNT
