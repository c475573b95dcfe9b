from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from netspec import SpecError, bundled, load, loads
from netspec.ir.source import Source
from netspec.language.limits import MAX_BYTES
from netspec.language.read import decode, is_bundled, read


def code_of(path: Path | str) -> str:
    with pytest.raises(SpecError) as caught:
        load(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.help
    return diagnostic.code


def test_lines_and_columns_count_from_one_for_every_line_end() -> None:
    source = Source("x", "ab\ncd\r\ne\rf")
    assert [source.position(i) for i in (0, 1, 3, 4, 7, 9)] == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 1)
    ]  # fmt: skip
    assert [source.line_text(n) for n in (1, 2, 3, 4)] == ["ab", "cd", "e", "f"]


def test_a_bundled_name_reads_the_bundled_spec() -> None:
    assert set(bundled()) >= {"alexnet", "googlenet", "lenet5"}
    assert read("lenet5").text.count("net lenet5") == 1


MINE = "net mine\ninput image 8x8x3\na: fc 10"


@pytest.mark.parametrize("file", ["lenet5", "lenet5.net"])
def test_a_local_file_hides_a_bundled_spec_with_a_warning(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_bundled("lenet5")
    Path(file).write_text(MINE)
    with pytest.warns(UserWarning, match=f"lenet5 is the file {file} in this folder, not the bu"):
        assert load("lenet5").name == "mine"
    assert not is_bundled("lenet5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(Path(file).resolve()).name == "mine"
        assert loads("net b from lenet5").source.name == "<text>"  # the bundled lenet5


def test_a_name_finds_the_file_with_the_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()  # a folder of this name does not matter
    Path("mine.net").write_text(MINE)
    assert load("mine").source.path == Path("mine.net")
    assert load(tmp_path / "mine").name == "mine"
    Path("mine.net").write_text(MINE.replace("fc", "fcc"))
    with pytest.raises(SpecError, match=r"mine\.net:3:4"):
        load("mine")


def test_a_wrong_name_lists_close_local_files_before_bundled_specs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("alexnot.net", "alexnuts.net", "mine.net"):
        Path(name).write_text(MINE)
    for wrong in ("alexnut", "alexnut.net"):
        with pytest.raises(SpecError, match=r"mean `alexnuts\.net`, `alexnot\.net` or `alexnet`\?"):
            load(wrong)
    with pytest.raises(SpecError, match="to use the bundled spec, write `lenet5`"):
        load("lenet5.net")


def test_a_folder_with_a_bundled_name_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lenet5").mkdir()
    assert load("lenet5").name == "lenet5"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "NS001"
    assert code_of(tmp_path / "missing.net") == "NS001"
    assert code_of("no\0name") == "NS001"
    with pytest.raises(SpecError, match="did you mean `googlenet`"):
        load("gogglenet")


def test_an_unreadable_file_is_named() -> None:
    # opens for everyone, root included, and fails to be read
    assert code_of("/proc/self/mem") == "NS001"


def test_bytes_that_cannot_be_a_spec_are_refused() -> None:
    for data, code in [
        (b"net a\n\xff", "NS002"),
        (b"net a\n\0", "NS003"),
        (b"net a\n\x1b[31m", "NS003"),
        (b" " * (MAX_BYTES + 1), "NS004"),
    ]:
        with pytest.raises(SpecError) as caught:
            decode("x.net", data)
        assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    assert decode("x.net", b"\xef\xbb\xbfnet a").text == "net a"


def test_an_endless_file_is_refused_after_a_mebibyte() -> None:
    assert code_of("/dev/zero") == "NS004"
