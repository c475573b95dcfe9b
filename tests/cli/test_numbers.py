"""Options that take numbers, with numbers that nobody means."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

import click
import pytest
from click.testing import CliRunner

from netspec.cli import main
from tests.helpers import subcommands

HOSTILE = (
    "nan", "-nan", "inf", "-inf", "1e308", "1e-400", "1e400", "-1", "0", "-0.0", "", " ", "x",
    "1" + "0" * 30, "9" * 5_000, "2147483648", "9223372036854775808", "1,nan", "0x10", "1_0", "١",
)  # fmt: skip
NUMBERS = click.types.IntParamType, click.types.FloatParamType
LISTS = {
    ("bench", "--batch"), ("train", "--snapshots"), ("see filters", "--kernels"),
    ("see activations", "--maps"), ("see top9", "--maps"), ("see evolution", "--maps"),
    ("see evolution", "--epochs"), ("see neighbours", "--queries"),
}  # fmt: skip
"""Options that take several numbers with commas between them."""

ARGUMENTS = {
    "train": ["none.net", "--data", "none", "-o", "none"],
    "compare": ["none", "--data", "none", "-o", "none"],
    "pack": ["none", "-o", "none"],
    "run": ["none.net", "none.png"],
    "trace": ["none.net", "c1"],
    "see filters": ["none.net", "--json"],
    "see activations": ["none.net", "none.png", "--json"],
    "see predictions": ["none.net", "none.png", "--json"],
    "see neighbours": ["none.net", "none.png", "--json"],
    "see codes": ["none.net", "--json"],
    "see search": ["none.net", "none.png", "--index", "none", "--json"],
    "see occlusion": ["none.net", "none.png", "--json"],
    "see confusion": ["none.net", "--json"],
    "see projection": ["none.net", "none.png", "--json"],
    "see top9": ["none.net", "--json"],
    "see evolution": ["none", "--json"],
}
"""What a command needs beside, none of which is there; else a spec."""


def options() -> Iterator[tuple[str, str]]:
    """All options that take numbers, with their commands."""
    for name, command in subcommands(main):
        for option in command.params:
            flag = option.opts[0]
            if isinstance(option.type, NUMBERS) or (name, flag) in LISTS:
                yield name, flag


NAMED = pytest.mark.parametrize(("command", "option"), list(options()))


def numbers_of(value: Any) -> list[float]:
    return list(value) if isinstance(value, tuple) else [value]


def test_all_options_are_found() -> None:
    all_options = list(options())
    assert set(all_options) >= LISTS
    assert len(all_options) >= 18


@NAMED
def test_a_number_that_nobody_means_is_refused_by_name_or_harmless(
    command: str, option: str
) -> None:
    refused = 0
    for hostile in HOSTILE:
        arguments = [*ARGUMENTS.get(command, ["none.net"]), f"{option}={hostile}"]
        done = CliRunner().invoke(main, [*command.split(), *arguments])
        assert isinstance(done.exception, SystemExit), (hostile, done.exception)
        assert done.exit_code in (1, 2), (hostile, done.output)
        if done.exit_code == 2:
            refused += 1
            assert option in done.output, (hostile, done.output)
            continue
        subcommand = dict(subcommands(main))[command]
        context = subcommand.make_context(command, arguments, resilient_parsing=False)
        (name,) = (one.name for one in subcommand.params if option in one.opts)
        for number in numbers_of(context.params[name or ""]):
            assert isfinite(number)
            assert abs(number) < 2**63
    assert refused >= 12


@pytest.mark.parametrize("option", ["--lr", "--decay", "--checkpoint-every"])
def test_nan_is_told_as_any_number_out_of_range(option: str) -> None:
    done = CliRunner().invoke(main, ["train", *ARGUMENTS["train"], option, "nan"])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': nan is not in the range 0" in done.output
