"""``run.json``: the description of the run in a run directory."""

from __future__ import annotations

from typing import Any

from netspec.artifact.manifest import FILE_MEMBER, SPEC, Asked
from netspec.files.members import (
    ANYTHING,
    SHA256,
    Kind,
    many,
    matching,
    optional,
    record,
    table,
    text,
    whole,
)
from netspec.training.settings import SETTINGS

FORMAT = 1

_MEMBER = matching(FILE_MEMBER, "a file of the net")
_BY = matching(f"{SPEC}|{FILE_MEMBER}", "a text of the net")


def _asked(value: Any, at: str) -> Asked:
    by, wrote, name = many(text(), 3).take(value, at)
    return Asked(_BY.take(by, f"{at}[0]"), wrote, _MEMBER.take(name, f"{at}[2]"))


_SPLIT: Kind[dict[str, Any]] = record(dict, name=text(), images=whole(0), digest=text())

_KIND: Kind[dict[str, Any]] = record(
    dict,
    format=whole(FORMAT, FORMAT),
    name=text(),
    settings=SETTINGS,
    asked=many(Kind("a list of 3 texts", _asked)),
    recipe=ANYTHING,
    classes=many(text()),
    statistics=SHA256,
    data=record(dict, train=_SPLIT, validation=_SPLIT),
    made_by=table(optional(text())),
    threads=whole(1, 1024),
    began_in=text(),
    passed_over=many(text()),
)


def _with_later_keys(value: Any, at: str) -> dict[str, Any]:
    return _KIND.take({**LATER, **value} if isinstance(value, dict) else value, at)


LATER = {"began_in": "", "passed_over": []}
"""Keys that earlier versions did not write, with the values that those versions used."""

ABOUT_RUN: Kind[dict[str, Any]] = Kind(_KIND.expected, _with_later_keys)
"""The content of ``run.json``."""
