from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import DataError, load_artifact
from netspec.artifact.loading import load_manifest
from netspec.artifact.manifest import Manifest, canonical, claimed_members
from tests.artifact.helpers import artifact, changed, contents

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path, _ = artifact(tmp_path_factory.mktemp("good"))
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())
    return manifest


def parts(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all parts of JSON."""
    yield way
    keys = {dict: list, list: lambda elements: range(len(elements))}.get(type(value), lambda _: ())
    for key in keys(value):
        yield from parts(value[key], (*way, key))


def put(value: Any, way: tuple[Any, ...], part: Any) -> Any:
    """A copy with another part."""
    if not way:
        return part
    copied = copy.copy(value)
    copied[way[0]] = put(value[way[0]], way[1:], part)
    return copied


def test_a_manifest_reads_as_it_was_written(good: dict[str, Any]) -> None:
    manifest = Manifest.read(canonical(good))
    assert manifest.as_bytes() == canonical(good)
    assert manifest.name == "small"
    assert manifest.batch == 1


@pytest.mark.parametrize("wrong", [None, True, -1, 1.5, "", "x", [], {}, [1], {"a": 1}, 10**30])
def test_a_part_of_another_type_is_refused_or_reads_alike(good: dict[str, Any], wrong: Any) -> None:
    refused = 0
    for way in parts(good):
        data = canonical(put(good, way, wrong))
        try:
            manifest = Manifest.read(data)
        except DataError:
            refused += 1
        else:  # another name, version or setting of a right type
            assert manifest.as_bytes() == data
            assert way[0] in (
                "name",
                "trained",
                "target",
                "made_by",
                "settings",
                "asked",
                "members",
                "kernels",
                "heads",
            )
            assert way[0] != "members" or way[-1] == "size"
    assert refused > 30


def test_a_missing_part_is_refused(good: dict[str, Any]) -> None:
    required = [way for way in parts(good) if way and isinstance(way[-1], str)]
    for *above, last in (way for way in required if way[0] != "settings"):
        rest: Any = good
        for key in above:
            rest = rest[key]
        without = {key: value for key, value in rest.items() if key != last}
        with pytest.raises(DataError, match=r"manifest\.json"):
            Manifest.read(canonical(put(good, tuple(above), without)))


@given(JSON)
def test_any_json_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(DataError, match=r"manifest\.json"):
        Manifest.read(canonical(wrong))


@given(st.data())
def test_any_json_in_any_place_is_refused_or_reads_alike(
    good: dict[str, Any], data: st.DataObject
) -> None:
    way = data.draw(st.sampled_from(list(parts(good))))
    changed = canonical(put(good, way, data.draw(JSON)))
    try:
        assert Manifest.read(changed).as_bytes() == changed
    except DataError as error:
        assert str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": 1' + b"0" * 10_000 + b"}",
        b'{"format": NaN}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"manifest\.json"):
        Manifest.read(data)


def test_a_manifest_is_written_in_one_way(good: dict[str, Any]) -> None:
    text = canonical(good)
    for other in (
        json.dumps(good).encode(),
        text + b"\n",
        text.replace(b"{\n", b"{\n\n", 1),
    ):
        assert other != text
        with pytest.raises(DataError, match="not the JSON that netspec writes"):
            Manifest.read(other)
    with pytest.raises(DataError, match="`batch` is there twice"):
        Manifest.read(text.replace(b'"batch": 1', b'"batch": 2,\n "batch": 1'))
    with pytest.raises(DataError, match="`more` does not belong there"):
        Manifest.read(canonical({**good, "more": 1}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 0}, "`batch` is 0, not a whole number from 1 to 100,000"),
        ({"batch": 10**9}, "`batch` is 1000000000, not a whole number from 1 to"),
        ({"batch": True}, "`batch` is true, not a whole number"),
        ({"dtype": "int8"}, '`dtype` is "int8", not one of float32'),
        ({"dtype": "load"}, '`dtype` is "load", not one of'),
        ({"kernels": ["b", "a", "c"]}, "`kernels` are not sorted"),
        ({"kernels": ["a", "a", "b"]}, "`kernels` are not sorted"),
        ({"kernels": []}, "`members` does not have exactly"),
        ({"asked": []}, "`members` does not have exactly"),
        ({"members": {}}, "`members` does not have exactly"),
        ({"settings": {"a": None}}, r"`settings\[\"a\"\]` is null, not a text, a number"),
        ({"settings": {"a": [1]}}, r"`settings\[\"a\"\]` is a list of 1, not a text, a number"),
        ({"made_by": {}}, r"`made_by\.netspec` is missing"),
        (
            {"made_by": {"netspec": 1, "torch": "1", "triton": "1"}},
            r"`made_by\.netspec` is 1, not a version",
        ),
        (
            {"made_by": {"netspec": "\x1b[2J", "torch": "1", "triton": "1"}},
            r"`made_by\.netspec` is \"\\u001b\[2J\", not a version",
        ),
        (
            {"format": 3, "made_by": {"netspec": "\x1b[2J"}},
            r"`made_by\.netspec` is \"\\u001b\[2J\", not a",
        ),
        ({"format": 3, "made_by": None}, "`made_by` is null, not an object"),
        ({"format": 1.0}, r"`format` is 1\.0, not a whole number"),
    ],
)
def test_values_that_no_manifest_has_are_refused(
    change: dict[str, Any], message: str, good: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=message):
        Manifest.read(canonical({**good, **change}))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "files/../spec.net", "files/00.net", "files/0.net\n"],
)
def test_a_manifest_names_no_paths(name: str, good: dict[str, Any]) -> None:
    text = json.dumps(good)
    renamed = json.loads(text.replace('"files/0.net"', json.dumps(name)))
    assert renamed["asked"][0]["member"] == renamed["asked"][1]["by"] == name
    assert name in renamed["members"]
    with pytest.raises(DataError, match="`asked` names a member that is not a file of the net"):
        Manifest.read(canonical(renamed))
    members = {**good["members"], name: good["members"]["files/0.net"]}
    with pytest.raises(DataError, match="`members` does not have exactly"):
        Manifest.read(canonical({**good, "members": members}))


def test_only_texts_of_the_net_ask_for_files(good: dict[str, Any]) -> None:
    for by in ("plan.json", "files/9.net", ""):
        with pytest.raises(DataError, match="`asked` names a member that is not a file of the net"):
            Manifest.read(canonical(put(good, ("asked", 0, "by"), by)))


@pytest.mark.parametrize("digest", ["", "0" * 63, "G" * 64, "A" * 64, f"{'0' * 64}\n"])
def test_digests_have_64_digits(digest: str, good: dict[str, Any]) -> None:
    members = {**good["members"], "spec.net": {"sha256": digest, "size": 1}}
    with pytest.raises(DataError, match=r"sha256` is .*, not a SHA-256 of 64"):
        Manifest.read(canonical({**good, "members": members}))


def test_sizes_are_compared_before_anything_is_read(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    huge = {"sha256": "0" * 64, "size": 10**18}
    changed(path, lambda manifest: manifest["members"].update({"weights.safetensors": huge}))
    with pytest.raises(DataError, match="instead of 1,000,000,000,000,000,000"):
        load_artifact(path)


def test_loading_the_manifest_reads_nothing_else(tmp_path: Path) -> None:
    path, root = artifact(tmp_path)
    for name, data in contents(path).items():
        if not name.startswith("manifest"):
            (path / name).write_bytes(bytes(len(data)))
    assert load_manifest(path, expect=root).root == root


def test_the_members_of_any_format_are_known(good: dict[str, Any]) -> None:
    assert claimed_members(canonical({"format": 99, "members": {"a": 1}})) == {"a"}
    for none in ([], {"members": {"a": 1}}, {"format": 1}, {"format": 1, "members": ["a"]}):
        with pytest.raises(DataError, match=r"manifest\.json"):
            claimed_members(canonical(none))
