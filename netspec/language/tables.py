"""The parser, from tables that are stored next to the grammar.

Lark needs 0.1 s to compute the states of the parser from the grammar, and 0.01 s to load stored
states.  They are stored as JSON, because netspec does not unpickle, and are computed again if the
grammar or the version of Lark changes.  After a change of the grammar, run ``python -m
netspec.language.tables`` to write them.
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from netspec.files.writing import write_whole
from netspec.language.build import Builder

GRAMMAR = Path(__file__).parent.parent / "grammars" / "netspec.lark"
TABLES = GRAMMAR.with_suffix(".json")


def parser_for(builder: Builder) -> Lark:
    """Return the parser of statements and values; ``builder`` builds the syntax trees."""
    try:
        stored = json.loads(TABLES.read_bytes())
    except FileNotFoundError:
        return computed(builder)
    if stored["made_of"] != made_of():
        return computed(builder)
    return _restored(stored, builder)


def computed(builder: Builder | None) -> Lark:
    """Return the parser, computed from the grammar."""
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["statement", "value"],
        maybe_placeholders=True,
        transformer=builder,
    )


def made_of() -> dict[str, str]:
    """Return the digest of the grammar and the version of Lark, on which the tables depend."""
    return {"grammar": sha256(GRAMMAR.read_bytes()).hexdigest(), "lark": lark.__version__}


def tables() -> dict[str, Any]:
    """Return the parser as plain data, as Lark serialises it."""
    data, memo = computed(None).memo_serialize([TerminalDef, Rule])
    return {"made_of": made_of(), "data": data, "memo": memo}


def _restored(stored: dict[str, Any], builder: Builder) -> Lark:
    # Lark's generator of stand-alone parsers loads tables in the same way.  The function is not
    # public, so it is called only with tables of the same version of Lark.
    memo = {int(number): entry for number, entry in stored["memo"].items()}
    parser = stored["data"]["parser"]["parser"]
    parser["states"] = {int(state): actions for state, actions in parser["states"].items()}
    lark: Lark = Lark._load_from_dict(  # type: ignore[no-untyped-call]
        stored["data"], memo, transformer=builder
    )
    return lark


def main() -> None:
    """Write the tables; every process writes the same bytes."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # Lark numbers states as it meets them in sets
        command = [sys.executable, "-m", "netspec.language.tables"]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    write_whole(TABLES, json.dumps(tables(), separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main()
