"""Files of Keras that are not to be trusted."""

from __future__ import annotations

import json
import os
import random as pseudo
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from netspec import DataError
from netspec.pretrained.formats.keras import read
from tests.pretrained.formats.helpers import within
from tests.pretrained.formats.test_keras import h5, keras, model, node, random, weights_h5

DENSE = {"dense": [random(20, 30), random(30)]}


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "; " in message
    assert message.isprintable()
    return message


def changed(folder: Path, change: Callable[[h5py.File], None]) -> Path:
    """Write a layer ``dense`` whose variables something replaces."""
    path = weights_h5(folder, {"dense": []})
    with h5py.File(path, "a") as file:
        change(file)
    return path


PLACE = "layers/dense/vars/0"


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = random(2, 3)
        file["layers/dense/vars/0"] = random(2, 3)
    for target in ("/etc/passwd", str(secret), "secret.h5"):
        link = h5py.ExternalLink(target, "x")
        path = changed(tmp_path, lambda file, link=link: file.__setitem__(PLACE, link))  # type: ignore[misc]
        assert "0 is a link to another place, which is not followed" in refused(path)
    path = tmp_path / "b.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink(str(secret), "layers")
    assert "layers is a link to another place" in refused(path)
    path = h5(tmp_path, {"fc": {}})
    with h5py.File(path, "a") as file:
        file["fc"].attrs["weight_names"] = [b"kernel:0"]
        file["fc/kernel:0"] = h5py.SoftLink("/other")
        file["other"] = random(2, 3)
    assert "kernel:0 is a link to another place" in refused(path)


def test_values_in_other_files_are_not_read(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(24))

    def external(file: h5py.File) -> None:
        file.create_dataset(PLACE, (2, 3), "f4", external=[(str(raw), 0, 24)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((2, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (2, 3))
        file.create_virtual_dataset(PLACE, layout)

    for change in (external, virtual):
        assert "in another file, which is not read" in refused(changed(tmp_path, change))


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    def reference(file: h5py.File) -> None:
        file.create_dataset(PLACE, (2,), h5py.ref_dtype)

    def text(file: h5py.File) -> None:
        file[PLACE] = ["a", "b"]

    def compound(file: h5py.File) -> None:
        file[PLACE] = np.zeros(3, [("a", "f4"), ("b", "i4")])

    def wide(file: h5py.File) -> None:
        file[PLACE] = np.zeros(3, np.longdouble)

    for change in (reference, text, compound, wide):
        assert "contains no numbers" in refused(changed(tmp_path, change))


def test_claims_beyond_the_file_take_no_memory(tmp_path: Path) -> None:
    size = 10 * 2**30 // 4

    def chunked(file: h5py.File) -> None:
        file.create_dataset(PLACE, (size,), "f4", chunks=(2**20,), compression="gzip")

    def chunk(file: h5py.File) -> None:
        file.create_dataset(PLACE, (4,), "f4", chunks=(2**28,), maxshape=(None,))

    def absent(file: h5py.File) -> None:
        file.create_dataset(PLACE, (size,), "f4")

    def compressed(file: h5py.File) -> None:
        file.create_dataset(PLACE, data=np.zeros(2**24, "f4"), compression="gzip", chunks=(2**20,))

    def many(file: h5py.File) -> None:
        for number in range(20):
            values = np.zeros(2**20, "f4")
            file.create_dataset(f"layers/dense_{number}/vars/0", data=values, compression="gzip")

    for change in (chunked, chunk, absent, compressed, many):
        said = within(changed(tmp_path, change), "keras", 2**27)
        assert "claims" in said
        assert "too many for a file of" in said

    def unwritten(file: h5py.File) -> None:
        file.create_dataset(PLACE, (2, 3), "f4")

    assert "has no values" in refused(changed(tmp_path, unwritten))


def test_compressed_files_are_read(tmp_path: Path) -> None:
    def compressed(file: h5py.File) -> None:
        values = random(20, 30)
        file.create_dataset(PLACE, data=values, compression="gzip", shuffle=True, fletcher32=True)

    (layer,) = read(changed(tmp_path, compressed)).layers
    assert layer.tensors["weight"][3, 4] == random(20, 30)[4, 3].item()


def test_filters_of_plug_ins_are_refused(tmp_path: Path) -> None:
    def strange(file: h5py.File) -> None:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((4,))
        settings.set_filter(307, h5py.h5z.FLAG_OPTIONAL)  # bzip2
        group = file.require_group("layers/dense/vars")
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, settings)

    message = refused(changed(tmp_path, strange))
    assert "compressed by the filter 307, which needs a plug-in; save it with gzip" in message


def test_groups_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    def cycle(file: h5py.File) -> None:
        file["layers/dense/layers"] = file["layers"]

    def deep(file: h5py.File) -> None:
        file.create_group("/".join("a" * 100))

    def many(file: h5py.File) -> None:
        for number in range(50):
            file[f"layers/x{number}"] = file["layers/dense"]

    assert "is in two places" in refused(changed(tmp_path, cycle))
    assert "is in two places" in refused(changed(tmp_path, many))
    assert "groups in more than 64 others" in refused(changed(tmp_path, deep))


def test_names_are_shown_escaped(tmp_path: Path) -> None:
    path = h5(tmp_path, {"fc": {}})
    for name in ("../../etc/passwd", "\x1b[2J", "a\nb", "\x7f" * 100):
        with h5py.File(path, "a") as file:
            file["fc"].attrs["weight_names"] = [f"{name}/kernel:0"]
        assert "missing" in refused(path)
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = [name]
        assert "missing" in refused(path)
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = ["fc"]


def test_names_that_are_twice_are_refused(tmp_path: Path) -> None:
    path = h5(tmp_path, {"fc": {"fc/kernel:0": random(2, 3)}})
    with h5py.File(path, "a") as file:
        file["fc"].attrs["weight_names"] = [b"fc/kernel:0", b"fc/kernel:0"]
    assert "the layer fc has kernel twice" in refused(path)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [b"fc", b"fc"]
    assert "two of its layers have the same name" in refused(path)


def test_truncated_and_other_files_are_refused(tmp_path: Path) -> None:
    content = weights_h5(tmp_path, DENSE).read_bytes()
    path = tmp_path / "cut.h5"
    for length in (0, 4, 8, 100, 600, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)
    for content, said in (
        (b"net a\n", "not a file of Keras"),
        (b"PK\x03\x04" + bytes(50), "damaged"),
    ):
        path.write_bytes(content)
        assert said in refused(path)
    with h5py.File(path, "w") as file:
        file["x"] = random(2, 3)
    assert "has no weights of layers" in refused(path)
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path / "none.h5")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="not a plain file"):
        read(tmp_path / "pipe")


def test_damaged_bytes_end_in_an_error_or_in_layers(tmp_path: Path) -> None:
    content = weights_h5(tmp_path, DENSE).read_bytes()
    path, drawn = tmp_path / "damaged.h5", pseudo.Random(1)
    beginning = content.index(random(20, 30).tobytes()[:64])
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[drawn.randrange(8, beginning)] = drawn.randrange(256)
        path.write_bytes(damaged)
        try:
            assert [layer.kind for layer in read(path).layers] in (["fc"], ["other"])
        except DataError as error:
            assert str(path) in str(error)


# ---------------------------------------------------------------------------------------- .keras


def repacked(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def members_of(folder: Path) -> dict[str, bytes]:
    path = keras(folder, model(node("Dense", "fc")), DENSE)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_zip_that_lacks_a_member(tmp_path: Path) -> None:
    members = members_of(tmp_path)
    for name in ("config.json", "model.weights.h5"):
        path = repacked(tmp_path / "b.keras", {n: c for n, c in members.items() if n != name})
        assert f"it has 0 members {name}, not one; save the model" in refused(path)
    path = tmp_path / "twice.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("config.json", "{}")
    assert "it has 2 members config.json" in refused(path)


def test_zip_bombs_take_little_memory(tmp_path: Path) -> None:
    members = members_of(tmp_path)
    for name in ("config.json", "model.weights.h5"):
        bomb = {**members, name: bytes(2**27)}
        path = repacked(tmp_path / "b.keras", bomb, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 2**18
        assert f"cannot read {name} in {path}: it has more than" in within(path, "keras", 2**26)


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    content = keras(tmp_path, model(node("Dense", "fc")), DENSE).read_bytes()
    path = tmp_path / "cut.keras"
    for length in (4, 30, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)
    path.write_bytes(content.replace(random(30).tobytes(), bytes(120)))
    assert "Bad CRC-32" in refused(path)
    encrypted = bytearray(content)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            encrypted[place + flags] |= 1
            place = content.find(mark, place + 1)
    path.write_bytes(encrypted)
    assert "is encrypted" in refused(path)


STRANGE = [
    {"config": {"layers": [1, None, "a", {"config": 3}, {"config": []}]}},
    [1],
    model({"class_name": 3, "name": [], "config": {}, "inbound_nodes": [[["a"]]]}),
    model({"class_name": "X", "config": {"layers": {}}, "inbound_nodes": 7}),
    {"class_name": "Lambda", "config": {"layers": [{"class_name": "os.system"}]}},
]


@pytest.mark.parametrize("config", STRANGE, ids=map(str, range(len(STRANGE))))
def test_a_strange_configuration_is_ignored(tmp_path: Path, config: object) -> None:
    members = {**members_of(tmp_path), "config.json": json.dumps(config).encode()}
    (layer,) = read(repacked(tmp_path / "b.keras", members)).layers
    assert (layer.name, layer.kind) == ("dense", "fc")


@pytest.mark.parametrize(
    "config",
    [b"", b"[" * 100_000, b'{"a": ' * 2000 + b"1" + b"}" * 2000, b'{"a": 1, "a": 2}', b"\xff"],
    ids=["empty", "deep lists", "deep objects", "twice", "no text"],
)
def test_a_configuration_that_is_not_json_is_refused(tmp_path: Path, config: bytes) -> None:
    path = repacked(tmp_path / "b.keras", {**members_of(tmp_path), "config.json": config})
    assert f"config.json in {path} is" in refused(path)


def test_models_in_models_have_an_end(tmp_path: Path) -> None:
    config = node("Dense", "fc")
    for _ in range(30):
        config = model(config)
    path = repacked(
        tmp_path / "b.keras", {**members_of(tmp_path), "config.json": json.dumps(config).encode()}
    )
    assert "models in more than 16 others" in refused(path)


def test_weights_in_a_zip_are_checked_as_those_in_a_file(tmp_path: Path) -> None:
    content = BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")
    path = repacked(
        tmp_path / "b.keras", {"config.json": b"{}", "model.weights.h5": content.getvalue()}
    )
    assert "is a link to another place" in refused(path)
