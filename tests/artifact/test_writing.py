from __future__ import annotations

import errno
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import netspec
from netspec import DataError, load_artifact, save_artifact
from netspec.artifact import reading, weights, writing
from netspec.artifact.reading import SUFFIX
from tests.artifact.helpers import artifact, contents, small

FORMS = pytest.mark.parametrize("form", ["", SUFFIX])


def other() -> netspec.Compiled:
    return netspec.compile(netspec.loads("net other\ninput image 8x8x3\na: fc 2"))


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=f"^cannot write {path}: {message}"):
        save_artifact(small(), path)


@FORMS
def test_an_artifact_takes_the_place_of_another(form: str, tmp_path: Path) -> None:
    path, root = artifact(tmp_path, form)
    wanted = save_artifact(other(), path)
    assert wanted != root
    load_artifact(path, expect=wanted)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("has_root", [False, True])
def test_an_artifact_of_another_format_is_replaced(has_root: bool, tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.mkdir()
    if has_root:
        (path / "manifest.sha256").write_bytes(b"")
    (path / "manifest.json").write_text('{"format": 7, "members": {"blob": 1}}', encoding="utf-8")
    (path / "blob").write_bytes(b"")
    save_artifact(small(), path)
    load_artifact(path)


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    save_artifact(small(), tmp_path / "it")
    load_artifact(tmp_path / "it")


@pytest.mark.parametrize(
    "members",
    [
        {"thesis.tex": b"years"},
        {"manifest.json": b"{}"},
        {"manifest.json": b'{"name": "a web page", "icons": []}', "index.html": b""},
        {"manifest.json": b"not JSON"},
        {"manifest.json": b'{"format": 1, "members": {"a": {}}}', "a": b"", "thesis.tex": b""},
        {"manifest.json": b'{"format": 1, "members": {"a": {}}}'},
    ],
)
def test_a_folder_with_something_else_in_it_stays(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "mine"
    path.mkdir()
    for name, data in members.items():
        (path / name).write_bytes(data)
    refused(path, "it is a folder with other files: remove it, or use another")
    assert contents(path) == members
    assert os.listdir(tmp_path) == ["mine"]


def test_an_artifact_with_something_added_stays(tmp_path: Path) -> None:
    for name in ("notes.txt", "results"):
        path, _ = artifact(tmp_path)
        (path / name).mkdir() if name == "results" else (path / name).write_bytes(b"")
        refused(path, "it is a folder with other files")
        assert (path / name).exists()
        shutil.rmtree(path)


def test_a_file_is_not_replaced_by_a_folder_nor_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    refused(tmp_path / "file", "it is a file: use a folder, or a file that ends in .netspec")
    (tmp_path / "it.netspec").mkdir()
    refused(tmp_path / "it.netspec", "is a directory")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["file", "it.netspec"]


def test_a_file_of_another_kind_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "it.netspec"
    with zipfile.ZipFile(path, "w") as archive:  # as an extension of a browser is
        archive.writestr("manifest.json", "{}")
    before = path.read_bytes()
    refused(path, "the existing file is not an artifact")
    assert path.read_bytes() == before
    load_artifact(path, expect=save_artifact(small(), path, force=True))
    refused(tmp_path / "it.onnx", ".onnx is the suffix of an ONNX model, and the output is a fold")
    assert os.listdir(tmp_path) == ["it.netspec"]


@FORMS
def test_a_place_that_cannot_be_written_is_named(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "none" / f"it{form}", "no such file or directory")
    refused(tmp_path / "file" / f"it{form}", "not a directory")
    refused(Path(f"/proc/it{form}"), "")  # refuses new files to everyone, root too
    assert os.listdir(tmp_path) == ["file"]


@FORMS
def test_a_folder_that_may_not_be_written_to_is_named(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(**_: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkdtemp", closed)
    refused(tmp_path / f"it{form}", "permission denied")


def test_a_file_that_may_not_be_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path, SUFFIX)
    path.chmod(0o444)
    if os.geteuid() == 0:  # root may write it all the same
        opened = Path.open

        def closed(file: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if file == path and "+" in mode:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return opened(file, mode, *rest, **more)

        monkeypatch.setattr(Path, "open", closed)
    refused(path, "permission denied")
    load_artifact(path, expect=root)


def failing(name: str) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise {"interrupt": KeyboardInterrupt, "full": OSError(errno.ENOSPC, "No space left")}[name]

    return fail


@FORMS
@pytest.mark.parametrize("why", ["full", "interrupt"])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("where", ["weights", "plan", "rename"])
def test_a_write_that_fails_leaves_what_was_there(
    where: str, old: bool, why: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path, form) if old else (tmp_path / f"it{form}", "")
    before = contents(tmp_path)
    model = other()
    with monkeypatch.context() as patch:
        if where == "rename":
            patch.setattr(writing, "_exchange", lambda *_: False)
            whole, fail = os.replace, failing(why)

            def moved(one: Path, to: Path) -> None:
                is_new = Path(to) == path and Path(one).name != "old"
                return fail() if is_new else whole(one, to)

            patch.setattr(os, "replace", moved)
        elif where == "weights":
            pieces = weights.pieces

            def half(*arguments: Any) -> Any:
                yield from list(pieces(*arguments))[:1]
                failing(why)()

            patch.setattr(weights, "pieces", half)
        else:
            patch.setattr("netspec.artifact.saving.lowered_as", failing(why))
        with pytest.raises(DataError if why == "full" else KeyboardInterrupt) as raised:
            save_artifact(model, path)
    if why == "full":
        assert str(raised.value) == f"cannot write {path}: no space left"
    assert contents(tmp_path) == before
    if old:
        load_artifact(path, expect=root)


def test_the_old_folder_comes_back_if_the_new_one_cannot_be_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path)
    moves: list[tuple[str, str]] = []
    whole = os.replace

    def moved(one: Path, to: Path) -> None:
        moves.append((Path(one).name, Path(to).name))
        if moves[-1] == ("new", "it"):
            raise OSError(errno.EIO, "Input/output error")
        whole(one, to)

    monkeypatch.setattr(writing, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "replace", moved)
    refused(path, "input/output error")
    assert moves == [("it", "old"), ("new", "it"), ("old", "it")]
    load_artifact(path, expect=root)
    assert os.listdir(tmp_path) == ["it"]


def test_the_old_folder_is_kept_if_it_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path)
    whole = os.replace

    def moved(one: Path, to: Path) -> None:
        if Path(to) == path:
            raise OSError(errno.EIO, "Input/output error")
        whole(one, to)

    monkeypatch.setattr(writing, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "replace", moved)
    refused(path, "input/output error")
    (beside,) = tmp_path.iterdir()
    load_artifact(beside / "old", expect=root)


def test_folders_are_exchanged_in_one_step_where_that_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    if not writing._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this system cannot exchange folders")
    assert os.listdir(tmp_path / "one") == ["other"]
    assert not writing._exchange(tmp_path / "one", tmp_path / "none")
    path, _ = artifact(tmp_path)
    monkeypatch.setattr(os, "replace", failing("full"))
    load_artifact(path, expect=save_artifact(other(), path))


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_a_folder_is_replaced_in_two_steps(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = artifact(tmp_path)
    monkeypatch.setattr(writing.sys, "platform", platform)
    (tmp_path / "more").mkdir()
    assert not writing._exchange(path, tmp_path / "more")
    load_artifact(path, expect=save_artifact(other(), path))
    assert sorted(os.listdir(tmp_path)) == ["it", "more"]


@FORMS
def test_a_link_goes_on_leading_to_the_artifact(form: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path, form)
    link = tmp_path / f"link{form}"
    link.symlink_to(path)
    root = save_artifact(other(), link)
    assert link.is_symlink()
    load_artifact(path, expect=root)


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for form in ("", SUFFIX):
        save_artifact(small(), tmp_path / f"it{form}")
    assert (tmp_path / "it").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "file").write_bytes(b"")
    usual = (tmp_path / "file").stat().st_mode
    assert (tmp_path / "it.netspec").stat().st_mode == usual
    assert (tmp_path / "it" / "plan.json").stat().st_mode == usual
    (tmp_path / "it.netspec").chmod(0o600)
    save_artifact(small(), tmp_path / "it.netspec")
    assert (tmp_path / "it.netspec").stat().st_mode & 0o777 == 0o600


def test_a_single_file_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_artifact(small(), tmp_path / "it.netspec")
    with zipfile.ZipFile(tmp_path / "it.netspec") as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    monkeypatch.setattr(writing, "LARGEST_FILE", size - 1)
    refused(tmp_path / "it.netspec", "a single file can have up to 2 GiB: use a folder")
    assert os.listdir(tmp_path) == ["it.netspec"]
    monkeypatch.setattr(writing, "LARGEST_FILE", size)
    save_artifact(small(), tmp_path / "it.netspec")


def test_the_room_of_a_single_file_leaves_enough_for_its_directory() -> None:
    longest = 2 * len("kernels/10000.bin") + 30 + 46
    assert writing.LARGEST_FILE + reading.MOST_MEMBERS * longest + 22 < 2**31 - 1
    assert zipfile.ZIP64_LIMIT == 2**31 - 1


def test_two_artifacts_of_one_net_are_alike_to_the_byte(tmp_path: Path) -> None:
    for form in ("", SUFFIX):
        for name in ("a", "b"):
            save_artifact(small(), tmp_path / f"{name}{form}")
        assert contents(tmp_path / f"a{form}") == contents(tmp_path / f"b{form}")
