from __future__ import annotations

import os
import shutil
import struct
import sys
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netspec
from netspec import DataError, load_artifact
from netspec.artifact import reading
from netspec.artifact.loading import load_manifest
from netspec.artifact.reading import SUFFIX, content, file_ranges, plain_entry
from tests.artifact.helpers import artifact, contents, pack, put, write_specs

MEMBERS = [
    *("manifest.json", "manifest.sha256", "spec.net", "files/0.net", "files/1.net"),
    *("plan.json", "weights.safetensors", "kernels/0.bin", "kernels/1.bin"),
]
"""All but ``kernels/2.bin``, which is empty."""


def refused(path: Path, message: str = "cannot load") -> str:
    with pytest.raises(DataError, match=message) as raised:
        load_artifact(path)
    assert str(raised.value).startswith(f"cannot load {path}: ")
    return str(raised.value)


def places_in(size: int) -> list[int]:
    """Some bytes of a file: the first and the last, and nine between."""
    return sorted({*range(0, size, max(1, size // 10)), size - 1})


# ------------------------------------------------------------------------------------- one folder


@pytest.mark.parametrize("name", MEMBERS)
def test_a_changed_byte_is_refused(name: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    file = path / name
    data = file.read_bytes()
    for at in places_in(len(data)):
        for bit in (0, 5, 7):
            file.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            shown = "manifest.json" if name == "manifest.sha256" else name
            refused(path, f"{shown} is damaged: its digest is")
    file.write_bytes(data)
    load_artifact(path)


@pytest.mark.parametrize("name", MEMBERS)
def test_another_length_is_refused(name: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    file = path / name
    data = file.read_bytes()
    for other in (*(data[:length] for length in places_in(len(data))), data + b"\0"):
        file.write_bytes(other)
        is_root = name.startswith("manifest")
        refused(path, "manifest.json is damaged" if is_root else f"{name} is damaged: it has")


@pytest.mark.parametrize("name", [*MEMBERS, "kernels/2.bin"])
def test_a_missing_member_is_refused(name: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    (path / name).unlink()
    messages = {
        "manifest.json": "it does not contain manifest.json",
        "manifest.sha256": "its digest is not the one in manifest.sha256",
    }
    refused(path, messages.get(name, f"'{name}' is missing"))


@pytest.mark.parametrize(
    "name", ["more", "spec.net.pkl", "files/2.net", "files/00.net", "kernels/3.bin", ".hidden"]
)
def test_another_member_is_refused(name: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    (path / name).write_bytes(b"")
    refused(path, f"'{name}' is not listed in its manifest")


def test_a_renamed_member_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    (path / "kernels" / "0.bin").rename(path / "kernels" / "9.bin")
    refused(path, "'kernels/0.bin' is missing")
    (path / "kernels" / "9.bin").rename(path / "kernels" / "0.bin")
    for one, other in (("spec.net", "files/0.net"), ("kernels/0.bin", "kernels/1.bin")):
        swap(path / one, path / other)
        refused(path, "is damaged")
        swap(path / one, path / other)
    load_artifact(path)


def swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


@pytest.mark.parametrize("name", ["weights.safetensors", "plan.json", "spec.net", "manifest.json"])
def test_a_member_of_another_artifact_is_refused(name: str, tmp_path: Path) -> None:
    path, root = artifact(tmp_path)
    text = "net small\ninput image 8x8x3\na: fc 2"
    other = netspec.compile(netspec.loads(text))
    netspec.save_artifact(other, tmp_path / "other")
    shutil.copy(tmp_path / "other" / name, path / name)
    refused(path)
    with pytest.raises(DataError):
        load_artifact(path, expect=root)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("more", "files/more", "kernels/0.bin.d", "kernels/kernels")):
        (tmp_path / str(number)).mkdir()
        path, _ = artifact(tmp_path / str(number))
        (path / name).mkdir()
        refused(path, f"it contains '{name}', which is not a file of an artifact")


@pytest.mark.parametrize("name", ["spec.net", "weights.safetensors", "manifest.json", "files"])
def test_links_are_refused(name: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    refused(path, f"it contains '{name}', which is not a file of an artifact")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    (path / "plan.json").unlink()
    os.mkfifo(path / "plan.json")
    refused(path, r"it contains 'plan\.json', which is not a file")
    os.mkfifo(tmp_path / "pipe.netspec")
    refused(tmp_path / "pipe.netspec")


def test_what_becomes_a_link_or_a_pipe_meanwhile_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    ranges = file_ranges(path)
    (path / "spec.net").rename(tmp_path / "spec.net")
    (path / "spec.net").symlink_to(tmp_path / "spec.net")
    with pytest.raises(OSError, match="it is a link"):
        content(ranges, "spec.net")
    (path / "plan.json").unlink()
    os.mkfifo(path / "plan.json")
    with pytest.raises((OSError, EOFError)):
        content(ranges, "plan.json")


@pytest.mark.parametrize("form", ["", SUFFIX])
def test_an_artifact_that_another_replaces_while_it_is_read_is_read_again(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path, form)
    other = netspec.compile(netspec.loads("net other\ninput image 8x8x3\na: fc 2"))
    calls = []

    def replaced(opened: Path) -> reading.FileRanges:
        ranges = file_ranges(opened)
        calls.append(opened)
        if len(calls) == 1:
            netspec.save_artifact(other, path)
        return ranges

    monkeypatch.setattr("netspec.artifact.loading.file_ranges", replaced)
    assert load_artifact(path).net.name == "other"
    assert len(calls) == 2
    with pytest.raises(DataError, match="its root digest is"):
        load_artifact(path, expect=root)
    assert len(calls) == 3


def test_what_becomes_shorter_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = artifact(tmp_path)
    for name in ("plan.json", "weights.safetensors"):
        ranges = file_ranges(path)
        monkeypatch.setattr("netspec.artifact.loading.file_ranges", lambda _, ranges=ranges: ranges)
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[:-1])
        refused(path, "it became shorter while it was read")
        (path / name).write_bytes(data)


def test_a_large_member_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    with (path / "manifest.json").open("ab") as file:
        file.truncate(2**40)
    refused(path, r"manifest\.json has 1,099,511,627,776 bytes, more than 4,194,304")


def test_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_MEMBERS", 9)
    for form in ("", SUFFIX):
        refused(artifact(tmp_path, form)[0], "more than 9 files|is not an artifact")


def test_what_is_no_artifact_is_told(tmp_path: Path) -> None:
    refused(tmp_path / "missing.netspec", "no such file or directory")
    refused(tmp_path, r"it is not an artifact: it does not contain manifest\.json")
    spec = write_specs(tmp_path)
    message = refused(
        spec, "it is not an artifact: it is neither a folder nor a file that netspec wrote"
    )
    assert "netspec compile SPEC -o PATH" in message
    refused(Path("/proc/self/mem"))
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    refused(empty, "it is not an artifact")


def test_a_folder_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = artifact(tmp_path)

    def closed(_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", closed)
    refused(path, "permission denied")


def test_a_link_to_an_artifact_is_followed(tmp_path: Path) -> None:
    for form in ("", SUFFIX):
        path, root = artifact(tmp_path, form)
        link = tmp_path / f"link{form}"
        link.symlink_to(path)
        load_artifact(link, expect=root)


# --------------------------------------------------------------------------------- a single file


def test_an_unpacked_file_is_a_folder_and_a_packed_folder_is_a_file(tmp_path: Path) -> None:
    path, root = artifact(tmp_path, SUFFIX)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "folder")
    load_artifact(tmp_path / "folder", expect=root)
    pack(tmp_path / "again", contents(tmp_path / "folder"))
    load_artifact(tmp_path / "again", expect=root)


def test_a_changed_byte_between_members_is_refused(tmp_path: Path) -> None:
    path, root = artifact(tmp_path, SUFFIX)
    data = path.read_bytes()
    inside = {at for p in file_ranges(path).values() for at in range(p.start, p.start + p.size)}
    for at in range(len(data)):
        if at not in inside:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            refused(path, "it is not an artifact")
    path.write_bytes(data)
    load_artifact(path, expect=root)


def test_a_changed_byte_of_a_member_is_refused_in_a_file(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path, SUFFIX)
    data = path.read_bytes()
    for name, file_range in file_ranges(path).items():
        for at in places_in(file_range.size) if file_range.size else ():
            changed = bytearray(data)
            changed[file_range.start + at] ^= 4
            path.write_bytes(changed)
            shown = "manifest.json" if name == "manifest.sha256" else name
            refused(path, f"{shown} is damaged: its digest is")


def test_a_file_of_another_length_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path, SUFFIX)
    data = path.read_bytes()
    for length in (*range(0, 60), *range(0, len(data), 499), *range(len(data) - 200, len(data))):
        path.write_bytes(data[:length])
        refused(path, "it is not an artifact")
    for other in (data + b"\0", b"\0" + data, data + data):
        path.write_bytes(other)
        refused(path, "it is not an artifact")


def hostile_zips(members: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Ways to pack members that netspec does not have: names, and fields of the first entry."""
    for name in ("../evil", "/evil", "C:\\evil", "a\\..\\b", "files/../spec.net"):
        yield name, {}
    yield "", {"compress_type": zipfile.ZIP_DEFLATED}
    yield "", {"compress_type": zipfile.ZIP_BZIP2}
    yield "", {"external_attr": 0o120777 << 16}
    yield "", {"date_time": (2020, 1, 1, 0, 0, 0)}
    yield "", {"comment": b"hello"}
    yield "", {"extra": struct.pack("<HHL", 0x7075, 4, 0)}
    yield "", {"create_system": 0}
    yield "", {"flag_bits": 1}


def test_files_that_are_packed_otherwise_are_refused(tmp_path: Path) -> None:
    folder, _ = artifact(tmp_path)
    members = contents(folder)
    path = tmp_path / "other.netspec"
    for name, fields in hostile_zips(members):
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in ({**members, name: b"evil"} if name else members).items():
                entry = plain_entry(member)
                for key, value in fields.items() if member == "spec.net" else ():
                    setattr(entry, key, value)
                archive.writestr(entry, data, entry.compress_type)
        if "flag_bits" in fields:  # zipfile does not write it
            data = path.read_bytes()
            at = data.index(b"PK\x03\x04")
            path.write_bytes(data[: at + 6] + b"\1" + data[at + 7 :])
        message = refused(path)
        assert "it is not an artifact" in message or "is not listed in its" in message, (
            name,
            fields,
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["it", "other.netspec"]


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folder, _ = artifact(tmp_path)
    path = tmp_path / "twice.netspec"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(folder).items():
            archive.writestr(plain_entry(name), data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(plain_entry("spec.net"), contents(folder)["spec.net"])
    refused(path, "it is not an artifact")


def test_entries_that_overlap_or_leave_gaps_are_refused(tmp_path: Path) -> None:
    folder, _ = artifact(tmp_path)
    path = tmp_path / "bomb.netspec"
    pack(path, contents(folder))
    data = bytearray(path.read_bytes())
    directory = struct.unpack("<L", data[-6:-2])[0]
    for at in (0, 7, 2**31, 2**32 - 1):  # of the first entry, all entries at the same place
        changed = bytearray(data)
        changed[directory + 42 : directory + 46] = struct.pack("<L", at)
        if at:
            path.write_bytes(changed)
            refused(path, "it is not an artifact")
    for at in (0, directory):
        gap = data[:at] + b"x" * 30 + data[at:]
        gap[-6:-2] = struct.pack("<L", directory + 30)
        path.write_bytes(gap)
        refused(path, "it is not an artifact")


def test_another_number_of_entries_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path, SUFFIX)
    data = bytearray(path.read_bytes())
    for count in (0, 1, 65535):
        data[-14:-10] = struct.pack("<2H", count, count)
        path.write_bytes(data)
        refused(path, "it is not an artifact")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path, SUFFIX)
    data = path.read_bytes()
    at = data.index(b"PK\1\2")
    changed = data[at:].replace(b"plan.json", b"plan.jso\xff")
    is_utf8 = struct.pack("<H", 0x800)
    entries = [b"PK\1\2" + e[:4] + is_utf8 + e[6:] for e in changed.split(b"PK\1\2")[1:]]
    path.write_bytes(data[:at] + b"".join(entries))
    with pytest.raises(UnicodeDecodeError):
        zipfile.ZipFile(path)
    refused(path, "it is not an artifact")


def test_a_directory_that_tells_more_than_there_is_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(zipfile, "ZipFile")
    path = tmp_path / "wide.netspec"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, 2**23, 0, 0)
    with path.open("wb") as file:
        file.seek(2**23)
        file.write(end)
    refused(path, "it is not an artifact")
    # what stands in archives of more than 4 GiB would tell zipfile another size of the directory
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    size = len(wide + locator)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
    path.write_bytes(wide + locator + end)
    refused(path, "it is not an artifact")


def test_sizes_of_64_bits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = artifact(tmp_path)
    path = tmp_path / "wide.netspec"
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents(folder).items():
            archive.writestr(plain_entry(name), data)
    monkeypatch.undo()
    refused(path, "it is not an artifact")
    # sizes that no 32 bits hold, without what marks an archive of more than 4 GiB
    members = contents(folder)
    size = len(members["weights.safetensors"])
    before, after = path.read_bytes().split(b"PK\1\2", 1)
    directory = (b"PK\1\2" + after).split(b"PK\6\6")[0]
    assert directory.count(struct.pack("<QQ", size, size)) == 1
    directory = directory.replace(struct.pack("<QQ", size, size), struct.pack("<QQ", 2**40, 2**40))
    lengths = len(members), len(members), len(directory), len(before)
    path.write_bytes(before + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *lengths, 0))
    refused(path, "it is not an artifact")


@given(st.binary(max_size=200))
def test_noise_is_no_artifact(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "noise.netspec"
    for data in (noise, noise + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(noise), 0, 0)):
        path.write_bytes(data)
        refused(path, "it is not an artifact")


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    before = len(os.listdir("/proc/self/fd"))
    for form in ("", SUFFIX):
        path, _ = artifact(tmp_path, form)
        model = load_artifact(path)
        load_manifest(path)
        assert len(os.listdir("/proc/self/fd")) == before
        put(path, dict.fromkeys(contents(path), b"changed"))  # what is loaded is not in there
        assert sha256(model.state_dict()["h.bias"].numpy().tobytes()).digest()
