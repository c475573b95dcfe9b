from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lark import Lark
from lark.parsers.lalr_analysis import Shift

from netspec.language import tables
from netspec.language.build import Builder

STARTS = ("statement", "value")


def kept() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(tables.TABLES.read_bytes())
    return stored


def differences(one: Lark, other: Lark) -> Iterator[str]:
    """Where the automata of two parsers differ, however their states are numbered."""
    first, second = (parser.parser.parser._parse_table for parser in (one, other))
    assert first.start_states.keys() == second.start_states.keys()
    counterpart = {first.start_states[name]: second.start_states[name] for name in STARTS}
    waiting = [*counterpart]
    while waiting:
        state = waiting.pop()
        here, there = first.states[state], second.states[counterpart[state]]
        if here.keys() != there.keys():
            yield f"state {state}: {here.keys() ^ there.keys()}"
        for token in here.keys() & there.keys():
            (action, to), (other_action, other_to) = here[token], there[token]
            if action is Shift and to not in counterpart:
                counterpart[to] = other_to
                waiting.append(to)
            wanted = counterpart[to] if action is Shift else to
            if (action, wanted) != (other_action, other_to):
                yield f"state {state}: {token}"
    if {counterpart[end] for end in first.end_states.values()} != {*second.end_states.values()}:
        yield "ends"


def terminals(parser: Lark) -> set[tuple[str, int, str]]:
    return {(one.name, one.priority, one.pattern.to_regexp()) for one in parser.terminals}


def test_the_tables_are_those_of_the_grammar() -> None:
    """If not: python -m netspec.language.tables."""
    assert kept()["made_of"] == tables.made_of()
    restored, computed = tables.parser_for(Builder()), tables.computed(Builder())
    assert restored.source_path == "<deserialized>" != computed.source_path
    assert list(differences(computed, restored)) == []
    assert len(computed.parser.parser._parse_table.states) > 500
    assert terminals(computed) == terminals(restored)
    assert computed.lexer_conf.ignore == restored.lexer_conf.ignore
    assert computed.options.maybe_placeholders == restored.options.maybe_placeholders


def test_other_automata_are_told_apart() -> None:
    grammar = 'statement: "a" "b"* value\nvalue: "c"'
    one, other = (
        Lark(text, parser="lalr", start=list(STARTS)) for text in (grammar, grammar + ' | "d"')
    )
    assert list(differences(one, one)) == []
    assert list(differences(one, other)) != []
    assert list(differences(other, one)) != []


@pytest.mark.parametrize("what", ["grammar", "lark", "file"])
def test_what_was_made_of_something_else_is_not_used(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = kept()
    stored["made_of"][what] = "another"
    monkeypatch.setattr(tables, "TABLES", tmp_path / "netspec.json")
    if what != "file":
        (tmp_path / "netspec.json").write_text(json.dumps(stored))
    parser = tables.parser_for(Builder())
    assert parser.source_path != "<deserialized>"
    parser.parse("a: conv 3x3, 4", start="statement")


def test_what_is_written_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "TABLES", tmp_path / "netspec.json")
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # else it would start another process
    tables.main()
    restored = tables.parser_for(Builder())
    assert restored.source_path == "<deserialized>"
    assert list(differences(tables.computed(Builder()), restored)) == []
