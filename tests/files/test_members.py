from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec.errors import DataError
from netspec.files.members import (
    ANYTHING,
    SCALAR,
    SHA256,
    TRUTH,
    Kind,
    many,
    number,
    one_of,
    optional,
    parsed,
    read,
    record,
    table,
    text,
    whole,
)

KIND: Kind[dict[str, Any]] = record(
    dict,
    count=whole(0, 9),
    share=number(0, 1),
    any=number(),
    name=optional(text(5)),
    form=one_of("png", "svg"),
    by_name=table(TRUTH),
    digests=many(SHA256),
    pair=many(whole(), 2),
    plain=SCALAR,
    rest=ANYTHING,
)
GOOD: dict[str, Any] = {
    "count": 3,
    "share": 0.5,
    "any": -1e300,
    "name": None,
    "form": "png",
    "by_name": {"a": True},
    "digests": ["0" * 64],
    "pair": [1, 2],
    "plain": "x",
    "rest": [None],
}


def refusal(data: bytes, kind: Kind[Any] = KIND) -> str:
    with pytest.raises(DataError) as caught:
        parsed(data, "a.json", kind, "make it again")
    return str(caught.value)


def test_what_is_of_the_kind_is_returned() -> None:
    content = parsed(json.dumps(GOOD).encode(), "a.json", KIND, "make it again")
    assert content == GOOD | {"digests": ("0" * 64,), "pair": (1, 2)}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("count", 10, "`count` is 10, not a whole number from 0 to 9"),
        ("count", -1, "`count` is -1, not"),
        ("count", 1.0, "`count` is 1.0, not"),
        ("count", True, "`count` is true, not"),
        ("count", None, "`count` is null, not"),
        ("count", 10**40, "`count` is 1000000000000000000000000000000000000..., not"),
        ("share", 1.5, "`share` is 1.5, not a number from 0 to 1"),
        ("share", "0", '`share` is "0", not'),
        ("any", 10**400, "`any` is 1000000000000000000000000000000000000..., not a number"),
        ("any", False, "`any` is false, not a number"),
        ("name", "123456", '`name` is "123456", not a text of at most 5 characters'),
        ("form", "gif", '`form` is "gif", not one of png, svg'),
        ("form", [], "`form` is a list of 0, not one of png, svg"),
        ("by_name", [], "`by_name` is a list of 0, not an object"),
        ("by_name", {"a": 1}, '`by_name["a"]` is 1, not true or false'),
        ("by_name", {"\x1b[2J": 1}, r'`by_name["\u001b[2J"]` is 1, not true or false'),
        ("digests", {}, "`digests` is an object, not a list"),
        ("digests", ["0" * 64, "A" * 64], f'`digests[1]` is "{"A" * 37}...", not a SHA-256'),
        ("digests", ["0" * 64 + "\n"], "`digests[0]` is "),
        ("pair", [1], "`pair` is a list of 1, not a list of 2 values"),
        ("plain", None, "`plain` is null, not a text, a number, true or false"),
    ],
)
def test_what_differs_is_named_with_its_key(key: str, value: Any, message: str) -> None:
    told = refusal(json.dumps(GOOD | {key: value}).encode())
    assert told.startswith(f"a.json is damaged: {message}")
    assert told.endswith("; make it again")


def test_no_key_is_missing_or_more_or_there_twice() -> None:
    for key in GOOD:
        data = json.dumps({name: value for name, value in GOOD.items() if name != key})
        assert refusal(data.encode()).startswith(f"a.json is damaged: `{key}` is missing")
    more = json.dumps(GOOD | {"more": 1})
    assert "`more` does not belong there" in refusal(more.encode())
    twice = json.dumps(GOOD).replace('"rest"', '"count": 3, "rest"')
    assert "`count` is there twice" in refusal(twice.encode())
    inner = json.dumps(GOOD).replace('"a": true', '"a": true, "a": true')
    assert "`a` is there twice" in refusal(inner.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.json is not JSON: "),
        (b"{", "a.json is not JSON: "),
        (b"\xff", "a.json is not JSON: byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "a.json is not JSON: "),
        (b"[" * 100_000, "a.json is not JSON that netspec wrote: it is nested too deeply"),
        (b'{"a":' * 100_000, "a.json is not JSON that netspec wrote: it is nested too deeply"),
        (b"1" * 5_000, "a.json is not JSON: "),
        (b"NaN", "a.json is not JSON: it contains NaN"),
        (b'{"any": -Infinity}', "a.json is not JSON: it contains -Infinity"),
        (b"null", "a.json is null, not an object"),
        (b"[]", "a.json is a list of 0, not an object"),
    ],
)
def test_what_is_no_json_is_refused(data: bytes, message: str) -> None:
    assert refusal(data).startswith(message)


@pytest.mark.parametrize("kind", [number(), SCALAR])
def test_a_number_that_overflows_is_none(kind: Kind[Any]) -> None:
    assert "is Infinity, not" in refusal(b'{"a": 1e999}', record(dict, a=kind))


@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,0e-.truefalsn\\ud8', max_size=40))
def test_any_bytes_are_refused_by_name(data: bytes | str) -> None:
    assert refusal(data if isinstance(data, bytes) else data.encode()).startswith("a.json ")


def test_a_file_is_read_within_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]" + " " * 100)
    assert read(path, many(whole()), "again", at_most=103) == (1,)
    with pytest.raises(DataError, match="more than 102 bytes"):
        read(path, many(whole()), "again", at_most=102)
    path.write_text("[x]")
    with pytest.raises(DataError, match=f"{path} is not JSON"):
        read(path, many(whole()), "again")


@pytest.mark.parametrize("half", [r"\ud800", r"\uDFFF", r"\udc00\ud800"])
@pytest.mark.parametrize("form", ['["{}"]', '{{"{}": 1}}', '{{"a": [{{"b": "x{}y"}}]}}'])
def test_half_of_a_surrogate_pair_is_refused_where_it_is_read(half: str, form: str) -> None:
    """It could not be written again, for example into the metadata of the weights of a run."""
    told = refusal(form.format(half).encode(), ANYTHING)
    assert told == (
        "a.json is damaged: it contains half of a surrogate pair, which is not text; make it again"
    )


def test_a_surrogate_pair_is_a_character() -> None:
    assert parsed(rb'["\ud83d\ude00"]', "a.json", ANYTHING, "make it again") == ["\U0001f600"]
